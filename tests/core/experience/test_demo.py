"""The room beside join on a made-up company: equal to a recomputation from all its events at once, and to join."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import decode
from schemas.events import Contact, Heartbeat, Order
from schemas.findings import Watermark
from schemas.partition import partition_of
from schemas.topics import DAY_MS, HOUR_MS
from streams.agents import experience, join
from streams.replay.canonical import canonical
from streams.runtime.memory import Cadence, MemoryLine
from streams.settings import Settings
from streams.simulate import SimulateRules, simulate
from streams.simulate.rules import LIVE_START_MS
from tests.core.experience import oracle

COMPANY = simulate(SimulateRules(
    customers=300, sessions_per_hour=1.0, device_period_ms=HOUR_MS, orders_per_hour=110.0, contacts_per_hour=30.0,
    start_ms=LIVE_START_MS - 2 * HOUR_MS, end_ms=LIVE_START_MS + 3 * HOUR_MS,
))  # fmt: skip
"""Five hours with incidents, stragglers, duplicates and malformed events."""


def played(partitions: int, cadence: Cadence) -> MemoryLine:
    """The company's day through both rooms, some tasks of which crash on the way."""
    line = MemoryLine([module.room(Settings()) for module in (join, experience)], partitions, cadence)
    for arrival in COMPANY.arrivals(partitions):
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition)
    for number in range(60):
        line.step()
        if cadence.seed is not None and number % 20 == 10:
            line.crash("experience", number % partitions, in_flush=number % 40 == 10)
    line.run()
    return line


def found(line: MemoryLine, noun: str) -> list[dict[str, Any]]:
    """All records of a topic."""
    return [json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None]


def rows(line: MemoryLine, noun: str) -> list[dict[str, Any]]:
    """Newest rows, sorted."""
    return [json.loads(row) for row in canonical(noun, found(line, noun))]


def events(noun: str, kind: type[Any]) -> list[Any]:
    """What can be read of one topic, each event as often as it came."""
    arrivals = [arrival for arrival in COMPANY.arrivals(1) if arrival.noun == noun]
    decoded = decode(noun, [arrival.value for arrival in arrivals], [arrival.key for arrival in arrivals])
    read = (record for record in decoded.records if not isinstance(record, Heartbeat))
    return [kind.model_validate({name: getattr(one, name) for name in kind.model_fields}) for one in read]


def listed(expected: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows of the oracle as they lie on the wire, sorted as ``rows`` are."""
    wire = [json.loads(json.dumps({"kind": name, **row})) for row in expected]
    return sorted(wire, key=lambda row: json.dumps(row, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize(("partitions", "cadence"), [(1, Cadence()), (3, Cadence(5, 400, 0.3))])
def test_all_findings_equal_a_recomputation_from_the_raw_events(partitions: int, cadence: Cadence) -> None:
    line = played(partitions, cadence)
    reached = {one["partition"]: one["through_ms"] for one in found(line, "contact_case") if one["kind"] == "watermark"}
    assert len(set(reached.values())) == 1
    assert sorted(reached) == list(range(partitions))
    orders, contacts = events("order", Order), events("contact", Contact)
    cases = oracle.contact_cases(contacts, reached[0])
    outcomes = oracle.order_outcomes(orders, contacts, reached[0])
    assert rows(line, "contact_case") == listed(cases, "contact_case")
    assert rows(line, "order_outcome") == listed(outcomes, "order_outcome")
    assert {"contacted", "payment_failed"} <= {reason for row in outcomes for reason in row["reasons"]}


def test_broken_promises_and_failed_payments_are_those_of_join() -> None:
    line = played(1, Cadence())
    episodes = [one for one in found(line, "episode") if one["kind"] == "episode"]
    outcomes = rows(line, "order_outcome")
    for signal, reasons in {"payment": {"payment_failed"},
                            "delivery": {"promise_broken", "late", "cancelled_by_company"}}.items():  # fmt: skip
        wrong = {row["customer_id"] for row in outcomes if reasons & set(row["reasons"])}
        assert wrong == {one["customer_id"] for one in episodes if one["signal"] == signal} != set()


def test_what_is_wrong_in_shared_topics_is_left_to_join() -> None:
    line = MemoryLine([module.room(Settings()) for module in (join, experience)], 2)
    order = {"event_id": "e", "event_time_ms": LIVE_START_MS, "customer_id": "c-1", "order_id": "o-1",
             "status": "placed", "product": "shop"}  # fmt: skip
    wrong = 1 - partition_of(b"c-1", 2)
    line.produce("order", json.dumps(order).encode(), key="c-1", partition=wrong)
    line.produce("order", json.dumps(order | {"status": "lost"}).encode(), key="c-1")
    line.run()
    assert len(line.raw("order.dlq")) == 1
    assert len(line.raw("order")) == 3
    assert [row["order_id"] for row in rows(line, "order_outcome")] == ["o-1"]
    counts = [line.task("experience", number).counts["order"] for number in (0, 1)]
    assert (sum(one.astray for one in counts), sum(one.skipped for one in counts)) == (1, 1)


def test_while_nobody_orders_or_contacts_the_company_time_goes_on_by_what_join_says() -> None:
    line = MemoryLine([experience.room(Settings())], 1)
    assert not line.task("experience", 0).idle(["order", "contact"]), "nobody was heard of at all"
    kinds = {"order": {"order_id": "o-1", "status": "paid"}, "contact": {"contact_id": "k", "channel": "web"}}
    for noun, kind in kinds.items():
        event = {"event_id": noun, "event_time_ms": LIVE_START_MS, "customer_id": "c-1", "product": "shop", **kind}
        line.produce(noun, json.dumps(event).encode(), key="c-1")
    line.run()
    task = line.task("experience", 0)
    assert not task.idle(["order", "contact"])
    later_ms = LIVE_START_MS + 8 * DAY_MS
    line.produce("episode", Watermark(partition=0, through_ms=later_ms), key="cx.progress", partition=0)
    line.run()
    task = line.task("experience", 0)
    assert task.idle(["contact"]) is False, "orders go on: nobody else leads"
    assert task.idle(["order", "contact"])
    assert not task.idle(["order", "contact"]), "as far as join, and no further"
    line.run()
    assert [row["outcome"] for row in rows(line, "order_outcome")] == ["right"]
    ticks = found(line, "tick")
    assert [(one["room"], one["event_time_ms"]) for one in ticks] == [("experience", later_ms)]
