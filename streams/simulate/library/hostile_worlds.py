"""Worlds in which not the service is wrong but what is known of it: data, clocks, repeats."""

from __future__ import annotations

from dataclasses import replace

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Clocks, Copies, Fault, Flood, Outage, Wrong
from streams.simulate.library.rhythm import Rhythm

SHOP = Firm(sessions=350.0, orders=70.0, contacts=20.0)
SPRING_MS = 1_774_569_600_000
"""2026-03-27T00:00:00Z, the Friday before the clocks go forward in Berlin."""
AUTUMN_MS = 1_792_713_600_000
"""2026-10-23T00:00:00Z, the Friday before they go back."""

WORLDS = (
    World(
        "data_outage", "hostile", "Telemetry is lost for three hours; the service is fine.",
        (replace(SHOP, happens=(Outage("telemetry", 56.0, 59.0),)),),
    ),
    World(
        "data_outage_made_up", "hostile", "Orders of three hours come five hours late, all at once.",
        (replace(SHOP, orders=200.0, happens=(Outage("order", 54.0, 57.0, after=5.0), Wrong(62.0, 63.0, "old data"))),),
    ),
    World(
        "data_outage_hides_trouble", "hostile", "Telemetry is lost for two hours in the middle of an incident.",
        (replace(SHOP, happens=(
            Outage("telemetry", 57.0, 59.0),
            Fault(id="login", trouble="app", starts=55.0, ends=62.0, share=0.6, code="LOGIN_500",
                  where={"platform": ("ios",)}),
        )),),
    ),
    World(
        "wrong_clocks", "hostile", "Some phones are a day behind, some hours ahead.",
        (replace(SHOP, happens=(
            Clocks("telemetry", 0.02, -25.0), Clocks("telemetry", 0.01, 3.0), Wrong(0.0, 72.0, "clocks are wrong"),
        )),),
    ),
    World(
        "wrong_clock_of_a_feed", "hostile", "For a day all contacts are stamped an hour ahead; then a provider fails.",
        (replace(SHOP, orders=200.0, happens=(
            Clocks("contact", 1.0, 1.0, 24.0, 48.0),
            Fault(id="provider", trouble="payment", starts=57.0, ends=61.0, share=0.8, code="PROVIDER_TIMEOUT",
                  where={"payment_provider": ("cardia",)}),
        )),),
    ),
    World(
        "duplicate_flood", "hostile", "A producer sends everything ten times for an hour.",
        (replace(SHOP, happens=(Copies("telemetry", 57.0, 58.0, 9), Wrong(57.0, 58.5, "the same events again"))),),
    ),
    World(
        "duplicate_flood_of_failures", "hostile", "Failed payments are sent twenty times each, all day.",
        (replace(SHOP, orders=160.0, happens=(Copies("order", 48.0, 54.0, 12), Wrong(48.0, 54.5, "the same again"))),),
    ),
    World(
        "attribute_flood", "hostile", "A partner's feed has a version of its own in every event; then the app fails.",
        (replace(SHOP, happens=(
            Flood(30.0, 72.0, 900.0),
            Fault(id="login", trouble="app", starts=56.0, ends=60.0, share=0.6, code="LOGIN_500",
                  where={"platform": ("ios",)}),
        )),),
    ),
    World(
        "clocks_go_forward", "hostile", "The night in spring that has no hour between two and three.",
        (replace(SHOP, starts_ms=SPRING_MS, days=4.0),),
    ),
    World(
        "clocks_go_back", "hostile", "The night in autumn that has an hour twice; cards fail in it.",
        (replace(SHOP, starts_ms=AUTUMN_MS, days=4.0, orders=160.0, happens=(
            Fault(id="cards", trouble="payment", starts=47.5, ends=51.0, share=0.7, code="CLOCK_SKEW",
                  where={"payment_method": ("card",)}),
        )),),
    ),
    World(
        "clocks_go_back_in_new_york", "hostile", "The same week in a shop on New York's clock; nothing is wrong.",
        (replace(SHOP, starts_ms=AUTUMN_MS + 7 * 86_400_000, days=4.0, rhythm=Rhythm(zone="America/New_York")),),
    ),
)  # fmt: skip
