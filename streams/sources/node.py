"""One node of a mapping file: read with its type, or refused with the file, the path and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

from schemas.errors import ConfigError
from streams.sources.named import NamedField


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file with its path, e.g. ``events[0].fields.status``."""

    value: Any
    file: str
    path: str = ""
    named: list[NamedField] = field(default_factory=list, compare=False, repr=False)
    """Fields of a row that the whole file names so far; one list for all nodes of a file."""

    def names(self, path: str | list[str]) -> None:
        """Note that this place reads a field of the row: a dotted path, or its steps."""
        steps = (path,) if isinstance(path, str) else tuple(path)
        self.named.append(NamedField(steps, self.file, self.path))

    def refuse(self, problem: str, allowed: Collection[str] = ()) -> NoReturn:
        """Raise ConfigError naming file and path; the nearest allowed word comes first."""
        where = f"{self.file}: {self.path or '(top)'}"
        text = f"{where}: {problem}"
        if allowed:
            near = get_close_matches(str(self.value), list(allowed), n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            text += f" Allowed: {', '.join(sorted(allowed))}.{hint}"
        raise ConfigError(text)

    def child(self, name: str | int, value: Any) -> Node:
        """A value inside this one."""
        step = f"[{name}]" if isinstance(name, int) else f".{name}" if self.path else name
        return Node(value, self.file, f"{self.path}{step}", self.named)

    def fields(self, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, Node]:
        """The entries of a mapping; unknown and missing names are refused."""
        entries = self.entries()
        for name, node in entries.items():
            if name not in allowed and node.value is None and len(entries) == 1:
                self.refuse(f'braces need quotes here: write "{{{name}}}" for the field {name}.')
            if name not in allowed:
                Node(name, self.file, node.path).refuse(f"{name} is not known here.", allowed)
        for name in required:
            if name not in entries:
                self.refuse(f"{name} is missing.", allowed)
        return entries

    def entries(self) -> dict[str, Node]:
        """The entries of a mapping with any names."""
        if not isinstance(self.value, dict):
            self.refuse(f"must be a mapping of names to values, not {self.kind()}.")
        return {str(name): self.child(str(name), value) for name, value in self.value.items()}

    def items(self) -> Iterator[Node]:
        """The members of a list."""
        if not isinstance(self.value, list):
            self.refuse(f"must be a list, not {self.kind()}.")
        for index, value in enumerate(self.value):
            yield self.child(index, value)

    def text(self, allowed: Collection[str] = ()) -> str:
        """A text, one of ``allowed`` if given."""
        if not isinstance(self.value, str):
            self.refuse(f"must be text, not {self.kind()} (quotes make it text).", allowed)
        if allowed and self.value not in allowed:
            self.refuse(f"{self.value!r} is not allowed.", allowed)
        return self.value

    def scalar(self) -> str | int | float | bool | None:
        """Text, number, true, false or null."""
        if self.value is not None and not isinstance(self.value, str | int | float | bool):
            self.refuse(f"must be a single value, not {self.kind()}.")
        return self.value

    def parsed(self, parse: Callable[[str], Any], wanted: str) -> Any:
        """A text that ``parse`` understands (it raises ValueError or KeyError if not)."""
        text = self.text()
        try:
            return parse(text)
        except (ValueError, KeyError):
            self.refuse(f"{text!r} is not {wanted}.")

    def kind(self) -> str:
        """The YAML type of the value, for messages."""
        names = {
            dict: "a mapping",
            list: "a list",
            str: "text",
            bool: "true or false",
            int: "a number",
            float: "a number",
            type(None): "nothing",
        }
        return names.get(type(self.value), "a date (put it in quotes)")
