"""How a file writes numbers: what a mapping declares, and an exact reading that guesses nothing.

| key | declares |
|---|---|
| `decimal: ","` | what stands before the decimals (default: a point) |
| `thousands: "."` | what may stand between groups of three digits: `.` or `,` or `'` (also U+2019) or a space (also |
| | no-break and thin ones), or a list of these |
| `grouping: lakh` | groups as in 12,34,567 instead of 1,234,567 |
| `currency: strip` | a sign (€, US$) or a code of ISO 4217 may stand before or after; `[kr, zł]`: one of these may |
| `negative: parentheses` | (12.50) is -12.50; `trailing`: 12.50- is; `unicode`: the minus sign U+2212; or a list |

Text that is written in another way is refused; the rule says what to declare. Numbers of JSON need no declaration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from schemas.currencies import DECIMALS
from streams.sources.node import Node

NUMBER_KEYS = ("decimal", "thousands", "grouping", "currency", "negative")
MAX_WHOLE = 10**18
"""Bound of whole numbers, so that they fit into an event."""
_MOST_CHARACTERS = 64
_MOST_KNOWN = 10_000
"""Texts that a reader remembers: quantities, prices and delays come again and again."""
_SEPARATORS = {".": r"\.", ",": ",", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}
_SAME = {"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2019": "'"}
_NEGATIVES = ("parentheses", "trailing", "unicode")
_SIGNS = "$£€¥¢¤֏؋৲৳૱௹฿៛﷼₠-₿"
_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)").fullmatch
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}").fullmatch
"""1.234: a fraction for some, one thousand and more for others."""
_UNCLEAR = 'says what its point means (declare decimal: "." or thousands: ".")'


class NoNumber(ValueError):
    """A text is no number as it was declared. Its text is the rule that was broken, never the value."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers are written; ``declared``: the mapping says what a point means."""

    decimal: str = "."
    thousands: tuple[str, ...] = ()
    lakh: bool = False
    currency: tuple[str, ...] | None = None
    """Texts that may stand beside a number; empty: any sign or code. None: nothing may."""
    negative: tuple[str, ...] = ()
    declared: bool = False


def number_format(entries: dict[str, Node], above: NumberFormat) -> NumberFormat:
    """What a mapping declares here (see the table of this module); what it leaves out is as ``above``.

    Raises ConfigError naming the place and what is allowed.
    """
    found = above
    if "decimal" in entries:
        found = replace(found, decimal=entries["decimal"].text((".", ",")), declared=True)
        if "thousands" not in entries and found.decimal in found.thousands:
            found = replace(found, thousands=())
    if "thousands" in entries:
        listed = [_SAME.get(node.text(), node.text()) for node in one_or_more(entries["thousands"])]
        for text in listed:
            if text not in _SEPARATORS:
                entries["thousands"].refuse(f"{text!r} separates no thousands.", [f"'{one}'" for one in _SEPARATORS])
        if found.decimal in listed:
            entries["thousands"].refuse(f"{found.decimal!r} stands before the decimals; say what does with decimal.")
        found = replace(found, thousands=tuple(dict.fromkeys(listed)), declared=found.declared or "." in listed)
    if "grouping" in entries:
        found = replace(found, lakh=entries["grouping"].text(("thousand", "lakh")) == "lakh")
    if "currency" in entries:
        found = replace(found, currency=_currency(entries["currency"]))
    if "negative" in entries:
        listed = [node.text(_NEGATIVES) for node in one_or_more(entries["negative"])]
        found = replace(found, negative=tuple(dict.fromkeys(listed)))
    return found


def one_or_more(node: Node) -> list[Node]:
    """The members of a list, or the one value that stands for a list of one."""
    return list(node.items()) if isinstance(node.value, list) else [node]


def _currency(node: Node) -> tuple[str, ...]:
    if node.value == "strip":
        return ()
    if not isinstance(node.value, list):
        node.refuse("must be strip (any sign or ISO 4217 code), or a list of texts that may stand beside a number.")
    texts = tuple(item.text() for item in node.items())
    if not texts or not all(text.strip() and not any(letter.isdigit() for letter in text) for text in texts):
        node.refuse("must be a list of texts without digits, as in [EUR, €].")
    return texts


def reader(form: NumberFormat, *, money: bool = False) -> Callable[[Any], Decimal]:
    """A function from what a file holds to the exact number; it raises NoNumber or TypeError.

    ``money``: a text such as 1.234 is refused unless the mapping says what a point means.
    """
    money = money and not form.declared
    parse = _plain_reader(form, money) if form == NumberFormat() else _declared_reader(form, money)
    known: dict[str, Decimal] = {}

    def read(found: Any) -> Decimal:
        if isinstance(found, str):
            number = known.get(found)
            if number is None:
                if len(known) >= _MOST_KNOWN:
                    known.clear()
                number = known[found] = parse(found)
            return number
        if isinstance(found, bool) or not isinstance(found, int | float | Decimal):
            raise TypeError
        if isinstance(found, float):
            if not math.isfinite(found):
                raise NoNumber("is a finite number")
            return Decimal(repr(found))
        return Decimal(found)

    return read


