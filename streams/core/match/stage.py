"""match: whom does an issue hit? A symmetric join of retained episodes and retained issues, per customer partition.

Result: for every issue past "suspected", the customers with evidence in its cause. Whatever arrives first waits for
the other side, so the result does not depend on the order of arrival. Only evidence that detect has stepped past
(``first_ms`` before the issue watermark) is matched: an end of the issue that is not yet known can then never take a
customer back. A customer's failure is put right when every part of the evidence is.

Memory: one small struct per retained episode, one per (issue, customer); both are dropped ``retention_ms`` of event
time after they can matter, which changes no result. Only what waits to be put right stays longer, ``unrepaired_ms``: an
episode that is evidence in an issue, and an issue with such a customer.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.findings import Affected, AffectedCount, Watermark
from schemas.hotfindings import affected, respite
from streams.core.amounts import amounts_of, as_money, as_records, largest, listed, owned
from streams.core.context import FUTURE_MS, CustomerUpdate, Erasure, Sweep, Unreadable
from streams.core.match.evidence import (
    MINUTE_MS,
    EpisodeKey,
    Hit,
    IssueTotals,
    MatchRules,
    Member,
    RetainedEpisode,
    RetainedIssue,
    RetainedLeaf,
    Worth,
    evidence,
    merge,
    stored,
)
from streams.core.recovery import gaps
from streams.core.stage import Batch, Drained, Idle, Message

__all__ = ["MatchRules", "MatchStage", "MatchState"]

MOST_CENTS = 1_000_000_000_000
"""The contract's bound of margins; larger sums are cut to it."""


@dataclass(slots=True)
class MatchState:
    """State of one customer partition."""

    partition: int
    episodes: dict[EpisodeKey, RetainedEpisode] = field(default_factory=dict)
    by_kind: dict[tuple[str, str], set[EpisodeKey]] = field(default_factory=dict)
    issues: dict[str, RetainedIssue] = field(default_factory=dict)
    issues_by_kind: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    members: dict[str, dict[str, Member]] = field(default_factory=dict)
    totals: dict[str, IssueTotals] = field(default_factory=dict)
    worth: dict[str, Worth] = field(default_factory=dict)
    issues_of: dict[str, set[str]] = field(default_factory=dict)
    episode_ms: int = 0
    issue_ms: int = 0
    emitted_ms: int = 0
    stored_marks: tuple[int, int, int] = (0, 0, 0)
    emitted_as_of: dict[str, int] = field(default_factory=dict)
    pending: list[tuple[int, EpisodeKey]] = field(default_factory=list)
    oldest: list[tuple[int, EpisodeKey]] = field(default_factory=list)
    dirty_episodes: set[EpisodeKey] = field(default_factory=set)
    dirty_issues: set[str] = field(default_factory=set)
    dirty_members: set[tuple[str, str]] = field(default_factory=set)
    changed: dict[bytes, bytes | None] = field(default_factory=dict)


def _key(*parts: str | int) -> bytes:
    return msgspec.json.encode(parts)


