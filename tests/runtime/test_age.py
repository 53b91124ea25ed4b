"""The age of records: counted per batch, exported as Prometheus' own histogram would."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from schemas.errors import SinkUnavailable
from streams.metrics import AGE_EDGES_MS, AgeHistogram
from streams.runtime.batch import RawBatch
from streams.runtime.room import SinkRoom
from streams.runtime.serve import shell_of
from streams.runtime.sink import SinkShell
from tests.runtime.test_shell import TELEMETRY, event_of, shell
from tests.runtime.test_task import batch, message

NOW_MS = 1_767_225_600_000
AGES = st.lists(st.integers(-5, 700_000), max_size=60)


def exported(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(AGES, max_size=4))
def test_it_exports_what_the_clients_own_histogram_would(batches: list[list[int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    cheap = AgeHistogram("age_seconds", "m", ours)
    slow = Histogram("age_seconds", "m", ["room", "topic"], buckets=[edge / 1_000 for edge in AGE_EDGES_MS],
                     registry=theirs)
    for ages in batches:
        stamps = sorted(NOW_MS - age for age in ages)
        cheap.observe("join", "order", stamps, NOW_MS)
        for stamp in stamps:
            slow.labels("join", "order").observe(max(0, NOW_MS - stamp) / 1_000)
    found, wanted = exported(ours), exported(theirs)
    if any(batches):
        assert found == pytest.approx(wanted)


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=60))
def test_a_broker_whose_clock_goes_back_costs_no_record(ages: list[int]) -> None:
    registry = CollectorRegistry()
    AgeHistogram("age_seconds", "m", registry).observe("join", "order", [NOW_MS - age for age in ages], NOW_MS)
    assert exported(registry)["age_seconds_count", (("room", "join"), ("topic", "order"))] == len(ages)


def test_the_edges_grow_from_one_millisecond_to_ten_minutes_and_hold_the_bars() -> None:
    assert AGE_EDGES_MS[0] == 1
    assert AGE_EDGES_MS[-1] == 600_000
    assert {70, 700} <= set(AGE_EDGES_MS)
    assert all(1.05 < high / low < 1.3 for low, high in pairwise(AGE_EDGES_MS))


def counted(metrics: CollectorRegistry, room: str, edge_s: str) -> tuple[float, float]:
    """Records up to an age, and all."""
    found = exported(metrics)
    labels = (("room", room), ("topic", "telemetry"))
    name = "cx_runtime_age_seconds"
    return found.get((f"{name}_bucket", (("le", edge_s), *labels)), 0.0), found.get((f"{name}_count", labels), 0.0)


async def test_a_room_counts_when_a_batch_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = shell(tmp_path)
    fed = batch([message(1), message(2)])
    monkeypatch.setattr(time, "time", lambda: fed.timestamps[0] / 1_000 + 0.06)
    await one._on_message(event_of(fed))
    assert counted(one.context.metrics.registry, "join", "0.063") == (2, 2)
    assert counted(one.context.metrics.registry, "join", "0.05") == (0, 2)


async def test_a_sink_counts_when_it_has_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [SinkUnavailable("x", retry_after=0.0)]

    async def write(_batches: list[RawBatch]) -> None:
        assert counted(metrics.registry, "store", "+Inf") == (0, 0)
        if refusals:
            raise refusals.pop()

    context = shell(tmp_path).context
    metrics = context.metrics
    one = shell_of(SinkRoom("store", ("telemetry",), write), context)
    assert isinstance(one, SinkShell)
    fed = batch([message(1), message(2)])
    monkeypatch.setattr(time, "time", lambda: fed.timestamps[0] / 1_000 + 0.5)

    async def commit(_found: object, now: bool = False) -> None:
        pass

    monkeypatch.setattr(one, "commit_offsets", commit)
    one._positions = {TELEMETRY: 0}
    await one._take(fed)
    await one.flush()
    assert counted(metrics.registry, "store", "0.5") == (2, 2)
