"""Arithmetic of a mapping on numbers and times: exact, and absent if a part is absent.

| form | value |
|---|---|
| `{plus: [a, b, ...]}` | the sum; a time plus numbers of ms is a time |
| `{minus: [a, b, ...]}` | the first less the others; a time less a time is a number of ms |
| `{times: [a, b, ...]}` | the product |
| `{over: [a, b, ...]}` | the first divided by the others |

Parts: numbers, durations (`30m`), `"{field}"`, `{time: name}` or `{time: {field: at, format: epoch_s}}`, any other form
of a value, and arithmetic again. A part that is no number, a division by zero and a result beyond 18 digits refuse the
row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation
from functools import reduce
from typing import Any, Protocol

from streams.sources.fields import Fields, Scope, Value, broken
from streams.sources.node import Node
from streams.sources.times import duration_ms

OPERATORS = ("plus", "minus", "times", "over")
_OPERATIONS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b, "over": lambda a, b: a / b,
}  # fmt: skip
_MOST = Decimal(10) ** 18
"""Bound of every result, so that it fits into the numbers of an event."""


class CompileTime(Protocol):
    """Compiles the specification of a time (streams.sources.time_specs)."""

    def __call__(self, node: Node, scope: Scope) -> Value:
        """From a row to ms UTC."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """From a row to an exact number (Decimal), which is a time in ms UTC, or a plain number."""

    value: Value
    is_time: bool


def operator_of(entries: dict[str, Node]) -> str | None:
    """The operator that a specification applies to a list of parts, if it is arithmetic."""
    return next((name for name in OPERATORS if name in entries and isinstance(entries[name].value, list)), None)


def compile_arithmetic(operator: str, node: Node, scope: Scope, compile_time: CompileTime) -> Quantity:
    """Compile the parts under an operator. Raises ConfigError if times and numbers do not go together."""
    parts = [_part(item, scope, compile_time) for item in node.items()]
    if len(parts) < 2:
        node.refuse("needs a list of at least two parts.")
    times = [part.is_time for part in parts]
    if operator in ("times", "over") and any(times):
        node.refuse(f"{operator} takes no times; the time between two is {{minus: [later, earlier]}}.")
    left = sum(times) if operator == "plus" else times[0] - sum(times[1:])
    if left not in (0, 1):
        node.refuse("times can be taken from each other, and numbers be added to a time, but nothing else.")
    return Quantity(_applied(operator, [part.value for part in parts], node.path), is_time=left == 1)


def _part(node: Node, scope: Scope, compile_time: CompileTime) -> Quantity:
    if isinstance(node.value, str) and "{" not in node.value:
        fixed = Decimal(node.parsed(duration_ms, f"a duration such as 30m; a field is written {{{node.value}}}"))
        return Quantity(lambda _: fixed, is_time=False)
    if isinstance(node.value, dict):
        entries = node.entries()
        operator = operator_of(entries)
        if operator is not None and len(entries) == 1:
            return compile_arithmetic(operator, entries[operator], scope, compile_time)
        if "time" in entries:
            return Quantity(compile_time(node, scope), is_time=True)
    return Quantity(scope.number(node, scope), is_time=False)


def _applied(operator: str, parts: list[Value], where: str) -> Value:
    apply = _OPERATIONS[operator]

    def applied(fields: Fields) -> Decimal | None:
        found: list[Any] = [part(fields) for part in parts]
        if any(one is None for one in found):
            return None
        try:
            result = reduce(apply, map(Decimal, found))
        except (DivisionByZero, InvalidOperation):
            raise broken(where, "is not divided by zero") from None
        except ArithmeticError:
            raise broken(where, "is a number of at most 18 digits") from None
        if not abs(result) <= _MOST:
            raise broken(where, "is a number of at most 18 digits")
        return result

    return applied
