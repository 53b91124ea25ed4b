"""Worlds in which promises are broken, or orders come to nothing."""

from __future__ import annotations

from dataclasses import replace

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Batches, Fault, Missing

QUICK = frozenset({"quick"})
SHOP = Firm(days=4.0, sessions=60.0, orders=220.0, contacts=18.0)

WORLDS = (
    World(
        "carrier_delay", "delivery", "One carrier is hours late in one country for a day.",
        (replace(SHOP, happens=(
            Fault(id="carrier", trouble="delivery", starts=56.0, ends=82.0, share=0.6, late=(1.0, 20.0),
                  where={"carrier": ("parcelgo",), "region": ("FR",)},
                  also=({"warehouse": ("PAR-2",)}, {"warehouse": ("PAR-2",), "region": ("FR",)}), severe=False),
        )),),
    ),
    World(
        "depot_stands", "delivery", "One depot stands still for nine hours; its parcels come when it is over.",
        (replace(SHOP, days=2.0, happens=(
            Fault(id="depot", trouble="delivery", starts=28.0, ends=37.0, share=1.0,
                  where={"warehouse": ("HAM-2",)}, contact_share=0.06),
        )),), QUICK,
    ),
    World(
        "siblings_in_one_region", "delivery", "A storm in Spain: both carriers there are late.",
        (replace(SHOP, happens=(
            Fault(id="storm", trouble="delivery", starts=54.0, ends=72.0, share=0.8, late=(2.0, 30.0),
                  where={"region": ("ES",)}),
        )),),
    ),
    World(
        "slightly_late", "delivery", "One delivery in twelve of a depot is an hour late, for a week.",
        (replace(SHOP, days=14.0, sessions=20.0, orders=70.0, contacts=5.0, happens=(
            Fault(id="understaffed", trouble="delivery", starts=144.0, ends=312.0, share=0.08, late=(0.5, 2.0),
                  where={"warehouse": ("MUC-1",)}, severe=False, cost=400),
        )),),
    ),
    World(
        "orders_stuck", "delivery", "Nothing is promised; the orders of one depot are paid and never heard of again.",
        (replace(SHOP, days=5.0, orders=150.0, promise_h=None, happens=(
            Fault(id="stuck", trouble="stuck", starts=48.0, ends=96.0, share=0.9, where={"warehouse": ("BER-3",)},
                  contact_share=0.2),
        )),),
    ),
    World(
        "orders_vanish", "delivery", "The web shop takes no orders for four hours, and nothing fails.",
        (replace(SHOP, days=2.0, happens=(
            Missing(id="no orders", stream="orders", starts=33.0, ends=37.0, where={"platform": ("web",)},
                    contact_share=0.03),
        )),), QUICK,
    ),
    World(
        "orders_fall_off", "delivery", "Two of three orders in one country do not come through any more.",
        (replace(SHOP, happens=(
            Missing(id="fewer orders", stream="orders", starts=60.0, ends=84.0, where={"region": ("NL",)}, share=0.66,
                    contact_share=0.03),
        )),),
    ),
    World(
        "batches_days_late", "delivery", "Orders come once a night, every fourth batch two days late; a depot stands.",
        (replace(SHOP, days=9.0, sessions=60.0, orders=70.0, contacts=6.0, happens=(
            Batches("order", 24.0, 48.0),
            Fault(id="depot", trouble="delivery", starts=76.0, ends=100.0, share=1.0,
                  where={"warehouse": ("HAM-2",)}),
        )),),
    ),
)  # fmt: skip
