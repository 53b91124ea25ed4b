"""Rows that are not where a mapping looks for them: a document was given whose list holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from schemas.errors import ConfigError
from streams.sources.named import NamedField

_DEEPEST = 3


def refuse_list_of_rows(
    fields: dict[str, Any], named: Collection[NamedField], file: str, items: Sequence[str] = ()
) -> None:
    """Raise ConfigError if not the first row, but the members of a list in it have the fields that a mapping names.

    ``items``: the path at which the row was found.
    """
    paths = {one.steps if len(one.steps) > 1 else (*one.steps[0].split("."),) for one in named}
    own = _known(fields, paths)
    found = max(((_known(first, paths), path) for path, first in _lists(fields)), default=(0, ""))
    where = ".".join((*items, found[1]))
    if found[0] and 4 * own <= found[0]:
        raise ConfigError(
            f"{file}: the file is a JSON document that holds the rows in a list: the fields that the mapping names are "
            f"in the members of {where}. Set input.items to {where}."
        )


def _known(fields: dict[str, Any], paths: Collection[tuple[str, ...]]) -> int:
    """How many of the paths lead to something."""
    return sum(".".join(path) in fields or _leads(fields, path) for path in paths)


def _leads(found: Any, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(found, dict) or step not in found:
            return isinstance(found, list) and step.isdigit()
        found = found[step]
    return True


def _lists(fields: dict[str, Any], above: str = "", depth: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and first member of each list of objects."""
    for name, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield above + name, value[0]
        elif isinstance(value, dict) and depth < _DEEPEST:
            yield from _lists(value, f"{above}{name}.", depth + 1)
