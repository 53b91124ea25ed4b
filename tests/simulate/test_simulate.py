"""The made-up company: repeatable, valid, and with a truth that its own events bear out."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schemas import codec
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY
from schemas.topics import BY_NOUN, HOUR_MS, MINUTE_MS
from streams.simulate import SimulateRules, Simulation, Truth, events, simulate
from streams.simulate.rules import DEPOT, PAYMENT, RELEASE

PARTITIONS = 4


@pytest.fixture(scope="module")
def made() -> Simulation:
    return simulate(SimulateRules(seed=7))


@pytest.fixture(scope="module")
def records(made: Simulation) -> dict[str, list[Any]]:
    values: dict[str, list[bytes]] = defaultdict(list)
    for arrival in made.arrivals(PARTITIONS):
        if arrival.key != HEARTBEAT_KEY:
            values[arrival.noun].append(arrival.value)
    return {noun: codec.decode(noun, found).records for noun, found in values.items()}


def digest(seed: int, partitions: int) -> str:
    state = hashlib.sha256()
    small = SimulateRules(
        seed=seed, customers=500, sessions_per_hour=100.0, orders_per_hour=60.0, device_period_ms=20_000
    )
    for noun, key, partition, value in events(seed, partitions, small):
        state.update(repr((noun, key, partition, value)).encode())
    return state.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    assert digest(3, 4) == digest(3, 4)
    assert digest(3, 4) != digest(4, 4)


def test_the_span_stays_within_400000_messages(made: Simulation) -> None:
    assert sum(1 for _ in made.arrivals(PARTITIONS)) <= 400_000


def test_every_event_but_the_known_broken_ones_passes_the_contract(made: Simulation) -> None:
    by_noun: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for arrival in made.arrivals(PARTITIONS):
        by_noun[arrival.noun].append((arrival.value, arrival.key or b""))
    rejects = 0
    for noun, rows in by_noun.items():
        decoded = codec.decode(noun, [value for value, _ in rows], [key for _, key in rows])
        rejects += len(decoded.rejects)
        assert decoded.unknown_fields == 0
    assert rejects == made.truth.malformed == 24


def test_messages_come_in_arrival_order_and_never_before_they_happened(made: Simulation) -> None:
    last = 0
    for arrival in made.arrivals(PARTITIONS):
        assert arrival.at_ms >= last
        last = arrival.at_ms


def test_a_heartbeat_never_overtakes_an_ordinary_event(made: Simulation) -> None:
    """Whatever comes later is at most the disorder bound behind, or a straggler that is late for everyone."""
    newest, behind = 0, Counter[str]()
    for arrival in made.arrivals(1):
        if arrival.noun not in ("telemetry", "order", "contact"):
            continue
        decoded = codec.decode(arrival.noun, [arrival.value], [arrival.key]).records
        if not decoded:
            continue
        lag = newest - decoded[0].event_time_ms
        behind["late" if lag > BY_NOUN[arrival.noun].disorder_ms else "in time"] += 1
        if arrival.key == HEARTBEAT_KEY:
            newest = max(newest, decoded[0].event_time_ms)
    assert behind["late"] == made.truth.stragglers + made.truth.too_late


def test_every_partition_of_every_event_topic_has_a_heartbeat_a_minute_and_a_closing_one(made: Simulation) -> None:
    times: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for arrival in made.arrivals(PARTITIONS):
        if arrival.key == HEARTBEAT_KEY:
            times[arrival.noun, arrival.partition].append(
                codec.decode(arrival.noun, [arrival.value], [arrival.key]).records[0].event_time_ms
            )
    assert set(times) == {(noun, p) for noun in ("telemetry", "order", "contact") for p in range(PARTITIONS)}
    for beats in times.values():
        assert beats == sorted(beats)
        assert max(b - a for a, b in pairwise(beats)) <= 2 * MINUTE_MS
        assert beats[-1] == made.truth.end_ms + MINUTE_MS


def test_duplicates_are_as_many_as_the_truth_says(records: dict[str, list[Any]], made: Simulation) -> None:
    seen = Counter(
        (noun, record.event_id) for noun in ("telemetry", "order", "contact") for record in records[noun]
    )
    assert sum(count - 1 for count in seen.values()) == made.truth.duplicates > 50


def test_the_bad_release_fails_only_on_its_device_family(records: dict[str, list[Any]]) -> None:
    live = [e for e in records["telemetry"] if RELEASE.start_ms <= e.event_time_ms < RELEASE.end_ms]
    rate = failure_rate(
        live, lambda e: (e.app_version == "5.2.0", e.device_model == "Nova 8"), lambda e: e.outcome == "failed"
    )
    assert rate[True, True] > 0.5
    assert max(rate[True, False], rate[False, True], rate[False, False]) < 0.03


def test_the_payment_provider_fails_only_in_its_country(records: dict[str, list[Any]]) -> None:
    live = [
        e for e in records["order"]
        if e.status in ("paid", "payment_failed") and PAYMENT.start_ms <= e.event_time_ms < PAYMENT.end_ms
    ]
    rate = failure_rate(
        live, lambda e: (e.payment_provider == "paynow", e.region == "DE"), lambda e: e.status == "payment_failed"
    )
    assert rate[True, True] > 0.7
    assert max(rate[True, False], rate[False, True], rate[False, False]) < 0.06


def test_only_the_depot_that_stands_still_breaks_promises(records: dict[str, list[Any]]) -> None:
    promised = {e.order_id: e for e in records["order"] if e.promised_at_ms}
    done = {e.order_id: e.event_time_ms for e in records["order"] if e.status in ("delivered", "cancelled")}
    due = [e for e in promised.values() if DEPOT.start_ms + 30 * MINUTE_MS <= e.promised_at_ms < DEPOT.end_ms]
    rate = failure_rate(
        due, lambda e: e.warehouse == "HAM-2", lambda e: done.get(e.order_id, 1 << 60) > e.promised_at_ms
    )
    assert rate[True] > 0.6
    assert rate[False] < 0.05


def failure_rate(rows: list[Any], group: Any, failed: Any) -> dict[Any, float]:
    """Share of failed rows per group."""
    total, bad = Counter[Any](), Counter[Any]()
    for row in rows:
        total[group(row)] += 1
        bad[group(row)] += failed(row)
    return {key: bad[key] / total[key] for key in total}


def test_each_affected_customer_of_the_truth_has_a_failure_in_the_stream(
    records: dict[str, list[Any]], made: Simulation
) -> None:
    release, payment, depot = made.truth.incidents
    app = {e.customer_id for e in records["telemetry"] if e.error_code == "APP_CRASH"}
    pay = {e.customer_id for e in records["order"] if e.error_code == "PROVIDER_TIMEOUT"}
    assert set(release.affected) == app
    assert set(payment.affected) == pay
    assert len(depot.affected) > 100
    for incident in made.truth.incidents:
        assert incident.start_ms < (incident.tenth_affected_ms or 0) < incident.start_ms + HOUR_MS
        assert set(incident.contacted) < set(incident.affected)
        assert len(incident.contacted) < 0.3 * len(incident.affected)


def test_the_silent_producer_reports_in_every_bin_but_those_of_its_outage(
    records: dict[str, list[Any]], made: Simulation
) -> None:
    outage = made.truth.outage
    bins = Counter(e.event_time_ms // 10_000 for e in records["telemetry"] if e.source == outage["source"])
    live = range(made.truth.live_ms // 10_000, made.truth.end_ms // 10_000)
    quiet = [b for b in live if not bins[b]]
    assert quiet == list(range(outage["start_ms"] // 10_000, outage["end_ms"] // 10_000))


def test_the_campaign_brings_orders_and_questions_but_no_more_failures(
    records: dict[str, list[Any]], made: Simulation
) -> None:
    campaign = made.truth.campaign

    def during(event: Any) -> bool:
        return bool(campaign["start_ms"] <= event.event_time_ms < campaign["end_ms"])

    placed = [e for e in records["order"] if e.status == "placed" and e.region == campaign["region"]]
    usual = sum(1 for e in placed if made.truth.live_ms <= e.event_time_ms < campaign["start_ms"])
    hours = (campaign["start_ms"] - made.truth.live_ms) / HOUR_MS
    burst = sum(map(during, placed)) / ((campaign["end_ms"] - campaign["start_ms"]) / HOUR_MS)
    assert burst > 4 * usual / hours
    opened = [e for e in records["contact"] if e.status == "opened" and e.reason == "campaign"]
    assert len(opened) > 50
    assert all(map(during, opened))


def test_some_customers_may_not_be_told_and_some_live_far_away(records: dict[str, list[Any]]) -> None:
    people = records["customer"]
    reachable = [c for c in people if c.addresses and not c.opted_out and any(x.granted for x in c.consents)]
    assert 0.75 < len(reachable) / len(people) < 0.92
    assert 0.04 < sum(not c.time_zone.startswith("Europe/") for c in people) / len(people) < 0.10


def test_the_truth_survives_its_file(made: Simulation, tmp_path: Path) -> None:
    made.truth.write(tmp_path / "a" / "truth.json")
    assert Truth.read(tmp_path / "a" / "truth.json") == made.truth


@pytest.mark.parametrize("wrong", [{"customers": 3}, {"seed": -1}, {"orders_per_hour": 0.0}, {"live_ms": 0}])
def test_rules_that_cannot_make_a_company_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SimulateRules(**wrong)
