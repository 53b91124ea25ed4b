"""Where links between identifiers are kept: a table on disk (SQLite), for one file or for a topic that is followed.

What a follower keeps (:class:`KeptLinks`) lies in the state folder, one file for each mapping and prefix of topics. It
holds opaque ids and pseudonyms only, at most so many links: beyond that the ones that were not used for longest are
dropped and counted. Before the events of a batch are written to Kafka, its links and the key of each of its rows are on
disk; a follower that died in between reads those rows again and gives them the same keys, whatever was linked since.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from schemas.errors import ConfigError
from streams.sources.identity import Identifier, IdentityCounts, link_together, resolve

HOUR_MS = 3_600_000
MOST_LINKS = 5_000_000
"""About 600 MB on disk."""
_USED_AGAIN_H = 24
"""A link that is used is marked so at most once in so many hours of event time."""
_DROPPED_SHARE = 100
_CACHE_KIB = 16 * 1024
_SAFE = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON")
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS links (
    name TEXT PRIMARY KEY, target TEXT NOT NULL, used_h INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_used ON links (used_h);
CREATE INDEX IF NOT EXISTS links_target ON links (target);
CREATE TABLE IF NOT EXISTS keyed (
    topic TEXT NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL, nth INTEGER NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (topic, part, offset, nth)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reached (
    topic TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (part INTEGER PRIMARY KEY, next INTEGER NOT NULL);
"""


class NamedRow(NamedTuple):
    """A row of a topic that names a customer. ``nth``: a message can hold several rows, counted from 0."""

    part: int
    offset: int
    nth: int
    at_ms: int
    identifiers: tuple[Identifier, ...]
    links: bool
    """True if it links what it names."""


