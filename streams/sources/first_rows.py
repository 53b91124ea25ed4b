"""The first rows of a JSON file, compared with the fields that a mapping names: what none has may be misspelt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from streams.sources.files import InputRow
from streams.sources.named import NamedField, alike, nearest, sentence, used_columns

FIRST_ROWS = 1_000
_MOST_PATHS, _LONGEST_PATH, _DEEPEST, _MEMBERS = 2_000, 120, 8, 3


class FirstRows:
    """Looks at the first rows of a file without a header: which of the fields that a mapping names are in none?"""

    def __init__(self, named: Iterable[NamedField], optional: Collection[str], most: int = FIRST_ROWS) -> None:
        """Look at ``most`` rows."""
        self._missing = {name: uses for name, uses in used_columns(named).items() if name not in optional}
        self._met: set[str] = set()
        """Groups of alternatives of which a member was there."""
        self._paths: dict[str, None] = {}
        self._most = most
        self.rows = 0

    def look(self, rows: Iterable[InputRow]) -> Iterator[InputRow]:
        """Hand the rows through."""
        source = iter(rows)
        for row in islice(source, self._most):
            if row.fields is not None:
                self._note(row.fields)
            yield row
        yield from source

    def _note(self, fields: Mapping[str, Any]) -> None:
        self.rows += 1
        for name in [name for name, uses in self._missing.items() if _has(fields, uses[0].steps)]:
            self._met.update(one.alternatives for one in self._missing.pop(name) if one.alternatives)
        if self._missing:
            _walk(fields, "", self._paths)

    def warnings(self) -> list[str]:
        """One sentence for each field that none of the rows has."""
        if not self.rows:
            return []
        first = "first " if self.rows == self._most else ""
        problem = f"is in none of the {first}{self.rows:,} rows" if self.rows > 1 else "is not in the only row"
        return [
            sentence(f"field {name}", uses, problem, _nearest_path(name, self._paths))
            for name, uses in self._missing.items()
            if not all(one.alternatives in self._met for one in uses)
        ]


def _nearest_path(name: str, paths: Iterable[str]) -> str | None:
    """The path that was meant most likely: its last step looks like the one that is sought, and then the rest of it."""
    by_end: dict[str, list[str]] = {}
    for path in paths:
        by_end.setdefault(path.rpartition(".")[2], []).append(path)
    ends = alike(name.rpartition(".")[2], by_end)
    return nearest(name, (path for end in ends for path in by_end[end]), cutoff=0.5)


def _has(fields: Any, steps: Sequence[str]) -> bool:
    """True if a row has the field, even without a value."""
    if len(steps) == 1:
        if steps[0] in fields:
            return True
        steps = steps[0].split(".")
    for step in steps:
        if isinstance(fields, Mapping) and step in fields:
            fields = fields[step]
        elif isinstance(fields, list) and step.lstrip("-").isdecimal() and -len(fields) <= int(step) < len(fields):
            fields = fields[int(step)]
        else:
            return False
    return True


def _walk(found: Any, path: str, paths: dict[str, None], depth: int = 0) -> None:
    """Collect the paths of a row: few, short and not deep, whatever the row holds."""
    if path:
        paths[path] = None
    if depth > _DEEPEST or not isinstance(found, dict | list):
        return
    members = found.items() if isinstance(found, dict) else enumerate(found[:_MEMBERS])
    for step, value in members:
        longer = f"{path}.{step}" if path else str(step)
        if len(paths) < _MOST_PATHS and len(longer) <= _LONGEST_PATH:
            _walk(value, longer, paths, depth + 1)
