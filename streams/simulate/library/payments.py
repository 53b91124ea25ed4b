"""Worlds in which paying or pricing breaks."""

from __future__ import annotations

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Fault

QUICK = frozenset({"quick"})

WORLDS = (
    World(
        "payment_provider_one_country", "payment", "One payment provider is down in one country for three hours.",
        (Firm(sessions=100.0, orders=400.0, contacts=25.0, happens=(
            Fault(id="provider", trouble="payment", starts=57.0, ends=60.0, share=0.85, code="PROVIDER_TIMEOUT",
                  where={"payment_provider": ("paynow",), "region": ("DE",)}, contact_share=0.15),
        )),), QUICK,
    ),
)  # fmt: skip