class MatchStage:
    """The stage. State keys are JSON arrays: e episode, i issue, c customer's margin, b folded evidence, w marks."""

    def __init__(self, rules: MatchRules | None = None) -> None:
        """Keep the rules."""
        self.rules = rules or MatchRules()

    def start(self, partition: int, partitions: int) -> MatchState:
        """An empty partition; the number of partitions does not matter to matching."""
        del partitions
        return MatchState(partition)

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> MatchState:
        """Rebuild the state: what was drained together is consistent, so nothing is emitted again."""
        state = self.start(partition, partitions)
        for key, value in items:
            self._restore(state, msgspec.json.decode(key), value)
        for held in state.episodes:
            self._evaluate(state, held)
        for issue in state.issues:
            for customer, member in state.members[issue].items():
                self._count(state, issue, customer, member)
            state.emitted_as_of[issue] = self._as_of(state, state.issues[issue])
        state.dirty_members.clear()
        state.dirty_issues.clear()
        return state

    def _restore(self, state: MatchState, key: list[Any], value: bytes) -> None:
        match key:
            case ["e", *_]:
                self._hold(state, stored(value, RetainedEpisode))
            case ["i", *_]:
                self._keep(state, msgspec.json.decode(value, type=RetainedIssue))
            case ["c", str(customer)]:
                state.worth[customer] = msgspec.json.decode(value, type=Worth)
            case ["b", str(issue), str(customer)]:
                hit = stored(value, Hit)
                own = msgspec.structs.replace(hit, amounts=largest(owned(hit.amounts, self.rules.currency)))
                state.members.setdefault(issue, {}).setdefault(customer, Member()).base = own
            case ["w"]:
                state.stored_marks = msgspec.json.decode(value, type=tuple[int, int, int])
                state.episode_ms, state.issue_ms, state.emitted_ms = state.stored_marks

    def step(self, state: MatchState, batch: Batch | Idle) -> None:
        """Take in episodes, issues, customers and watermarks; the join itself is done once per drain."""
        if isinstance(batch, Idle):
            self._advance(state, batch.event_time_ms, batch.topics)
            return
        for index, record in enumerate(batch.records):
            if batch.topic == "customer":
                self._take_customer(state, record, batch.timestamps[index] if batch.timestamps else None)
            elif getattr(record, "kind", "") == "watermark":
                self._advance(state, record.through_ms, (batch.topic,))
            elif batch.topic == "episode":
                self._take_episode(state, record)
            elif batch.topic == "issue":
                self._take_issue(state, record)

    def _advance(self, state: MatchState, time_ms: int, topics: Iterable[str]) -> None:
        if "episode" in topics:
            state.episode_ms = max(state.episode_ms, time_ms)
        if "issue" in topics:
            state.issue_ms = max(state.issue_ms, time_ms)

    def _take_episode(self, state: MatchState, record: Any) -> None:
        episode = RetainedEpisode(
            customer=record.customer_id, line=record.line, signal=record.signal, window_ms=record.window_ms,
            attributes=tuple(record.attributes),
            leaves=tuple(_leaf_of(leaf) for leaf in record.leaves),
            last_ms=record.last_failed_ms, contacted_ms=record.contacted_at_ms, amounts=amounts_of(record.amounts),
        )  # fmt: skip
        key = self._hold(state, episode)
        state.dirty_episodes.add(key)
        state.changed[_key("e", *key)] = msgspec.json.encode(episode)

    def _hold(self, state: MatchState, episode: RetainedEpisode) -> EpisodeKey:
        key = (episode.customer, episode.line, episode.signal, episode.window_ms)
        held = state.episodes.get(key)
        if held is None:
            state.by_kind.setdefault((episode.line, episode.signal), set()).add(key)
        if held is None or (held.unrepaired and not episode.unrepaired):
            heapq.heappush(state.oldest, (episode.last_ms, key))
        state.episodes[key] = episode
        return key

    def _take_issue(self, state: MatchState, record: Any) -> None:
        old = state.issues.get(record.issue_id)
        if record.state == "suspected" or (old and record.updated_at_ms < old.updated_ms):
            return
        case = RetainedIssue(
            issue=record.issue_id, root=record.root_id, line=record.line, signal=record.signal,
            cause=dict(record.cause.attributes), opened_ms=record.opened_at_ms, detected_ms=record.detected_at_ms,
            updated_ms=record.updated_at_ms, resolved_ms=record.resolved_at_ms,
        )  # fmt: skip
        self._keep(state, case)
        state.changed[_key("i", case.issue)] = msgspec.json.encode(case)
        state.dirty_issues.add(case.issue)
        if old is None or (old.cause, old.opened_ms, old.resolved_ms) != (case.cause, case.opened_ms, case.resolved_ms):
            state.dirty_episodes |= state.by_kind.get((case.line, case.signal), set())

    def _keep(self, state: MatchState, case: RetainedIssue) -> None:
        state.issues[case.issue] = case
        state.issues_by_kind.setdefault((case.line, case.signal), set()).add(case.issue)
        state.members.setdefault(case.issue, {})
        state.totals.setdefault(case.issue, IssueTotals())

    def _take_customer(self, state: MatchState, update: CustomerUpdate | Sweep, appended_ms: int | None) -> None:
        """The newest profile's margin counts; one that claims to be from the future of this one hides nothing."""
        if isinstance(update, Sweep) and state.worth.pop(update.customer_id, None) is not None:
            state.changed[_key("c", update.customer_id)] = None
        if isinstance(update, Unreadable | Sweep):
            return
        old = state.worth.get(update.customer_id)
        if isinstance(update, Erasure):
            worth = Worth(update.erased_at_ms + FUTURE_MS + 1, None)
        else:
            worth = Worth(update.updated_at_ms, update.value_cents)
            masked = old is not None and appended_ms is not None and old.updated_at_ms > appended_ms + 2 * FUTURE_MS
            if old is not None and not masked and worth.updated_at_ms < old.updated_at_ms:
                return
        state.worth[update.customer_id] = worth
        state.changed[_key("c", update.customer_id)] = msgspec.json.encode(worth)
        if old is None or old.value_cents != worth.value_cents:
            issues = state.issues_of.get(update.customer_id, set())
            state.dirty_members |= {(issue, update.customer_id) for issue in issues}

    def drain(self, state: MatchState) -> Drained:
        """Affected (by issue, customer), AffectedCount (by issue), then the watermark; state keys sorted."""
        while state.pending and state.pending[0][0] < state.issue_ms:
            state.dirty_episodes.add(heapq.heappop(state.pending)[1])
        for key in state.dirty_episodes:
            self._evaluate(state, key)
        state.dirty_episodes.clear()
        messages = self._affected(state)
        messages += self._counts(state)
        self._evict(state)
        messages += self._watermark(state)
        changes = sorted(state.changed.items())
        state.changed = {}
        return Drained(changes, messages)

    def _evaluate(self, state: MatchState, key: EpisodeKey) -> None:
        """Join one episode with every issue of its line and signal."""
        episode = state.episodes.get(key)
        if episode is None:
            return
        pending = [leaf.first_ms for leaf in episode.leaves if leaf.first_ms >= state.issue_ms]
        if pending:
            heapq.heappush(state.pending, (min(pending), key))
        for issue in state.issues_by_kind.get((episode.line, episode.signal), ()):
            hit = evidence(episode, state.issues[issue], state.issue_ms, self.rules)
            members = state.members[issue]
            member = members.get(episode.customer)
            if hit is not None:
                if member is None:
                    member = members[episode.customer] = Member()
                member.parts[episode.window_ms] = hit
            elif member is None or member.parts.pop(episode.window_ms, None) is None:
                continue
            state.dirty_members.add((issue, episode.customer))

    def _count(self, state: MatchState, issue: str, customer: str, member: Member) -> bool:
        """Bring the totals up to date with one member; True if anything about it changed."""
        total = member.total()
        worth = state.worth.get(customer)
        now = (total, worth.value_cents if worth else None) if total else None
        if now == member.counted:
            return False
        totals = state.totals[issue]
        if member.counted:
            totals.add(*member.counted, sign=-1)
        if now:
            totals.add(*now, sign=1)
            state.issues_of.setdefault(customer, set()).add(issue)
        member.counted = now
        return True

    def _affected(self, state: MatchState) -> list[Message]:
        messages = []
        for issue, customer in sorted(state.dirty_members):
            member = state.members.get(issue, {}).get(customer)
            if member is None or not self._count(state, issue, customer, member):
                continue
            state.dirty_issues.add(issue)
            if member.counted:
                record = _affected(state.issues[issue], customer, *member.counted)
                messages.append(Message("affected", customer, record, state.partition))
        state.dirty_members.clear()
        return messages

    def _counts(self, state: MatchState) -> list[Message]:
        messages = []
        for issue in sorted(state.issues):
            case = state.issues[issue]
            as_of = self._as_of(state, case)
            if issue in state.dirty_issues or state.emitted_as_of.get(issue) != as_of:
                state.emitted_as_of[issue] = as_of
                record = self._affected_count(state, case, as_of)
                messages.append(Message("affected_count", issue, record))
        state.dirty_issues.clear()
        return messages

    def _as_of(self, state: MatchState, case: RetainedIssue) -> int:
        """Time of the count: the minute that detect has reached, or the end of the issue. Equal in all partitions."""
        reached = max(state.issue_ms, case.detected_ms)
        return reached // MINUTE_MS * MINUTE_MS if case.resolved_ms is None else case.resolved_ms

    def _affected_count(self, state: MatchState, case: RetainedIssue, as_of_ms: int) -> AffectedCount:
        totals = state.totals[case.issue]
        last = as_of_ms // MINUTE_MS
        recent = sum(totals.first.get(minute, 0) for minute in range(last - self.rules.recent_ms // MINUTE_MS, last))
        return AffectedCount.model_construct(
            kind="affected_count", issue_id=case.issue, partition=state.partition, line=case.line, signal=case.signal,
            open=case.resolved_ms is None, affected=totals.affected, contacted=totals.contacted,
            silent=totals.affected - totals.contacted, recent=recent, value_cents=min(totals.value_cents, MOST_CENTS),
            valued=totals.valued, amounts=as_records(listed(totals.amounts)), as_of_ms=as_of_ms,
        )  # fmt: skip

    def _watermark(self, state: MatchState) -> list[Message]:
        through = min(state.episode_ms, state.issue_ms)
        advanced = through > state.emitted_ms
        state.emitted_ms = max(through, state.emitted_ms)
        marks = (state.episode_ms, state.issue_ms, state.emitted_ms)
        if marks != state.stored_marks:
            state.stored_marks = marks
            state.changed[_key("w")] = msgspec.json.encode(marks)
        if not advanced:
            return []
        record = Watermark(partition=state.partition, through_ms=through)
        return [Message("affected", "watermark", record, state.partition)]

    def _evict(self, state: MatchState) -> None:
        """Drop what no later input can change: issues first, then episodes, whose evidence is folded."""
        cutoff = min(state.episode_ms, state.issue_ms) - self.rules.retention_ms
        longer = self.rules.unrepaired_ms - self.rules.retention_ms
        over = [
            case for case in state.issues.values()
            if case.resolved_ms is not None
            and case.resolved_ms + (longer if state.totals[case.issue].unrepaired else 0) < cutoff
        ]  # fmt: skip
        for case in over:
            self._drop_issue(state, case.issue)
        while state.oldest and state.oldest[0][0] < cutoff:
            _, key = heapq.heappop(state.oldest)
            episode = state.episodes.get(key)
            if episode is None:
                continue  # two entries: it was put right meanwhile
            ends_ms = episode.last_ms + (longer if episode.unrepaired and _is_evidence(state, key) else 0)
            if ends_ms >= cutoff:
                heapq.heappush(state.oldest, (ends_ms, key))
            else:
                self._drop_episode(state, key)

    def _drop_issue(self, state: MatchState, issue: str) -> None:
        for customer, member in state.members.pop(issue).items():
            state.issues_of.get(customer, set()).discard(issue)
            if not state.issues_of.get(customer):
                state.issues_of.pop(customer, None)
            if member.base:
                state.changed[_key("b", issue, customer)] = None
        case = state.issues.pop(issue)
        state.issues_by_kind[(case.line, case.signal)].discard(issue)
        del state.totals[issue]
        state.emitted_as_of.pop(issue, None)
        state.changed[_key("i", issue)] = None

    def _drop_episode(self, state: MatchState, key: EpisodeKey) -> None:
        customer, line, signal, window = key
        for issue in sorted(state.issues_of.get(customer, ())):
            member = state.members[issue][customer]
            if state.issues[issue].line != line or state.issues[issue].signal != signal or window not in member.parts:
                continue
            member.base = merge([member.parts.pop(window), *([member.base] if member.base else [])])
            state.changed[_key("b", issue, customer)] = msgspec.json.encode(member.base)
        del state.episodes[key]
        state.by_kind[(line, signal)].discard(key)
        state.changed[_key("e", *key)] = None


def _leaf_of(leaf: Any) -> RetainedLeaf:
    return RetainedLeaf(tuple(leaf.values), leaf.first_ms, leaf.last_ms, leaf.put_right_ms, leaf.origin)


def _is_evidence(state: MatchState, key: EpisodeKey) -> bool:
    """True if the episode is part of what is known of its customer in an issue."""
    customer, line, signal, window = key
    return any(
        window in state.members[issue][customer].parts
        for issue in state.issues_of.get(customer, ())
        if (state.issues[issue].line, state.issues[issue].signal) == (line, signal)
    )


def _affected(case: RetainedIssue, customer: str, hit: Hit, value: int | None) -> Affected:
    return affected(
        case.issue, case.root, customer, case.line, case.signal, max(case.detected_ms, hit.first_ms), hit.first_ms,
        hit.last_ms, hit.contacted_ms, as_money(hit.amounts), value, hit.put_right_ms, hit.origin,
        tuple(respite(since, until) for since, until in gaps(hit.suffered)),
    )  # fmt: skip
