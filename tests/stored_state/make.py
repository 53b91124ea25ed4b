"""Store a line in the middle of its work: ``python -m tests.stored_state.make FILE``, about ten seconds.

Run by the last version before a change that must read old state; the file is committed and read by all versions after.
The story is fixed: the made-up company's morning with its three incidents, orders of operators, customers who withdraw,
are erased, cannot be read or are written to a wrong partition. It is cut while rooms are in the middle of their work:
they have read different shares of their inputs, detect has left work undone, the sender has claims without an outcome.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.codec import encode
from schemas.events import Command, Consent, Customer
from schemas.partition import partition_of
from streams.runtime.limits import TaskRules
from streams.runtime.memory import Cadence, MemoryLine
from streams.simulate import SimulateRules, simulate
from streams.simulate.rules import LIVE_START_MS
from tests.stored_state.line import (
    PARTITIONS,
    Input,
    StoredLine,
    finish,
    new_ledgers,
    new_line,
    parts_of,
    produce,
    restore,
    state_of,
    write,
)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
START_MS, END_MS = LIVE_START_MS - 2 * HOUR_MS, LIVE_START_MS + 6 * HOUR_MS
ORDERS_MS = LIVE_START_MS + 95 * MINUTE_MS
"""Orders and withdrawals of the first half are given now, and those of the second :data:`LATER_MS` after."""
CUT_MS = LIVE_START_MS + 130 * MINUTE_MS
LATER_MS = 90 * MINUTE_MS
STEPS = 30
"""Moves of the line between the last input and the cut: too few for all of it."""


def company() -> list[Input]:
    """What the made-up company sends, in order of arrival."""
    rules = SimulateRules(
        customers=700, sessions_per_hour=220.0, orders_per_hour=130.0, contacts_per_hour=20.0, device_period_ms=120_000,
        start_ms=START_MS, end_ms=END_MS,
    )  # fmt: skip
    arrivals = sorted(simulate(rules).arrivals(PARTITIONS), key=lambda one: one.at_ms)
    return [Input(one.noun, one.key, one.value, one.partition, one.at_ms) for one in arrivals]


def order(name: str, at_ms: int, action: str, issue: str | None = None, channel: str | None = None) -> Input:
    """An operator's order."""
    command = Command.model_validate(
        {"command_id": name, "issued_at_ms": at_ms, "action": action, "issue_id": issue, "channel": channel}
    )
    return Input("command", (issue or "all").encode(), encode(command), None, at_ms)


def withdrawals(customers: list[Customer], at_ms: int) -> Iterator[Input]:
    """The first two withdraw, one for all channels; then one is erased, unreadable, and on a wrong partition."""
    first, second, third, fourth, fifth = customers
    refused = tuple(Consent(channel=one.channel, granted=False) for one in second.consents)
    yield profile_message(first.model_copy(update={"updated_at_ms": at_ms, "opted_out": True}), at_ms)
    yield profile_message(second.model_copy(update={"updated_at_ms": at_ms, "consents": refused}), at_ms)
    yield Input("customer", third.customer_id.encode(), None, None, at_ms)
    yield Input("customer", fourth.customer_id.encode(), b'{"updated_at_ms": "today"}', None, at_ms)
    home = partition_of(fifth.customer_id.encode(), PARTITIONS)
    misplaced = profile_message(fifth.model_copy(update={"updated_at_ms": at_ms, "opted_out": True}), at_ms)
    yield Input(misplaced.noun, misplaced.key, misplaced.value, 1 - home, at_ms)


def profile_message(profile: Customer, at_ms: int) -> Input:
    """A profile on its topic."""
    return Input("customer", profile.customer_id.encode(), encode(profile), None, at_ms)


def addressed(line: MemoryLine) -> list[Customer]:
    """Profiles of those who are to get a notice: first those of partition 1, whose notices are sent after the cut."""
    profiles = {one.customer_id: one for one in line.records("customer") if isinstance(one, Customer)}
    decisions = sorted(_newest(line, "outreach", "outreach_id"), key=_partition_1_first)
    return [profiles[one.customer_id] for one in decisions if one.decision == "send"]


def story(file: Path) -> StoredLine:
    """Play the first half, store, play the second from what was stored."""
    events = company()
    cadence, rules = Cadence(seed=12, feed_events=60, leave_chance=0.5), TaskRules(work_units=1)
    line, ledgers = new_line(cadence=cadence, rules=rules), new_ledgers()
    produce(line, [one for one in events if one.at_ms < ORDERS_MS])
    line.run()
    issues = [one.issue_id for one in sorted(_newest(line, "issue", "issue_id"), key=lambda one: one.detected_at_ms)]
    names = addressed(line)
    for one in ledgers:
        one.ledger.note_channel("webhook", "open", "http_503", ORDERS_MS)
        one.advance(line, claim=one.ledger.partition == 0)  # the other partition's notices are still to be sent
    produce(line, [
        order("k-1", ORDERS_MS, "approve", issues[0]), order("k-2", ORDERS_MS, "mute", issues[-1]),
        *withdrawals(names[-5:], ORDERS_MS), *[one for one in events if ORDERS_MS <= one.at_ms < CUT_MS],
    ])  # fmt: skip
    for _ in range(STEPS):
        line.step()
    while not line.task("detect", 0).left:
        assert line.step(), "nothing is left to do: take fewer steps"
    line.flush()
    for one in ledgers:
        one.advance(line, claim=False)
        one.ledger.note_channel("webhook", "paused", "http_410", CUT_MS)
        one.flush()
        one.emitted.clear()
    later_ms = CUT_MS + LATER_MS
    rest = [
        *[one for one in events if CUT_MS <= one.at_ms < later_ms],
        order("k-3", later_ms, "unmute", issues[-1]), order("k-4", later_ms, "stop"), order("k-5", later_ms, "resume"),
        order("k-6", later_ms, "resume_channel", channel="webhook"), order("k-7", later_ms, "resolve", issues[0]),
        *withdrawals(names[:5], later_ms), *[one for one in events if later_ms <= one.at_ms],
    ]  # fmt: skip
    half = StoredLine(state_of(line, ledgers), parts_of(line), rest, finish(new_line(), [], [], []))
    ending = finish(*restore(half, "auto"), half.parts, rest)
    stored = StoredLine(half.state, half.parts, rest, ending)
    write(file, stored)
    return stored


def _partition_1_first(one: Any) -> tuple[int, str]:
    return -partition_of(one.customer_id.encode(), PARTITIONS), one.outreach_id


def _newest(line: MemoryLine, noun: str, key: str) -> list[Any]:
    """The last record of every key."""
    return list({getattr(one, key): one for one in line.records(noun) if one.kind == noun}.values())


def main() -> None:
    """Write the file that is named on the command line and print how much is in it."""
    file = Path(sys.argv[1])
    stored = story(file)
    unread = {f"{part.noun}/{part.partition}": len(part.rows) for part in stored.parts if part.rows}
    print(f"{file.stat().st_size} bytes; not read by some reader: {unread}")
    print("pairs of state:", {name: len(pairs) for name, pairs in stored.state.items()})
    print("emitted:", {name: len(pairs) for name, pairs in stored.ending.emitted.items() if pairs})


if __name__ == "__main__":
    main()
