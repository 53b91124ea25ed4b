"""ClickHouse at the rim: columnar inserts of the writer, queries of the reader. Native protocol.

A client is not safe between threads and not to be trusted after an error (an exception of the server can leave the
connection in the middle of a block), so every thread has one of its own and throws it away after any failure. What the
server refuses is raised as ``SinkUnavailable`` with the server's error code, never with data: the caller keeps its rows
and offers the same ones again, which is harmless because rows are absolute.
"""

from __future__ import annotations

import importlib
import logging
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from clickhouse_driver import Client, defines
from clickhouse_driver import errors as driver
from pydantic import SecretStr

from schemas.errors import ConfigError, SinkUnavailable
from schemas.tables import BY_NAME
from streams.settings import Settings
from streams.sinks.ready import Ready

# The driver logs a traceback for every failed connection and raises it too; ours is the one that is shown.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

INSERT_SETTINGS = {"async_insert": 0, "optimize_on_insert": 0}
"""Newer servers default to asynchronous inserts: we batch ourselves and commit only what is stored. Rows that replace
each other are left to merges and to FINAL, within one insert as between two: looking for them is work for nothing."""
PROTOCOL = defines.DBMS_MIN_PROTOCOL_VERSION_WITH_PROFILE_EVENTS_IN_INSERT - 1
"""The newest revision without profile events: a block of counters for every insert, which nobody reads, cost as much as
a small insert itself."""
_OWN_FAULTS = (driver.TypeMismatchError, driver.UnknownTypeError, driver.TooLargeStringSize, struct.error)
"""Raised by the driver before anything is sent: a defect of ours that no retry mends."""
_NOT_ALLOWED = 497
_NOT_MIGRATED = {16: "a column is missing", 47: "a column is missing", 60: "a table is missing", 81: "no database"}
_WORDS = {
    **_NOT_MIGRATED,
    164: "read only",
    202: "too many queries",
    241: "out of memory",
    243: "disk full",
    252: "too many parts",
    _NOT_ALLOWED: "not allowed",
    516: "wrong user or password",
}
_COLUMNS = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
_DATABASES = "SELECT database FROM system.tables WHERE name = %(table)s AND database LIKE 'cx%%' ORDER BY database"
_MIGRATE = "; run `cxwatch tables migrate`"


class ClickHouseAccounts(Protocol):
    """Where ClickHouse is and how to log in (``streams.stack.Endpoints`` is one)."""

    @property
    def clickhouse_host(self) -> str: ...
    @property
    def clickhouse_port(self) -> int: ...
    def account(self, role: str, /) -> tuple[str, SecretStr]: ...


@dataclass(frozen=True)
class Login:
    """One user on one database of one server, native protocol."""

    host: str
    port: int
    user: str
    password: SecretStr
    database: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query with the names and ClickHouse types of their columns."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


def _blocks() -> Any:
    """What only those who insert ready columns need: a command that reads does not wait for it."""
    return importlib.import_module("streams.sinks.blocks")


def login(endpoints: ClickHouseAccounts, role: str, database: str = "cx") -> Login:
    """The login of ``role`` (writer, reader or migrator)."""
    user, password = endpoints.account(role)
    return Login(endpoints.clickhouse_host, endpoints.clickhouse_port, user, password, database)


def login_of(settings: Settings) -> Login:
    """The login that ``CX_CLICKHOUSE_URL`` holds (a worker fills it in for the local server). Raises ConfigError."""
    parts = urlsplit(settings.clickhouse_url.get_secret_value()) if settings.clickhouse_url else None
    if parts is None or not parts.hostname:
        raise ConfigError("no ClickHouse is named: run `cxwatch up`, or set CX_CLICKHOUSE_URL")
    user = unquote(parts.username) if parts.username else "writer"
    given = settings.clickhouse_writer_password if parts.username is None else None
    password = given or SecretStr(unquote(parts.password or ""))
    return Login(parts.hostname, parts.port or 9000, user, password, settings.clickhouse_database)


