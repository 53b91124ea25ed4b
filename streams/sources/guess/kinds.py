"""What the values of a column are: times and their format, numbers and how they are written, addresses, codes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from streams.sources.guess.sample import SampledColumn

KindOfColumn = Literal["empty", "time", "number", "truth", "email", "phone", "currency", "country", "text"]

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(Z|UTC|[+-]\d\d:?\d\d))?)?", re.ASCII
)
_EPOCHS = (
    ("epoch_s", 1e9, 4.1e9), ("epoch_ms", 1e12, 4.1e12), ("epoch_us", 1e15, 4.1e15), ("epoch_ns", 1e18, 4.1e18),
)  # fmt: skip
_DAYS = (
    "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%b/%y", "%d/%b/%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_CLOCKS = (
    " %H:%M:%S", " %H:%M", " %I:%M %p", " %I:%M:%S %p", ", %H:%M:%S", ", %H:%M", ", %I:%M %p", " %H:%M:%S %z", "",
)  # fmt: skip
PATTERNS = (*(day + clock for day in _DAYS for clock in _CLOCKS), "%Y%m%d%H%M%S", "%Y%m%d %H%M%S", "%Y%m%d")
_TIME_WORDS = re.compile(r"\b(time|timestamp|ts|date|at|on|created|updated|modified|closed|datum|zeit|epoch)\b")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_PHONE = re.compile(r"(?:\+|00)[0-9][0-9 ()/-]{6,18}")
_TRUTHS = frozenset({"true", "false", "yes", "no", "t", "f", "y", "n"})
_SIGN = r"[$£€¥₹₽₩₪₫₴₺]|[A-Z]{3}|US\$|kr|zł|Kč|Ft|lei|R\$"
_MARK = "[., '\u2019\u00a0\u202f]"
_GROUPED = rf"[0-9]{{1,3}}(?:{_MARK}[0-9]{{3}})+(?:[.,][0-9]+)?|[0-9]{{1,2}}(?:,[0-9]{{2}})+,[0-9]{{3}}(?:\.[0-9]+)?"
_NUMBER = re.compile(
    rf"(?P<before>(?:{_SIGN})\s*)?-?(?P<digits>{_GROUPED}|[0-9]+(?:[.,][0-9]+)?)(?P<after>\s*(?:{_SIGN}))?"
)
_DIGITS, _ALPHABETIC = re.compile(r"[0-9]+"), re.compile(r"[^\W\d_]+")
MOST_LOOKED_AT = 400


@dataclass(frozen=True, slots=True)
class Contents:
    """What a column holds: its kind, the keys that a mapping declares for it, and what is unsure about that."""

    kind: KindOfColumn
    declared: tuple[tuple[str, str], ...] = ()
    unsure: str = ""
    local: bool = False
    """A time that does not say in which zone it is."""
    whole: bool = False
    """A number without decimals."""
    day_only: bool = False
    misfits: int = 0
    """Values, of those that were looked at, that are something else."""


def look_at(column: SampledColumn, words: str) -> Contents:
    """What a column holds. ``words``: its name in lower-case words."""
    values = column.values[:MOST_LOOKED_AT]
    if not values:
        return Contents("empty", unsure="no row of the sample has a value here")
    found = _strictly(values, words)
    if found.kind != "text":
        return found
    usual = _usual(values)
    inner = _strictly(usual, words)
    return found if inner.kind == "text" else replace(inner, misfits=len(values) - len(usual))


def _strictly(values: Sequence[Any], words: str) -> Contents:
    """What all of the values are."""
    texts = [str(value).strip() for value in values]
    if all(isinstance(value, bool) for value in values):
        return Contents("truth")
    return _time(texts, words) or _number(texts, values) or _text(texts)


def _usual(values: Sequence[Any]) -> Sequence[Any]:
    """Values without those of rare shapes: one of three or more, a tenth of many. A shape is "9.9" for 12.50."""
    shapes = [_DIGITS.sub("9", _ALPHABETIC.sub("a", str(value).strip())) for value in values]
    enough = len(values) - max(int(len(values) >= 3), len(values) // 10)
    kept, count = set[str](), 0
    for shape, often in Counter(shapes).most_common():
        if count >= enough:
            break
        kept.add(shape)
        count += often
    return [value for value, shape in zip(values, shapes, strict=True) if shape in kept]


def _all(texts: Sequence[str], fits: Callable[[str], Any]) -> bool:
    return all(map(fits, texts))


def _time(texts: Sequence[str], words: str) -> Contents | None:
    if _all(texts, _ISO.fullmatch):
        marks = [_ISO.fullmatch(text) for text in texts]
        days = all(len(text) == 10 for text in texts)
        local = any(mark is not None and mark[1] is None for mark in marks)
        return Contents("time", (), local=local, day_only=days)
    if _all(texts, lambda text: re.fullmatch(r"[0-9]{9,19}(?:\.[0-9]+)?", text)):
        named = _TIME_WORDS.search(words) is not None
        least, most = min(map(float, texts)), max(map(float, texts))
        forms = [form for form, low, high in _EPOCHS if low <= least and most < high]
        if forms and named:
            return Contents("time", (("format", forms[0]),))
    if _all(texts, _rfc2822):
        return Contents("time", (("format", "rfc2822"),))
    return _pattern(texts, words)


def _rfc2822(text: str) -> bool:
    if not re.match(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d", text):
        return False
    try:
        return parsedate_to_datetime(text).tzinfo is not None
    except (ValueError, TypeError):
        return False


def _pattern(texts: Sequence[str], words: str) -> Contents | None:
    fitting = [pattern for pattern in PATTERNS if all(_parses(text, pattern) for text in texts)]
    if not fitting or (fitting[0].startswith("%Y%m%d") and not _TIME_WORDS.search(words)):
        return None
    first = fitting[0]
    swapped = [other for other in fitting[1:] if other.count("%") == first.count("%") and other[:2] != first[:2]]
    unsure = ""
    if swapped and first.startswith(("%d", "%m")):
        unsure = f"days and months can be told apart in no row of the sample: {first} or {swapped[0]}"
    clock = any(part in first for part in ("%H", "%I"))
    return Contents("time", (("format", first),), unsure, local="%z" not in first, day_only=not clock)


def _parses(text: str, pattern: str) -> bool:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC).year > 1990
    except ValueError:
        return False


def _number(texts: Sequence[str], values: Sequence[Any]) -> Contents | None:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return Contents("number", whole=all(isinstance(value, int) for value in values))
    marks = [_NUMBER.fullmatch(text) for text in texts]
    if not all(marks):
        return None
    digits = [mark["digits"].strip() for mark in marks if mark is not None]
    if any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in digits):
        return None  # leading zeros: a code, not a number
    signed = any(mark is not None and (mark["before"] or mark["after"]) for mark in marks)
    sign = (("currency", "strip"),) if signed else ()
    declared, unsure = _separators(digits)
    return Contents("number", (*declared, *sign), unsure, whole=all(text.isdigit() for text in digits))


def _separators(digits: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], str]:
    """What stands before decimals and between thousands, as far as the sample tells."""
    used = {char for text in digits for char in text if not char.isdigit()}
    spaces = {char for char in used if char in " '\u2019\u00a0\u202f"}
    marks = used - spaces
    thousands = "'" if spaces & {"'", "\u2019"} else " " if spaces else ""
    if marks == {".", ","}:
        last = max(digits, key=lambda text: min(text.rfind("."), text.rfind(",")))
        decimal = "," if last.rfind(",") > last.rfind(".") else "."
        return (("decimal", decimal), ("thousands", "." if decimal == "," else ",")), ""
    found = (("thousands", thousands),) if thousands else ()
    if not marks:
        return found, ""
    (mark,) = marks
    grouped = all(re.fullmatch(rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{3}})+|[0-9]{{1,3}}", text) for text in digits)
    if any(text.count(mark) > 1 for text in digits):
        return (("decimal", "," if mark == "." else "."), ("thousands", mark), *found), ""
    if grouped:
        return (*found, ("decimal", mark)), f"whether {mark!r} stands before decimals or between thousands"
    return ((*found, ("decimal", ",")) if mark == "," else found), ""


def _text(texts: Sequence[str]) -> Contents:
    if _all(texts, _EMAIL.fullmatch):
        return Contents("email")
    if _all(texts, _PHONE.fullmatch):
        return Contents("phone")
    if _all(texts, lambda text: text.lower() in _TRUTHS):
        return Contents("truth")
    if _all(texts, lambda text: re.fullmatch(r"[A-Za-z]{3}", text)):
        return Contents("currency")
    if _all(texts, lambda text: re.fullmatch(r"[A-Z]{2}", text)):
        return Contents("country")
    return Contents("text")
