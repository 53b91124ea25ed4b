"""Measure a checkout: imports between its files, circles, loose modules, sizes, class names with two meanings."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grimp

PRODUCT = ("streams", "schemas", "dashboards")
"""What is installed; class names are unique and imports are drawn in it."""
SIZED = (*PRODUCT, "benchmarks", "deploy")
"""Folders whose modules and functions have a largest size."""
CORE = "streams.core"
Edges = Mapping[str, frozenset[str]]
"""Name of a module or room -> names that it imports."""


@dataclass(frozen=True)
class Sized:
    """A file, or a function of it (``file:name``), and how many lines it has."""

    name: str
    lines: int


@dataclass(frozen=True)
class House:
    """One checkout; ``root`` is its folder."""

    root: Path

    @cached_property
    def imports(self) -> Edges:
        """Every module of the product -> the modules of the product that it imports anywhere, also inside functions."""
        sys.path.insert(0, str(self.root))
        try:
            graph = grimp.build_graph(*PRODUCT, cache_dir=None)
        finally:
            sys.path.remove(str(self.root))
        return {name: frozenset(graph.find_modules_directly_imported_by(name)) for name in sorted(graph.modules)}

    @cached_property
    def rooms(self) -> Edges:
        """The same between rooms (see `room_of`); what a room imports of itself is left out."""
        found: dict[str, set[str]] = defaultdict(set)
        for name, imported in self.imports.items():
            room = room_of(name)
            found[room] |= {room_of(other) for other in imported} - {room}
        roots = {"streams", CORE}  # they hold nothing but their docstrings
        return {room: frozenset(imported - roots) for room, imported in sorted(found.items()) if room not in roots}

    @property
    def circles(self) -> list[list[str]]:
        """Modules that import each other, directly or by others; each circle once."""
        return circles(self.imports)

    @property
    def loose(self) -> list[str]:
        """Modules of ``streams/`` that lie in no package."""
        return sorted(path.stem for path in (self.root / "streams").glob("*.py") if path.stem != "__init__")

    @property
    def core_rooms(self) -> list[str]:
        """Packages of the core that import no other package of the core."""
        packages = sorted(f"{CORE}.{path.parent.name}" for path in (self.root / "streams/core").glob("*/__init__.py"))
        return [room for room in packages if not self.rooms[room] & (set(packages) - {room})]

    @property
    def files(self) -> list[Sized]:
        """Python files under `SIZED`, the longest first."""
        return _longest(Sized(name, len(text.splitlines())) for name, text in self._sources(SIZED))

    @property
    def functions(self) -> list[Sized]:
        """Functions under `SIZED`, the longest first; a line of a nested function counts for both."""
        return _longest(
            Sized(f"{name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
            for name, text in self._sources(SIZED)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )

    @property
    def shared_names(self) -> dict[str, list[str]]:
        """Class name -> the files of the product that define it, where there is more than one."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, text in self._sources(PRODUCT):
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(name)
        return {name: files for name, files in sorted(found.items()) if len(files) > 1}

    def _sources(self, folders: Iterable[str]) -> Iterator[tuple[str, str]]:
        for folder in folders:
            for path in sorted((self.root / folder).rglob("*.py")):
                yield str(path.relative_to(self.root)), path.read_text(encoding="utf-8")


def room_of(module: str) -> str:
    """The package of ``streams`` or of its core in which a module lies, or the module itself if it is loose there."""
    parts = module.split(".")
    if parts[0] != "streams":
        return parts[0]
    return ".".join(parts[: 3 if module.startswith(CORE + ".") else 2])


def circles(edges: Edges) -> list[list[str]]:
    """Groups of two or more names that reach each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        path.append(name)
        for other in sorted(edges.get(name, ())):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in path:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            start = path.index(name)
            group, path[start:] = path[start:], []
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(edges):
        if name not in order:
            visit(name)
    return sorted(found)


def _longest(sized: Iterable[Sized]) -> list[Sized]:
    return sorted(sized, key=lambda one: (-one.lines, one.name))
