"""The join room: three streams of one partition in, cohort counts and episodes out, all by event time.

    telemetry --+  too old? seen before? late?   +-- on time --> open bins ------> CohortCount, SourceCount, BinClosed
    order ------+------------------------------->+-- always ---> episodes -------> Episode, Watermark
    contact ----+          |                     +-- order ----> promise timers -> both
                           +--> Late (changes nothing)

Whether an event is late is decided by its own topic's clock, so it does not matter how the three topics interleave;
bins close and memory expires by the partition's watermark, the slowest of the three. Because a bin closes only when no
event on time can still belong to it, it does not matter either when ``drain`` looks: fewer drains skip intermediate
versions, nothing else.

    bins of 10 s     ...[ closed )[ closed )[  open  )[  open  )...
                                              ^ watermark of the slowest topic: a bin closes when this passes its end

The way of a batch through :meth:`JoinStage.step`: ``core.join.reading`` admits its events and counts them by the rules
(``core.join.rules``, compiled once), then promises or contacts take them. :meth:`JoinStage.drain` hands out what
changed; ``core.join.state`` says how it is persisted. Late: an event older than the topic's newest by more than its
disorder bound joins episodes but no bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas.currencies import currency_code
from schemas.events import MIN_TIME_MS
from schemas.findings import BinClosed, Watermark
from schemas.topics import MINUTE_MS
from streams.core.eventtime import floor_ms
from streams.core.join.dedup import customer_hash
from streams.core.join.history import CustomerFailure, OpenedContact
from streams.core.join.promises import Fact, Outcome
from streams.core.join.reading import Admitted, CompiledRule, admit, count_by_rule, values_of
from streams.core.join.repairs import (
    Naming,
    Promised,
    Success,
    finder,
    naming,
    note,
    subject_naming,
    subjects_of,
)
from streams.core.join.rules import JoinRules
from streams.core.join.state import JoinState, drain_changes, forget_expired, load_state, new_state
from streams.core.recovery import ORIGINS
from streams.core.stage import Batch, Drained, Idle, Message

SHOWN_MS = MINUTE_MS
"""Open bins of the last minute are shown as they fill. When a topic catches up, hours of bins are open: those are sent
once, when they close."""
PROGRESS_KEY = "cx.progress"
"""Record key of BinClosed and Watermark; they are written with explicit partition."""


class JoinStage:
    """The pure room. See ``core.stage.Stage``."""

    def __init__(self, rules: JoinRules | None = None) -> None:
        """Compile the rules (defaults: ``JoinRules()``)."""
        self.rules = rules or JoinRules()
        self._readers = {
            topic: tuple(CompiledRule(rule, self.rules) for rule in self.rules.signals if rule.topic == topic)
            for topic in self.rules.bounds
        }
        self._promise_values = values_of(self.rules.promise.attributes)
        self._successes = {rule.topic: Success(self.rules, index) for index, rule in enumerate(self.rules.repairs)}
        self._promised = Promised(self.rules)
        self._named = next((Naming(rule, index) for index, rule in naming(self.rules, "order", "contact")), None)
        self._subject = subject_naming(self.rules)

    # -- state ---------------------------------------------------------------------------------------------------

    def start(self, partition: int, partitions: int) -> JoinState:
        """Return the state of a partition that has seen nothing."""
        return new_state(self.rules, partition, partitions)

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> JoinState:
        """Rebuild the state from the live pairs of its state topic, in any order."""
        state = self.start(partition, partitions)
        load_state(state, items)
        return state

    def clock_ms(self, state: JoinState, topic: str) -> int:
        """How far a topic has come; 0 if nothing was heard."""
        return state.clock.topics[topic].newest_ms

    def disorder_ms(self, topic: str) -> int:
        """How far behind its clock an event of a topic is on time."""
        return self.rules.bounds[topic].disorder_ms

    # -- events --------------------------------------------------------------------------------------------------

    def step(self, state: JoinState, batch: Batch | Idle) -> None:
        """Fold one batch of one topic (or an idle passage) into the state."""
        if isinstance(batch, Idle):
            state.clock.pass_idle(batch.topics, batch.event_time_ms)
            self._advance(state)
        else:
            self._fold(state, batch)

    def _fold(self, state: JoinState, batch: Batch) -> None:
        admitted = admit(state, batch, self.rules.bin_ms)
        for reader in self._readers[batch.topic]:
            count_by_rule(state, reader, admitted, self.rules.bin_ms)
        if (success := self._successes.get(batch.topic)) is not None:
            note(success, state.logs[batch.topic], state.episodes, admitted)
        if batch.topic == "order":
            self._follow_promises(state, admitted)
        elif batch.topic == "contact":
            self._attach_contacts(state, admitted)
        self._advance(state)

    def _follow_promises(self, state: JoinState, admitted: list[Admitted]) -> None:
        promises, disorder_ms = state.promises, self.rules.bounds["order"].disorder_ms
        for event, time_ms, _, late, newest_ms in admitted:
            watermark_ms = newest_ms - disorder_ms
            if promises.next_ms < watermark_ms:
                _conclude(state, self._promised, promises.advance(watermark_ms))
            fact = Fact(
                time_ms,
                event.event_id,
                event.customer_id,
                event.order_id,
                event.status,
                event.product,
                self._promise_values(event),
                event.amount_cents,
                event.promised_at_ms,
                event.cancelled_by == "company",
                ORIGINS.index(event.origin),
                currency_code(event.currency),
            )
            _conclude(state, self._promised, promises.offer(fact, watermark_ms, late))

    def _attach_contacts(self, state: JoinState, admitted: list[Admitted]) -> None:
        opened, named, attach_ms = self.rules.contact.opened, self._named, self.rules.attach_ms
        for event, time_ms, customer, _, newest_ms in admitted:
            if getattr(event, opened.name) not in opened.values:
                continue
            order = named(event, customer) if named is not None and named.is_given(event) else 0
            subjects = subjects_of(self._subject, event.subject_ids, customer, order) if event.subject_ids else ()
            by_order = time_ms < newest_ms - attach_ms
            if order or subjects or not by_order:
                opening = (time_ms, event.contact_id, event.product, event.reason)
                state.episodes.contact(event.customer_id, OpenedContact(*opening, order, by_order, subjects))

    def _advance(self, state: JoinState) -> None:
        """Let promises see how far the order topic has come."""
        watermark_ms = state.clock.topics["order"].watermark_ms
        if state.promises.next_ms < watermark_ms:
            _conclude(state, self._promised, state.promises.advance(watermark_ms))

    # -- results -------------------------------------------------------------------------------------------------

    def drain(self, state: JoinState) -> Drained:
        """Return what changed since the last drain: late events, counts of bins, progress, episodes, state.

        Messages come in a fixed order; every closed count comes before the BinClosed that announces it, every episode
        before its Watermark. Changes are sorted by key.
        """
        state.episodes.look_up(finder(self.rules, state.logs))
        watermark_ms = state.clock.watermark_ms
        through_ms = max(state.closed_ms, floor_ms(watermark_ms, self.rules.bin_ms))
        messages, state.late = state.late, []
        messages += _counts(state, through_ms)
        if through_ms > max(state.closed_ms, MIN_TIME_MS):
            closed = BinClosed(partition=state.partition, partitions=state.partitions, through_ms=through_ms)
            messages.append(Message("cohort_count", PROGRESS_KEY, closed, partition=0))
            state.closed_ms = through_ms
        messages += [Message("episode", episode.customer_id, episode) for episode in state.episodes.messages()]
        if watermark_ms > max(state.through_ms, MIN_TIME_MS):
            mark = Watermark(partition=state.partition, through_ms=watermark_ms)
            messages.append(Message("episode", PROGRESS_KEY, mark, partition=state.partition))
            state.through_ms = watermark_ms
        forget_expired(state, self.rules)
        return Drained(sorted(drain_changes(state), key=lambda change: change[0]), messages)


def _conclude(state: JoinState, promised: Promised, outcomes: Iterable[Outcome]) -> None:
    """Count decided promises."""
    signal = promised.signal
    for outcome in outcomes:
        customer = customer_hash(outcome.customer_id)
        if outcome.on_time:
            key = (outcome.line, signal, outcome.values)
            state.bins.count(outcome.time_ms, key, customer, outcome.failed)
        if outcome.failed:
            failure = CustomerFailure(
                outcome.time_ms,
                outcome.customer_id,
                outcome.line,
                signal,
                outcome.values,
                outcome.event_id,
                outcome.amount,
                promised(customer, outcome.order_id, outcome.status),
                outcome.origin,
            )
            state.episodes.fail(failure)


def _counts(state: JoinState, through_ms: int) -> Iterator[Message]:
    """Yield closed cohort counts, source counts of closed bins, then open cohort counts."""
    for count in state.bins.close(through_ms):
        yield Message("cohort_count", count.line, count)
    for topic in sorted(state.sources):
        for source in state.sources[topic].messages(through_ms):
            yield Message("source_count", source.source, source)
    newest_ms = max(clock.newest_ms for clock in state.clock.topics.values())
    for count in state.bins.preview(newest_ms - SHOWN_MS):
        yield Message("cohort_count", count.line, count)


