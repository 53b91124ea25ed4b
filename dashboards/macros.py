"""The macros of Grafana's ClickHouse data source that our SQL uses, expanded as its back end and its page do.

Only these exist here; an unknown macro is an error, so that no panel comes to depend on one that older servers lack.
A variable is read as ``${name:sqlstring}``, which quotes every value, and stands inside ``$__conditionalAll``; one that
names a database as ``${name:raw}``, whose value must be an identifier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CALL = re.compile(r"\$__(\w+)|\$\{(\w+):(sqlstring|raw)\}")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,127}", re.ASCII)
_WITH_ARGUMENT = {"timeFilter", "timeFilter_ms", "timeInterval"}

Chosen = Mapping[str, tuple[str, ...]]
"""Variable -> the values chosen; a variable that is not named, or has none, is All."""


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


def expand(sql: str, span: Range, chosen: Chosen | None = None) -> str:
    """SQL with every macro and variable replaced.

    Raises ValueError for a macro that is not supported or incomplete, and for a database without or with a wrong name.
    """
    values = chosen or {}
    parts, at = [], 0
    while found := _CALL.search(sql, at):
        parts.append(sql[at : found.start()])
        if found[2]:
            parts.append((_quoted if found[3] == "sqlstring" else _identifier)(values.get(found[2], ())))
            at = found.end()
            continue
        argument, end = _argument(sql, found.end())
        if found[1] == "conditionalAll":
            parts.append(_conditional(argument, span, values))
            at = end
            continue
        parts.append(_expansion(found[1], argument, span))
        at = end if argument is not None and found[1] in _WITH_ARGUMENT else found.end()
    return "".join([*parts, sql[at:]])


def literal(text: str) -> str:
    """A text as a literal of ClickHouse, where a backslash escapes; a quote is doubled, as Grafana does it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _quoted(values: tuple[str, ...]) -> str:
    r"""Every value as a literal.

    >>> _quoted(("it's", "a\\b"))
    "'it''s','a\\\\b'"
    """
    return ",".join(map(literal, values)) or "''"


def _identifier(values: tuple[str, ...]) -> str:
    if len(values) != 1 or not _IDENTIFIER.fullmatch(values[0]):
        raise ValueError("a variable that names a database holds no name of one")
    return values[0]


def _conditional(argument: str | None, span: Range, chosen: Chosen) -> str:
    condition, comma, name = (argument or "").rpartition(",")
    if not comma or not name.strip().startswith("$"):
        raise ValueError("macro $__conditionalAll lacks its condition or its variable")
    return f"({expand(condition.strip(), span, chosen)})" if chosen.get(name.strip()[1:]) else "1=1"


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
