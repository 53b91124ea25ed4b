"""Clocks that are fast, and feeds that are days late: nobody is blinded, nothing is thrown away."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.faults.conftest import Arena
from tests.faults.harness import Deployment
from tests.faults.load import HOUR_MS, MINUTE_MS, LoadRules, Raw, heartbeats, make_load
from tests.faults.oracle import reading
from tests.faults.result import Result, size
from tests.faults.test_input import bodies, event, run

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PLAIN = LoadRules(duplicates=0.0, malformed=0.0, late=0.0, too_old=0.0)
DAY_MS = 24 * HOUR_MS
AHEAD_MS = 4 * MINUTE_MS
_decode = msgspec.json.Decoder().decode


async def counted(line: Deployment) -> Counter[str]:
    """Last counts of every producer and bin, added up: events, late, duplicates."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}

    def take(record: Any) -> None:
        body = _decode(record.value)
        newest[body["topic"], body["source"], body["bin_ms"], body["partition"]] = body

    async with reading(line.straight.kafka_bootstrap) as read:
        await read(f"{line.prefix}cx.source_count.v1", take)
    total: Counter[str] = Counter()
    for body in newest.values():
        total.update({name: body[name] for name in ("events", "late", "duplicates")})
    return total


def fast(records: list[Raw], who: str) -> Iterator[Raw]:
    """The load through a gateway that says when it received each event; some devices are four minutes fast."""
    dice = random.Random(62)
    phones: dict[int, set[str]] = {}
    for record in records:
        body = _decode(record.value or b"{}")
        if "event_id" not in body:
            yield record
            continue
        mine = phones.setdefault(record.partition, set())
        if record.noun == "telemetry" and len(mine) < 3:
            mine.add(body["customer_id"])
        true_ms = body["event_time_ms"]
        is_fast = body["customer_id"] in mine if who == "phones" else body["source"] == who
        moved = true_ms + AHEAD_MS if is_fast and record.noun == "telemetry" else true_ms
        yield event(record.noun, body | {"event_time_ms": moved, "arrived_at_ms": true_ms + dice.randrange(1_500)})


@pytest.mark.fault(62)
@pytest.mark.parametrize("who", ["phones", "source"])
async def test_fast_clocks_make_nothing_late(kafka_arena: Arena, who: str) -> None:
    rules = replace(PLAIN, events=size(6_000, 60_000), seed=62, failing=0.1)
    records = make_load(rules)
    source = next(body["source"] for record, body in bodies(records) if record.noun == "telemetry")
    sent = list(fast(records, who if who == "phones" else source))
    result = Result(
        62, "clocks four minutes fast", "three phones of each partition" if who == "phones" else "a whole source",
        "0 late, 0 lost; the oracle agrees", variant=who,
    )
    ahead = sum(body["event_time_ms"] > body["arrived_at_ms"] for _, body in bodies(sent))
    with kafka_arena.deployment(stored=False) as line, result.measured():
        await run(line, sent + heartbeats(rules, rules.end_ms + AHEAD_MS))
        result.take(verdict := await line.clean(downstream=False))
        counts = await counted(line)
        result.figures |= {"ahead of their arrival": ahead, "late": counts["late"], "counted": counts["events"]}
        assert verdict["clean"], verdict["examples"]
        assert ahead > 0
        assert counts["events"] == len(list(bodies(sent)))
        assert counts["late"] == 0
        assert verdict["parts"]["topic.late"]["expected"] == 0


def days_late(records: list[Raw]) -> Iterator[Raw]:
    """A third of the contacts comes up to 40 days late, some orders up to 6 days, of customers of their own; a tenth
    of both comes twice."""
    dice, again = random.Random(63), list[Raw]()
    for record, body in bodies(records):
        draw = dice.random()
        if record.noun == "contact" and draw < 0.33:
            body["event_time_ms"] -= dice.randrange(3 * DAY_MS, 40 * DAY_MS)
        elif record.noun == "order" and draw < 0.1 and "promised_at_ms" not in body and "-end" not in body["event_id"]:
            body["event_time_ms"] -= dice.randrange(DAY_MS, 6 * DAY_MS)
            body["customer_id"] = f"late-{body['customer_id']}"
        made = event(record.noun, body)
        yield made
        if record.noun != "telemetry" and dice.random() < 0.1:
            again.append(made)
    yield from again


@pytest.mark.fault(63)
async def test_contacts_and_orders_come_days_late(kafka_arena: Arena) -> None:
    rules = replace(PLAIN, events=size(6_000, 60_000), seed=63, orders=0.3, contacts=0.3)
    sent = list(days_late(make_load(rules)))
    oldest = {noun: rules.start_ms - days * DAY_MS for noun, days in (("contact", 2), ("order", 0.5))}
    late = sum(body["event_time_ms"] < oldest.get(record.noun, 0) for record, body in bodies(sent))
    result = Result(
        63, "feeds days late", "contacts up to 40 days late, orders up to 6; a tenth of all comes twice",
        "all accepted, each once; a restart in between changes nothing",
    )
    with kafka_arena.deployment(stored=False) as line, result.measured():
        half = len(sent) // 2
        await run(line, sent[:half])
        worker = line.processes[-1]
        worker.kill()
        await run(line, sent[half:] + heartbeats(rules, rules.end_ms))
        result.take(verdict := await line.clean(downstream=False))
        counts = await counted(line)
        result.figures |= {"days late": late, "duplicates": verdict["duplicates"], "too old": 0}
        assert verdict["clean"], verdict["examples"]
        assert late > 0.05 * len(sent)
        assert verdict["parts"]["topic.late"]["expected"] == 0
        assert verdict["accepted"] + verdict["duplicates"] == len(sent)
        assert counts["events"] + counts["duplicates"] == len(sent)
        assert verdict["duplicates"] > 0
