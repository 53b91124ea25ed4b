"""The intervals in which a customer's failure was put right, worked out from successive revisions of the record.

A revision states what holds in the end (put right since then, or not) and, hour by hour, when all was right before. A
decision about an earlier time needs what held then, so the revisions are folded into half-open intervals of event time;
the last may have no end yet::

    failed      put right    failed again    put right
    ---|------------|==============|-------------|=========== ...
                    [ put right    )             [ put right, no end yet
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.core.recovery import Interval, Intervals, merged


def revised(
    right: Intervals, put_right_ms: int | None, last_failed_ms: int, known: Iterable[Interval] = ()
) -> Intervals:
    """The intervals after one more revision; ``known``: those that it names itself.

    A revision that is no longer put right ends the open interval at the new failure. If no failure is newer than its
    start, an earlier one turned out not to be put right, or at another time: then that interval never was. Where it
    names an interval, it knows better than earlier revisions when that began and ended.

    >>> revised(((5, None),), None, 9), revised(((5, None),), None, 4), revised(((5, 9),), 12, 9)
    (((5, 9),), (), ((5, 9), (12, None)))
    >>> revised(((5, 9),), None, 9, [(5, 7)]), revised(((5, None),), None, 9, [(5, 7)])
    (((5, 7),), ((5, 7),))
    """
    named = tuple(known)
    ended = tuple(stretch for stretch in right if stretch[1] is not None)
    since = right[-1][0] if len(right) > len(ended) else None
    if since is not None and last_failed_ms > since and (put_right_ms is None or put_right_ms > since):
        ended = (*ended, (since, last_failed_ms))
    return merged([*_unnamed(ended, named), *named, *([] if put_right_ms is None else [(put_right_ms, None)])])


def _unnamed(right: Intervals, named: Intervals) -> list[Interval]:
    """Those that have no time in common with one that is named."""
    return [one for one in right if not any(_overlap(one, other) for other in named)]


def right_at(right: Intervals, at_ms: int) -> bool:
    """True if it was put right at or before ``at_ms`` and has not failed again by then."""
    return any(since <= at_ms and (until is None or at_ms < until) for since, until in right)


def changed_from(old: Intervals, new: Intervals) -> int | None:
    """The earliest time, ms, at which only one of the two is put right; None if they are the same.

    >>> changed_from((), ((5, None),)), changed_from(((5, None),), ((5, 9),)), changed_from(((5, 9),), ((5, 9),))
    (5, 9, None)
    """
    edges = sorted({at for interval in (*old, *new) for at in interval if at is not None})
    return next((at for at in edges if right_at(old, at) != right_at(new, at)), None)


def in_common(many: Iterable[Intervals]) -> Intervals:
    """Where all of them are right at once; nothing if there is none.

    >>> in_common([((1, 5), (8, None)), ((3, None),)])
    ((3, 5), (8, None))
    """
    rows = list(many)
    common: Intervals = rows[0] if rows else ()
    for other in rows[1:]:
        common = tuple(
            (max(a, c), _earlier(b, d)) for a, b in common for c, d in other if _overlap((a, b), (c, d))
        )
    return common


def _earlier(one: int | None, other: int | None) -> int | None:
    ends = [end for end in (one, other) if end is not None]
    return min(ends) if ends else None


def _overlap(one: Interval, other: Interval) -> bool:
    end = _earlier(one[1], other[1])
    return end is None or max(one[0], other[0]) < end
