"""A real ClickHouse server on loopback: a binary of the machine, else the one inside the chdb package."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

from pydantic import SecretStr

from schemas.errors import StackError
from streams.settings import Settings
from streams.stack import clickhouse_main
from streams.stack.folders import Machine, StateFolder, fill, write_private
from streams.stack.guard import Say
from streams.stack.jars import Progress
from streams.stack.ports import LOOPBACK, Ports
from streams.stack.process import Launch, rotate
from streams.stack.server import LocalServer

NAME = "clickhouse"
ADMIN = "cxadmin"
ROLES = ("writer", "reader", "operator", "migrator")
"""writer: stores; reader: boards, views only; operator: commands, everything, read-only; migrator: tables."""


class ClickHouseServer(LocalServer):
    """The local server of one state folder; its address is that of the native protocol."""

    name = NAME
    config_name = "config.xml"

    def __init__(self, settings: Settings, state_folder: StateFolder, ports: Ports) -> None:
        """Remember where things are; nothing is started."""
        super().__init__(settings, state_folder, ports)
        self.out = state_folder.logs / "clickhouse.out"

    @property
    def logs(self) -> list[Path]:
        """Logs to show when it dies, best first."""
        return [self.state_folder.logs / "clickhouse.err.log", self.out, self.state_folder.logs / "clickhouse.log"]

    def prepare(self, machine: Machine, say: Say, _progress: Progress, /) -> Launch:
        """Server program, ports, passwords and configuration; returns how to start it."""
        program, origin = server_command(machine)
        say(f"ClickHouse server from {origin}")
        wanted = self.settings.local_clickhouse_port
        port, http_port = self.choose_ports(wanted, "CX_LOCAL_CLICKHOUSE_PORT", "clickhouse_http", say)
        users_file = self.folder / "users.xml"
        admin = passwords(self.state_folder)[ADMIN]
        values = {
            "log_dir": self.state_folder.logs,
            "data_dir": self.folder / "data",
            "users_file": users_file,
            "port": port,
            "http_port": http_port,
            "memory_bytes": self.settings.local_clickhouse_memory_mb * 1_000_000,
            "admin_password_sha256": hashlib.sha256(admin.encode()).hexdigest(),
        }
        write_private(self.config, fill("clickhouse-config.xml", values))
        write_private(users_file, fill("clickhouse-users.xml", values))
        for log in (self.out, self.state_folder.logs / "clickhouse.err.log"):
            rotate(log)
        names = ("PATH", "HOME", "LANG", "TMPDIR")
        environment = {name: os.environ[name] for name in names if name in os.environ}
        environment["CLICKHOUSE_WATCHDOG_ENABLE"] = "0"  # one process, so that its pid is the server's
        return Launch([*program, f"--config-file={self.config}"], self.folder, self.out, environment)

    def query(self, statement: str, user: str = ADMIN, timeout_s: float = 10.0) -> str:
        """Run one statement over HTTP as ``user`` of the passwords file. Raises StackError with the server's words."""
        connection = http.client.HTTPConnection(LOOPBACK, self.ports.get("clickhouse_http") or 0, timeout=timeout_s)
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": passwords(self.state_folder)[user]}
        try:
            connection.request("POST", "/", body=statement.encode(), headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise StackError(f"ClickHouse refused a statement of the set-up: {text[:400]}")
        return text

    def probe(self) -> str | None:
        """Version if the server answers now, else None."""
        try:
            return self.query("SELECT version()", timeout_s=2.0)
        except (OSError, http.client.HTTPException, StackError):
            return None

    def after_start(self) -> None:
        """Create the users, their rights and the database; the same again changes nothing."""
        stored = passwords(self.state_folder)
        values = {f"{role}_password": stored[role] for role in ROLES} | {"database": self.settings.clickhouse_database}
        for statement in statements(fill("clickhouse-users.sql", values)):
            self.query(statement)
        self._narrow_reader()

    def _narrow_reader(self) -> None:
        """Take back what earlier versions let the reader see: all tables. The next migration grants it the views."""
        every = f"{self.settings.clickhouse_database}*.*"
        if every in self.query("SHOW GRANTS FOR reader"):
            self.query(f"REVOKE SELECT, SHOW ON {every} FROM reader")


def statements(script: str) -> list[str]:
    """The statements of a script: comment lines dropped, each ends in a semicolon at the end of a line."""
    lines = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    return [part.strip() for part in re.split(r";\s*(?:\n|$)", lines) if part.strip()]


def server_command(machine: Machine) -> tuple[list[str], str]:
    """Command of the server program and where it was found. StackError if there is none."""
    binary = shutil.which("clickhouse", path=machine.path)
    if binary:
        return [binary, "server"], binary
    if clickhouse_main.library() is None:
        raise StackError(
            "no ClickHouse was found: run `make setup`, which installs the server inside chdb==3.7.2, "
            "or name a server of your own in CX_CLICKHOUSE_URL"
        )
    return [sys.executable, "-I", str(Path(clickhouse_main.__file__))], "the chdb package"


def passwords(state_folder: StateFolder) -> dict[str, str]:
    """Passwords of the local server's users, mode 600; one that is not there yet is generated."""
    names = (ADMIN, *ROLES)
    stored: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = json.loads(state_folder.passwords.read_text(encoding="utf-8")).items()
        stored = {name: value for name, value in found if name in names and isinstance(value, str) and value}
    if len(stored) == len(names):
        return stored
    made = {name: stored.get(name) or secrets.token_hex(24) for name in names}
    write_private(state_folder.passwords, json.dumps(made, indent=1))
    return made


def secret_passwords(state_folder: StateFolder) -> dict[str, SecretStr]:
    """Passwords of every role, typed as secrets."""
    return {role: SecretStr(password) for role, password in passwords(state_folder).items() if role in ROLES}
