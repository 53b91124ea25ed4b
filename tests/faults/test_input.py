"""What producers do to us: repeat, shuffle, lie about the time, fall silent, flood. Findings stay the true ones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from schemas.topics import BY_NOUN
from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, until
from tests.faults.load import HOUR_MS, MINUTE_MS, LoadRules, Raw, heartbeats, make_load, partition_of
from tests.faults.result import Result, size
from tests.faults.watch import Memory, closed_through, largest, latencies_ms, p99

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
NOUNS = ("telemetry", "order", "contact")
YEAR_MS = 365 * 24 * HOUR_MS
PLAIN = LoadRules(duplicates=0.0, malformed=0.0, late=0.0, too_old=0.0)
"""A load without anything odd in it."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def bodies(records: list[Raw]) -> Iterator[tuple[Raw, dict[str, Any]]]:
    """Events with their decoded bodies; heartbeats left out."""
    for record in records:
        body = _decode(record.value or b"{}")
        if "event_id" in body:
            yield record, body


def event(noun: str, body: dict[str, Any], partitions: int = 4) -> Raw:
    """A record for a body, keyed and placed by its customer."""
    customer = body["customer_id"]
    return Raw(noun, partition_of(customer, partitions), customer.encode(), _encode(body))


async def run(line: Deployment, records: list[Raw], rate: float | None = None) -> None:
    """A worker with the join reads everything."""
    worker = line.worker()
    await until(worker.ready)
    async with line.producer() as producer:
        await producer.send(records, rate)
    await line.settled(["join"])


@pytest.mark.fault(34)
async def test_every_event_twice_and_some_fifty_times(kafka_arena: Arena) -> None:
    rules = replace(PLAIN, events=size(6_000, 40_000), seed=34)
    dice, records = random.Random(34), make_load(rules)
    result = Result(34, "repeated events", "every event twice, 1 % 50 times", "diff 0, each counted once")
    sent: list[Raw] = []
    for start in range(0, len(records), 100):
        part = records[start : start + 100]
        sent += part * 2 + [record for record in part if dice.random() < 0.01] * 48
    with kafka_arena.deployment(stored=False) as line, result.measured():
        await run(line, sent)
        result.take(verdict := await line.clean(downstream=False))
        result.figures |= {"records": len(sent), "duplicates": verdict["duplicates"]}
        assert verdict["clean"], verdict["examples"]
        assert verdict["accepted"] == len(list(bodies(records)))
        assert verdict["duplicates"] == len(list(bodies(sent))) - verdict["accepted"]


@pytest.mark.fault(35)
async def test_events_shuffled_by_hours(kafka_arena: Arena) -> None:
    """Telemetry is shuffled by up to 9 min and 5 % is older than that; orders and contacts 6 h, 5 % too old."""
    rules = replace(PLAIN, events=size(6_000, 50_000), seed=35, span_ms=8 * HOUR_MS, orders=0.3, contacts=0.2)
    dice = random.Random(35)
    arriving: list[Any] = []
    for record, body in bodies(make_load(rules)):
        telemetry = record.noun == "telemetry"
        at_ms = body["event_time_ms"]
        if dice.random() < 0.05:
            lateness = BY_NOUN[record.noun].lateness_ms
            body["event_time_ms"] = at_ms - lateness - dice.randrange(2 * HOUR_MS, 3 * HOUR_MS)
            body.pop("promised_at_ms", None)
        else:
            at_ms += dice.randrange(9 * MINUTE_MS if telemetry else 6 * HOUR_MS)
        arriving.append((at_ms, len(arriving), event(record.noun, body)))
    records = [record for _, _, record in sorted(arriving)]
    result = Result(35, "shuffled events", "telemetry by 9 min, orders and contacts by 6 h; 5 % beyond the lateness of "
                    "their topic", "late ones counted exactly, the others join: diff 0")
    with kafka_arena.deployment(stored=False) as line, result.measured():
        await run(line, records + heartbeats(rules, rules.end_ms + 7 * HOUR_MS))
        result.take(verdict := await line.clean(downstream=False))
        late = verdict["parts"]["topic.late"]
        result.figures |= {"late": late["expected"], "late wrong": late["lost"] + late["diff"]}
        assert verdict["clean"], verdict["examples"]
        assert late["expected"] > len(records) * 0.03


