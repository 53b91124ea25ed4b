"""The numbered migrations of ``schemas/ddl``: which are applied, and applying the rest, as user migrator."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clickhouse_driver import errors as driver
from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster
from clickhouse_migrations.exceptions import MigrationException

import schemas
from schemas.errors import ConfigError, SinkUnavailable
from schemas.views import READABLE, VIEWS
from streams.sinks.clickhouse import ClickHouse, ClickHouseAccounts, login

log = logging.getLogger("cx.clickhouse")

DDL = Path(schemas.__file__).parent / "ddl"
"""Folder of the numbered migrations."""


_SHADOWS = """
SELECT r.database
FROM replay AS r FINAL
INNER JOIN system.databases AS d ON d.name = r.database AND d.comment = r.mark
WHERE NOT r.own AND r.state = 'ready'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered migration and its state: applied, pending, or changed / missing since it was applied."""

    version: int
    name: str
    state: str


def migrate(endpoints: ClickHouseAccounts, database: str = "cx") -> list[str]:
    """Apply the pending migrations as user migrator; returns their file names.

    Databases of replays beside it (``streams.replay.shadow``) follow, so that boards can still show them; one that
    cannot is said in a warning. Raises ConfigError if an applied migration was edited since or one of ours is wrong,
    SinkUnavailable if the server cannot be reached.
    """
    pending = [migration.name for migration in migrations(endpoints, database) if migration.state == "pending"]
    with _migrating():
        _cluster(endpoints, database).migrate(database, DDL, migration_log_format="compact")
    migrator = ClickHouse(login(endpoints, "migrator", database))
    share_views(migrator, endpoints.account("reader")[0])
    for shadow in _shadows(migrator) if pending else ():
        try:
            migrate(endpoints, shadow)
        except ConfigError as error:
            log.warning("database %s of a replay is not up to date, make it anew: %s", shadow, error)
    return pending


def _shadows(migrator: ClickHouse) -> list[str]:
    """Databases of replays that are registered and bear their mark; none where there is no register yet."""
    try:
        (there,) = migrator.query("SELECT count() FROM system.tables WHERE database = currentDatabase() "
                                  "AND name = 'replay'").rows[0]  # fmt: skip
        return [str(name) for (name,) in migrator.query(_SHADOWS).rows] if there else []
    finally:
        migrator.close()


def share_views(migrator: ClickHouse, reader: str) -> None:
    """Let user ``reader`` read every view of boards and no other table: views read tables as their definer.

    On a server of your own whose migrator may not grant rights, or where nobody is called ``reader``, this is left to
    whoever gives rights there; a warning says so.
    """
    statements = [f"ALTER TABLE `{view}` MODIFY DEFINER = CURRENT_USER SQL SECURITY DEFINER" for view in VIEWS]
    statements += [f"GRANT SELECT ON `{migrator.login.database}`.`{name}` TO `{reader}`" for name in READABLE]
    if reader == migrator.login.user:
        return
    try:
        for statement in statements:
            migrator.query(statement)
    except SinkUnavailable as error:
        log.warning("user %s was not granted the views of boards: %s (docs/security.md)", reader, error)
    finally:
        migrator.close()


def migrations(endpoints: ClickHouseAccounts, database: str = "cx") -> list[Migration]:
    """Every migration with its state, oldest first; read-only."""
    names = {int(path.name.split("_")[0]): path.name for path in DDL.glob("*.sql")}
    with _migrating():
        rows = _cluster(endpoints, database).status(database, DDL)
    return [Migration(row.version, names.get(row.version, "(no file)"), row.state) for row in rows]


def _cluster(endpoints: ClickHouseAccounts, database: str) -> ClickhouseCluster:
    account = login(endpoints, "migrator", database)
    return ClickhouseCluster(
        account.host,
        db_user=account.user,
        db_password=account.password.get_secret_value(),
        db_port=str(account.port),
        connect_timeout=3,
    )


@contextmanager
def _migrating() -> Iterator[None]:
    """Map the library's errors, and keep it from logging statements to the root logger."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(max(level, logging.WARNING))
    try:
        yield
    except MigrationException as error:
        raise ConfigError(f"the migrations do not fit this database: {error}") from None
    except driver.ServerException as error:
        raise ConfigError(f"a migration was refused: {error.message.split('Stack trace')[0].strip()[:500]}") from None
    except (driver.Error, OSError, EOFError):
        raise SinkUnavailable("ClickHouse", 1.0) from None
    finally:
        root.setLevel(level)
