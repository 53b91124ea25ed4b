"""The oracle can fail: what is missing, wrong or too many is counted, in memory and on real servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.faults.conftest import Arena
from tests.faults.harness import until
from tests.faults.load import LoadRules, Raw, make_load
from tests.faults.oracle import Topics, Verdict, Where, compare_topics, count_accepts
from tests.faults.truth import NOUNS, Read, Truth, truth_of

RULES = LoadRules(events=3_000, customers=300, malformed=0.01)
NOW_MS = RULES.end_ms + 1_000
SYNC = "SETTINGS mutations_sync = 2"
SIGNALS = Where("", "").signals


def topics_of(records: list[Raw]) -> dict[int, dict[str, list[Read]]]:
    raw: dict[int, dict[str, list[Read]]] = {
        number: {noun: [] for noun in NOUNS} for number in range(RULES.partitions)
    }
    for record in records:
        kept = raw[record.partition][record.noun]
        kept.append(Read(len(kept), record.key, record.value, NOW_MS))
    return raw


def truth(records: list[Raw] | None = None) -> Truth:
    found = Truth()
    for number, raw in topics_of(records or make_load(RULES)).items():
        found.add(truth_of(number, RULES.partitions, raw))
    return found


def as_derived(found: Truth) -> Topics:
    """Topics that hold exactly what the truth says."""
    counts = {
        key: {
            "line": key[0], "signal": key[1], "bin_ms": key[2], "partition": key[3], "closed": True,
            "leaves": [
                {"values": list(values), "exposed": exposed, "failed": list(failed)}
                for values, (exposed, failed) in leaves.items()
            ],
        }
        for key, leaves in found.cohorts.items()
    }  # fmt: skip
    sources = {
        key: dict(zip(("events", "late", "duplicates"), counts, strict=True)) for key, counts in found.sources.items()
    }
    derived: dict[str, dict[Any, dict[str, Any]]] = {
        "cohort_count": dict(counts), "source_count": dict(sources), "late": {key: {} for key in found.late},
        "episode": {key: dict(body) for key, body in found.episodes.items()},
    }
    made = Topics(derived=derived)
    made.dead.update({(*at, key, value): 1 for at, (key, value) in found.dead.items()})
    return made


def verdict(topics: Topics, found: Truth) -> Verdict:
    made = Verdict()
    compare_topics(made, found, topics, SIGNALS)
    return made


def test_the_load_has_something_of_everything() -> None:
    found = truth()
    assert found.accepted > 2_900
    assert found.duplicates > 10
    assert len(found.dead) > 12
    assert found.late
    assert {key[1] for key in found.cohorts} == set(SIGNALS) == {key[2] for key in found.episodes}
    assert any(body["contacts"] for body in found.episodes.values())
    assert any(late for _, late, _ in found.sources.values())


def test_the_same_rules_give_the_same_bytes() -> None:
    assert make_load(RULES) == make_load(RULES)
    assert make_load(RULES) != make_load(dataclasses.replace(RULES, seed=2))


def test_what_equals_the_truth_is_clean() -> None:
    found = truth()
    assert verdict(as_derived(found), found).clean


def _drop_bin(topics: Topics) -> None:
    topics.derived["cohort_count"].popitem()


def _miscount(topics: Topics) -> None:
    body = next(iter(topics.derived["cohort_count"].values()))
    body["leaves"][0]["exposed"] += 1


def _drop_episode(topics: Topics) -> None:
    topics.derived["episode"].popitem()


def _count_twice(topics: Topics) -> None:
    next(iter(topics.derived["episode"].values()))["failures"] += 1


def _drop_letter(topics: Topics) -> None:
    topics.dead.popitem()


def _letter_twice(topics: Topics) -> None:
    topics.dead[next(iter(topics.dead))] += 1


def _invent(topics: Topics) -> None:
    topics.derived["late"]["order", 0, 10_000] = {}


@pytest.mark.parametrize(
    ("spoil", "lost", "diff"),
    [
        (_drop_bin, 1, 0), (_miscount, 0, 1), (_drop_episode, 1, 0), (_count_twice, 0, 1), (_drop_letter, 1, 0),
        (_letter_twice, 0, 1), (_invent, 0, 1),
    ],
)  # fmt: skip
def test_one_wrong_record_is_one_finding(spoil: Callable[[Topics], None], lost: int, diff: int) -> None:
    found = truth()
    topics = as_derived(found)
    spoil(topics)
    seen = verdict(topics, found)
    assert (seen.lost, seen.diff, seen.clean) == (lost, diff, False)


def test_an_event_that_never_arrived_changes_the_truth() -> None:
    records = make_load(RULES)
    gone = next(at for at, record in enumerate(records) if b'"outcome":"failed"' in (record.value or b""))
    assert not verdict(as_derived(truth(records[:gone] + records[gone + 1 :])), truth(records)).clean


def test_accepts_beyond_the_first_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "accepts"
    file.write_text("a\nb\na\nc\na\n")
    assert count_accepts(file) == 2


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
async def test_spoiled_topics_and_tables_are_seen(arena: Arena) -> None:
    with arena.deployment() as line:
        worker = line.worker("a", "join,store")
        await until(worker.ready)
        await line.load(LoadRules(events=3_000, customers=300))
        await line.settled(("join", "store"))
        clean = await line.clean()
        assert clean["clean"], clean["examples"]
        worker.terminate()
        await _append_wrong_episode(line.straight.kafka_bootstrap, line.prefix)
        bin_at, leaf = line.execute("SELECT bin, values FROM cohort_count FINAL WHERE closed LIMIT 1")[0]
        one_leaf = f"bin = '{bin_at:%Y-%m-%d %H:%M:%S}' AND values = {leaf}"
        line.execute(f"ALTER TABLE cohort_count DELETE WHERE {one_leaf} {SYNC}")
        at, offset = line.execute("SELECT partition, offset FROM telemetry_raw LIMIT 1")[0]
        line.execute(f"ALTER TABLE telemetry_raw DELETE WHERE partition = {at} AND offset = {offset} {SYNC}")
        seen = await line.judge()
        assert seen["parts"]["topic.episode"] | {"expected": 0} == {"expected": 0, "lost": 0, "diff": 1}
        assert seen["parts"]["table.telemetry_raw"]["lost"] == 1
        assert seen["parts"]["table.cohort_count"]["lost"] >= 1
        assert not seen["clean"]


async def _append_wrong_episode(bootstrap: str, prefix: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    body = b'{"kind":"episode","customer_id":"nobody","line":"shop","signal":"app","window_ms":0}'
    await producer.send_and_wait(f"{prefix}cx.episode.v1", body, b"nobody", 0)
    await producer.stop()