@pytest.mark.fault(36)
async def test_times_that_cannot_be(kafka_arena: Arena) -> None:
    rules = replace(PLAIN, events=size(4_000, 50_000), seed=36)
    records, mixed, bad = make_load(rules), list[Raw](), 0
    for index, record in enumerate(records):
        mixed.append(record)
        body = _decode(record.value or b"{}")
        if index % 40 == 0 and "event_id" in body:
            now = body["event_time_ms"]
            wrong = (now + 10 * YEAR_MS, 0, -now, now * 1_000_000, now // 1_000, 2**63)[bad % 6]
            mixed.append(event(record.noun, body | {"event_id": f"x-{index}", "event_time_ms": wrong}))
            bad += 1
    result = Result(36, "impossible times", "+10 years, 0, negative, nanoseconds, seconds, 2^63 among good events",
                    "dead letters, no watermark moves")
    with kafka_arena.deployment(stored=False) as line, result.measured():
        await run(line, mixed)
        result.take(verdict := await line.clean(downstream=False))
        dead = verdict["parts"]["topic.dead_letter"]
        through = await closed_through(line)
        jumps = sum(time_ms > rules.end_ms for time_ms in through.values())
        result.figures |= {"sent wrong": bad, "dead letters": dead["expected"], "watermark jumps": jumps}
        assert verdict["clean"], verdict["examples"]
        assert dead == {"expected": bad, "lost": 0, "diff": 0}
        assert jumps == 0
        assert min(through.values()) > rules.end_ms - MINUTE_MS


@pytest.mark.long_fault
@pytest.mark.fault(38)
@pytest.mark.parametrize("by", ["tick", "heartbeat"])
async def test_a_partition_that_is_silent_for_an_hour(kafka_arena: Arena, by: str) -> None:
    rules = replace(PLAIN, events=size(3_000, 20_000), seed=38, span_ms=HOUR_MS)
    silent = {("contact", 2)}
    records = [record for record in make_load(rules) if (record.noun, record.partition) not in silent]
    beats = heartbeats(rules, rules.end_ms)
    if by == "heartbeat":
        records += [beat for beat in beats if (beat.noun, beat.partition) in silent]
    result = Result(38, "one partition idle", "contacts of partition 2 say nothing for an hour of event time",
                    f"passed by a {by}", variant=by)
    idle_ms = 1_500 if by == "tick" else 0
    with kafka_arena.deployment(stored=False, idle_ms=idle_ms) as line, result.measured():
        worker = line.worker()
        await until(worker.ready)
        async with line.producer() as producer:
            await producer.send(records)

            async def passed() -> bool:
                """The others go on: while all are silent nobody is passed."""
                await producer.send([beat for beat in beats if (beat.noun, beat.partition) not in silent])
                through = await closed_through(line)
                return min(through.get(number, 0) for number in range(4)) >= rules.end_ms - MINUTE_MS

            result.seconds = round(await until(passed, every_s=0.5), 1)
        await line.settled(["join"])
        result.take(verdict := await line.clean(downstream=False))
        assert verdict["clean"], verdict["examples"]


@pytest.mark.long_fault
@pytest.mark.fault(39)
async def test_nine_events_of_ten_belong_to_one_customer(kafka_arena: Arena) -> None:
    rules = replace(PLAIN, events=size(6_000, 40_000), seed=39)
    result = Result(39, "hot key", "90 % of all events for one customer", "others keep their p99; state values bounded")
    plain, hot = make_load(rules), list[Raw]()
    dice = random.Random(39)
    for record in plain:
        body = _decode(record.value or b"{}")
        moved = "event_id" in body and dice.random() < 0.9
        hot.append(event(record.noun, body | {"customer_id": "c-hot"}) if moved else record)
    home = partition_of("c-hot", 4)
    with result.measured():
        for name, records in (("usual", plain), ("hot", hot)):
            with kafka_arena.deployment(stored=False) as line:
                await run(line, records, size(1_000, 3_000))
                verdict = await line.clean(downstream=False)
                waits = await latencies_ms(line, NOUNS)
                result.figures[f"p99 of the other partitions ms ({name})"] = p99(
                    [ms for number, found in waits.items() if number != home for ms in found]
                )
                result.figures[f"p99 of the hot partition ms ({name})"] = p99(waits.get(home, []))
                result.figures[f"largest state value bytes ({name})"] = await largest(line, "cx.join.state.v1")
                assert verdict["clean"], verdict["examples"]
        result.take(verdict)
    assert result.figures["largest state value bytes (hot)"] <= 1_000_000


@pytest.mark.fault(40)
async def test_a_state_value_that_would_outgrow_a_record(kafka_arena: Arena) -> None:
    """So many producers in one minute that their counts are several MB in one key: parts, read back whole."""
    sources = size(16_000, 60_000)
    rules = replace(PLAIN, events=sources, seed=40, span_ms=40_000, contacts=0.0, orders=0.0, partitions=1)
    records = [
        event(record.noun, body | {"source": f"{number:06d}" + "s" * 110}, 1)
        for number, (record, body) in enumerate(bodies(make_load(rules)))
    ]
    result = Result(40, "a state value beyond 1 MB", f"{sources} producers in one minute of one partition",
                    "no crash loop, restarted from parts, diff 0")
    with kafka_arena.deployment(stored=False, partitions=1) as line, result.measured():
        worker = line.worker()
        await until(worker.ready)
        async with line.producer() as producer:
            await producer.send(records)
            await line.settled(["join"])
            worker.kill()
            worker.start()
            await until(worker.ready)
            await producer.send(heartbeats(rules, rules.end_ms))
        await line.settled(["join"])
        result.take(verdict := await line.clean(partitions=1, downstream=False))
        result.figures |= {
            "largest record bytes": await largest(line, "cx.join.state.v1"),
            "all of it about bytes": sources * 130, "worker exits": len(worker.codes) - 1,
        }
        assert verdict["clean"], verdict["examples"]
        assert result.figures["worker exits"] == 0
        assert 800_000 < result.figures["largest record bytes"] < 1_000_000


@pytest.mark.long_fault
@pytest.mark.fault(41)
@pytest.mark.clickhouse
async def test_a_flood_of_versions_that_nobody_sees_twice(arena: Arena) -> None:
    versions = size(15_000, 1_000_000)
    rules = replace(PLAIN, events=size(15_000, 60_000), seed=41, incident_from=0.5, span_ms=2 * HOUR_MS, failing=0.01)
    result = Result(41, "a flood of cohorts", f"{versions} distinct app versions among {rules.events} events of an "
                    "incident", "memory <= +200 MB against as many events of few versions; keys capped; issue found")
    with result.measured():
        growth = {}
        for distinct in (10, versions):
            with arena.deployment(flush_ms=500) as line:
                worker = line.worker(rooms="join,detect,store")
                await until(worker.ready)
                memory = Memory(worker)
                async with line.producer() as producer:
                    await producer.send(await asyncio.to_thread(_flooded, rules, versions, distinct))
                await line.settled(["join", "detect", "store"], 1_200.0)
                growth[distinct] = memory.growth_mb()
                verdict = await line.clean(signals=["payment", "contact", "delivery"], downstream=False)
                found = {title for (title,) in line.execute("SELECT title FROM issue FINAL WHERE state != 'suspected'")}
                keys = line.execute(
                    "SELECT max(kept) FROM (SELECT uniqExact(values) AS kept FROM cohort_count FINAL WHERE closed "
                    "GROUP BY partition, signal, toStartOfHour(bin))"
                )[0][0]
                assert verdict["clean"], verdict["examples"]
                assert not worker.codes, "no crash"
        result.take(verdict)
        result.figures |= {
            "memory growth MB, few versions": growth[10], "memory growth MB, flood": growth[versions],
            "most keys an hour, signal and partition": keys, "issues": sorted(found),
        }
    assert growth[versions] - growth[10] <= 200.0
    assert keys <= 10_001
    assert any("5.2.0" in title for title in found), found


def _flooded(rules: LoadRules, extra: int, distinct: int) -> list[Raw]:
    """The load, and ``extra`` good events of ``distinct`` versions spread over it."""
    records = make_load(rules)
    found: list[Raw] = []
    each, number = -(-extra // len(records)), 0
    now_ms = rules.start_ms
    for record in records:
        found.append(record)
        body = _decode(record.value or b"{}")
        if "event_id" not in body:
            continue
        now_ms = max(now_ms, body["event_time_ms"])
        for _ in range(min(each, extra - number)):
            number += 1
            flood = {
                "event_id": f"n-{number}", "event_time_ms": now_ms, "customer_id": f"n-{number % 9_000:05d}",
                "product": "shop", "app_version": f"9.{number % distinct}", "platform": "android", "region": "DE",
                "component": "checkout", "event_name": "open", "outcome": "ok", "source": "telemetry-0",
            }
            found.append(event("telemetry", flood))
    return found


@pytest.mark.fault(59)
@pytest.mark.parametrize("max_lead_ms", [10 * MINUTE_MS, 0])
async def test_topics_that_run_ahead_wait_for_the_one_that_lags(kafka_arena: Arena, max_lead_ms: int) -> None:
    """Contacts are sparse, so a catching-up worker has read hours of them before the telemetry of those hours."""
    rules = replace(PLAIN, events=size(12_000, 90_000), seed=59, span_ms=6 * HOUR_MS, contacts=0.02, orders=0.02)
    result = Result(59, "one topic lags by an hour", f"a worker catches up over {rules.span_ms // HOUR_MS} h, the "
                    f"longest topic lags; CX_MAX_LEAD_MS={max_lead_ms}", "topics ahead are paused; the same findings",
                    variant=f"lead-{max_lead_ms}")
    with kafka_arena.deployment(stored=False, max_lead_ms=max_lead_ms) as line, result.measured():
        async with line.producer() as producer:
            await producer.send(make_load(rules))
        worker = line.worker(CX_FETCH_MAX_BYTES="65536")
        await until(lambda: worker.memory_mb() > 40)
        memory = Memory(worker)
        await line.settled(["join"])
        result.figures["memory growth MB"] = memory.growth_mb()
        result.take(verdict := await line.clean(downstream=False))
        assert verdict["clean"], verdict["examples"]
        assert not worker.codes
