"""The generated events keep the contract and job J's proportions, and come out the same every time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import events
from benchmarks.events import DISORDER_MS, PARTITIONS, START_MS, TOPICS, EventSet, Mix, event_set
from schemas.codec import decode
from schemas.partition import partition_of

COUNT = 20_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> EventSet:
    """A small set, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return event_set(COUNT)


def records(made: EventSet, topic: str) -> list[tuple[bytes, bytes, int]]:
    """(key, value, partition) of one topic."""
    return [
        (key, value, partition)
        for partition in range(PARTITIONS)
        for lines in made.lines(topic, partition)
        for key, _, value in (line.partition(b"\t") for line in lines)
    ]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_event_keeps_the_contract_and_lies_on_the_partition_of_its_key(made: EventSet, topic: str) -> None:
    found = records(made, topic)
    keys, values = [key for key, _, _ in found], [value for _, value, _ in found]
    decoded = decode(topic, values, keys, [()] * len(found))
    assert not decoded.rejects
    assert decoded.unknown_fields == 0
    assert all(partition_of(key, PARTITIONS) == partition for key, _, partition in found)
    assert all(json.loads(value)["customer_id"].encode() == key for key, value, _ in found)


def test_the_proportions_are_those_of_job_j(made: EventSet) -> None:
    assert made.events == COUNT
    shares = {topic: count / COUNT for topic, count in made.counts.items()}
    assert shares == pytest.approx({"telemetry": 0.85, "order": 0.10, "contact": 0.05}, rel=0.1)
    assert 300 < made.value_bytes / COUNT < 350
    described = [json.loads(value) for _, value, _ in records(made, "telemetry")]
    assert sum(event["outcome"] == "failed" for event in described) / len(described) == pytest.approx(0.06, rel=0.15)
    assert all(("error_code" in event) == (event["outcome"] == "failed") for event in described)
    assert {len(event) for event in described} == {14, 15}


def test_events_are_a_little_out_of_order_and_some_come_twice(made: EventSet) -> None:
    for topic in TOPICS:
        newest = dict.fromkeys(range(PARTITIONS), 0)
        for _, value, partition in records(made, topic):
            time_ms = json.loads(value)["event_time_ms"]
            newest[partition] = max(newest[partition], time_ms)
            assert newest[partition] - time_ms <= DISORDER_MS + 200
            assert START_MS - DISORDER_MS <= time_ms < made.end_ms
    seen = Counter(value for topic in TOPICS for _, value, _ in records(made, topic))
    assert sum(seen.values()) - len(seen) == pytest.approx(COUNT / 1000, rel=0.6)


def test_an_order_belongs_to_one_customer(made: EventSet) -> None:
    owners: dict[str, set[Any]] = {}
    for _, value, _ in records(made, "order"):
        event = json.loads(value)
        owners.setdefault(event["order_id"], set()).add(event["customer_id"])
    assert len(owners) < made.counts["order"]
    assert all(len(customers) == 1 for customers in owners.values())


def test_the_same_seed_gives_the_same_bytes(made: EventSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    again, other = event_set(COUNT), event_set(COUNT, seed=8)
    assert again.file("order", 1).read_bytes() == made.file("order", 1).read_bytes()
    assert other.file("order", 1).read_bytes() != made.file("order", 1).read_bytes()


def test_a_set_that_was_not_finished_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    whole = event_set(1_000, Mix("small", customers=100))
    (whole.folder / "set.json").unlink()
    whole.file("telemetry", 0).write_bytes(b"half a li")
    assert sum(event_set(1_000, Mix("small", customers=100)).counts.values()) == 1_000
    assert next(iter(whole.lines("telemetry", 0)))[0].endswith(b"}")
    assert events.cache().is_relative_to(tmp_path)
