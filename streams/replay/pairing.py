"""Which issue of one run is the same problem as which issue of another.

Ids do not tell: an issue that is seen a minute earlier has another one. Two issues are taken for the same problem if
they are about the same line and signal, overlap in event time, and are *related*: their causes share a pair of
attribute and value, or one is the whole line, or at least half of the customers of the smaller one are in both. Of all
ways to pair them off the one with the highest sum of likenesses is taken (the assignment problem).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
from scipy.optimize import linear_sum_assignment

from streams.replay.findings import FoundIssue

Paired = tuple[FoundIssue | None, FoundIssue | None]
"""The issue in the first run, in the second."""
LEAST_SHARED = 0.5


def pair_issues(ours: Sequence[FoundIssue], theirs: Sequence[FoundIssue]) -> list[Paired]:
    """Pair off the issues of two runs, sorted by their beginning; None stands where one run has none."""
    found: list[Paired] = []
    for _, group in groupby(sorted([*((one, 0) for one in ours), *((one, 1) for one in theirs)], key=_turn), _family):
        members = list(group)
        found += _paired([one for one, run in members if not run], [one for one, run in members if run])
    return sorted(found, key=_beginning)


def _turn(member: tuple[FoundIssue, int]) -> tuple[str, str, int, int, str]:
    issue, run = member
    return issue.line, issue.signal, run, issue.began_ms, issue.issue_id


def _family(member: tuple[FoundIssue, int]) -> tuple[str, str]:
    return member[0].line, member[0].signal


def _beginning(pair: Paired) -> tuple[int, str]:
    return min((issue.began_ms, issue.issue_id) for issue in pair if issue is not None)


def _paired(ours: Sequence[FoundIssue], theirs: Sequence[FoundIssue]) -> Iterable[Paired]:
    likeness = np.array([[_likeness(one, other) for other in theirs] for one in ours]).reshape(len(ours), len(theirs))
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    chosen = {int(row): int(column) for row, column in zip(rows, columns, strict=True) if likeness[row, column] > 0}
    for row, one in enumerate(ours):
        yield (one, theirs[chosen[row]]) if row in chosen else (one, None)
    for column in sorted(set(range(len(theirs))) - set(chosen.values())):
        yield None, theirs[column]


def _likeness(one: FoundIssue, other: FoundIssue) -> float:
    """How alike two issues of one line and signal are, 0 (two problems) to 6 (in nothing different)."""
    overlap = _overlap(one, other)
    smaller = min(len(one.customers), len(other.customers))
    both = len(one.customers & other.customers)
    cause = _shared(one.cause.items(), other.cause.items())
    related = cause > 0 or not one.cause or not other.cause or (smaller > 0 and both >= LEAST_SHARED * smaller)
    if overlap == 0 or not related:
        return 0.0
    return 1 + 2 * cause + overlap + 2 * both / max(len(one.customers | other.customers), 1)


def _shared(one: Iterable[tuple[str, str]], other: Iterable[tuple[str, str]]) -> float:
    """Share of all pairs that are in both; 1 for two whole lines."""
    ours, theirs = set(one), set(other)
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0


def _overlap(one: FoundIssue, other: FoundIssue) -> float:
    """Share of the time of both that they have in common: (0, 1], 0 if they do not meet.

    What goes on for ever is taken to end where the other ends, so that two open issues are alike in this.
    """
    ends = [math.inf if issue.ended_ms is None else issue.ended_ms for issue in (one, other)]
    first, last = max(one.began_ms, other.began_ms), min(ends)
    if first > last:
        return 0.0
    if last == math.inf:
        return 1.0
    known = [end for end in ends if end < math.inf]
    whole = max(known) - min(one.began_ms, other.began_ms)
    return max((last - first) / whole, 0.001) if whole > 0 else 1.0
