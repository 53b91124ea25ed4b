"""Which values of attributes many customers had, and since when: only such a value may become words in a message.

Anybody who can send an event can write into its attributes, and a cause is told to customers. A value is familiar from
the bin on in which the 20th distinct customer was seen with it; the join tells of one bin in five minutes, so that this
is a lower bound. Per value the first 20 customers (by bin, then hash) are kept: a set that does not depend on the order
in which the partitions' records arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

ENOUGH = 20
"""Distinct customers with a value before it is familiar."""
MOST = 20_000
"""Values that are remembered. Where made-up ones take the places, those of the fewest customers make room: no flood can
keep a real value from becoming familiar for ever, and none that is familiar is forgotten."""

Key = tuple[str, str, str, str]
"""Service line, family, attribute, value."""
First = tuple[int, int]
"""Bin in which a customer was first seen with the value, hash of the customer."""


class Familiar:
    """The first customers of every value."""

    def __init__(self, most: int = MOST) -> None:
        """Know nobody; remember at most so many values."""
        self.most = most
        self.first: dict[Key, list[First]] = {}
        self.changed: set[Key] = set()

    def note(self, record: Any) -> None:
        """Take in one ``ValuesSeen``."""
        for seen in record.values:
            key = (record.line, record.signal, seen.attribute, seen.value)
            known = self.first.get(key)
            full = known is not None and len(known) == ENOUGH and known[-1][0] < record.bin_ms
            if full or (known is None and not self._room()):
                continue
            found = _earliest(known or [], record.bin_ms, seen.customers)
            if found != known:
                self.first[key] = found
                self.changed.add(key)

    def _room(self) -> bool:
        """Is there a place for one more value? If not, half of those that are not familiar go."""
        if len(self.first) < self.most:
            return True
        open_ = sorted((len(first), first[0], key) for key, first in self.first.items() if len(first) < ENOUGH)
        for *_, key in open_[: (len(open_) + 1) // 2]:
            del self.first[key]
            self.changed.add(key)
        return len(self.first) < self.most

    def before(self, key: Key, time_ms: int) -> bool:
        """Had enough customers the value in bins that start before ``time_ms``?"""
        first = self.first.get(key, [])
        return len(first) == ENOUGH and first[-1][0] < time_ms


def _earliest(known: list[First], bin_ms: int, customers: Iterable[int]) -> list[First]:
    """The first ``ENOUGH`` of those known and of ``customers``, who were seen in ``bin_ms``.

    >>> _earliest([(10, 7)], 0, (7, 8))
    [(0, 7), (0, 8)]
    """
    bins = {who: at for at, who in known}
    for who in customers:
        bins[who] = min(bins.get(who, bin_ms), bin_ms)
    return sorted((at, who) for who, at in bins.items())[:ENOUGH]
