"""Time specifications of a mapping: local times, epochs, other times plus or minus something.

| form | time |
|---|---|
| `scheduled` | a time named under `times:` |
| `{field: ts, format: iso}` | a field; for the formats see streams.sources.time_formats |
| `{text: "{day} {clock}", format: "%Y-%m-%d %H:%M"}` | several fields put together |
| `{field: dep, format: hhmm, date: "{year}-{month}-{day}"}` | a clock time on a day (`date_format`, default %Y-%m-%d) |
| `{time: scheduled}` | a named time, to change it; or a specification: `{time: {field: at}}` |
| `{plus: [{time: paid}, "{hours}", ...]}` | arithmetic that makes a time, see streams.sources.arithmetic |
| `{first_of: [shipped, {field: paid_at}, "Created at"]}` | the first that is there; text: a named time, else a field |

Changes: `plus: 30m`, `minus: 2h`, `plus: {field: delay, unit: minutes}` (any form of a number); `near: scheduled` moves
a clock time by whole days to where it is nearest to another time (a departure after midnight); `zone: Europe/Berlin`
beats the file's.

A value that names only a day means the start of the local day, and in a deadline (`promised_at_ms`) its end: what is
promised for 5 March may come until midnight. `plus` and `minus` count from there: a deadline of 5 March plus `1d` is
the end of 6 March, whole days being days of the calendar, also where one has 23 or 25 hours. `day: start` or `day: end`
says otherwise; with `day: end` 00:00 names only a day, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from schemas.errors import MalformedEvent
from schemas.events import MAX_TIME_MS
from schemas.topics import DAY_MS
from streams.sources.arithmetic import compile_arithmetic, operator_of
from streams.sources.fields import Fields, Scope, Value, broken, first_present, once_per_row, template
from streams.sources.members import MEMBER_KEYS, field_of
from streams.sources.node import Node
from streams.sources.time_formats import (
    MOMENTS,
    NAMED_FORMATS,
    DayRule,
    WrongTime,
    clock_minute,
    may_name_a_day,
    misread,
    parser,
    remembering,
)
from streams.sources.times import UNIT_NAMES, ZoneRules, duration_ms
from streams.sources.zones import zone_of

_SOURCES = ("field", "text", "time", "first_of")
_READING = (*MEMBER_KEYS, "format", "zone", "date", "date_format", "day")
_KEYS = (*_SOURCES, *_READING, "plus", "minus", "near")


def name_time(name: str, node: Node, scope: Scope) -> None:
    """Compile a time that others may refer to by its name, as a time and as a deadline."""
    known = len(scope.days)
    time, deadline = once_per_row(compile_time(node, scope)), once_per_row(compile_time(node, scope, deadline=True))
    scope.times[name] = time
    scope.deadlines[name] = deadline if len(scope.days) > known else time


def compile_time(node: Node, scope: Scope, *, deadline: bool = False) -> Value:
    """From a row to ms UTC, or None if the value is absent. Raises MalformedEvent naming the path if it is wrong.

    ``deadline``: a value that names only a day means its end.
    """
    if isinstance(node.value, str):
        return _named(node, scope, deadline)
    entries = node.fields(_KEYS)
    operator = operator_of(entries)
    if operator is not None:
        return _arithmetic(operator, node, entries, scope)
    given = [name for name in _SOURCES if name in entries]
    if len(given) != 1:
        node.refuse("exactly one of field, text, time or first_of is needed.")
    known = len(scope.days)
    if given[0] == "first_of":
        base = _first_of(entries, scope, deadline)
    elif given[0] == "time":
        _refuse_reading(entries)
        base = compile_time(entries["time"], scope, deadline=deadline)
    else:
        base = _parsed(node, entries, given[0], scope, deadline)
    if "near" in entries:
        base = _nearest(base, _named(entries["near"], scope, False))
    rules = scope.zone_rules if len(scope.days) > known else None
    for name, sign in (("plus", 1), ("minus", -1)):
        if name in entries:
            base = _moved(base, _shift(entries[name], scope), sign, rules)
    return base


def _arithmetic(operator: str, node: Node, entries: dict[str, Node], scope: Scope) -> Value:
    if len(entries) != 1:
        node.refuse(f"{operator} with a list stands alone.")
    result = compile_arithmetic(operator, entries[operator], scope, compile_time)
    if not result.is_time:
        node.refuse("makes a number of ms, and a time is needed.")
    return lambda fields: None if (found := result.value(fields)) is None else int(found)


def _named(node: Node, scope: Scope, deadline: bool) -> Value:
    name = node.text()
    if name not in scope.times:
        node.refuse(f"there is no time {name!r} above this line.", scope.times)
    if deadline and scope.deadlines[name] is not scope.times[name]:
        scope.days.append(node.path)
        return scope.deadlines[name]
    return scope.times[name]


def _refuse_reading(entries: dict[str, Node]) -> None:
    for name in _READING:
        if name in entries:
            entries[name].refuse("belongs where the time is read from the file, under times.")


def _first_of(entries: dict[str, Node], scope: Scope, deadline: bool) -> Value:
    """Each member is a time of its own; how to read a field may stand once beside the list."""
    reading = {name: entries[name].value for name in _READING if name in entries}
    members = []
    for member in entries["first_of"].items():
        if isinstance(member.value, str) and member.value in scope.times:
            members.append(_named(member, scope, deadline))
            continue
        spec = {"field": member.text()} if not isinstance(member.value, dict) else member.value
        if "field" in spec or "text" in spec:
            spec = {**reading, **spec}
        members.append(compile_time(replace(member, value=spec), scope, deadline=deadline))
    if not members:
        entries["first_of"].refuse("must list at least one time.")
    return first_present(members)


def _parsed(node: Node, entries: dict[str, Node], source: str, scope: Scope, deadline: bool) -> Value:
    rules = replace(scope.zone_rules, zone=zone_of(entries["zone"])) if "zone" in entries else scope.zone_rules
    value = field_of(entries, scope) if source == "field" else template(entries["text"], scope)
    form = _format(entries)
    day = _day(entries, form)
    if form == "hhmm":
        if "date" not in entries:
            node.refuse('format hhmm needs date, as in date: "{year}-{month}-{day}".')
        return _clock_time(node, value, entries, scope, rules)
    for name in ("date", "date_format"):
        if name in entries:
            entries[name].refuse("is only for format hhmm.")
    if deadline and (day == "end" or may_name_a_day(form)):
        scope.days.append(node.path)
    rule = DayRule(rules, day or ("end" if deadline else "start"), midnight=day == "end")
    return _guarded(node, value, parser(form, rule), form)


def _day(entries: dict[str, Node], form: str) -> Literal["start", "end"] | None:
    if "day" not in entries:
        return None
    if form in MOMENTS:
        entries["day"].refuse(f"format {form} always names a time of day.")
    return "end" if entries["day"].text(("start", "end")) == "end" else "start"


def _format(entries: dict[str, Node]) -> str:
    if "format" not in entries:
        return "iso"
    form = entries["format"].text()
    if form not in NAMED_FORMATS and "%" not in form:
        entries["format"].refuse(f"{form!r} is no time format.", (*NAMED_FORMATS, "a pattern such as %Y-%m-%d %H:%M"))
    if "%" in form and (problem := misread(form)):
        entries["format"].refuse(problem)
    return form


def _clock_time(node: Node, value: Value, entries: dict[str, Node], scope: Scope, rules: ZoneRules) -> Value:
    pattern = entries["date_format"].text() if "date_format" in entries else "%Y-%m-%d"
    day_of = _guarded(entries["date"], template(entries["date"], scope), _day_parser(pattern), pattern)
    minute_of, clock_ms, where = remembering(clock_minute), rules.clock_ms, node.path

    def clock_time(fields: Fields) -> int | None:
        found = value(fields)
        if found is None:
            return None
        day = day_of(fields)
        if day is None:
            raise broken(entries["date"].path, "date is there")
        try:
            return clock_ms(day, minute_of(found))
        except MalformedEvent as error:
            raise broken(where, error.rule) from None
        except (ValueError, TypeError):
            raise broken(where, "is a time of format hhmm", found) from None
        except OverflowError:
            raise broken(entries["date"].path, f"is a time of format {pattern}") from None

    return clock_time


def _day_parser(pattern: str) -> Callable[[object], date]:
    return remembering(lambda value: datetime.strptime(str(value), pattern).replace(tzinfo=UTC).date())


def _guarded(node: Node, value: Value, parse: Callable[[Any], Any], form: str) -> Value:
    def get(fields: Fields) -> Any:
        found = value(fields)
        if found is None:
            return None
        try:
            return parse(found)
        except MalformedEvent as error:
            raise broken(node.path, error.rule) from None
        except WrongTime as error:
            raise broken(node.path, str(error), found) from None
        except (ValueError, TypeError, OverflowError):
            raise broken(node.path, f"is a time of format {form}", found) from None

    return get


def _shift(node: Node, scope: Scope) -> Value:
    """A duration (``30m``) or a form of a number with its unit, in ms."""
    if not isinstance(node.value, dict):
        fixed = int(node.parsed(duration_ms, "a duration such as 90s, 30m, 2h or 1d"))
        return lambda _: fixed
    entries = node.entries()
    if "unit" not in entries and operator_of(entries) is None:
        node.refuse("unit is missing.", UNIT_NAMES)
    factor = UNIT_NAMES[entries["unit"].text(tuple(UNIT_NAMES))] if "unit" in entries else 1
    rest = {name: value for name, value in node.value.items() if name != "unit"}
    number = scope.number(replace(node, value=rest), scope)

    def ms_of(found: Decimal) -> int:
        ms = int((found * factor).to_integral_value())
        if abs(ms) > MAX_TIME_MS:
            raise broken(node.path, "is a duration of less than a hundred years", found)
        return ms

    return lambda fields: None if (found := number(fields)) is None else ms_of(found)


def _moved(base: Value, shift: Value, sign: int, rules: ZoneRules | None) -> Value:
    def moved(fields: Fields) -> int | None:
        start, by = base(fields), shift(fields)
        return None if start is None or by is None else int(start + sign * by)

    return moved if rules is None else partial(_moved_deadline, base, shift, sign, rules)


def _moved_deadline(base: Value, shift: Value, sign: int, rules: ZoneRules, fields: Fields) -> int | None:
    """The end of a day, moved by whole days, is the end of a day, however many hours the days between have."""
    start, by = base(fields), shift(fields)
    if start is None or by is None:
        return None
    if by % DAY_MS == 0:
        try:
            day = rules.local_day(start)
            if start == rules.end_ms(day):
                return rules.end_ms(day + timedelta(days=sign * (by // DAY_MS)))
        except OverflowError:
            pass  # beyond the calendar: the contract of the event refuses it
    return int(start + sign * by)


def _nearest(base: Value, anchor: Value) -> Value:
    def nearest(fields: Fields) -> int | None:
        at, near = base(fields), anchor(fields)
        return at if at is None or near is None else int(at + round((near - at) / DAY_MS) * DAY_MS)

    return nearest
