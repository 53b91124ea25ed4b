"""Shadow databases: what a replay found, in tables and views like those of the live database, for boards to show.

The live database ``cx`` gets a neighbour ``cx_replay_<name>``, made by the same migrations, filled by the same rows as
the store writes, and readable for the same users. The live database is only told about it: one row of its register, the
table ``replay``. A database is ours if it bears the mark that the register has for it; any other of that name is left
alone.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Any

from schemas.errors import CxError, SinkUnavailable
from streams.agents.store import Store
from streams.runtime.batch import RawBatch
from streams.sinks.clickhouse import ClickHouse, ClickHouseAccounts, login
from streams.sinks.migrations import migrate

NAMES = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""What a replay may be called: it becomes part of a database's name."""
ROUND_MESSAGES = 50_000
"""Messages that are turned into rows before they are inserted, one insert per table."""
_REGISTER = "SELECT * EXCEPT (ingest_time) FROM replay FINAL WHERE NOT own ORDER BY made_at DESC, name"


class ShadowRefused(CxError):
    """A shadow database cannot be made, filled or dropped; the text says why and what can be done."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a replay was made from, as boards and lists say it; no path, no address."""

    source: str
    """Kind and name of the source: ``recording tuesday``."""
    configuration: str
    """Hash of the configuration, hexadecimal."""
    from_ms: int
    """First event time, ms since 1970 UTC."""
    to_ms: int
    """Last event time, ms since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One row of the register, in the order of its columns; times in ms since 1970 UTC."""

    name: str
    database: str
    own: bool
    mark: str
    made_at_ms: int
    source: str
    configuration: str
    from_ms: int
    to_ms: int
    rows: int
    state: str
    """filling, ready or failed."""
    dropped: int
    ver: int

    @property
    def words(self) -> str:
        """How far it is, for a person."""
        if self.state == "ready":
            return f"{self.rows} rows"
        return "half filled: " + ("its replay failed or was stopped" if self.state == "failed" else "its replay runs, "
                                  "or was killed")  # fmt: skip


def shadow_name(live: str, name: str) -> str:
    """The database of a replay beside the database ``live``. Raises ShadowRefused for a name that cannot be one.

    >>> shadow_name("cx", "tuesday")
    'cx_replay_tuesday'
    """
    if not NAMES.fullmatch(name):
        raise ShadowRefused(
            f"a replay cannot be called {name[:60]!r}: up to 40 lower-case letters, digits and _, a letter first"
        )
    return f"{live}_replay_{name}"


def registered(client: ClickHouse) -> list[Registered]:
    """Every replay that the database of this login knows of, newest first. Raises SinkUnavailable."""
    return [_row(row) for row in client.query(_REGISTER).rows]


