"""Who the made-up company's customers are: profiles, devices, consents, and how busy each hour is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.simulate.dice import Dice, Weighted
from streams.simulate.rules import RELEASE, SimulateRules

REGIONS = Weighted({"DE": 0.40, "FR": 0.25, "NL": 0.20, "ES": 0.15})
HOME_ZONE = {"DE": "Europe/Berlin", "FR": "Europe/Paris", "NL": "Europe/Amsterdam", "ES": "Europe/Madrid"}
LANGUAGE = {"DE": "de", "FR": "fr", "NL": "nl", "ES": "es"}
CURRENCIES = {"DE": ("EUR",) * 6 + ("CHF", "CHF", "PLN"), "FR": ("EUR",) * 8 + ("CHF",), "NL": ("EUR",), "ES": ("EUR",)}
"""What customers of a sales region pay in, in turn: Switzerland and Poland are served from Germany and France."""
FAR_ZONES = Weighted({"America/Los_Angeles": 0.5, "America/New_York": 0.2, "Asia/Tokyo": 0.3})
SEGMENTS = Weighted({"new": 0.25, "standard": 0.50, "gold": 0.20, "platinum": 0.05})
VALUE_CENTS = {"new": (500, 4_000), "standard": (2_000, 12_000), "gold": (9_000, 30_000), "platinum": (25_000, 90_000)}
PLANS = Weighted({"basic": 0.5, "family": 0.35, "business": 0.15})
PLATFORMS = Weighted({"android": 0.48, "ios": 0.30, "web": 0.22})
SOURCES = {"android": "app-android", "ios": "app-ios", "web": "web"}
MODELS = {
    "android": Weighted({"Nova 8": 0.30, "Nova 7": 0.25, "Orbit 5": 0.25, "Orbit 6": 0.20}),
    "ios": Weighted({"Apollo 12": 0.45, "Apollo 13": 0.55}),
    "web": Weighted({"desktop": 0.7, "tablet": 0.3}),
}
VERSIONS = {
    "android": Weighted({"5.1.0": 0.85, "5.0.3": 0.15}),
    "ios": Weighted({"5.1.0": 0.9, "5.0.3": 0.1}),
    "web": Weighted({"2026.10": 1.0}),
}
ADOPTION_MEAN_MS = 75 * MINUTE_MS
SEASON = (
    0.12,
    0.08,
    0.06,
    0.06,
    0.08,
    0.15,
    0.35,
    0.60,
    0.85,
    0.95,
    1.00,
    1.00,
    1.00,
    0.95,
    0.90,
    0.90,
    0.95,
    1.00,
    1.00,
    0.95,
    0.80,
    0.55,
    0.35,
    0.20,
)
"""How busy each hour of the day (UTC) is, against the busiest."""


@dataclass(frozen=True, slots=True)
class Person:
    """One customer as the company's systems see them."""

    customer_id: str
    region: str
    language: str
    platform: str
    device_model: str
    app_version: str
    currency: str
    plan: str
    upgrades_at_ms: int
    """When the new release reaches this device; the end of time for the web."""

    def version_at(self, at_ms: int) -> str:
        """Release in use at this time."""
        return RELEASE.attributes["app_version"] if at_ms >= self.upgrades_at_ms else self.app_version


def people(rules: SimulateRules) -> list[Person]:
    """All customers, in order of their ids."""
    dice = Dice(rules.seed, "people")
    release_ms = min((i.start_ms for i in rules.incidents if i.signal == "app"), default=RELEASE.start_ms)
    plans = Dice(rules.seed, "plans")
    return [_person(dice, number, release_ms, PLANS.pick(plans)) for number in range(rules.customers)]


def _person(dice: Dice, number: int, release_ms: int, plan: str) -> Person:
    region = REGIONS.pick(dice)
    platform = PLATFORMS.pick(dice)
    waits = int(dice.wait(ADOPTION_MEAN_MS))
    return Person(
        customer_id=f"c-{number:06d}",
        region=region,
        language=LANGUAGE[region],
        platform=platform,
        device_model=MODELS[platform].pick(dice),
        app_version=VERSIONS[platform].pick(dice),
        plan=plan,
        currency=CURRENCIES[region][number % len(CURRENCIES[region])],
        upgrades_at_ms=release_ms + (waits if platform != "web" else 100 * DAY_MS),
    )


def profile(dice: Dice, person: Person, updated_at_ms: int) -> dict[str, Any]:
    """The ``Customer`` record: one in six may not be told (no consent, opted out or no address), 7 % live far away."""
    segment = SEGMENTS.pick(dice)
    low, high = VALUE_CENTS[segment]
    granted, has_address = dice.chance(0.91), dice.chance(0.97)
    return {
        "customer_id": person.customer_id,
        "updated_at_ms": updated_at_ms,
        "segment": segment,
        "value_cents": dice.whole(low, high),
        "language": person.language,
        "time_zone": FAR_ZONES.pick(dice) if dice.chance(0.07) else HOME_ZONE[person.region],
        "consents": [{"channel": "webhook", "purpose": "service", "granted": granted}],
        "addresses": [{"channel": "webhook", "token": f"w-{person.customer_id[2:]}"}] if has_address else [],
        "opted_out": dice.chance(0.04),
    }


def season(at_ms: int) -> float:
    """How busy this moment is, 0 to 1, interpolated between full hours."""
    hour = at_ms % DAY_MS / HOUR_MS
    index = int(hour)
    here, after = SEASON[index], SEASON[(index + 1) % 24]
    return here + (after - here) * (hour - index)
