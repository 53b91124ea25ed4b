"""Servers of the user's own, named in the settings: how to reach them, and whether they answer."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from schemas.errors import ConfigError
from streams.security.brokers import connection, is_open
from streams.settings import Settings
from streams.stack.clickhouse import ROLES
from streams.stack.kafka import probe_brokers

_PROBE_MS = 10_000
_URL = "CX_CLICKHOUSE_URL is wrong: allowed is clickhouse://[user:password@]host[:port]"


@dataclass(frozen=True)
class NamedClickHouse:
    """What CX_CLICKHOUSE_URL says, with one account per role."""

    host: str
    port: int
    http_port: int
    names: dict[str, str]
    """Role -> user name: the URL's user for every role, or the role's own name."""
    passwords: dict[str, SecretStr]
    """Role -> password."""


def clickhouse_of(settings: Settings) -> NamedClickHouse | None:
    """The ClickHouse that the settings name, None if they name none. Raises ConfigError; never shows the URL."""
    if settings.clickhouse_url is None:
        return None
    try:
        parts = urlsplit(settings.clickhouse_url.get_secret_value())
        host, port = parts.hostname, parts.port or 9000
    except ValueError:
        raise ConfigError(_URL) from None
    if parts.scheme != "clickhouse" or not host:
        raise ConfigError(_URL)
    if parts.username:
        names = {role: unquote(parts.username) for role in ROLES}
        passwords = {role: SecretStr(unquote(parts.password or "")) for role in ROLES}
    else:
        names = {role: role for role in ROLES}
        if settings.clickhouse_operator_password is None:  # a server of before there was such a user
            names["operator"] = "reader"
        passwords = {role: _password(settings, names[role]) for role in ROLES}
    return NamedClickHouse(host, port, settings.clickhouse_http_port, names, passwords)


def _password(settings: Settings, role: str) -> SecretStr:
    found = getattr(settings, f"clickhouse_{role}_password")
    return found if isinstance(found, SecretStr) else SecretStr("")


def probe_clickhouse(server: NamedClickHouse) -> tuple[str, str]:
    """(version, what is wrong): one of the two is empty."""
    driver = importlib.import_module("clickhouse_driver")  # slow, and most often not needed
    client = driver.Client(
        server.host,
        port=server.port,
        user=server.names["reader"],
        password=server.passwords["reader"].get_secret_value(),
        connect_timeout=3,
        send_receive_timeout=5,
    )
    try:
        return str(client.execute("SELECT version()")[0][0]), ""
    except driver.errors.Error as error:
        return "", f"refuses user {server.names['reader']} (code {error.code})"
    except (OSError, EOFError) as error:
        return "", f"cannot be reached ({type(error).__name__})"
    finally:
        client.disconnect()


def probe_kafka(bootstrap: str) -> tuple[str, str]:
    """(version as far as the wire tells it, what is wrong): one of the two is empty."""
    if is_open(bootstrap) and not probe_brokers(bootstrap):
        return "", "cannot be reached"
    admin = importlib.import_module("kafka.admin")  # slow, and most often not needed
    errors = importlib.import_module("kafka.errors")
    noisy = logging.getLogger("kafka")
    level, noisy.level = noisy.level, logging.CRITICAL
    try:
        asked = admin.KafkaAdminClient(
            **connection(bootstrap), client_id="cxwatch-status", bootstrap_timeout_ms=_PROBE_MS
        )
        try:
            node = int(asked.describe_cluster()["brokers"][0]["broker_id"])
            version = asked.get_broker_version_data(node).broker_version
            return ".".join(map(str, version)), ""
        finally:
            asked.close()
    except (errors.KafkaError, OSError) as error:
        wrong = f"cannot be reached, or lets us in no further than its door ({type(error).__name__})"
        return ("unknown", "") if is_open(bootstrap) else ("", wrong)
    finally:
        noisy.level = level
