"""What is read beside the file that is played: files joined to its rows, and links between identifiers."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from schemas.errors import ConfigError
from streams.sources.files import BrokenInput, InputRow, read_rows
from streams.sources.identity import CUSTOMER, Identifier, IdentityCounts, link_together, resolve
from streams.sources.joins import AskedJoin, JoinedFile, join_files, shape_by_name
from streams.sources.links import FileLinks
from streams.sources.mapping import Mapping
from streams.sources.named import NamedField


class PlayedFile(NamedTuple):
    """One of the files that are played together, with the files that are joined to it."""

    mapping: Mapping
    file: Path
    joins: tuple[AskedJoin, ...]


@dataclass(frozen=True, slots=True)
class AskedBeside:
    """Files that the command line names beside the one that is played."""

    joins: tuple[AskedJoin, ...] = ()
    links: Path | None = None
    together: tuple[PlayedFile, ...] = ()
    """Every file that is played in the same go, in their order, itself included: their links hold for all of them."""


def shared_out(asked: AskedBeside, mappings: Sequence[Mapping], files: Sequence[Path]) -> list[AskedBeside]:
    """What each of several files has a use for; what none has a use for goes to the first, which refuses it."""
    wanted = [{one.name for one in asked.joins if one.name in mapping.joins} for mapping in mappings]
    wanted[0] |= {one.name for one in asked.joins} - set().union(*wanted)
    linked = [mapping.identity is not None for mapping in mappings]
    linked[0] |= not any(linked)
    joins = [tuple(one for one in asked.joins if one.name in names) for names in wanted]
    together = tuple(map(PlayedFile, mappings, files, joins)) if len(mappings) > 1 else ()
    return [
        AskedBeside(own, asked.links if links else None, together) for own, links in zip(joins, linked, strict=True)
    ]


class Beside:
    """Completes the rows of a file from what is beside it. Leaving it removes the tables that it keeps on disk."""

    def __init__(self, mapping: Mapping, file: Path, asked: AskedBeside) -> None:
        """Nothing is read yet. Raises ConfigError if a file is named that the mapping has no use for, or lacks one."""
        self._mapping, self._file, self._asked = mapping, file, asked
        self._stack = ExitStack()
        self._joined: list[JoinedFile] = []
        self._links: FileLinks | None = None
        self.counts = IdentityCounts()
        self._files = join_files(mapping.joins, asked.joins, mapping.shape, mapping.name)
        if asked.links is not None and mapping.identity is None:
            raise ConfigError(f"--links: mapping {mapping.name} has no customer.identity, whose identifiers are linked")

    def load(self) -> None:
        """Read the joined files, then all links: those of a file of their own, then those of the file's own rows.

        Raises ConfigError if a file cannot be read, lacks its key or a used column, or links nothing.
        """
        with _temporary_space():
            self._load()

    def _load(self) -> None:
        self._join_files()
        if self._mapping.identity is None:
            return
        self._links = FileLinks()
        self._stack.callback(self._links.close)
        own = PlayedFile(self._mapping, self._file, self._asked.joins)
        together = self._asked.together or (own,)
        if self._asked.links is not None:
            self._link(linked_in(self._asked.links, [one.mapping for one in together]))
        for one in together:
            if one == own:
                self._link(self._linking_rows())
            else:
                with Beside(one.mapping, one.file, AskedBeside(one.joins)) as other:
                    other._join_files()
                    self._link(other._linking_rows())

    def _join_files(self) -> None:
        for rule, path in self._files:
            joined = self._stack.enter_context(JoinedFile(rule, path, self._mapping.named))
            joined.load()
            self._joined.append(joined)

    def _linking_rows(self) -> Iterator[tuple[Identifier, ...]]:
        """What rows of the file name together, if its mapping says that they link it."""
        identity = self._mapping.identity
        if identity is None or identity.link_rule is None:
            return
        with suppress(BrokenInput):  # is told when the rows themselves are read
            for row in self._with_partners(read_rows(self._file, self._mapping.shape)):
                if identity.links(row.fields):
                    yield identity.named(row.fields)
        for joined in self._joined:
            joined.forget_counts()

    def _link(self, rows: Iterable[tuple[Identifier, ...]]) -> None:
        if self._links is not None:
            for found in rows:
                link_together(found, self._links, self.counts)

    def complete(self, rows: Iterable[InputRow]) -> Iterator[InputRow]:
        """Rows with what was joined to them, and with their customer."""
        return iter(rows) if self._links is None and not self._joined else self._completed(rows)

    def _completed(self, rows: Iterable[InputRow]) -> Iterator[InputRow]:
        with _temporary_space():
            for row in self._with_partners(rows):
                if self._links is not None:
                    self._name_customer(row, self._links)
                yield row

    def _with_partners(self, rows: Iterable[InputRow]) -> Iterator[InputRow]:
        for row in rows:
            for joined in self._joined if row.fields is not None else ():
                joined.join(row.fields or {})
            yield row

    def _name_customer(self, row: InputRow, links: FileLinks) -> None:
        """Put the key into the row. One that breaks a rule has none: that is raised again when it is mapped."""
        identity, fields = self._mapping.identity, row.fields
        if identity is not None and fields is not None and (found := identity.named(fields)):
            fields[CUSTOMER] = resolve(found, links, self.counts)

    def header(self, columns: Sequence[str]) -> list[str]:
        """Columns of the file and of those joined to it, as the mapping names them."""
        return [*columns, *(name for joined in self._joined for name in joined.header(columns))]

    def own(self, named: Iterable[NamedField]) -> list[NamedField]:
        """The fields that the file itself has to have, of all that the mapping names."""
        return [one for one in named if not any(joined.has(one) for joined in self._joined)]

    def warnings(self) -> list[str]:
        """What may be wrong with the joined files."""
        return [warning for joined in self._joined for warning in joined.warnings]

    def notes(self) -> list[str]:
        """What was joined, and how customers were told apart."""
        return [*(joined.note() for joined in self._joined), *self.counts.notes()]

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove what was kept on disk."""
        self._stack.close()


def linked_in(file: Path, mappings: Sequence[Mapping]) -> Iterator[tuple[Identifier, ...]]:
    """What each row of a file of links names together; its columns are called as those of a mapping's identifiers.

    Raises ConfigError if no row names two identifiers of one of the mappings.
    """
    paired = False
    for mapping in mappings:
        identity = mapping.identity
        for row in read_rows(file, shape_by_name(file, mapping.shape)) if identity is not None else ():
            found = identity.named(row.fields) if identity is not None else ()
            paired = paired or len(found) > 1
            yield found
    if not paired:
        named = {one for mapping in mappings for one in mapping.named if one.path.startswith("customer.identity")}
        names = ", ".join(sorted({one.name for one in named}))
        raise ConfigError(f"{file}: no row names two identifiers: two of the columns {names} are needed")


@contextmanager
def _temporary_space() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigError(f"{tempfile.gettempdir()}: what is joined and linked cannot be kept there: {error}") from None
