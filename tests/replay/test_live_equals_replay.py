"""A live run in memory, with orders, changes and profiles at any moment, crashes and ticks; its replay finds the same.

Some records lie on a wrong partition, from where the line brings them home, and some customers are erased.

The line is cut, interleaved and flushed at random, so what acts on arrival meets clocks that no other run has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from schemas.events import Change, Command, Customer
from schemas.topics import BY_NOUN
from streams.agents import detect, experience, impact, join, match, outreach
from streams.replay.canonical import canonical
from streams.replay.engine import replay
from streams.replay.live import NOUNS
from streams.replay.source import SourceKind
from streams.runtime.batch import RawBatch
from streams.runtime.memory import Cadence, Logged, MemoryLine
from streams.settings import Settings
from tests.integration.test_same_findings import rows, short_day

COMPARED = ("cohort_count", "episode", "issue", "affected", "impact", "outreach")
MODULES = (join, experience, detect, match, impact, outreach)
SETTINGS = Settings(approval_above=3)
ACTIONS = ("approve",) * 6 + ("mute", "unmute", "unmute", "stop", "resume", "resume", "resolve")


@dataclass
class LineSource:
    """What a line in memory has read, as a source."""

    line: MemoryLine
    left_out: frozenset[str] = frozenset()
    name: str = "memory"
    kind: SourceKind = "live"
    complete: bool = True
    logs: dict[tuple[str, int], list[Logged]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.partitions = self.line.partitions
        for noun in set(NOUNS) - self.left_out:
            for entry in self.line.raw(noun):
                self.logs.setdefault((noun, entry.partition), []).append(entry)

    def nouns(self) -> Collection[str]:
        return {noun for noun, _ in self.logs}

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        found = [entry for entry in self.logs.get((noun, partition), []) if entry.offset >= start]
        if found:
            yield RawBatch(
                noun, partition, start, found[-1].offset + 1, [entry.offset for entry in found],
                [entry.key for entry in found], [entry.value for entry in found],
                [entry.headers for entry in found], [entry.timestamp_ms for entry in found],
            )  # fmt: skip

    def records(self, noun: str, partition: int) -> int:
        return len(self.logs.get((noun, partition), []))

    def describe(self) -> dict[str, Any]:
        return {}


class Office:
    """Somebody who orders, announces changes and edits profiles, whenever the dice say so."""

    def __init__(self, line: MemoryLine, seed: int) -> None:
        self.line, self.dice, self.number = line, np.random.default_rng(seed), 0
        self.customers: list[Customer] = []

    def act(self, at_ms: int) -> None:
        self.number += 1
        if self.dice.random() < 0.4:
            self._order(at_ms)
        elif self.customers and self.dice.random() < 0.8:
            self._profile(at_ms)
        else:
            self._change(at_ms)

    def _order(self, at_ms: int) -> None:
        issues = sorted({record.issue_id for record in self.line.records("issue") if record.kind == "issue"})
        action = self._one(ACTIONS)
        if action not in ("stop", "resume") and not issues:
            return
        order = Command.model_validate({
            "command_id": f"cmd-{self.number}", "issued_at_ms": at_ms, "action": action,
            "issue_id": None if action in ("stop", "resume") else self._one(issues), "actor": "ops",
        })  # fmt: skip
        for noun in ("command", "control"):
            self.line.produce(noun, order)
        if self.dice.random() < 0.3:
            self.line.produce("command", order)  # a copy, which is not let in

    def _profile(self, at_ms: int) -> None:
        hit = {record.customer_id for record in self.line.records("affected") if record.kind == "affected"}
        old = self._one([one for one in self.customers if one.customer_id in hit] or self.customers)
        new = old.model_copy(update={"updated_at_ms": at_ms, "opted_out": bool(self.dice.random() < 0.6)})
        astray = int(self.dice.integers(self.line.partitions)) if self.dice.random() < 0.2 else None
        erased = self.dice.random() < 0.1
        self.line.produce("customer", None if erased else new, key=old.customer_id, partition=astray)

    def _change(self, at_ms: int) -> None:
        self.line.produce("change", Change.model_validate({
            "change_id": f"rel-{self.number}", "changed_at_ms": at_ms, "change_kind": "release", "product": "shop",
            "attributes": {"app_version": "5.2.0"}, "title": "App",
        }))  # fmt: skip

    def _one(self, of: Sequence[Any]) -> Any:
        return of[int(self.dice.integers(len(of)))]


def live(partitions: int, seed: int, look: Callable[[MemoryLine, int], None] | None = None) -> MemoryLine:
    """The short day as it happens. ``look`` sees the line now and then, with the number of messages so far."""
    rooms = [module.room(SETTINGS) for module in MODULES]
    line = MemoryLine(rooms, partitions, Cadence(seed, feed_events=400, flush_chance=0.15))
    office, dice = Office(line, seed), np.random.default_rng(seed + 1)
    for number, arrival in enumerate(short_day().arrivals(partitions)):
        astray = arrival.partition is None and dice.random() < 0.01 and BY_NOUN[arrival.noun].partitioning == "customer"
        partition = int(dice.integers(partitions)) if astray else arrival.partition
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=partition)
        if number % 100 == 0:
            office.customers = office.customers or list(line.records("customer"))
            for _ in range(int(dice.integers(0, 12 * partitions))):
                line.step()
            if look is not None:
                look(line, number)
            if dice.random() < 0.5:
                office.act(arrival.at_ms)
            if dice.random() < 0.02:
                line.crash(str(dice.choice(["join", "detect", "match", "outreach"])), 0, in_flush=bool(number % 2))
            if dice.random() < 0.04:
                line.idle("join", ["contact"])
    line.run()
    return line


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "seed"), [(1, 1), (4, 2), (4, 3)])
def test_a_replay_of_what_a_line_has_read_finds_what_it_found(partitions: int, seed: int) -> None:
    line = live(partitions, seed)
    outcome = replay(LineSource(line), SETTINGS)
    assert partitions == 1 or outcome.counts["on a wrong partition telemetry"] > 0, "copies of these lie there too"
    for noun in COMPARED:
        found, expected = outcome.canonical(noun), canonical(noun, rows(line, noun))
        gone = erased(line) if noun == "outreach" else set()
        assert sorted(without(one, gone) for one in found) == sorted(without(one, gone) for one in expected), noun


def erased(line: MemoryLine) -> set[str]:
    """Customers whose key came without a value."""
    return {(entry.key or b"").decode() for entry in line.raw("customer") if entry.value is None}


def without(value: bytes, gone: set[str]) -> str:
    """A decision; about somebody who was erased, without what comes from the profile and is in its words.

    An erasure takes that out of decisions that were not flushed yet, and whether one was hangs on the moment.
    """
    row: dict[str, Any] = json.loads(value)
    words = ("address", "language", "time_zone", "title", "cause_text") if row.get("customer_id") in gone else ()
    return json.dumps({name: one for name, one in row.items() if name not in words})


@pytest.mark.slow
def test_without_the_cuts_orders_would_act_elsewhere() -> None:
    line = live(4, 4)
    assert replay(LineSource(line), SETTINGS).canonical("issue") == canonical("issue", rows(line, "issue"))
    guessed = replay(LineSource(line, frozenset({"tick"})), SETTINGS)
    assert guessed.canonical("issue") != canonical("issue", rows(line, "issue"))
