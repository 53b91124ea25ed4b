"""What every real stream carries too: messages that break the contract, and some that come far too late."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.topics import MINUTE_MS
from streams.simulate.company import Company
from streams.simulate.dice import Dice

_TELEMETRY: dict[str, Any] = {
    "product": "shop",
    "component": "home",
    "event_name": "app_start",
    "outcome": "ok",
    "source": "partner-feed",
}
_BROKEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("telemetry", {"outcome": "maybe"}),
    ("telemetry", {"latency_ms": -5.0}),
    ("telemetry", {"event_time_ms": 1_773_129_600}),
    ("order", {"status": "placed", "product": "shop"}),
    ("order", {"order_id": "o-x", "status": "teleported", "product": "shop"}),
    ("contact", {"contact_id": "k-x", "channel": "telepathy"}),
    ("telemetry", {"schema_version": 99}),
)


def add_noise(company: Company) -> None:
    """Add ``rules.malformed`` messages for the dead letters and ``rules.too_late`` ones beyond the allowed lateness."""
    dice = company.chance_of("noise")
    for number in range(company.rules.malformed):
        _malformed(company, dice, number)
    for number in range(company.rules.too_late):
        _too_late(company, dice, number)


def _malformed(company: Company, dice: Dice, number: int) -> None:
    rules, person = company.rules, dice.pick(company.people)
    at_ms = dice.whole(rules.start_ms + MINUTE_MS, rules.end_ms)
    noun, broken = _BROKEN[number % len(_BROKEN)]
    base = _TELEMETRY if noun == "telemetry" else {}
    head = {"event_id": f"x{number:04d}", "event_time_ms": at_ms, "customer_id": person.customer_id}
    value = msgspec.json.encode({**head, **base, **broken})
    company.tape.put(at_ms, noun, person.customer_id.encode(), value[:-9] if number % 8 == 7 else value)
    company.tape.malformed += 1


def _too_late(company: Company, dice: Dice, number: int) -> None:
    """12 to 20 minutes late: past the allowed lateness of telemetry on any number of partitions."""
    rules, person = company.rules, dice.pick(company.people)
    delay_ms = dice.whole(12 * MINUTE_MS, 20 * MINUTE_MS)
    at_ms = dice.whole(rules.start_ms + 2 * delay_ms, rules.end_ms)
    head = {"event_id": f"l{number:04d}", "event_time_ms": at_ms - delay_ms, "customer_id": person.customer_id}
    company.tape.put(at_ms, "telemetry", person.customer_id.encode(), msgspec.json.encode({**head, **_TELEMETRY}))
    company.tape.too_late += 1
