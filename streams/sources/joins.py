"""Further files of a company joined to the rows of the one that is played: ``--with customers=crm.csv on customer_id``.

Each file is read once into a table of its own on disk (SQLite, in a temporary folder), so memory stays bounded however
large it is. A row that finds its partner carries it under the file's name: the mapping writes ``{customers.city}``. Of
several rows with one key the first is used; what repeats a key, lacks one or is not found is counted and told.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from schemas.errors import ConfigError
from streams.sources.files import Shape, read_rows
from streams.sources.first_rows import FirstRows
from streams.sources.named import NamedField, compare_header, meant, nearest, refuse_repeated
from streams.sources.node import Node

_NAME = re.compile(r"[^\W\d]\w*")
_ON = re.compile(r"(?P<file>.*\S)\s+on\s+(?P<keys>\S.*)", re.DOTALL)
_FORM = "NAME=FILE on KEY, or on LEFT=RIGHT if the key is called RIGHT in FILE; such as items=items.csv on order_no=id"
_CACHE_KIB = 32 * 1024
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class JoinRule:
    """How a further file is joined: the key's name in the rows of the main file and in its own, and how it is written.

    ``shape`` None: by the file's name, as the main file is written otherwise.
    """

    name: str
    left: str
    right: str
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class AskedJoin:
    """One ``--with`` of the command line; ``keys`` None: as the mapping declares it."""

    name: str
    file: Path
    keys: tuple[str, str] | None


def asked_join(text: str) -> AskedJoin:
    """Read ``items=items.csv on order_no=id``. Raises ConfigError naming the form that is allowed."""
    name, _, rest = (part.strip() for part in text.partition("="))
    found = _ON.fullmatch(rest)
    file, keys = (found["file"], _keys(found["keys"])) if found is not None else (rest, None)
    if not _NAME.fullmatch(name) or not file or file.startswith("on ") or (keys is not None and not all(keys)):
        raise ConfigError(f"--with {text}: allowed is {_FORM}")
    return AskedJoin(name, Path(file), keys)


def _keys(text: str) -> tuple[str, str]:
    left, found, right = text.partition("=")
    return left.strip(), right.strip() if found else left.strip()


def read_joins(node: Node | None, shape_of: Callable[[Node], Shape]) -> dict[str, JoinRule]:
    """The ``joins`` of a mapping: per name ``on: KEY`` or ``on: LEFT=RIGHT``, and ``input`` as at the top."""
    rules = {}
    for name, one in node.entries().items() if node is not None else ():
        if not _NAME.fullmatch(name):
            one.refuse("the name of a join is a word.")
        entries = one.fields(("on", "input"), required=("on",))
        left, right = _keys(entries["on"].text())
        if not left or not right:
            one.refuse("on needs the name of a column, or LEFT=RIGHT.")
        rules[name] = JoinRule(name, left, right, shape_of(entries["input"]) if "input" in entries else None)
    return rules


def join_files(
    declared: dict[str, JoinRule], asked: Sequence[AskedJoin], main: Shape, mapping: str
) -> list[tuple[JoinRule, Path]]:
    """Each file with how to join it. Raises ConfigError for a file without a key, and for a join without a file."""
    found: dict[str, tuple[JoinRule, Path]] = {}
    for one in asked:
        rule = declared.get(one.name)
        if one.name in found:
            raise ConfigError(f"--with {one.name}: is given twice")
        if one.keys is None and rule is None:
            raise ConfigError(f"--with {one.name}={one.file}: the key is missing; allowed is {_FORM}")
        left, right = one.keys or (rule.left, rule.right) if rule is not None else one.keys or ("", "")
        shape = rule.shape if rule is not None and rule.shape is not None else shape_by_name(one.file, main)
        found[one.name] = JoinRule(one.name, left, right, shape), one.file
    for name in declared.keys() - found.keys():
        raise ConfigError(f"mapping {mapping}: joins.{name} needs its file: --with {name}=FILE")
    return list(found.values())


def shape_by_name(file: Path, main: Shape) -> Shape:
    """How a file is written, by its name: as the main file, but JSON where the name says so, and CSV where it does."""
    suffixes = {suffix.lower() for suffix in file.suffixes}
    if suffixes & {".ndjson", ".jsonl"}:
        return Shape("ndjson", nulls=main.nulls)
    if ".json" in suffixes:
        return Shape("json", nulls=main.nulls)
    if ".csv" in suffixes and main.format != "csv":
        return Shape("csv", nulls=main.nulls)
    return replace(main, items=(), member="")


class JoinedFile:
    """The rows of one further file by their key, on disk. Closing it removes them."""

    def __init__(self, rule: JoinRule, file: Path, named: Collection[NamedField]) -> None:
        """``named``: every field that the mapping reads; only columns among them are kept."""
        self._rule, self._file = rule, file
        self._named = [inner for one in named if (inner := _inside(one, rule.name)) is not None]
        self._columns = {one.steps[0].split(".")[0] for one in self._named} | {one.steps[0] for one in self._named}
        self._folder = tempfile.TemporaryDirectory(prefix="cx-join-")
        self._table = _table(Path(self._folder.name) / "rows.sqlite")
        self.warnings: list[str] = []
        self.rows = self.unreadable = self.repeated = self.keyless = self.asked = self.keyless_asked = self.absent = 0

    def load(self) -> None:
        """Read the file. Raises ConfigError if it cannot be read or lacks the key, or a column that is used."""
        shape = self._rule.shape or Shape()
        rows = read_rows(self._file, shape, self._compare)
        first = FirstRows(self._named if shape.format != "csv" else (), ())
        chunk: list[tuple[str, bytes]] = []
        for row in first.look(rows):
            self.rows += 1
            self.unreadable += row.fields is None
            key = key_of(row.fields, self._rule.right)
            if key is None:
                self.keyless += row.fields is not None
                continue
            kept = {name: value for name, value in (row.fields or {}).items() if name in self._columns}
            chunk.append((key, msgspec.json.encode(kept)))
            if len(chunk) >= _CHUNK:
                self._store(chunk)
        self._store(chunk)
        self.warnings.extend(f"{self._file.name}: {one}" for one in first.warnings())

    def _compare(self, header: Sequence[str]) -> None:
        refuse_repeated(header, self._named)
        right = self._rule.right
        if right not in header:
            near = meant(nearest(right, header))
            raise ConfigError(f"{self._file}: column {right}, the key of --with {self._rule.name}, is not there{near}")
        if header.count(right) > 1:
            raise ConfigError(f"{self._file}: column {right}, the key of --with {self._rule.name}, is there twice")
        self.warnings.extend(f"{self._file.name}: {one}" for one in compare_header(header, self._named, ()))

    def _store(self, chunk: list[tuple[str, bytes]]) -> None:
        """Keep the first row of each key, and forget the chunk."""
        before = self._table.total_changes
        self._table.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?)", chunk)
        self.repeated += len(chunk) - (self._table.total_changes - before)
        chunk.clear()

    def join(self, fields: dict[str, Any]) -> None:
        """Put the partner of a row into it, under the name of the file. Raises ConfigError if that name is taken."""
        if self._rule.name in fields:
            raise ConfigError(f"--with {self._rule.name}: the file has a column of that name; take another one")
        self.asked += 1
        key = key_of(fields, self._rule.left)
        if key is None:
            self.keyless_asked += 1
            return
        found = self._table.execute("SELECT row FROM rows WHERE key = ?", (key,)).fetchone()
        if found is None:
            self.absent += 1
        else:
            fields[self._rule.name] = msgspec.json.decode(found[0])

    def header(self, columns: Sequence[str]) -> list[str]:
        """Names of its columns as the mapping writes them. Raises ConfigError if the main file lacks the key."""
        left = self._rule.left
        if left not in columns and left.split(".")[0] not in columns:
            near = meant(nearest(left, columns))
            raise ConfigError(f"column {left}, the key of --with {self._rule.name}, is not in the header{near}")
        return [f"{self._rule.name}.{one.name}" for one in self._named]

    def has(self, one: NamedField) -> bool:
        """True for a field of the mapping that is one of this file."""
        return _inside(one, self._rule.name) is not None

    def note(self) -> str:
        """What to tell people: how many rows it has, and how many rows of the main file found none."""
        name = f"with {self._rule.name} ({self._file.name})"
        odd = f", {self.repeated:,} repeat a key (the first row counts), {self.keyless:,} have none"
        bad = f", {self.unreadable:,} cannot be read" if self.unreadable else ""
        found = f"; {self.asked:,} rows asked, {self.absent:,} found no partner, {self.keyless_asked:,} had no key"
        question = f": is on {self._rule.left}={self._rule.right} right?" if 0 < self.asked == self.absent else ""
        return f"{name}: {self.rows:,} rows{odd}{bad}{found}{question}"

    def forget_counts(self) -> None:
        """Begin anew to count the rows that ask."""
        self.asked = self.keyless_asked = self.absent = 0

    def close(self) -> None:
        """Remove the table."""
        self._table.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()


def _inside(one: NamedField, name: str) -> NamedField | None:
    """A field of a joined file as that file itself calls it; None: it is a field of another one."""
    head, *rest = one.steps if len(one.steps) > 1 else one.steps[0].split(".")
    if head != name or not rest:
        return None
    steps = tuple(rest) if len(one.steps) > 1 else (".".join(rest),)
    return replace(one, steps=steps)


def key_of(fields: dict[str, Any] | None, path: str) -> str | None:
    """The text of the key of a row; None if there is none."""
    found: Any = fields
    if fields is not None and path in fields:
        found = fields[path]
    else:
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found).strip() or None


def _table(path: Path) -> sqlite3.Connection:
    table = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
        table.execute(f"PRAGMA {setting}")
    table.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    table.execute("CREATE TABLE rows (key TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID")
    table.execute("BEGIN")
    return table