class Shadows:
    """The shadow databases of one live database."""

    def __init__(self, accounts: ClickHouseAccounts, live: str, clock: Callable[[], float] = time.time) -> None:
        """Nothing is opened yet. ``clock``: seconds since 1970."""
        self._accounts = accounts
        self._live = live
        self._clock = clock
        self._register = ClickHouse(login(accounts, "writer", live))
        self._migrator = ClickHouse(login(accounts, "migrator", live))

    def close(self) -> None:
        """Close both connections."""
        self._register.close()
        self._migrator.close()

    def check(self, name: str, replacing: bool = False) -> Registered | None:
        """What is registered under this name. Raises ShadowRefused if a replay may not be filled under it.

        To be asked before a long replay begins; ``replacing``: one that is there may go.
        """
        database = shadow_name(self._live, name)
        (own,) = self._register.query("SELECT count() FROM replay FINAL WHERE own").rows[0]
        if own:
            raise ShadowRefused(f"{self._live} is the database of a replay itself: set CX_CLICKHOUSE_DATABASE")
        known = self._find(name)
        mark = self._mark_of(database)
        if mark is not None and (known is None or known.mark != mark):
            raise ShadowRefused(f"the database {database} was not made by a replay: choose another name")
        if known is not None and not replacing:
            raise ShadowRefused(
                f"there is a replay {name} ({known.words}): --replace fills it anew, `cxwatch replays drop {name}` "
                "removes it"
            )
        return known

    def fill(self, name: str, origin: Origin, batches: Iterable[RawBatch], replacing: bool = False) -> Registered:
        """Make the database, store the messages of all topics as the store does, and call it ready.

        Whatever fails or interrupts this leaves a half-filled database that the register calls failed. Raises
        ShadowRefused as :meth:`check`, SinkUnavailable, ConfigError if a migration is refused.
        """
        known = self.check(name, replacing)
        if known is not None:
            self._remove(known)
        made_ms = self._now_ms()
        row = Registered(
            name, shadow_name(self._live, name), False, uuid.uuid4().hex, made_ms, origin.source, origin.configuration,
            origin.from_ms, origin.to_ms, 0, "filling", 0, made_ms,
        )  # fmt: skip
        row = self._tell(row)
        try:
            self._migrator.query(f"CREATE DATABASE `{row.database}` COMMENT '{row.mark}'")
            migrate(self._accounts, row.database)
            stored = self._store(row, batches)
            return self._tell(replace(row, rows=stored, state="ready"), both=True)
        except BaseException:
            with suppress(SinkUnavailable):
                newest = self._find(name)
                if newest is not None and newest.mark == row.mark:
                    self._tell(replace(row, state="failed"))
            raise

    def drop(self, name: str) -> Registered:
        """Drop the database of a registered replay and forget it. Raises ShadowRefused, SinkUnavailable."""
        shadow_name(self._live, name)
        known = self._find(name)
        if known is None:
            there = ", ".join(one.name for one in registered(self._register)) or "none"
            raise ShadowRefused(f"there is no replay {name} of {self._live}; there are: {there}")
        mark = self._mark_of(known.database)
        if mark is not None and mark != known.mark:
            raise ShadowRefused(f"the database {known.database} was not made by this replay and is left alone")
        self._remove(known)
        return known

    def _store(self, row: Registered, batches: Iterable[RawBatch]) -> int:
        """Store everything, a round at a time; the rows that were inserted."""
        client = ClickHouse(login(self._accounts, "writer", row.database))
        store = Store(client)
        try:
            client.insert("replay", _columns(replace(row, own=True)))
            for some in _rounds(batches):
                self._check_mark(row)
                store.write(some)
            self._check_mark(row)
        finally:
            client.close()
        return store.stored

    def _check_mark(self, row: Registered) -> None:
        """Another one may have replaced or dropped the database: what is written then would be in the wrong one."""
        if self._mark_of(row.database) != row.mark:
            raise ShadowRefused(f"the database {row.database} was dropped or replaced while it was filled")

    def _remove(self, known: Registered) -> None:
        """First unregistered, so that no board offers what is going; then dropped, with what the reader may read."""
        known = self._tell(replace(known, state="failed"))
        if self._mark_of(known.database) == known.mark:
            self._migrator.query(f"DROP DATABASE `{known.database}` SYNC")
            reader = self._accounts.account("reader")[0]
            if reader != self._migrator.login.user:
                with suppress(SinkUnavailable):
                    self._migrator.query(f"REVOKE ALL ON `{known.database}`.* FROM `{reader}`")
        self._tell(replace(known, dropped=1))

    def _tell(self, row: Registered, both: bool = False) -> Registered:
        """Write a newer version of a row into the register; ``both``: also into the shadow database itself."""
        row = replace(row, ver=max(self._now_ms(), row.ver + 1))
        if both:
            client = ClickHouse(login(self._accounts, "writer", row.database))
            client.insert("replay", _columns(replace(row, own=True)))
            client.close()
        self._register.insert("replay", _columns(row))
        return row

    def _find(self, name: str) -> Registered | None:
        return next((one for one in registered(self._register) if one.name == name), None)

    def _mark_of(self, database: str) -> str | None:
        """The comment of a database, None if there is none of that name."""
        asked = self._migrator.query("SELECT comment FROM system.databases WHERE name = %(name)s", {"name": database})
        return str(asked.rows[0][0]) if asked.rows else None

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)


def _rounds(batches: Iterable[RawBatch]) -> Iterator[list[RawBatch]]:
    """The batches in lists of about ``ROUND_MESSAGES`` messages."""
    some: list[RawBatch] = []
    messages = 0
    for batch in batches:
        some.append(batch)
        messages += len(batch)
        if messages >= ROUND_MESSAGES:
            yield some
            some, messages = [], 0
    if some:
        yield some


def _row(values: tuple[Any, ...]) -> Registered:
    plain: list[Any] = [int(one.timestamp() * 1_000) if isinstance(one, datetime) else one for one in values]
    return Registered(*plain)


def _columns(row: Registered) -> list[list[Any]]:
    return [[value] for value in astuple(row)]
