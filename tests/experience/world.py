"""Three weeks of a made-up company: contacts that wait, are passed on, come back; orders that go wrong; uses that fail.

Some events come twice, some late. Nothing happens in the hours around 7 days before the end, so that no figure depends
on how exactly the clocks stand then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.sources.arrivals import Arrival, Beats, with_heartbeats

START = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a Monday."""
END = START + 22 * DAY_MS
USES_FROM = END - 9 * DAY_MS
"""From then on, from 10 to 14 o'clock; the release of the last two hours is a bad one."""
QUIET_FROM, QUIET_TO = END - 7 * DAY_MS - 3 * HOUR_MS, END - 7 * DAY_MS + 3 * HOUR_MS
PARTITIONS = 2
CUSTOMERS = [f"c-{number:03d}" for number in range(150)]
REGIONS = ("DE", "FR", "")
SEGMENTS = ("gold", "silver", "")
REASONS = ("delivery", "payment", "question", "")
STAGES = ("find", "buy", "wait")
VERSIONS = ("5.1.0", "5.2.0")
Json = dict[str, Any]


@dataclass
class World:
    """Events as they were sent, once each, by topic; and how they arrive."""

    chance: random.Random = field(default_factory=lambda: random.Random(14))
    events: dict[str, list[Json]] = field(default_factory=lambda: {"telemetry": [], "order": [], "contact": []})
    too_late: set[str] = field(default_factory=set)
    """Ids of telemetry that comes too late to be counted in a bin; boards of raw copies see it."""
    _rows: list[tuple[int, str, bytes, bytes]] = field(default_factory=list)

    def send(self, noun: str, at_ms: int, customer: str, **body: Any) -> None:
        """One event; now and then it comes twice, or late."""
        if at_ms >= END - HOUR_MS or QUIET_FROM <= at_ms < QUIET_TO:
            return
        head = {"event_id": f"{noun}-{len(self.events[noun])}", "event_time_ms": at_ms, "customer_id": customer}
        event = {**head, **body}
        self.events[noun].append(event)
        arrival, luck = at_ms + self.chance.randrange(50, 3_000), self.chance.random()
        if luck < 0.03:
            arrival = at_ms + self.chance.randrange(25, 50) * MINUTE_MS
            if noun == "telemetry":
                self.too_late.add(event["event_id"])
        value, key = msgspec.json.encode(event), customer.encode()
        self._rows.append((arrival, noun, key, value))
        if luck > 0.96:
            self._rows.append((arrival + self.chance.randrange(100, 5_000), noun, key, value))

    def arrivals(self) -> Iterator[Arrival]:
        """Everything in arrival order, with heartbeats; a profile of each customer first."""
        profiles = [
            Arrival(START, "customer", name.encode(), None, msgspec.json.encode(
                {"customer_id": name, "updated_at_ms": START, "segment": segment_of(name)}))
            for name in CUSTOMERS
        ]
        rows = [Arrival(at_ms, noun, key, None, value) for at_ms, noun, key, value in sorted(self._rows)]
        return with_heartbeats(iter([*profiles, *rows]), PARTITIONS, Beats(10 * MINUTE_MS, 3_000, END, quiet_ms=None))


def segment_of(customer: str) -> str:
    """A customer's segment."""
    return SEGMENTS[int(customer[2:]) % len(SEGMENTS)]


def made() -> World:
    """The company's three weeks."""
    world = World()
    for number in range(900):
        _order(world, number)
    for number in range(1_300):
        _case(world, number)
    for number in range(2_500):
        _session(world, number)
    return world


