"""Worlds in which software breaks, or only changes."""

from __future__ import annotations

from dataclasses import replace

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Fault, Release

QUICK = frozenset({"quick"})
SHOP = Firm(sessions=500.0, orders=90.0, contacts=25.0)

WORLDS = (
    World(
        "bad_release", "software", "Version 5.2.0 crashes on one Android model as it spreads.",
        (replace(SHOP, happens=(
            Release("5.2.0", "android", 50.0),
            Fault(id="release", trouble="app", starts=50.0, ends=62.0, share=0.6, code="APP_CRASH",
                  where={"app_version": ("5.2.0",), "device_model": ("Nova 8",)}),
        )),), QUICK,
    ),
)  # fmt: skip
