"""The fields that a mapping names, compared with what a file has. Nothing that a mapping asks for is absent unseen.

A CSV file says in its header what it has, so a name that is not there refuses the start. JSON says it row by row: a
field that none of the first rows has may still come, so it is a warning. Names under ``input.optional`` may be absent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from schemas.errors import ConfigError

ALIKE = 0.65
"""Names are alike from this ratio of difflib on."""
_DELIMITERS = (",", ";", "\t", "|")
_WORDS = (".field", ".text", ".pseudonym")
_ALTERNATIVES = re.compile(r"\.(?:first_of|identity)\[")


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field and the part of the mapping that reads it. ``steps``: a dotted path as one step, or those of a list."""

    steps: tuple[str, ...]
    file: str
    path: str

    @property
    def name(self) -> str:
        """The field as people write it, e.g. ``data.object.id``."""
        return ".".join(self.steps)

    @property
    def column(self) -> str | None:
        """The column of a table that it can be; None: a path of several steps."""
        return self.steps[0] if len(self.steps) == 1 else None

    @property
    def location(self) -> str:
        """Where it is named, e.g. ``events[1].when``."""
        for word in _WORDS:
            if self.path.endswith(word):
                return self.path.removesuffix(word)
        return self.path

    @property
    def alternatives(self) -> str | None:
        """The ``first_of`` or ``identity`` that it stands in: another member may be there instead."""
        found = _ALTERNATIVES.search(self.path)
        return self.path[: found.start()] if found is not None else None


def compare_header(header: Sequence[str], named: Collection[NamedField], optional: Collection[str]) -> list[str]:
    """Compare the columns of a file with the fields that a mapping names; returns sentences of warning.

    Raises ConfigError naming every field that is not in the header, where it is named, and the column that was meant
    most likely. A member of a ``first_of`` may be absent if another member is there; that is a warning.
    """
    known, columns = set(header), used_columns(named)
    there = {one.alternatives for one in named if one.name in known} - {None}
    absent = {name: uses for name, uses in columns.items() if name not in known and name not in optional}
    excused = [name for name, uses in absent.items() if all(one.alternatives in there for one in uses)]
    strange = not known.intersection(columns)
    sentences = {name: _sentence(name, uses, header, strange) for name, uses in absent.items()}
    if len(excused) < len(absent):
        refused = [sentence for name, sentence in sentences.items() if name not in excused]
        raise ConfigError("\n".join([*refused, *([_strange(header)] if strange else [])]))
    return [sentences[name] for name in excused]


def refuse_repeated(header: Sequence[str], named: Collection[NamedField]) -> None:
    """Refuse a header in which a column that the mapping names stands more than once; others may."""
    counts = Counter(header)
    for name, uses in used_columns(named).items():
        if counts[name] > 1:
            text = f"column {name}, named by {uses[0].file} {uses[0].location}, is in the header {counts[name]} times"
            raise ConfigError(f"{text}: rename all but one of them.{_others(uses)}")


def refuse_constants(names: Iterable[str], constants: Iterable[NamedField]) -> None:
    """Refuse a text that stands for itself where it would be the same key or id for every row, and a field is meant.

    ``names``: what the file has. Case, spaces and punctuation do not matter.
    """
    known = {_plain(name): name for name in names}
    for one in constants:
        if (found := known.get(_plain(one.name))) is not None:
            text = f"{one.file}: {one.path}: {one.name} would be the same text for every row, and the file has a field"
            raise ConfigError(f'{text} of that name: write "{{{found}}}".')


def _strange(header: Sequence[str]) -> str:
    """What to look at if a file has none of the columns."""
    if len(header) == 1:
        marks = [mark for mark in _DELIMITERS if mark in header[0]]
        if len(marks) == 1:
            return f"The header has one column only: is input.delimiter {marks[0]!a}?"
        return "The header has one column only: is input.delimiter right, and is the first line the header?"
    return f"The mapping names none of the {len(header)} columns: is the first line a header, is it the right file?"


def used_columns(named: Iterable[NamedField]) -> dict[str, list[NamedField]]:
    """The uses of each field that is named, those of events first."""
    found: dict[str, list[NamedField]] = {}
    for one in sorted(named, key=lambda one: not one.path.startswith("events")):
        found.setdefault(one.name, []).append(one)
    return found


def _sentence(name: str, uses: Sequence[NamedField], header: Sequence[str], strange: bool) -> str:
    """``strange``: the first line may be no header but a row, so nothing of it is shown that is not the name itself."""
    return sentence(f"column {name}", uses, "is not in the header", nearest(name, header, 1.0 if strange else ALIKE))


def sentence(what: str, uses: Sequence[NamedField], problem: str, near: str | None) -> str:
    """What is absent, where it is named, what was meant most likely, and where else it is named."""
    return f"{what}, named by {uses[0].file} {uses[0].location}, {problem}{meant(near)}{_others(uses)}"


def meant(near: str | None) -> str:
    """A question, in which spaces at the ends and signs that do not show are seen."""
    if near is None:
        return ""
    return f" (did you mean {near if near.isprintable() and near == near.strip() else ascii(near)}?)"


def _others(uses: Sequence[NamedField]) -> str:
    others = list(dict.fromkeys(one.location for one in uses if one.location != uses[0].location))
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return f"; also named by {', '.join(others[:3])}{more}" if others else ""


def nearest(name: str, names: Iterable[str], cutoff: float = ALIKE) -> str | None:
    """The name that was meant most likely: equal but for case, spaces and punctuation, else one that looks like it."""
    return next(iter(alike(name, names, 1, cutoff)), None)


def alike(name: str, names: Iterable[str], most: int = 10, cutoff: float = ALIKE) -> list[str]:
    """Names that look like one, the likest first."""
    plain: dict[str, str] = {}
    for one in names:
        plain.setdefault(_plain(one), one)
    return [plain[found] for found in get_close_matches(_plain(name), list(plain), n=most, cutoff=cutoff)]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name
