"""The detect room: closed counts of every source partition in, issues out.

A bin is stepped when all source partitions have closed it; leaves of all partitions are merged by whole numbers and in
sorted order, so neither the order of arrival nor the number of partitions can change a result. Stretches without counts
are passed block by block only as long as something is still going on, and in one step afterwards.

One closing may open up days (``core.stage.LongStage``): ``through`` says what was heard, ``clock_ms`` how far it was
stepped, and within a block every family knows its own end. All of that is kept, so the way can be left anywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from schemas.drills import is_drill
from schemas.errors import ConfigError
from schemas.events import Change, Command
from schemas.findings import BinClosed, CohortCount, Watermark
from streams.core.detect import store
from streams.core.detect.admission import SCARCE
from streams.core.detect.family import Count, Family, Seen
from streams.core.detect.lattice import OTHER_VALUE
from streams.core.detect.rules import DetectRules
from streams.core.detect.state import DetectState, Line
from streams.core.stage import Batch, Drained, Idle, Message

LOOKS_A_UNIT = 10
"""Families that are looked at, whether time alone changes them, for a unit of work."""
_EVERYTHING = 1 << 62


class DetectStage:
    """Stage of the detect room. Outputs: Issue (broadcast) and Watermark on ``issue``."""

    acts_on_arrival = ("change", "control")

    def __init__(self, rules: DetectRules | None = None) -> None:
        """Work by ``rules``."""
        self.rules = rules or DetectRules()

    def start(self, partition: int, partitions: int) -> DetectState:
        """State that has seen nothing; ``partition`` is the task's own and plays no part."""
        del partition
        return DetectState(self.rules, partitions)

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> DetectState:
        """Rebuild the state from what earlier drains handed out."""
        state = self.start(partition, partitions)
        store.load(state, items)
        return state

    def step(self, state: DetectState, batch: Batch | Idle) -> None:
        """Fold counts, closings, changes or commands into the state, with all the work they bring."""
        place = 0
        while not isinstance(batch, Idle) and (place < len(batch.records) or self.left(state)):
            while self.left(state):
                self.go_on(state, _EVERYTHING)
            place = self.take(state, batch, place)

    def take(self, state: DetectState, batch: Batch, start: int) -> int:
        """Fold records in from place ``start`` on, up to the first that lets time pass."""
        for place in range(start, len(batch.records)):
            record = batch.records[place]
            kind = getattr(record, "kind", "")
            if kind == "bin_closed":
                self._closed(state, record)
                if self.left(state):
                    return place + 1
            elif kind == "values_seen":
                state.book.familiar.note(record)
            elif isinstance(record, Change):
                state.book.learn(record)
                state.kept.changes.add(record.change_id)
            elif isinstance(record, Command):
                self._command(state, record)
            elif self._counts(state, record):
                self._count(state, record)
        return len(batch.records)

    def clocks_ms(self, state: DetectState) -> dict[str, int]:
        """The end of the last bin that was stepped."""
        return {"cohort_count": state.clock_ms}

    def left(self, state: DetectState) -> bool:
        """True while bins or blocks that every source partition has closed are not stepped."""
        return self._goal(state) > state.clock_ms

    def go_on(self, state: DetectState, units: int) -> int:
        """Step bins and let blocks pass; a unit is one family's block, or one line's bin."""
        goal, width, done = self._goal(state), self.rules.bin_ms, 0
        while done < units and state.clock_ms < goal:
            bin_ms = state.bins[0] if state.bins and state.bins[0] + width <= goal else goal
            if state.clock_ms < bin_ms:
                done += self._pass(state, bin_ms, units - done)
            else:
                done += self._step_bin(state)
        return done

    def drain(self, state: DetectState) -> Drained:
        """Changed state, changed issues, and how far the room has come."""
        drained = Drained(changes=store.save(state))
        for issue_id in sorted(state.book.publish):
            live = state.book.issues.get(issue_id)
            if live is not None:
                drained.messages.append(Message("issue", issue_id, live.record()))
        state.book.publish.clear()
        if state.clock_ms > state.announced_ms:
            state.announced_ms = state.clock_ms
            drained.messages.append(Message("issue", "watermark", Watermark(partition=0, through_ms=state.clock_ms)))
        return drained

    # -- inputs -----------------------------------------------------------------------------------------------------

    def _counts(self, state: DetectState, record: CohortCount) -> bool:
        """True for closed counts of a watched signal in a bin that is not stepped yet."""
        ahead = record.bin_ms + self.rules.bin_ms > state.clock_ms
        return record.closed and ahead and record.signal not in self.rules.signals_off

    def _count(self, state: DetectState, record: CohortCount) -> None:
        key = (record.line, record.signal)
        family = state.families.get(key)
        if family is not None and family.lattice.attributes != record.attributes:
            raise ConfigError(
                f"{record.signal} was counted by {', '.join(family.lattice.attributes)}, now by "
                f"{', '.join(record.attributes)}: set CX_SIGNAL_ATTRIBUTES back, or begin under another CX_TOPIC_PREFIX"
            )
        if record.bin_ms not in state.pending:
            heapq.heappush(state.bins, record.bin_ms)
        state.pending.setdefault(record.bin_ms, {}).setdefault(key, {})[record.partition] = record
        state.kept.pending.add((record.bin_ms, *key, record.partition))

    def _closed(self, state: DetectState, record: BinClosed) -> None:
        state.partitions = record.partitions
        before = state.through.get(record.partition, 0)
        state.through[record.partition] = max(before, record.through_ms)
        state.kept.meta = True

    def _command(self, state: DetectState, command: Command) -> None:
        live = state.book.issues.get(command.issue_id or "")
        if live is None:
            return
        if command.action == "resolve":
            at_ms = max(state.clock_ms, live.detected_at_ms)
            state.book.resolve(live.issue_id, state.families[live.line, live.family], at_ms)
            state.kept.families.add((live.line, live.family))  # it looks at the cause again, after a restart too
        elif command.action in ("mute", "unmute"):
            live.muted = command.action == "mute"
            state.book.dirty.add(live.issue_id)

    # -- time -------------------------------------------------------------------------------------------------------

    def _goal(self, state: DetectState) -> int:
        """The end of the last bin that every source partition has closed; 0 before there is one."""
        if len(state.through) < state.partitions:
            return 0
        reached = min(state.through.values())
        return reached - reached % self.rules.bin_ms

    def _step_bin(self, state: DetectState) -> int:
        """Step the first bin that waits; return how many lines it has."""
        bin_ms = heapq.heappop(state.bins)
        counts = state.pending.pop(bin_ms)
        state.kept.pending |= {(bin_ms, *key, p) for key, by in counts.items() for p in by}
        for key, attributes, merged in self._seated(state, counts):
            self._bin(state, key, bin_ms, attributes, merged)
        return len(counts)

    def _seated(
        self, state: DetectState, counts: dict[Line, dict[int, CohortCount]]
    ) -> Iterator[tuple[Line, tuple[str, ...], list[Count]]]:
        """Yield the counts of every line that has a place or gets one, sorted; then those of all others as one line."""
        others: dict[Line, list[CohortCount]] = {}
        for key in sorted(counts):
            records = list(counts[key].values())
            if key[0] != OTHER_VALUE and (key in state.families or self._seat(state, key, records)):
                yield key, records[0].attributes, _merge(records)
            else:
                others.setdefault((OTHER_VALUE, key[1]), []).extend(records)
        state.waiting.end_bin()
        for key, records in sorted(others.items()):
            yield key, records[0].attributes, _merge(records)

    def _seat(self, state: DetectState, key: Line, records: list[CohortCount]) -> bool:
        """True if a line that is not known may have a place."""
        if is_drill(key[0]):
            return True
        free = 1.0 - sum(not is_drill(line) for line, _ in state.families) / self.rules.lines
        state.kept.lines |= free < SCARCE
        return state.waiting.enough([key], sum(leaf.exposed for record in records for leaf in record.leaves), free)

    def _bin(
        self, state: DetectState, key: Line, bin_ms: int, attributes: tuple[str, ...], counts: list[Count]
    ) -> None:
        family = state.families.get(key)
        if family is None:
            family = state.families[key] = Family(*key, attributes, self.rules)
        block_ms = bin_ms - bin_ms % self.rules.block_ms
        if family.as_of_ms != block_ms:
            family.pass_time(block_ms)
        if is_drill(key[0]):  # takes none of what real lines share
            seen, _ = family.step(bin_ms, counts, self.rules.cohorts - sum(family.lattice.minted))
        else:
            seen, minted = family.step(bin_ms, counts, self.rules.cohorts - state.minted)
            state.minted += minted
        state.kept.families.add(key)
        self._review(state, family, seen, bin_ms + self.rules.bin_ms)

    def _review(self, state: DetectState, family: Family, seen: Seen, end_ms: int) -> None:
        if family.alarms or state.book.issues:
            state.book.review(family, seen, end_ms)

    def _pass(self, state: DetectState, to_ms: int, units: int) -> int:
        """Let time pass towards ``to_ms``: ends of blocks, in order, over all families; return the units done.

        A family that has ended the block knows it (``as_of_ms``): a block that was left is taken up where it was.
        """
        block, closed, looked = self.rules.block_ms, 0, 0
        state.kept.meta = True
        at = state.clock_ms - state.clock_ms % block + block
        while at <= to_ms:
            looked += len(state.families) // LOOKS_A_UNIT
            busy = [f for _, f in sorted(state.families.items()) if f.as_of_ms < at]
            busy = [f for f in busy if not f.quiet() or state.book.of(f)]
            if not busy:
                break
            for family in busy:
                if closed and closed + looked >= units:
                    return closed + looked
                family.close_block(at)
                state.book.pass_time(family, at)
                state.kept.families.add((family.line, family.family))
                closed += 1
            state.clock_ms = at
            at += block
        state.clock_ms = max(state.clock_ms, to_ms)
        return closed + looked + 1


def _merge(records: Sequence[CohortCount]) -> list[Count]:
    """Counts of several partitions or lines by leaf, sorted: exposures add, hashes unite."""
    if len(records) == 1:
        counts: list[Count] = [(leaf.values, leaf.exposed, leaf.failed) for leaf in records[0].leaves]
        counts.sort(key=itemgetter(0))
        return counts
    exposed: dict[tuple[str, ...], int] = {}
    failed: dict[tuple[str, ...], set[int]] = {}
    for record in records:
        for leaf in record.leaves:
            exposed[leaf.values] = exposed.get(leaf.values, 0) + leaf.exposed
            failed.setdefault(leaf.values, set()).update(leaf.failed)
    return [(values, exposed[values], sorted(failed[values])) for values in sorted(exposed)]
