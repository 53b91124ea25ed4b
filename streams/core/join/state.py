"""What one partition of the join room remembers, and how it lies in the state topic.

State topic: keys and values are msgpack. A key starts with its kind:
``w`` clocks | ``d`` dedup slice | ``b`` bin additions | ``k`` cohort slot | ``s`` source counts | ``p`` promise |
``q`` pending order events | ``e`` ended orders | ``r`` slice of what went well | ``c`` customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.topics import DAY_MS, MINUTE_MS
from streams.core.eventtime import PartitionClock
from streams.core.join.cohorts import OpenBins
from streams.core.join.episodes import Episodes
from streams.core.join.promises import Promises
from streams.core.join.repairs import SuccessLog, logs_of
from streams.core.join.rules import JoinRules
from streams.core.join.seen import SeenEvents
from streams.core.join.sourcecount import TopicSources
from streams.core.stage import Message

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

ByKind = dict[str, list[tuple[list[Any], Any]]]
"""Kind -> (rest of the key, value) of every pair."""


@dataclass(slots=True)
class JoinState:
    """Everything one partition of the join room remembers. Opaque to others."""

    partition: int
    partitions: int
    clock: PartitionClock
    seen: dict[str, SeenEvents]
    bins: OpenBins
    sources: dict[str, TopicSources]
    promises: Promises
    episodes: Episodes
    logs: dict[str, SuccessLog]
    closed_ms: int = 0
    """Bins before this are closed and were announced."""
    through_ms: int = 0
    """Watermark last sent on the episode topic."""
    clocks_written: bytes = b""
    late: list[Message] = field(default_factory=list)


def new_state(rules: JoinRules, partition: int, partitions: int) -> JoinState:
    """Return the state of a partition that has seen nothing."""
    return JoinState(
        partition=partition,
        partitions=partitions,
        clock=PartitionClock(rules.bounds, rules.clock_customers),
        seen={topic: SeenEvents() for topic in rules.bounds},
        bins=OpenBins(rules, partition),
        sources={topic: TopicSources(topic, partition, rules.bin_ms) for topic in rules.bounds},
        promises=Promises(rules.promise, rules.bounds["order"]),
        episodes=Episodes(rules),
        logs=logs_of(rules),
    )


def load_state(state: JoinState, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Fill a new state from the live pairs of its state topic, in any order."""
    by_kind: ByKind = {}
    for raw_key, raw_value in items:
        kind, *key = _unpack(raw_key)
        if kind == "c":  # by far the most: they stay packed
            state.episodes.load(key[0], raw_value)
            continue
        by_kind.setdefault(kind, []).append((key, _unpack(raw_value)))
    for _, clocks in by_kind.get("w", ()):
        _load_clocks(state, *clocks)  # first: what follows is read by them
    _load_events(state, by_kind)
    _load_promises(state, by_kind)


def _load_events(state: JoinState, by_kind: ByKind) -> None:
    slices: dict[str, dict[tuple[int, ...], bytes]] = {}
    for (topic, *key), value in by_kind.get("d", ()):
        slices.setdefault(topic, {})[tuple(key)] = value
    for topic, clock in state.clock.topics.items():
        state.seen[topic].load(slices.get(topic, {}), clock.newest_ms)
    for (bin_ms, number), rows in by_kind.get("b", ()):
        state.bins.load(bin_ms, number, [(row[0], row[1], tuple(row[2]), row[3], row[4]) for row in rows])
    for (line, signal, values), hour_ms in by_kind.get("k", ()):
        state.bins.admitted.load((line, signal, tuple(values)), hour_ms)
    for (topic, start_ms, *width), rows in by_kind.get("s", ()):
        state.sources[topic].load((start_ms, *width), rows, state.closed_ms)
    for topic, clock in state.clock.topics.items():
        state.sources[topic].age(clock.newest_ms)


