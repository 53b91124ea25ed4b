"""The mappings that come with cxwatch: their names, what each reads, and their text to copy and edit.

Each is one YAML file in ``mappings/`` with a comment at its head: which export it reads and how to get it, which
columns it needs, and what counts as a failure. The first sentence of that comment is what the list shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from schemas.errors import ConfigError

SHIPPED = Path(__file__).resolve().parent / "mappings"


@dataclass(frozen=True, slots=True)
class ShippedMapping:
    """One mapping that comes along: its name (the file's, without ``.yaml``) and its text."""

    name: str
    text: str

    @property
    def summary(self) -> str:
        """The first sentence of the comment at the head of the file."""
        return self.head.partition(". ")[0].rstrip(".")

    @property
    def head(self) -> str:
        """The comment at the head of the file as one line of text."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("#"):
                break
            lines.append(line.lstrip("# ").strip())
        return " ".join(lines)


def shipped_names() -> list[str]:
    """Names of all mappings that come along, sorted."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def all_shipped() -> list[ShippedMapping]:
    """Every mapping that comes along, sorted by name."""
    return [shipped(name) for name in shipped_names()]


def shipped(name: str) -> ShippedMapping:
    """One mapping by its name. Raises ConfigError naming those that there are."""
    names = shipped_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{name}: no such mapping comes with cxwatch. There are: {', '.join(names)}.{hint}")
    return ShippedMapping(name, (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
