"""A small made-up company for the tests of match, impact and outreach, in streams that may really occur."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from schemas.events import Address, Consent, Customer
from schemas.fields import Money
from schemas.findings import Affected, Episode, LeafEvidence, Watermark
from schemas.issues import Cause, Issue
from schemas.partition import partition_of
from streams.core.stage import Batch, Drained, Stage

T0 = 1_767_225_600_000
"""2026-01-01T00:00:00Z, a Thursday."""
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
END = T0 + 40 * DAY
NOON = T0 + 11 * HOUR
"""12:00 in Berlin."""


def issue(name: str = "i-1", at: int = T0 + HOUR, **other: Any) -> Issue:
    """An open issue of signal app, cause app_version 5.2.0, onset ten minutes before its detection at ``at``."""
    fields = {
        "issue_id": name, "root_id": name, "line": "shop", "signal": "app", "state": "open", "title": "t",
        "opened_at_ms": at - 10 * MINUTE, "detected_at_ms": at, "updated_at_ms": at, "scale_ms": 10_000,
        "expected": 1.0, "observed": 9.0, "ratio_low": 3.0, "provisional": True, "cause": cause(app_version="5.2.0"),
    }  # fmt: skip
    return Issue.model_validate(fields | other)


def cause(**attributes: str) -> Cause:
    """A cause with these attribute values."""
    return Cause(attributes=attributes, risk_ratio=9.0, risk_ratio_low=4.0, risk_ratio_high=20.0, support=0.9,
                 exposed=100, failed=40, known=tuple(attributes))  # fmt: skip


def resolved(one: Issue, at: int, **other: Any) -> Issue:
    """Its revision that ends it: all is well again."""
    ended = {"state": "resolved", "resolved_at_ms": at, "updated_at_ms": at, "end_reason": "recovered"}
    return one.model_copy(update=ended | other)


def episode(customer: str = "c-1", first: int = T0 + HOUR, **other: Any) -> Episode:
    """One failure of ``customer`` at ``first`` on version 5.2.0."""
    version, last = other.pop("version", "5.2.0"), other.pop("last", first)
    more = {"put_right_ms": other.pop("right", None), "origin": other.pop("origin", "live")}
    fields = {
        "customer_id": customer, "line": "shop", "signal": "app", "window_ms": first // HOUR * HOUR,
        "attributes": ("app_version", "region"), "first_failed_ms": first, "last_failed_ms": last, "failures": 1,
        "leaves": (LeafEvidence(values=(version, "DE"), first_ms=first, last_ms=last, failures=1, **more),),
        "evidence": ("e-1",),
    }  # fmt: skip
    return Episode.model_validate(fields | other)


def affected(name: str = "c-1", known: int = NOON, **other: Any) -> Affected:
    """A customer hit by i-1."""
    fields = {"issue_id": "i-1", "root_id": other.get("issue_id", "i-1"), "customer_id": name, "line": "shop",
              "signal": "app", "known_at_ms": known, "first_failed_ms": known, "last_failed_ms": known}  # fmt: skip
    return Affected.model_validate(fields | other)


def customer(name: str = "c-1", **other: Any) -> Customer:
    """A customer in Berlin who may be told by webhook."""
    fields = {
        "customer_id": name, "updated_at_ms": T0 - DAY, "value_cents": 12_000, "language": "de",
        "time_zone": "Europe/Berlin", "consents": (Consent(channel="webhook", granted=True),),
        "addresses": (Address(channel="webhook", token=f"a-{name}"),),
    }  # fmt: skip
    return Customer.model_validate(fields | other)


def mark(through: int, partition: int = 0) -> Watermark:
    """A watermark."""
    return Watermark(partition=partition, through_ms=through)


@dataclass
class Runner:
    """Feeds a stage, drains it, and keeps the latest record of every natural key and the durable state."""

    stage: Stage[Any]
    partition: int = 0
    partitions: int = 1
    state: Any = None
    durable: dict[bytes, bytes] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.stage.start(self.partition, self.partitions)

    def feed(self, noun: str, *records: Any) -> None:
        """One batch."""
        self.stage.step(self.state, Batch(noun, self.partition, records, list(range(len(records)))))

    def flush(self) -> Drained:
        """Drain; what it returns is durable."""
        drained = self.stage.drain(self.state)
        for key, value in drained.changes:
            if value is None:
                self.durable.pop(key, None)
            else:
                self.durable[key] = value
        self.messages += drained.messages
        return drained

    def restart(self) -> None:
        """Flush, die, come back from what is durable."""
        self.flush()
        self.state = self.stage.load(self.partition, self.partitions, reversed(list(self.durable.items())))

    def records(self, noun: str) -> list[Any]:
        """All records given for a topic, watermarks left out."""
        kinds = (message.record for message in self.messages if message.noun == noun)
        return [record for record in kinds if record.kind != "watermark"]

    def latest(self, noun: str, *key: str) -> dict[tuple[Any, ...], Any]:
        """Latest record per natural key."""
        return {tuple(getattr(record, name) for name in key): record for record in self.records(noun)}


@dataclass
class World:
    """Streams as they may arrive: each list keeps its order, the lists may be interleaved in any way."""

    episodes: list[Any]
    issues: list[Any]
    customers: list[Any]

    def of_partition(self, number: int, count: int) -> World:
        """What one of ``count`` partitions sees: its customers, every issue, every watermark."""

        def mine(records: Iterable[Any]) -> list[Any]:
            return [
                record for record in records
                if not hasattr(record, "customer_id") or partition_of(record.customer_id.encode(), count) == number
            ]  # fmt: skip

        return World(mine(self.episodes), self.issues, mine(self.customers))


_AMOUNTS = st.dictionaries(st.sampled_from(["", "EUR", "JPY", "KWD"]), st.integers(1, 9_000), max_size=3).map(
    lambda found: tuple(Money(currency=code, minor=minor) for code, minor in sorted(found.items()))
)


@st.composite
def worlds(draw: st.DrawFn, days: int = 12) -> World:
    """Up to 8 customers, 4 issues and 30 revisions of episodes over some days, late by at most a day."""
    minutes = st.integers(0, days * 24 * 60)
    names = [f"c-{number}" for number in range(draw(st.integers(1, 8)))]
    return World(
        episodes=_episodes(draw, names, minutes),
        issues=_issues(draw, minutes),
        customers=draw(st.lists(st.builds(
            lambda name, value, at: customer(name, value_cents=value, updated_at_ms=T0 + at),
            st.sampled_from(names), st.integers(-500, 90_000), st.integers(0, 3)), max_size=8)),
    )  # fmt: skip


def _episodes(draw: st.DrawFn, names: Sequence[str], minutes: st.SearchStrategy[int]) -> list[Any]:
    """Episodes grow: each revision of one holds all leaves of the earlier; for some there is word, up to a month later,
    that all so far was put right. Watermarks follow at most a day late."""
    known: dict[tuple[Any, ...], Episode] = {}
    arrivals = []
    for _ in range(draw(st.integers(0, 30))):
        at = T0 + draw(minutes) * MINUTE
        name, signal = draw(st.sampled_from(names)), draw(st.sampled_from(["app", "payment"]))
        version, length = draw(st.sampled_from(["5.1.0", "5.2.0"])), draw(st.integers(0, 20)) * MINUTE
        one = episode(
            name, at, version=version, last=min(at + length, (at // HOUR + 1) * HOUR - 1), signal=signal,
            contacted_at_ms=draw(st.sampled_from([None, at + 5 * MINUTE])), amounts=draw(_AMOUNTS),
            origin=draw(st.sampled_from(["live", "replay", "drill"])),
        )  # fmt: skip
        arrivals.append((at + draw(st.integers(0, 24 * 60)) * MINUTE, one, False))
        if draw(st.booleans()):
            arrivals.append((at + draw(st.integers(0, 27 * 24 * 60)) * MINUTE, one, True))
    arrivals.sort(key=lambda arrival: arrival[0])
    stream: list[Any] = []
    for arrived, one, right in arrivals:
        key = (one.customer_id, one.signal, one.window_ms)
        if right and key not in known:
            continue
        known[key] = _mended(known[key], arrived) if right else _grown(known.get(key), one)
        stream.append(known[key])
        if draw(st.booleans()):
            stream.append(mark(arrived))
    return [*stream, mark(END)]


def _mended(old: Episode, at: int) -> Episode:
    leaves = tuple(leaf.model_copy(update={"put_right_ms": max(at, leaf.last_ms)}) for leaf in old.leaves)
    return old.model_copy(update={"leaves": leaves})


def _grown(old: Episode | None, new: Episode) -> Episode:
    if old is None:
        return new
    contacts = [at for at in (old.contacted_at_ms, new.contacted_at_ms) if at is not None]
    return new.model_copy(update={
        "leaves": tuple(sorted((*old.leaves, *new.leaves), key=lambda leaf: leaf.first_ms)),
        "first_failed_ms": min(old.first_failed_ms, new.first_failed_ms),
        "last_failed_ms": max(old.last_failed_ms, new.last_failed_ms),
        "contacted_at_ms": min(contacts) if contacts else None,
        "amounts": tuple(
            Money(currency=code, minor=max(one.minor for one in (*old.amounts, *new.amounts) if one.currency == code))
            for code in sorted({one.currency for one in (*old.amounts, *new.amounts)})
        ),
    })  # fmt: skip


def _issues(draw: st.DrawFn, minutes: st.SearchStrategy[int]) -> list[Any]:
    """Issues as detect sends them: revisions in order of time, an end is the time of its revision, marks between."""
    revisions: list[Issue] = []
    for number in range(draw(st.integers(1, 4))):
        at = T0 + draw(minutes) * MINUTE
        one = issue(
            f"i-{number}", at, signal=draw(st.sampled_from(["app", "payment"])),
            cause=cause(**draw(st.sampled_from([{}, {"app_version": "5.2.0"}, {"region": "FR"}]))),
        )  # fmt: skip
        if draw(st.booleans()):
            revisions.append(one.model_copy(update={"state": "suspected", "cause": cause(region="DE")}))
        revisions.append(one)
        if draw(st.booleans()):
            revisions.append(resolved(one, at + draw(st.integers(1, 2_000)) * MINUTE))
    revisions.sort(key=lambda one: one.updated_at_ms)
    stream: list[Any] = []
    for one in revisions:
        if draw(st.booleans()):
            stream.append(mark(one.updated_at_ms))
        stream.append(one)
    return [*stream, mark(END)]


def interleave(draw: st.DrawFn, streams: dict[str, list[Any]]) -> list[tuple[str, list[Any]]]:
    """Batches of the streams in any interleaving and any cut that keeps each stream's order."""
    left = {noun: list(records) for noun, records in streams.items() if records}
    batches = []
    while left:
        noun = draw(st.sampled_from(sorted(left)))
        size = draw(st.integers(1, len(left[noun])))
        batches.append((noun, left[noun][:size]))
        left[noun] = left[noun][size:]
        if not left[noun]:
            del left[noun]
    return batches


def run_interleaved(draw: st.DrawFn, runner: Runner, streams: dict[str, list[Any]], choices: int) -> Runner:
    """Feed the streams interleaved and cut as drawn, to the end; after each batch one of ``choices`` + 1: die and come
    back, flush, or (the others) nothing."""
    for noun, records in interleave(draw, streams):
        runner.feed(noun, *records)
        match draw(st.integers(0, choices)):
            case 0:
                runner.restart()
            case 1:
                runner.flush()
            case _:
                pass
    runner.flush()
    return runner