def _order(world: World, number: int) -> None:
    chance = world.chance
    at, customer = START + chance.randrange(END - START), chance.choice(CUSTOMERS)
    body = {
        "product": chance.choice(("shop", "shop", "club")), "order_id": f"o-{number}",
        "sku": f"s-{chance.randrange(3)}", "region": chance.choice(REGIONS),
    }
    luck, promised = chance.random(), at + 3 * DAY_MS if chance.random() < 0.6 else None
    first = {"promised_at_ms": promised} if promised else {}
    world.send("order", at, customer, **body, **first, status="placed")
    if luck < 0.06:
        who = chance.choice(({"cancelled_by": "company"}, {"cancelled_by": "customer"}, {}))
        world.send("order", at + HOUR_MS, customer, **body, **who, status="cancelled")
        return
    if chance.random() < 0.12:
        world.send("order", at + MINUTE_MS, customer, **body, status="payment_failed")
    world.send("order", at + 5 * MINUTE_MS, customer, **body, status="paid")
    if promised and luck > 0.1:
        done = promised + chance.randrange(-2 * DAY_MS, DAY_MS // 4)
        if chance.random() < 0.05:
            world.send("order", done - HOUR_MS, customer, **body, status="late")
        world.send("order", done, customer, **body, status="delivered")
        if chance.random() < 0.08:
            world.send("order", done + 2 * DAY_MS, customer, **body, status=chance.choice(("returned", "refunded")))
    if chance.random() < 0.1:
        _contact(world, f"ko-{number}", at + chance.randrange(HOUR_MS, 6 * DAY_MS), customer, order_id=f"o-{number}")


def _case(world: World, number: int) -> None:
    chance = world.chance
    at, customer = START + chance.randrange(END - START), chance.choice(CUSTOMERS)
    about = {"subject_ids": [f"t-{number}"]} if chance.random() < 0.4 else {}
    body = {"reason": chance.choice(REASONS), **about}
    _contact(world, f"k-{number}", at, customer, **body)
    if chance.random() < 0.25:
        _contact(world, f"k-{number}-b", at + chance.randrange(2 * HOUR_MS, 9 * DAY_MS), customer, **body)


def _contact(world: World, contact: str, at: int, customer: str, **more: Any) -> None:
    chance = world.chance
    mode = chance.choice(("human", "automatic"))
    body = {
        "contact_id": contact, "channel": chance.choice(("phone", "chat")), "reason": chance.choice(REASONS),
        "product": "shop", "region": chance.choice(REGIONS), **more,
    }
    world.send("contact", at, customer, **body, mode=mode, status="opened")
    at += chance.randrange(1_000, 900_000)
    if chance.random() < 0.15:
        world.send("contact", at, customer, **body, mode=mode, status="abandoned", wait_ms=120_000)
        return
    stated = {"wait_ms": float(chance.randrange(1_000, 500_000))} if chance.random() < 0.7 else {}
    world.send("contact", at, customer, **body, **stated, mode=mode, status="answered")
    for _ in range(chance.choice((0, 0, 1, 2))):
        at += chance.randrange(10_000, 100_000)
        world.send("contact", at, customer, **body, mode="human", status="transferred")
        mode = "human"
    if chance.random() < 0.2:
        return
    at += chance.randrange(60_000, 4_000_000)
    rated = {"csat": chance.randrange(1, 6), "effort": chance.randrange(1, 8)} if chance.random() < 0.7 else {}
    world.send("contact", at, customer, **body, **rated, mode=mode, status="resolved")
    if chance.random() < 0.15:
        world.send("contact", at + HOUR_MS, customer, **body, mode=mode, status="reopened")
        if chance.random() < 0.7:
            world.send("contact", at + 2 * HOUR_MS, customer, **body, mode=mode, status="resolved")


def _session(world: World, number: int) -> None:
    chance = world.chance
    at = USES_FROM + chance.randrange(9) * DAY_MS + 10 * HOUR_MS + chance.randrange(4 * HOUR_MS)
    customer = chance.choice(CUSTOMERS)
    version, region = chance.choice(VERSIONS), chance.choice(REGIONS)
    bad = version == "5.2.0" and at > END - 12 * HOUR_MS
    for stage in STAGES[: chance.randrange(1, 4)]:
        failed = chance.random() < (0.6 if bad and stage == "buy" else 0.04)
        outcome = "failed" if failed else "abandoned" if chance.random() < 0.02 else "ok"
        world.send(
            "telemetry", at, customer, product="shop", component="app", app_version=version, platform="android",
            region=region, event_name=f"{stage}_step", outcome=outcome, session_id=f"s-{number}", journey_stage=stage,
        )
        at += chance.randrange(1_000, 60_000)
