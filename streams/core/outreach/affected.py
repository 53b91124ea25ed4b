"""What the sender knows of everybody who was hit: whether it is put right by now, and whether it was real.

The newest record of each issue and customer, read before anything is sent: a customer whose failure was put right after
outreach decided gets no notice, and one whose failure is back gets no all-clear.
"""

from __future__ import annotations

import heapq
import sys
from typing import NamedTuple

from schemas.findings import Affected


class AffectedState(NamedTuple):
    """The newest revision, reduced: when the last of it was put right (none: it is not), times in ms."""

    put_right_ms: int | None
    last_failed_ms: int
    live: bool

    @property
    def newest_ms(self) -> int:
        """The last thing that happened."""
        return max(self.put_right_ms or 0, self.last_failed_ms)


class AffectedCustomers:
    """One state per (issue, customer); forgotten ``keep_ms`` after the last thing that happened."""

    def __init__(self, keep_ms: int) -> None:
        """Nothing is known."""
        self._keep_ms = keep_ms
        self._states: dict[tuple[str, str], AffectedState] = {}
        self._issues: dict[str, set[str]] = {}
        self._ends: list[tuple[int, tuple[str, str]]] = []

    def __len__(self) -> int:
        """How many (issue, customer) pairs are known."""
        return len(self._states)

    def learn(self, record: Affected) -> None:
        """The newest revision counts; they come in order, as all of one customer lie on one partition."""
        key = (sys.intern(record.issue_id), record.customer_id)
        one = AffectedState(record.put_right_ms, record.last_failed_ms, record.origin == "live")
        if key not in self._states:
            heapq.heappush(self._ends, (one.newest_ms + self._keep_ms, key))
            self._issues.setdefault(record.root_id, set()).add(key[0])
        self._states[key] = one

    def right(self, issue: str, customer: str, at_ms: int | None = None) -> bool:
        """True if this customer's failure is put right: by ``at_ms``, or (none) whenever that was."""
        one = self._states.get((issue, customer))
        return one is not None and _by(one, at_ms)

    def all_right(self, root: str, customer: str, at_ms: int | None = None) -> bool:
        """True if the customer was hit by the root issue and every onset that hit is put right."""
        states = [self._states.get((issue, customer)) for issue in self._issues.get(root, ())]
        known = [one for one in states if one is not None]
        return bool(known) and all(_by(one, at_ms) for one in known)

    def played(self, issue: str, customer: str) -> bool:
        """True if no failure behind it happened live."""
        one = self._states.get((issue, customer))
        return one is not None and not one.live

    def forget(self, now_ms: int) -> None:
        """Drop what is older than anybody asks for."""
        while self._ends and self._ends[0][0] < now_ms:
            _, key = heapq.heappop(self._ends)
            end_ms = self._states[key].newest_ms + self._keep_ms
            if end_ms >= now_ms:
                heapq.heappush(self._ends, (end_ms, key))
            else:
                del self._states[key]


def _by(one: AffectedState, at_ms: int | None) -> bool:
    return one.put_right_ms is not None and (at_ms is None or one.put_right_ms <= at_ms)
