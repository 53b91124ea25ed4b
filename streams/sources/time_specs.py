"""Time specifications of a mapping: local times, epochs, other times plus or minus something.

| form | time |
|---|---|
| `scheduled` | a time named under `times:` |
| `{field: ts, format: iso}` | a field; formats iso, epoch_s, epoch_ms, or a strptime pattern such as "%d.%m.%Y %H:%M" |
| `{text: "{day} {clock}", format: "%Y-%m-%d %H:%M"}` | several fields put together |
| `{field: dep, format: hhmm, date: "{year}-{month}-{day}"}` | a clock time on a day (`date_format`, default %Y-%m-%d) |
| `{time: scheduled}` | a named time, to change it |

Changes: `plus: 30m`, `minus: 2h`, `plus: {field: delay, unit: minutes}`; `near: scheduled` moves a clock time by
whole days to where it is nearest to another time (a departure after midnight); `zone: Europe/Berlin` beats the file's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from schemas.errors import MalformedEvent
from schemas.topics import DAY_MS
from streams.sources.node import Node
from streams.sources.times import NAMED_FORMATS, UNIT_NAMES, duration_ms, hhmm_on, parser
from streams.sources.values import Fields, Scope, Value, broken, compile_value, lookup, template
from streams.sources.zones import zone_of

_KEYS = ("field", "text", "time", "format", "zone", "date", "date_format", "plus", "minus", "near")


def compile_time(node: Node, scope: Scope) -> Value:
    """From a row to ms UTC, or None if the value is absent. Raises MalformedEvent naming the path if it is wrong."""
    if isinstance(node.value, str):
        return _named(node, scope)
    entries = node.fields(_KEYS)
    given = [name for name in ("field", "text", "time") if name in entries]
    if len(given) != 1:
        node.refuse("exactly one of field, text or time is needed.")
    base = _named(entries["time"], scope) if given[0] == "time" else _parsed(node, entries, given[0], scope)
    if "near" in entries:
        base = _nearest(base, _named(entries["near"], scope))
    for name, sign in (("plus", 1), ("minus", -1)):
        if name in entries:
            base = _moved(base, _shift(entries[name], scope), sign)
    return base


def _named(node: Node, scope: Scope) -> Value:
    name = node.text()
    if name not in scope.times:
        node.refuse(f"there is no time {name!r} above this line.", scope.times)
    return scope.times[name]


def _parsed(node: Node, entries: dict[str, Node], source: str, scope: Scope) -> Value:
    zone_rules = replace(scope.zone_rules, zone=zone_of(entries["zone"])) if "zone" in entries else scope.zone_rules
    named = entries[source]
    value = lookup(named.text(), named) if source == "field" else template(named, scope)
    form = _format(entries)
    if form == "hhmm":
        if "date" not in entries:
            node.refuse('format hhmm needs date, as in date: "{year}-{month}-{day}".')
        return _clock_time(node, value, entries, replace(scope, zone_rules=zone_rules))
    if "date" in entries:
        entries["date"].refuse("is only for format hhmm.")
    return _guarded(node, value, parser(form, zone_rules), "epoch" if form.startswith("epoch") else form)


def _format(entries: dict[str, Node]) -> str:
    if "format" not in entries:
        return "iso"
    form = entries["format"].text()
    if form not in NAMED_FORMATS and "%" not in form:
        entries["format"].refuse(f"{form!r} is no time format.", (*NAMED_FORMATS, "a pattern such as %Y-%m-%d %H:%M"))
    return form


def _clock_time(node: Node, value: Value, entries: dict[str, Node], scope: Scope) -> Value:
    pattern = entries["date_format"].text() if "date_format" in entries else "%Y-%m-%d"
    day_of = _guarded(entries["date"], template(entries["date"], scope), _day_parser(pattern), pattern)

    def both(fields: Fields) -> tuple[Any, date] | None:
        found = value(fields)
        if found is None:
            return None
        day = day_of(fields)
        if day is None:
            raise broken(entries["date"].path, "date is there")
        return found, day

    return _guarded(node, both, lambda pair: hhmm_on(pair[0], pair[1], scope.zone_rules), "hhmm")


def _day_parser(pattern: str) -> Callable[[object], date]:
    days: dict[str, date] = {}

    def day(value: object) -> date:
        text = str(value)
        if text not in days:
            if len(days) > 1_000:
                days.clear()
            days[text] = datetime.strptime(text, pattern).replace(tzinfo=UTC).date()
        return days[text]

    return day


def _guarded(node: Node, value: Value, parse: Callable[[Any], Any], form: str) -> Value:
    def get(fields: Fields) -> Any:
        found = value(fields)
        if found is None:
            return None
        try:
            return parse(found)
        except MalformedEvent as error:
            raise broken(node.path, error.rule) from None
        except (ValueError, TypeError, OverflowError):
            shown = found[0] if isinstance(found, tuple) else found
            raise broken(node.path, f"is a time of format {form}", shown) from None

    return get


def _shift(node: Node, scope: Scope) -> Value:
    """A duration (``30m``) or a field that holds a number of units, in ms."""
    if not isinstance(node.value, dict):
        fixed = int(node.parsed(duration_ms, "a duration such as 90s, 30m, 2h or 1d"))
        return lambda _: fixed
    entries = node.fields(("field", "unit"), required=("field", "unit"))
    factor = UNIT_NAMES[entries["unit"].text(tuple(UNIT_NAMES))]
    number = compile_value(replace(node, value={"field": entries["field"].value}), scope, "float")
    return lambda fields: None if (found := number(fields)) is None else round(found * factor)


def _moved(base: Value, shift: Value, sign: int) -> Value:
    def moved(fields: Fields) -> int | None:
        start, by = base(fields), shift(fields)
        return None if start is None or by is None else start + sign * by

    return moved


def _nearest(base: Value, anchor: Value) -> Value:
    def nearest(fields: Fields) -> int | None:
        at, near = base(fields), anchor(fields)
        return at if at is None or near is None else int(at + round((near - at) / DAY_MS) * DAY_MS)

    return nearest
