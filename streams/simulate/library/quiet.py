"""Worlds in which nothing is wrong."""

from __future__ import annotations

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm

QUICK = frozenset({"quick"})

WORLDS = (
    World(
        "quiet_100", "quiet", "A shop with about 100 events a minute and its usual failures, three days.",
        (Firm(sessions=1_800.0, orders=220.0, contacts=40.0, customers=6_000, days=3.0),), QUICK,
    ),
)  # fmt: skip