class FileLinks:
    """The links of one file, in a temporary folder; closing it removes them. See :class:`streams.sources.identity`."""

    def __init__(self) -> None:
        """An empty table."""
        self._folder = tempfile.TemporaryDirectory(prefix="cx-links-")
        self._table = sqlite3.connect(Path(self._folder.name) / "links.sqlite", isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._table.execute(f"PRAGMA {setting}")
        self._table.execute("CREATE TABLE links (name TEXT PRIMARY KEY, target TEXT NOT NULL) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def target(self, name: str) -> str | None:
        """What an identifier is linked to."""
        found = self._table.execute("SELECT target FROM links WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found is not None else None

    def link(self, name: str, target: str) -> None:
        """Link an identifier that has no link yet."""
        self._table.execute("INSERT INTO links VALUES (?, ?)", (name, target))

    def close(self) -> None:
        """Remove the table."""
        self._table.close()
        self._folder.cleanup()


class KeptLinks:
    """The links that a follower keeps, with what is needed to give rows that are read again the same keys."""

    def __init__(self, path: Path, topic: str, most: int = MOST_LINKS) -> None:
        """Open or make the file; ``topic`` is the one that is followed.

        Raises ConfigError if it cannot be used, or was written by a newer version.
        """
        self._path, self._topic, self._most = path, topic, most
        self._hour = 0
        self.dropped = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._table = sqlite3.connect(path, isolation_level=None, timeout=10)
            for setting in (*_SAFE, f"cache_size = -{_CACHE_KIB}"):
                self._table.execute(f"PRAGMA {setting}")
            version = int(self._table.execute("PRAGMA user_version").fetchone()[0])
            if version > _VERSION:
                raise ConfigError(f"{path}: written by a newer cxwatch")
            self._table.executescript(_SCHEMA)
            self._table.execute(f"PRAGMA user_version = {_VERSION}")
            self.count = int(self._table.execute("SELECT count(*) FROM links").fetchone()[0])
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{path}: the links of identifiers cannot be kept there: {error}") from None

    def target(self, name: str) -> str | None:
        """What an identifier is linked to; marks the link as used."""
        found = self._table.execute("SELECT target, used_h FROM links WHERE name = ?", (name,)).fetchone()
        if found is None:
            return None
        if self._hour - found[1] >= _USED_AGAIN_H:
            self._table.execute("UPDATE links SET used_h = ? WHERE name = ?", (self._hour, name))
        return str(found[0])

    def link(self, name: str, target: str) -> None:
        """Link an identifier that has no link yet."""
        self._table.execute("INSERT INTO links VALUES (?, ?, ?)", (name, target, self._hour))
        self.count += 1

    def add(self, rows: Iterable[Sequence[Identifier]], counts: IdentityCounts) -> None:
        """Link what each row names together, as if all of it had been read before anything else."""
        with self._all_or_nothing():
            for identifiers in rows:
                link_together(identifiers, self, counts)

    def keys(
        self, rows: Iterable[NamedRow], committed: Mapping[int, int], reached: Mapping[int, int], counts: IdentityCounts
    ) -> list[str]:
        """The key of each row, in their order; with their links it is on disk when this returns.

        Per partition ``committed`` holds the offset behind what can no longer be read again, ``reached`` the one behind
        the messages of these rows.
        """
        with self._all_or_nothing():
            self._forget_keys(committed)
            ends = [(self._topic, *end) for end in reached.items()]
            self._table.executemany("INSERT OR REPLACE INTO reached VALUES (?, ?, ?)", ends)
            return [self._key(row, counts) for row in rows]

    def forget_keys(self, committed: Mapping[int, int]) -> None:
        """Forget the keys of rows that can no longer be read again."""
        with self._all_or_nothing():
            self._forget_keys(committed)

    def _forget_keys(self, committed: Mapping[int, int]) -> None:
        self._table.executemany(_FORGET, [(self._topic, *end) for end in committed.items()])

    def _key(self, row: NamedRow, counts: IdentityCounts) -> str:
        at = (self._topic, row.part, row.offset, row.nth)
        before = self._table.execute(_KEYED, at).fetchone()
        if before is not None:
            counts.rows += 1
            return str(before[0])
        self._hour = max(self._hour, row.at_ms // HOUR_MS)
        if row.links:
            link_together(row.identifiers, self, counts)
        key = resolve(row.identifiers, self, counts)
        self._table.execute("INSERT INTO keyed VALUES (?, ?, ?, ?, ?)", (*at, key))
        return key

    def thin_out(self) -> int:
        """Drop the links that were not used for longest, if there are too many; returns how many."""
        too_many = self.count - self._most
        if too_many <= 0:
            return 0
        least = too_many + self._most // _DROPPED_SHARE
        with self._all_or_nothing():
            dropped = self._table.execute(_DROP_OLDEST, (least,)).rowcount
        self.dropped += dropped
        self.count -= dropped
        return dropped

    def erase(self, customer: str, kinds: Iterable[str]) -> int:
        """Remove every link that leads to a customer, whatever kind of identifier its key is; returns how many.

        Nothing of them is left on disk: freed pages are overwritten, and the log of changes is emptied.
        """
        before = self._table.total_changes
        with self._all_or_nothing():
            for kind in dict.fromkeys(kinds):
                self._table.execute(_ERASE, (f"{kind}:{customer}",))
        removed = self._table.total_changes - before
        self.count -= removed
        if removed:
            self._table.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def reached(self) -> dict[int, int]:
        """Per partition of the source the offset up to which customers were looked up in this file."""
        return dict(self._table.execute("SELECT part, next FROM reached WHERE topic = ?", (self._topic,)))

    def erasures_read(self) -> dict[int, int]:
        """Per partition of the customers' topic the offset up to which erasures were carried out."""
        return dict(self._table.execute("SELECT part, next FROM erasures"))

    def note_erasures(self, part: int, offset: int) -> None:
        """Erasures of a partition were carried out up to an offset."""
        with self._all_or_nothing():
            self._table.execute("INSERT OR REPLACE INTO erasures VALUES (?, ?)", (part, offset))

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            self._table.execute("BEGIN IMMEDIATE")
            yield
            self._table.execute("COMMIT")
        except sqlite3.Error as error:
            raise ConfigError(f"{self._path}: links of identifiers cannot be kept: {error}") from None
        finally:
            if self._table.in_transaction:
                self._table.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; it stays."""
        self._table.close()


def links_file(state_dir: Path, prefix: str, mapping: str) -> Path:
    """Where the links of a follower are kept: one file for each mapping and prefix of topics."""
    return state_dir / "links" / f"{quote(prefix + mapping, safe='')}.sqlite"


_KEYED = "SELECT key FROM keyed WHERE topic = ? AND part = ? AND offset = ? AND nth = ?"
_FORGET = "DELETE FROM keyed WHERE topic = ? AND part = ? AND offset < ?"
_DROP_OLDEST = "DELETE FROM links WHERE name IN (SELECT name FROM links ORDER BY used_h, name LIMIT ?)"
_ERASE = """
WITH RECURSIVE gone (name) AS (
    SELECT ?1 UNION SELECT links.name FROM links JOIN gone ON links.target = gone.name
)
DELETE FROM links WHERE name IN gone
"""
