"""The macros of Grafana's ClickHouse data source that our SQL uses, expanded as its backend does.

Only these exist here; an unknown macro is an error, so that no panel comes to depend on one that older servers lack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CALL = re.compile(r"\$__(\w+)")


@dataclass(frozen=True, slots=True)
class Range:
    """The time range of a board, ms since 1970 UTC, and the width of one point of a chart in seconds."""

    from_ms: int
    to_ms: int
    interval_s: int

    @classmethod
    def ending(cls, to_ms: int, hours: float, points: int = 180) -> Range:
        """The last ``hours`` before ``to_ms`` in about ``points`` points of a round number of bins."""
        width_ms = int(hours * 3_600_000)
        interval_s = max(10, -(-width_ms // (points * 10_000)) * 10)
        return cls(max(to_ms - width_ms, 0), to_ms, interval_s)


def expand(sql: str, span: Range) -> str:
    """SQL with every macro replaced. Raises ValueError for a macro that is not supported or lacks its argument."""
    parts, at = [], 0
    while found := _CALL.search(sql, at):
        argument, end = _argument(sql, found.end())
        parts += [sql[at : found.start()], _expansion(found[1], argument, span)]
        at = end if argument is not None and found[1] in _WITH_ARGUMENT else found.end()
    return "".join([*parts, sql[at:]])


_WITH_ARGUMENT = {"timeFilter", "timeFilter_ms", "timeInterval"}


def _expansion(name: str, argument: str | None, span: Range) -> str:
    first, last = span.from_ms // 1000, span.to_ms // 1000
    plain = {
        "interval_s": str(span.interval_s),
        "fromTime": f"toDateTime({first})",
        "toTime_ms": f"fromUnixTimestamp64Milli({span.to_ms})",
    }
    if name in plain:
        return plain[name]
    if name not in _WITH_ARGUMENT or not argument:
        raise ValueError(f"macro $__{name} is not supported here, or lacks its argument")
    if name == "timeFilter":
        return f"{argument} >= toDateTime({first}) AND {argument} <= toDateTime({last})"
    if name == "timeFilter_ms":
        low, high = (f"fromUnixTimestamp64Milli({edge})" for edge in (span.from_ms, span.to_ms))
        return f"{argument} >= {low} AND {argument} <= {high}"
    return f"toStartOfInterval(toDateTime({argument}), INTERVAL {span.interval_s} second)"


def _argument(sql: str, start: int) -> tuple[str | None, int]:
    """Text between the parentheses that open at ``start`` (None if none do), and where they end."""
    if start >= len(sql) or sql[start] != "(":
        return None, start
    depth = 0
    for position in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[position], 0)
        if depth == 0:
            return sql[start + 1 : position].strip(), position + 1
    raise ValueError("a macro's parenthesis is not closed")
