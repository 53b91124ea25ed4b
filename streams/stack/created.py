"""What this state folder made on servers, by name and by the server's own id: only that may be deleted again.

A name proves nothing: a company's topic may be called as ours are, and a topic or database may have been made anew by
somebody else under a name that was ours. What is not in ``created.json``, or has another id now, is left alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ServerException

from schemas.errors import SinkUnavailable, StackError
from streams.stack import Endpoints
from streams.stack.folders import write_private
from streams.topics import admin_of, topic_ids

Kind = Literal["topics", "databases"]
NO_ID = uuid.UUID(int=0)
"""A database of an engine that gives none."""


class Created:
    """The record of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        """Nothing is read yet."""
        self._file = state_dir / "created.json"
        self._lock = state_dir / "created.lock"

    def ids(self, kind: Kind) -> dict[str, str]:
        """Id -> name of everything that was made and not yet deleted. A damaged file proves nothing."""
        return self._read()[kind]

    def add(self, kind: Kind, made: Mapping[str, str]) -> None:
        """Remember (name -> id)."""
        with self._changing() as names:
            names[kind] |= {found: name for name, found in made.items()}

    def forget(self, kind: Kind, ids: Iterable[str]) -> None:
        """These are deleted."""
        with self._changing() as names:
            for one in ids:
                names[kind].pop(one, None)

    def _read(self) -> dict[Kind, dict[str, str]]:
        try:
            names = json.loads(self._file.read_text(encoding="utf-8"))
            kinds: tuple[Kind, ...] = ("topics", "databases")
            return {kind: {str(key): str(name) for key, name in names[kind].items()} for kind in kinds}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return {"topics": {}, "databases": {}}

    @contextmanager
    def _changing(self) -> Iterator[dict[Kind, dict[str, str]]]:
        """Read, change, write; one process at a time."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            names = self._read()
            yield names
            write_private(self._file, json.dumps(names, indent=1, sort_keys=True))
        finally:
            os.close(descriptor)


def drop_topics(bootstrap: str, created: Created, prefix: str) -> tuple[list[str], list[str]]:
    """Delete the topics with ``prefix`` that this state folder made; returns (deleted, foreign ones that were left).

    They are deleted by id, so that one which somebody makes anew in between is not hit.
    """
    with admin_of(bootstrap) as admin:
        there = [name for name in admin.list_topics() if name.startswith(prefix)]
    ids = topic_ids(bootstrap, there) if there else {}
    names = created.ids("topics")
    mine = {name: found for name, found in ids.items() if names.get(found) == name}
    if mine:
        with admin_of(bootstrap) as admin:
            admin.delete_topics([uuid.UUID(found) for found in mine.values()])
    created.forget("topics", list(mine.values()))
    return sorted(mine), sorted(set(there) - set(mine))


@contextmanager
def _migrator(servers: Endpoints) -> Iterator[Client]:
    user, password = servers.account("migrator")
    secret = password.get_secret_value()
    client = Client(servers.clickhouse_host, port=servers.clickhouse_port, user=user, password=secret)
    try:
        yield client
    except ServerException as error:
        raise StackError(f"ClickHouse refuses user {user} (code {error.code})") from error
    except (Error, OSError, EOFError) as error:
        raise SinkUnavailable(f"ClickHouse at {servers.clickhouse_host}:{servers.clickhouse_port}") from error
    finally:
        client.disconnect()


def _database_id(client: Client, database: str) -> str:
    """Id of a database; empty if there is none of that name."""
    rows = client.execute("SELECT toString(uuid) FROM system.databases WHERE name = %(name)s", {"name": database})
    return str(rows[0][0]) if rows else ""


def drop_database(servers: Endpoints, created: Created, database: str) -> bool:
    """Drop a database that this state folder made; False if one of that name is foreign, which is left alone."""
    with _migrator(servers) as client:
        found = _database_id(client, database)
        if found and created.ids("databases").get(found) != database:
            return False
        if found:
            client.execute(f"DROP DATABASE `{database}` SYNC")
            created.forget("databases", [found])
    return True


def make_database(servers: Endpoints, created: Created, database: str) -> None:
    """Make a database that is not there yet, and remember that it is ours. Raises the server's error if it is there."""
    with _migrator(servers) as client:
        client.execute(f"CREATE DATABASE `{database}`")
        found = _database_id(client, database)
        if found and uuid.UUID(found) != NO_ID:
            created.add("databases", {database: found})
