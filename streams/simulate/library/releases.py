"""Worlds in which software breaks, or only changes."""

from __future__ import annotations

from dataclasses import replace

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Fault, Release, Shape, Wrong

QUICK = frozenset({"quick"})
SHOP = Firm(sessions=450.0, orders=60.0, contacts=20.0)
_RAMP_DAYS = 31
_RAMP: Shape = tuple((24.0 * day, 0.003 * 100.0 ** (day / _RAMP_DAYS)) for day in range(_RAMP_DAYS + 1))
"""A hundredfold over a month."""


def on_and_off(hours: float, on: float, off: float, share: float) -> Shape:
    """Trouble that comes for ``on`` minutes and goes for ``off``, again and again."""
    period, corners, at = (on + off) / 60.0, list[tuple[float, float]](), 0.0
    while at < hours:
        end = at + on / 60.0
        corners += [(at, share), (end, share), (end + 1e-6, 0.0), (at + period - 1e-6, 0.0)]
        at += period
    return tuple(corners)


WORLDS = (
    World(
        "bad_release", "software", "Version 5.2.0 crashes on one Android model as it spreads.",
        (replace(SHOP, days=2.0, happens=(
            Release("5.2.0", "android", 30.0),
            Fault(id="release", trouble="app", starts=30.0, ends=42.0, share=0.6, code="APP_CRASH",
                  where={"app_version": ("5.2.0",), "device_model": ("Nova 8",)}),
        )),), QUICK,
    ),
    World(
        "good_release", "software", "Version 5.2.0 spreads and nothing is wrong with it.",
        (replace(SHOP, days=2.0, happens=(
            Release("5.2.0", "android", 30.0), Wrong(30.0, 48.0, "the release is fine"),
        )),), QUICK,
    ),
    World(
        "half_fix", "software", "A crash is fixed by 5.2.1, but only for half of the cases.",
        (replace(SHOP, happens=(
            Release("5.2.0", "ios", 48.0),
            Fault(id="crash", trouble="app", starts=48.0, ends=68.0, code="APP_CRASH",
                  share=((0.0, 0.5), (8.0, 0.5), (8.01, 0.22), (20.0, 0.22)),
                  where={"app_version": ("5.2.0",), "platform": ("ios",)},
                  also=({"app_version": ("5.2.0",)},)),
        )),),
    ),
    World(
        "regression_after_a_week", "software", "Search breaks in one version, is mended, and breaks a week later.",
        (replace(SHOP, days=11.0, sessions=200.0, orders=20.0, contacts=10.0, happens=(
            Fault(id="search", trouble="app", starts=57.0, ends=63.0, share=0.7, code="SEARCH_500",
                  where={"app_version": ("5.0.3",), "component": ("catalog",)}),
            Fault(id="search again", trouble="app", starts=225.0, ends=232.0, share=0.7, code="SEARCH_500",
                  where={"app_version": ("5.0.3",), "component": ("catalog",)}, regression_of="search"),
        )),),
    ),
    World(
        "flapping", "software", "Checkout fails for ten minutes, works for twenty, over eight hours.",
        (replace(SHOP, happens=(
            Fault(id="checkout", trouble="app", starts=56.0, ends=64.0, share=on_and_off(8.0, 10.0, 20.0, 0.7),
                  code="CHECKOUT_503", where={"component": ("checkout",)}),
        )),),
    ),
    World(
        "tiny_cohort", "software", "An app cannot start on a phone that one customer in seven hundred has.",
        (replace(SHOP, customers=8_000, days=5.0, sessions=400.0, happens=(
            Fault(id="quill", trouble="app", starts=48.0, ends=120.0, share=1.0, code="APP_CRASH", severe=False,
                  where={"device_model": ("Quill 1",)}, contact_share=0.25),
        )),),
    ),
    World(
        "ramp_hundredfold", "software", "A leak: checkout failures grow a hundredfold over 31 days.",
        (replace(SHOP, days=36.0, sessions=70.0, orders=8.0, contacts=4.0, happens=(
            Fault(id="leak", trouble="app", starts=96.0, ends=96.0 + 24.0 * _RAMP_DAYS, share=_RAMP,
                  code="OUT_OF_MEMORY", where={"component": ("checkout",)}),
        )),),
    ),
    World(
        "parent_and_child", "software", "Everything on Android fails now and then, on one model nearly always.",
        (replace(SHOP, happens=(
            Fault(id="android", trouble="app", starts=54.0, ends=60.0, share=0.25, code="API_429",
                  where={"platform": ("android",)}),
            Fault(id="model", trouble="app", starts=54.0, ends=60.0, share=0.85, code="APP_CRASH",
                  where={"device_model": ("Orbit 5",)}),
        )),),
    ),
    World(
        "whole_company_down", "software", "App and payments fail everywhere, worst in Spain.",
        (replace(SHOP, days=2.0, happens=(
            Fault(id="app down", trouble="app", starts=34.0, ends=36.0, share=0.6, code="HTTP_503"),
            Fault(id="app down, worst part", trouble="app", starts=34.0, ends=36.0, share=0.9, code="HTTP_503",
                  where={"region": ("ES",)}, part_of="app down"),
            Fault(id="payments down", trouble="payment", starts=34.0, ends=36.0, share=0.6, code="HTTP_503"),
        )),), QUICK,
    ),
    World(
        "short_outage", "software", "The whole app is down for six minutes at the busiest hour.",
        (replace(SHOP, happens=(
            Fault(id="six minutes", trouble="app", starts=66.0, ends=66.1, share=0.97, code="HTTP_503"),
        )),),
    ),
    World(
        "minor_and_broad", "software", "A hundredth more of all steps fails, for three days.",
        (replace(SHOP, days=8.0, sessions=250.0, orders=20.0, contacts=10.0, happens=(
            Fault(id="slow database", trouble="app", starts=96.0, ends=168.0, share=0.012, code="DB_SLOW",
                  severe=False, cost=300, contact_share=0.02),
        )),),
    ),
    World(
        "new_line", "software", "A second line opens after two days; a twentieth of it fails, as is usual there.",
        (replace(SHOP, days=5.0, sessions=250.0),
         Firm(line="insurance", days=5.0, opens=48.0, sessions=120.0, orders=15.0, contacts=8.0, app_failing=0.05,
              happens=(Wrong(48.0, 120.0, "that is how the new line usually is"),))),
    ),
    World(
        "new_line_in_trouble", "software", "A line opens after two days and breaks in one country four hours later.",
        (replace(SHOP, days=4.0, sessions=250.0),
         Firm(line="insurance", days=4.0, opens=48.0, sessions=160.0, orders=15.0, contacts=8.0, app_failing=0.05,
              happens=(Fault(id="quotes", trouble="app", starts=52.0, ends=58.0, share=0.7, code="QUOTE_500",
                             where={"region": ("FR",)}),))),
    ),
)  # fmt: skip