def _plain_reader(form: NumberFormat, money: bool) -> Callable[[str], Decimal]:
    def parse(found: str) -> Decimal:
        text = found.strip()
        if _PLAIN(text) is None or len(text) > _MOST_CHARACTERS:
            raise NoNumber(_why_not(text, form))
        if money and _EITHER(text) is not None:
            raise NoNumber(_UNCLEAR)
        return Decimal(text)

    return parse


def _declared_reader(form: NumberFormat, money: bool) -> Callable[[str], Decimal]:
    match = re.compile(_pattern(form)).fullmatch
    separators = str.maketrans(form.decimal, ".", "".join(form.thousands) + "".join(_SAME))

    def parse(found: str) -> Decimal:
        text = found.strip()
        parts = match(text) if len(text) <= _MOST_CHARACTERS else None
        if parts is None:
            raise NoNumber(_why_not(text, form))
        signs = [sign for sign in (parts["first"], parts["second"], parts["last"], parts["opened"]) if sign]
        code = parts["before"] or parts["after"] or ""
        if len(signs) > 1 or (parts["before"] and parts["after"]) or not _known(code, form):
            raise NoNumber(_why_not(text, form))
        if money and _EITHER(parts["number"]) is not None:
            raise NoNumber(_UNCLEAR)
        digits = Decimal(parts["number"].translate(separators))
        return -digits if signs and signs[0] != "+" else digits

    return parse


def _pattern(form: NumberFormat) -> str:
    """Sign, currency, number, currency, sign: each at most once, which is looked at after the match."""
    point = re.escape(form.decimal)
    numbers = [rf"[0-9]+(?:{point}[0-9]*)?", rf"{point}[0-9]+"]
    for separator in form.thousands:
        one = _SEPARATORS[separator]
        groups = rf"[1-9][0-9]?(?:{one}[0-9]{{2}})*" if form.lakh else rf"[1-9][0-9]{{0,2}}(?:{one}[0-9]{{3}})*"
        numbers.append(rf"{groups}{one}[0-9]{{3}}(?:{point}[0-9]*)?")
    sign, last = ("[+\u2212-]", "[\u2212-]") if "unicode" in form.negative else ("[+-]", "-")
    opened, closed = (r"(?P<opened>\()?\s*", r"\s*(?(opened)\))") if "parentheses" in form.negative else _NOTHING
    if "trailing" not in form.negative:
        last = "(?!)"
    money = _beside(form)
    return (
        rf"{opened}(?P<first>{sign})?\s*(?P<before>{money})?\s*(?P<second>{sign})?\s*(?P<number>{'|'.join(numbers)})"
        rf"\s*(?P<after>{money})?\s*(?P<last>{last})?{closed}"
    )


_NOTHING = ("(?P<opened>(?!))?", "")


def _beside(form: NumberFormat) -> str:
    if form.currency is None:
        return "(?!)"
    if form.currency:
        return "|".join(re.escape(text.strip()) for text in sorted(form.currency, key=len, reverse=True))
    return rf"[A-Za-z]{{0,3}}[{_SIGNS}]|[A-Za-z]{{3}}"


def _known(code: str, form: NumberFormat) -> bool:
    """With ``strip``, what has no sign must be a code of ISO 4217: "12 pcs" is no amount."""
    return form.currency != () or not code.isalpha() or code.upper() in DECIMALS


def _why_not(text: str, form: NumberFormat) -> str:
    """The rule that a text breaks, with what to declare if it is a number of another convention."""
    for rule, broke in (
        (f"is a number of at most {_MOST_CHARACTERS} characters", len(text) > _MOST_CHARACTERS),
        ("is a number, not a share in %", "%" in text or "\u2030" in text),
        ("is a number in the digits 0 to 9", any(one.isdigit() and not one.isascii() for one in text)),
        ("is a number without an exponent", re.fullmatch(r"[+-]?[0-9.,]+[eE][+-]?[0-9]+", text)),
        ("is a number", not any(one.isdigit() for one in text)),
    ):
        if broke:
            return rule
    for key, declared, found in (
        ("currency: strip", form.currency is not None, re.search(rf"[A-Za-z{_SIGNS}]", text)),
        ("negative: parentheses", "parentheses" in form.negative, text.startswith("(")),
        ("negative: trailing", "trailing" in form.negative, text.endswith("-")),
        ("negative: unicode", "unicode" in form.negative, "\u2212" in text),
    ):
        if found and not declared:
            return f"is a number as declared (declare {key} to read it)"
    return _wrong_groups(text, form)


def _wrong_groups(text: str, form: NumberFormat) -> str:
    for mark, pattern in _SEPARATORS.items():
        if mark == form.decimal or not re.search(rf"[0-9]{pattern}[0-9]", text):
            continue
        if mark in form.thousands:
            return f"is a number in groups of {'two and three' if form.lakh else 'three'} digits"
        point = f', or decimal: "{mark}",' if mark in ".," else ""
        return f'is a number as declared (declare thousands: "{mark}"{point} to read it)'
    return "is a number"