def _load_promises(state: JoinState, by_kind: ByKind) -> None:
    watermark_ms = state.clock.topics["order"].watermark_ms
    for (customer_id, order_id), value in by_kind.get("p", ()):
        state.promises.load_open((customer_id, order_id), value)
    for (chunk,), rows in by_kind.get("q", ()):
        facts = [(*row[:6], tuple(row[6]), *row[7:]) for row in rows]
        state.promises.load_pending(chunk, facts, watermark_ms)
    state.promises.ended.load({(start_ms, first): value for (start_ms, first), value in by_kind.get("e", ())})
    went_well: dict[str, dict[tuple[int, int], bytes]] = {topic: {} for topic in state.logs}
    for (topic, start_ms, first), value in by_kind.get("r", ()):
        went_well[topic][start_ms, first] = value
    for topic, slices in went_well.items():
        state.logs[topic].load(slices)


def forget_expired(state: JoinState, rules: JoinRules) -> None:
    """Drop everything that no event still to be accepted can need."""
    newest = {topic: clock.newest_ms for topic, clock in state.clock.topics.items()}
    for topic, log in state.logs.items():
        log.forget(min(newest[noun] - reach_ms for noun, reach_ms in rules.reaches(topic).items()))
    for topic, clock in state.clock.topics.items():
        state.seen[topic].forget(clock.oldest_ms)
        state.seen[topic].age(clock.newest_ms)
        state.sources[topic].forget(min(clock.oldest_ms, state.closed_ms))
        state.sources[topic].age(clock.newest_ms)
    state.promises.forget(state.clock.topics["order"].oldest_ms)
    state.episodes.forget(state.clock.watermark_ms)


def drain_changes(state: JoinState) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield every changed key of the state topic."""
    clocks = _packed_clocks(state)
    if clocks != state.clocks_written:
        state.clocks_written = clocks
        yield _pack(("w",)), clocks
    for topic, memory in state.seen.items():
        rest_before_ms = state.clock.topics[topic].watermark_ms - MINUTE_MS
        yield from (_change(("d", topic, *key), value) for key, value in memory.drain(rest_before_ms))
        yield from ((_pack(("s", topic, *key)), value) for key, value in state.sources[topic].drain())
    yield from (_change(("b", *key), value) for key, value in state.bins.drain())
    yield from (_change(("k", *key), value) for key, value in state.bins.admitted.drain())
    order_ms = state.clock.topics["order"].watermark_ms
    yield from (_change(("p", *key), value) for key, value in state.promises.drain_open())
    yield from (_change(("q", key), value) for key, value in state.promises.drain_pending(order_ms))
    yield from (_change(("e", *key), value) for key, value in state.promises.drain_ended(order_ms - DAY_MS))
    for topic, log in state.logs.items():
        yield from (_change(("r", topic, *key), value) for key, value in log.drain())
    yield from ((_pack(("c", key)), packed) for key, packed in state.episodes.drain())


def _packed_clocks(state: JoinState) -> bytes:
    """Topic -> newest time, the two marks of progress, topic -> [(time, customer's hash)] of who is ahead."""
    topics = state.clock.topics
    newest = {topic: clock.newest_ms for topic, clock in topics.items()}
    ahead = {
        topic: [(ms, who.to_bytes(8, "little")) for ms, who in sorted((ms, who) for who, ms in clock.ahead.items())]
        for topic, clock in topics.items()
    }
    return _pack((newest, state.closed_ms, state.through_ms, ahead))


def _load_clocks(
    state: JoinState,
    newest: dict[str, int],
    closed_ms: int,
    through_ms: int,
    ahead: Mapping[str, list[tuple[int, bytes]]] = MappingProxyType({}),
) -> None:
    """Take the clocks back; ``ahead`` is missing where one event moved a clock alone (before 2026-11-28)."""
    for topic, newest_ms in newest.items():
        state.clock.topics[topic].hear(newest_ms)
    for topic, customers in ahead.items():
        for time_ms, customer in customers:
            state.clock.topics[topic].follow(int.from_bytes(customer, "little"), time_ms)
    state.closed_ms, state.through_ms = closed_ms, through_ms
    state.clocks_written = _packed_clocks(state)


def _change(key: tuple[Any, ...], value: object) -> tuple[bytes, bytes | None]:
    return _pack(key), None if value is None else _pack(value)
