"""The pure heart of a room: one task per partition, the same code under Kafka and in the in-memory driver.

    fetched batch -> feed -> slices -> intake (decode, screen) -> stage.step -> state
                                         |                                       |
                                         side outputs (dead letters, copies)     |
                                         |                                       |
    transaction  <- flush  <-------------+------------------------ stage.drain --+

``feed`` takes fetched batches, ``idle`` an idle passage, ``flush`` returns the one transaction that makes everything
since the last flush durable. What comes in is decided in ``intake``, what goes out is encoded in ``transaction``. No
I/O, no clock: the caller passes the time of the flush, which only dead letters show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from schemas.cloudevents import has_context
from schemas.codec import HOT, Reject
from schemas.errors import ConfigError, CxError
from schemas.events import MIN_TIME_MS
from schemas.findings import Cut, Tick
from schemas.topics import BY_NOUN
from streams.core.stage import ArrivalStage, Clocked, Idle, Led, LongStage, RawStage
from streams.runtime.alignment import Keys
from streams.runtime.batch import RawBatch
from streams.runtime.intake import RIM, Intake, time_of
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room
from streams.runtime.state import Meta, Recovered, StateDamaged, next_epoch
from streams.runtime.tally import StateSize
from streams.runtime.transaction import SideOutputs, Transaction, TransactionBuilder
from streams.security.signing import ORDER_TOPICS

S = TypeVar("S")


MOST_STEPS = 1_000
"""Slices that one cut tells of, at most."""


class RangeLost(CxError):
    """A batch starts beyond the position of the task: the records in between were not delivered. Seek back."""


class PartitionTask(Generic[S]):
    """One partition of one room. Not thread-safe."""

    def __init__(
        self,
        room: Room[S],
        partition: int,
        partitions: int,
        recovered: Recovered | None = None,
        rules: TaskRules | None = None,
        wall_s: float = 0.0,
    ) -> None:
        """Start from what recovery found (None or empty: from nothing) at ``wall_s``, which no finding depends on.

        Raises ConfigError if the state was built with another number of customer partitions, StateDamaged if it has
        no meta record.
        """
        self.room = room
        self.partition = partition
        self.partitions = partitions
        self.rules = rules or TaskRules()
        found = recovered or Recovered()
        items = found.whole()
        meta = _meta_of(room.name, partition, partitions, found.meta, empty=not items)
        self.epoch = next_epoch(meta, wall_s)
        self.flushes, self.dirty = 0, False
        self.positions = _positions_of(meta, room.brings)
        """Noun -> offset of the next record that the task has not seen."""
        self.topic_epochs = dict(meta.topics)
        """Noun -> epoch of the topic that the positions belong to (``offsets``); empty if nobody asked the broker."""
        self.newest: dict[str, int] = {}
        """Noun -> how far its topic has come by the room's clock, for event topics that were heard since start. A room
        that keeps no clock: the newest event time."""
        self.pending_bytes = 0
        """Bytes fed since the last flush."""
        keys, self._side = Keys(partition, partitions), SideOutputs()
        self._intake = Intake(room, partition, keys, self.rules, meta.orders, self._side)
        self.counts = self._intake.counts
        self._builder = TransactionBuilder(room.name, partition, keys, self.rules, found.part_counts())
        self._raw = room.stage if isinstance(room.stage, RawStage) else None
        self._clocked = room.stage if isinstance(room.stage, Clocked) else None
        self._led = room.stage if isinstance(room.stage, Led) else None
        self._long = room.stage if isinstance(room.stage, LongStage) else None
        self._acting = room.stage if isinstance(room.stage, ArrivalStage) else None
        self._spent = 0
        """Units of a long stage's work done since the last step was handed back to the caller."""
        self.opened_ms, self.size = int(wall_s * 1_000), StateSize(items.items())
        self.state: S = _state_of(room, partition, partitions, found.meta, items)

    def start_at(self, noun: str, offset: int) -> None:
        """Set where reading starts: on a topic without a source offset, or whose stored offset is gone."""
        self.positions[noun] = offset

    def feed(self, batch: RawBatch) -> None:
        """Fold a fetched batch into the state.

        Records below the position are skipped (they are part of the state); raises RangeLost if the batch starts above.
        """
        for _ in self.feed_steps(batch):
            pass

    def feed_steps(self, batch: RawBatch) -> Iterator[None]:
        """:meth:`feed` in steps of about ``work_units``: after each the task may be flushed, or left for good.

        The positions are always right: what of the batch is not taken is read again, what is taken and not worked off
        is part of the state.
        """
        noun = batch.topic
        position = self.positions.get(noun, batch.start)
        if batch.start > position:
            raise RangeLost(f"{self.room.name}/{self.partition}: {noun} continues at {batch.start}, not {position}")
        if batch.next <= position:
            self.counts[noun].skipped += len(batch)
            return
        fresh = batch.since(position)
        self.counts[noun].skipped += len(batch) - len(fresh)
        for part in fresh.slices(self.rules.slice_events):
            yield from self.rest_steps()
            if self._raw is not None:
                self._raw_slice(self._raw, part)
            elif self._long is not None and noun not in RIM:
                yield from self._long_slice(self._long, part)
            else:
                self._slice(part)
        self.positions[noun] = fresh.next

    @property
    def left(self) -> bool:
        """True if work is left that needs no new input: the state was made durable in the middle of it."""
        return self._long is not None and self._long.left(self.state)

    def rest_steps(self) -> Iterator[None]:
        """Do the work that is left, in steps as :meth:`feed_steps`."""
        while self._long is not None and self._long.left(self.state):
            self.dirty = True
            self._spent += self._long.go_on(self.state, self.rules.work_units - self._spent)
            if self._spent >= self.rules.work_units:
                self._spent = 0
                yield

    def idle(self, nouns: Iterable[str]) -> bool:
        """Pass idle event topics: their watermark follows the slowest of the others. True if that moved anything.

        Nothing happens while one that is not idle has shown no event yet, or while all event topics are idle (unless
        another room leads the stage). Event time, ``contact`` idle (watermark = newest - disorder):

            telemetry  ==============|          slowest of those that are not idle
            order      ====================|
            contact    ====|~~~~~~~~~|          passed: its watermark moves up to there, by a recorded tick
        """
        topics = [noun for noun in self.room.inputs if noun in HOT]
        passed = set(nouns) & set(topics)
        active = [noun for noun in topics if noun not in passed]
        if not passed or not (active or self._led) or any(noun not in self.newest for noun in active):
            return False
        known = [self.newest[noun] - self._disorder_ms(noun) for noun in active]
        reach = min(known) if self._led is None or known else self._led.led_ms(self.state)
        if reach < MIN_TIME_MS or all(self.newest.get(one, 0) - self._disorder_ms(one) >= reach for one in passed):
            return False
        self.tick(reach)
        return True

    def tick(self, event_time_ms: int) -> None:
        """Treat every event topic's watermark as at least ``event_time_ms`` from here on, and record it."""
        topics = tuple(noun for noun in self.room.inputs if noun in HOT)
        self.room.stage.step(self.state, Idle(event_time_ms, topics))
        for noun in topics:
            reached = event_time_ms + self._disorder_ms(noun)
            self.newest[noun] = max(self.newest.get(noun, reached), reached)
        offsets = {noun: self.positions.get(noun, 0) for noun in self.room.inputs}
        self._side.ticks.append(
            Tick(room=self.room.name, partition=self.partition, event_time_ms=event_time_ms, offsets=offsets)
        )
        self.dirty = True

    def _disorder_ms(self, noun: str) -> int:
        return BY_NOUN[noun].disorder_ms if self._clocked is None else self._clocked.disorder_ms(noun)

    def flush(self, now_ms: int) -> Transaction | None:
        """Return what has to become durable together, None if nothing was fed. ``now_ms`` is wall time.

        The caller must commit the transaction or end the process: the task already counts it as done.
        """
        steps = self.flush_steps(now_ms)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                found: Transaction | None = done.value
                return found

    def flush_steps(self, now_ms: int) -> Generator[None, None, Transaction | None]:
        """:meth:`flush` in steps: what it holds is fixed by the first, the others only encode.

        Feeding may go on between the steps; a second flush must wait for the end of the first.

            feed a  feed b | drain |  encode  |  feed c  |  encode  | commit
                           |<-------- holds a and b, not c -------->|
        """
        if not self.dirty:
            return None
        self.flushes += 1
        drained = self.room.stage.drain(self.state)
        self.size.change(drained.changes)
        side = self._side.take()
        meta = Meta(
            self.epoch,
            self.flushes,
            self.partitions,
            dict(self.positions),
            topics=dict(self.topic_epochs),
            brings=self.room.brings,
            orders=dict(self._intake.verifier.known),
        )
        self.dirty = False
        self.pending_bytes = 0
        return (yield from self._builder.steps(drained, side, meta, now_ms))

    def outcomes(self) -> dict[str, int]:
        """Outcome -> records of all topics that were read since the start."""
        return dict(sum((Counter(counts.by_outcome()) for counts in self.counts.values()), Counter()))

    @property
    def degraded(self) -> bool:
        """True while a run of dead letters from several emitters is worth a page."""
        return any(run.degraded for run in self._intake.runs.values())

    def _fed(self, part: RawBatch) -> None:
        """Something of this part is now in the state, or among the side outputs."""
        self.dirty = True
        self.pending_bytes += part.value_bytes

    def _raw_slice(self, stage: RawStage, part: RawBatch) -> None:
        """Let the stage decode one slice; it leaves some messages to the reference implementation, one by one."""
        if part.has_headers and any(map(has_context, part.headers)):
            self._slice(part)  # CloudEvents: part of the message lies in its headers
            return
        noun, size = part.topic, len(part)
        self._fed(part)
        limit = min(self.rules.max_event_bytes, BY_NOUN[noun].max_bytes)
        start = 0
        while start < size:
            fed = stage.feed(self.state, part, start, limit, self.rules.future_ms)
            self._hear(noun, 0)
            for at in (*fed.future, *fed.foreign):
                self._slice(part.cut(at, at + 1))
            self._intake.count_fed(noun, fed, start)
            if fed.stop < size:
                self._slice(part.cut(fed.stop, fed.stop + 1))
            start = fed.stop + 1

    def _slice(self, part: RawBatch) -> None:
        """Decode and screen one slice, step what is sound."""
        if not len(part):
            return
        self._fed(part)
        batch = self._intake.admit(part)
        if self._acting is not None and part.topic in self._acting.acts_on_arrival:
            self._cut(self._acting, part, () if batch is None else batch.offsets)
        if batch is not None:
            self.room.stage.step(self.state, batch)
            if batch.topic in HOT:
                self._hear(batch.topic, max(map(time_of, batch.records)))

    def _cut(self, stage: ArrivalStage, part: RawBatch, admitted: Sequence[int]) -> None:
        """Record where a slice of an input that acts on arrival is fed; slices in a row at the same time make one."""
        noun, cuts, clocks = part.topic, self._side.cuts, stage.clocks_ms(self.state)
        let_in = frozenset(admitted)
        refused = tuple(at for at in part.offsets if at not in let_in) if noun in ORDER_TOPICS else ()
        last = cuts[-1] if cuts else None
        follows = last is not None and (last.topic, last.clocks, last.steps[-1]) == (noun, clocks, part.start)
        if last is not None and follows and len(last.steps) < MOST_STEPS:
            joined = {"steps": (*last.steps, part.next), "refused": (*last.refused, *refused)}
            cuts[-1] = last.model_copy(update=joined)
            return
        offsets = {one: self.positions.get(one, 0) for one in self.room.inputs} | {noun: part.start}
        cuts.append(
            Cut.model_validate({
                "room": self.room.name, "partition": self.partition, "topic": noun, "steps": (part.next,),
                "clocks": clocks, "offsets": offsets, "refused": refused,
            })
        )  # fmt: skip

    def _hear(self, noun: str, newest_ms: int) -> None:
        """Note how far an event topic has come: by the room's clock, or ``newest_ms`` where it keeps none."""
        reached = self._clocked.clock_ms(self.state, noun) if self._clocked is not None else newest_ms
        if reached > self.newest.get(noun, 0):
            self.newest[noun] = reached

    def _long_slice(self, stage: LongStage, part: RawBatch) -> Iterator[None]:
        """Decode one slice of findings; take its records in, and do the work of each before the next."""
        noun, size = part.topic, len(part)
        found = self._intake.admit_findings(part)
        taken = behind = 0
        while behind < size:
            before, start = taken, behind
            taken = stage.take(self.state, found.batch, before)
            behind = found.index[taken] if taken < len(found.index) else size
            here = part.cut(start, behind)
            rejects = [Reject(bad.index - start, bad.error) for bad in found.rejects if start <= bad.index < behind]
            self._intake.reject(here, rejects)
            self._fed(here)
            self.counts[noun].accepted += taken - before
            self.positions[noun] = here.next
            yield from self.rest_steps()


def _meta_of(room: str, partition: int, partitions: int, found: Meta | None, empty: bool) -> Meta:
    """The meta record that recovery found, or that of a new task; ``empty``: recovery found no values."""
    if found is None and not empty:
        raise StateDamaged(f"the state of {room}/{partition} has values but no meta record")
    meta = found or Meta(0, 0, partitions, {})
    if meta.partitions != partitions:
        raise ConfigError(
            f"the state of room {room} was built with {meta.partitions} partitions, CX_PARTITIONS is "
            f"{partitions}: set it back, or start with a new CX_TOPIC_PREFIX"
        )
    return meta


def _state_of(room: Room[S], partition: int, partitions: int, found: Meta | None, items: dict[bytes, bytes]) -> S:
    if found is None:
        return room.stage.start(partition, partitions)
    return room.stage.load(partition, partitions, items.items())


def _positions_of(meta: Meta, brings: Collection[str]) -> dict[str, int]:
    """The source offsets, without topics whose astray records no earlier owner of this state has brought home."""
    return {noun: offset for noun, offset in meta.offsets.items() if noun in meta.brings or noun not in brings}
