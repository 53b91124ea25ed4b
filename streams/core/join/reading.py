"""Events read by compiled rules: which are admitted, and what each counts for in bins and episodes.

    newest - lateness              newest - disorder             newest        (clock of the event's own topic)
    |  late: episodes only           |  on time: bins and episodes |  moves the clock
  too old: to the late topic

The functions here are the loops over all events: look-ups are bound to local names, and calls that would be made for
every event are written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

import xxhash

from schemas.drills import is_drill
from schemas.events import MIN_TIME_MS, Heartbeat
from schemas.fields import Signal
from schemas.findings import Late
from schemas.topics import MINUTE_MS
from streams.core.amounts import NONE, Amount, amount_of
from streams.core.eventtime import MAX_ARRIVAL_MS, arrival_ms, floor_ms
from streams.core.join.history import CustomerFailure
from streams.core.join.repairs import Leaving
from streams.core.join.rules import JoinRules, SignalRule
from streams.core.join.sourcecount import ACCEPTED, DUPLICATE, LATE, CellKey
from streams.core.join.state import JoinState
from streams.core.recovery import ORIGINS
from streams.core.stage import Batch, Message

Values = tuple[str, ...]
Admitted = tuple[Any, int, int, bool, int]
"""An accepted event: record, its time, its customer's hash, late?, newest time of its topic when it came."""


def values_of(names: Sequence[str]) -> Callable[[Any], Values]:
    """Return a fast reader of several fields as a tuple, also for a single one."""
    if len(names) > 1:
        return attrgetter(*names)
    read = attrgetter(names[0])
    return lambda event: (read(event),)


class CompiledRule:
    """A signal rule compiled for the loop over events."""

    __slots__ = ("amount", "exposed", "exposed_values", "failed", "failed_values", "leaving", "signal", "values")

    def __init__(self, rule: SignalRule, rules: JoinRules) -> None:
        """Compile ``rule``, one of ``rules``."""
        self.signal: Signal = rule.signal
        self.exposed = attrgetter(rule.exposed.name)
        self.exposed_values = rule.exposed.values
        self.failed = attrgetter(rule.failed.name)
        self.failed_values = rule.failed.values
        self.values = values_of(rule.attributes)
        self.amount = _amount_reader(rule)
        self.leaving = Leaving(rules, rule.topic, rule.signal)


def _amount_reader(rule: SignalRule) -> Callable[[Any], Amount]:
    if rule.amount is None:
        return lambda _: NONE
    hundredths, currency = attrgetter(rule.amount), attrgetter(rule.currency)
    return lambda event: amount_of(hundredths(event), currency(event))


def admit(state: JoinState, batch: Batch, width_ms: int) -> list[Admitted]:
    """Sort out what is too old or was seen before, move the topic's clock, count per producer; return the rest."""
    clock = state.clock.topics[batch.topic]
    disorder_ms, lateness_ms = clock.bounds.disorder_ms, clock.bounds.lateness_ms
    newest_ms = clock.newest_ms
    stamps = batch.timestamps or repeat(MAX_ARRIVAL_MS, len(batch.records))
    seen, digest = state.seen[batch.topic], xxhash.xxh3_64_intdigest
    admitted: list[Admitted] = []
    accepted: list[CellKey] = []
    repeated: list[CellKey] = []
    minute_ms = -1
    for index, (event, appended_ms) in enumerate(zip(batch.records, stamps, strict=True)):
        time_ms = event.event_time_ms
        if type(event) is Heartbeat:
            clock.hear(min(time_ms, appended_ms))
            newest_ms = clock.newest_ms
            continue
        if time_ms < newest_ms - lateness_ms:
            state.late.append(_late(batch, index, max(MIN_TIME_MS, newest_ms - disorder_ms)))
            continue
        if not 0 <= time_ms - minute_ms < MINUTE_MS:
            minute_ms = time_ms - time_ms % MINUTE_MS
            bucket, mix = seen.bucket_of(minute_ms)
            recent, log, rested = bucket.recent, bucket.log.append, bucket.rested
        customer = digest(event.customer_id.encode())  # customer_hash and event_hash, without the calls
        identity = digest(event.event_id.encode(), customer) ^ mix
        cell = (time_ms - time_ms % width_ms, event.source)
        if identity in recent or (rested and identity in bucket):
            repeated.append(cell)
            continue
        recent.add(identity)
        log(identity)
        accepted.append(cell)
        admitted.append((event, time_ms, customer, time_ms < newest_ms - disorder_ms, newest_ms))
        if time_ms > newest_ms and not is_drill(event.customer_id):
            clock.follow(customer, min(time_ms, arrival_ms(event, appended_ms)))
            newest_ms = clock.newest_ms
    sources = state.sources[batch.topic]
    sources.count(ACCEPTED, Counter(accepted))
    sources.count(DUPLICATE, Counter(repeated))
    sources.count(LATE, Counter((floor_ms(item[1], width_ms), item[0].source) for item in admitted if item[3]))
    return admitted


def _late(batch: Batch, index: int, watermark_ms: int) -> Message:
    event = batch.records[index]
    record = Late(
        topic=batch.topic,
        partition=batch.partition,
        offset=batch.offsets[index],
        source=event.source,
        event_time_ms=event.event_time_ms,
        watermark_ms=watermark_ms,
    )
    return Message("late", event.source, record)


def count_by_rule(state: JoinState, rule: CompiledRule, admitted: list[Admitted], width_ms: int) -> None:
    """Count exposure and failure of one signal: on time in bins, failures in any case in episodes."""
    exposed, exposed_values = rule.exposed, rule.exposed_values
    failed, failed_values = rule.failed, rule.failed_values
    signal, read_values = rule.signal, rule.values
    bins, bin_ms = state.bins, -1
    for event, time_ms, customer, late, newest_ms in admitted:
        if exposed(event) not in exposed_values:
            continue
        values = read_values(event)
        is_failure = failed(event) in failed_values
        if not late:
            if not 0 <= time_ms - bin_ms < width_ms:
                bin_ms = time_ms - time_ms % width_ms
                cells = bins.cells(bin_ms)
            key = (event.product, signal, values)
            leaf = cells.get(key)
            if leaf is None or customer not in leaf.exposed:
                leaf = cells.expose(key, leaf, customer)
            if is_failure:
                cells.fail(key, leaf, customer)
        if is_failure:
            failure = CustomerFailure(
                time_ms,
                event.customer_id,
                event.product,
                signal,
                values,
                event.event_id,
                rule.amount(event),
                rule.leaving(event, customer, newest_ms - time_ms),
                ORIGINS.index(event.origin),
            )
            state.episodes.fail(failure)