class ClickHouse:
    """One login, usable from any thread: each thread gets a client of its own."""

    def __init__(self, login: Login, timeout_s: float = 30.0) -> None:
        """Keep the login; nothing is opened yet. ``timeout_s`` bounds the wait for one answer."""
        self.login = login
        self._timeout_s = timeout_s
        self._local = threading.local()

    def insert(self, table: str, columns: Sequence[Sequence[Any] | Ready]) -> int:
        """Insert parallel columns in the order of the catalogue, in Python or ready; returns the number of rows.

        Raises SinkUnavailable if they were not (or not certainly) stored: offer the same rows again.
        """
        rows = len(columns[0]) if columns else 0
        if rows == 0:
            return 0
        names = ", ".join(f"`{name}`" for name in BY_NAME[table].names)
        statement = f"INSERT INTO `{table}` ({names}) VALUES"
        data = [column if isinstance(column, list | Ready) else list(column) for column in columns]
        with self._client() as client:
            if any(isinstance(column, Ready) for column in data):
                _blocks().insert_block(client, statement, data, INSERT_SETTINGS)
            else:
                client.execute(statement, data, columnar=True, settings=INSERT_SETTINGS)
        return rows

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> Answer:
        """Run one SELECT; ``parameters`` fill ``%(name)s``, quoted by the driver. Raises SinkUnavailable."""
        with self._client() as client:
            rows, columns = client.execute(sql, parameters, with_column_types=True)
        return Answer(tuple(name for name, _ in columns), tuple(kind for _, kind in columns), list(rows))

    def remove_replaced(self, table: str) -> bool:
        """Merge a table now, so that rows which others replace are gone; False if this user may not.

        The server may leave parts out that are just being merged. Raises SinkUnavailable.
        """
        with self._client() as client:
            try:
                client.execute(f"OPTIMIZE TABLE `{table}` FINAL")
            except driver.ServerException as error:
                if error.code != _NOT_ALLOWED:
                    raise
                self.close()
                return False
        return True

    def close(self) -> None:
        """Close this thread's client."""
        client = getattr(self._local, "client", None)
        self._local.client = None
        if client is not None:
            client.disconnect()

    @contextmanager
    def _client(self) -> Iterator[Client]:
        """This thread's client; whatever fails inside, it is thrown away."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._connect()
        try:
            yield client
        except BaseException as error:
            self.close()
            if isinstance(error, _OWN_FAULTS) or not isinstance(error, driver.Error | OSError | EOFError):
                raise
            raise _unavailable(error) from None

    def _connect(self) -> Client:
        return Client(
            self.login.host,
            port=self.login.port,
            user=self.login.user,
            password=self.login.password.get_secret_value(),
            database=self.login.database,
            client_name="cxwatch",
            connect_timeout=3,
            send_receive_timeout=self._timeout_s,
            compression="lz4",
            tcp_keepalive=True,
            client_revision=PROTOCOL,
        )


def _unavailable(error: Exception) -> SinkUnavailable:
    """The server's own text may quote data or addresses, so only its code and our words are shown."""
    code = error.code if isinstance(error, driver.ServerException) else None
    if code is None:
        return SinkUnavailable("ClickHouse", 1.0)
    words = _WORDS.get(code, "refused")
    return SinkUnavailable(f"ClickHouse ({words}, code {code}{_MIGRATE if code in _NOT_MIGRATED else ''})", 2.0)


def databases(account: Login) -> list[str]:
    """Databases with our tables that this user may read. Raises SinkUnavailable."""
    client = ClickHouse(replace(account, database="system"))
    try:
        return [str(name) for (name,) in client.query(_DATABASES, {"table": "issue"}).rows]
    finally:
        client.close()


def check_columns(client: ClickHouse) -> None:
    """Refuse tables that are not what the catalogue says: rows would be refused, or land in the wrong form.

    Further columns and missing tables are fine (an insert names its columns, and says itself what is not migrated).
    Raises ConfigError naming every difference, SinkUnavailable if the server does not answer.
    """
    there: dict[str, dict[str, str]] = {}
    for table, name, kind in client.query(_COLUMNS).rows:
        there.setdefault(table, {})[name] = kind
    wrong = [
        f"table {table.name}: column {column.name} is {there[table.name].get(column.name, 'missing')}, the catalogue "
        f"says {column.type}"
        for table in BY_NAME.values()
        if table.name in there
        for column in table.columns
        if there[table.name].get(column.name) != column.type
    ]
    if wrong:
        raise ConfigError("; ".join([*wrong, "nothing was written: `cxwatch tables status` shows what was migrated"]))
