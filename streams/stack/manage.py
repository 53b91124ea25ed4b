"""Start, stop and inspect the local stack. What the settings name is the user's own and is never started or stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from pydantic import SecretStr

from schemas.errors import StackError
from streams.security.brokers import brokers_of
from streams.settings import Settings
from streams.stack import external
from streams.stack.clickhouse import ROLES, ClickHouseServer, secret_passwords
from streams.stack.folders import Machine, StateFolder
from streams.stack.guard import full_disk_in_words, need_disk_space, only_one
from streams.stack.kafka import Kafka, forgets
from streams.stack.ports import LOOPBACK, Ports
from streams.stack.process import PidFile, find_by_argument, log_tail, start, stop
from streams.stack.server import LocalServer

Health = Literal["healthy", "not answering", "dead", "stopped", "unreachable"]
SERVERS = ("kafka", "clickhouse")
_STOP_PATIENCE_S = 30.0
_REASONS = {
    "No space left on device": "the disk is full; make room, or set CX_STATE_DIR to another disk",
    "Address already in use": "another program took its port in the meantime; run `cxwatch up` again",
    "Failed to acquire lock": "another server still uses its data; end that process, then run `cxwatch up` again",
    "Cannot lock file": "another server still uses its data; end that process, then run `cxwatch up` again",
    "OutOfMemoryError": "its memory was too small; raise CX_LOCAL_KAFKA_HEAP_MB",
}


class Reporter:
    """Where `up` and `down` tell what they do; this one is silent."""

    def say(self, sentence: str) -> None:
        """One finished step or finding."""

    def downloaded(self, done_bytes: int, total_bytes: int) -> None:
        """Progress of the jars."""


@dataclass(frozen=True)
class Endpoints:
    """Where the servers are and how to log in."""

    kafka_bootstrap: str
    """host:port[,host:port]; empty if Kafka is not part of what was asked for."""
    clickhouse_host: str
    clickhouse_port: int
    """Native protocol."""
    clickhouse_http_port: int
    users: dict[str, SecretStr]
    """Role (writer, reader, migrator) -> password."""
    names: Mapping[str, str] = field(default_factory=lambda: {role: role for role in ROLES})
    """Role -> user name; differs from the role only if CX_CLICKHOUSE_URL names one user for all."""

    def account(self, role: str) -> tuple[str, SecretStr]:
        """(user name, password) of a role."""
        return self.names[role], self.users[role]


@dataclass(frozen=True)
class ServerStatus:
    """One server as `cxwatch status` shows it."""

    name: str
    kind: str
    """``local`` (started by us) or ``named`` (yours, from the settings)."""
    version: str
    """Empty if it cannot be told."""
    address: str
    health: Health
    pid: int | None = None
    detail: str = ""
    last_log_lines: tuple[str, ...] = ()

    def as_json(self) -> str:
        """One JSON object, one line."""
        return json.dumps(asdict(self), sort_keys=True)


class Stack:
    """The local servers of one state folder."""

    def __init__(self, settings: Settings) -> None:
        """Read what is remembered in the state folder; nothing is made or started."""
        self.settings = settings
        self.state_folder = StateFolder(settings.state_dir)
        self.ports = Ports(self.state_folder.ports)
        self.kafka = Kafka(settings, self.state_folder, self.ports)
        self.clickhouse = ClickHouseServer(settings, self.state_folder, self.ports)

    def local(self, only: Sequence[str] = SERVERS) -> list[LocalServer]:
        """The servers of ``only`` that the settings do not name."""
        mine: list[LocalServer] = []
        if "kafka" in only and self.settings.kafka_bootstrap is None:
            mine.append(self.kafka)
        if "clickhouse" in only and self.settings.clickhouse_url is None:
            mine.append(self.clickhouse)
        return mine

    def pid_file(self, server: LocalServer) -> PidFile:
        """The pid file of one server."""
        return PidFile(self.state_folder.of(server.name) / "pid")

    def running(self, server: LocalServer, reporter: Reporter | None = None) -> int | None:
        """Pid of the live server; stale pid files are removed and lost ones restored, each with a sentence."""
        teller = reporter or Reporter()
        pid_file = self.pid_file(server)
        state, pid = pid_file.read()
        if state == "alive":
            return pid
        if state == "foreign":
            teller.say(f"{server.name}: stale pid file, pid {pid} is another program now; that program is left alone")
            pid_file.remove()
        orphan = find_by_argument(_mark(server))
        if orphan:
            teller.say(f"{server.name}: found running without a pid file (pid {orphan}), taken over")
            pid_file.write(orphan)
            return orphan
        if state == "dead":
            teller.say(
                "\n  ".join([f"{server.name} (pid {pid or 'unknown'}) died; last lines:", *log_tail(server.logs)])
            )
            pid_file.remove()
        return None


def _mark(server: LocalServer) -> str:
    """The argument on its command line by which a server of this state folder is recognised."""
    return str(server.config) if server.name == "kafka" else f"--config-file={server.config}"


@dataclass(frozen=True)
class UpOptions:
    """How `up` goes about it; the defaults are those of the command."""

    only: Sequence[str] = SERVERS
    die_with_parent: bool = False
    """Linux: the servers end with this process (tests)."""
    lock_patience_s: float = 120.0
    """How long to wait for another `up` or `down` of the same folder."""
    answer_patience_s: float = 15.0
    """How long a running server may stay silent before it is started again."""
    machine: Machine = field(default_factory=Machine.here)


def up(settings: Settings, reporter: Reporter | None = None, options: UpOptions | None = None) -> Endpoints:
    """Start what the settings do not name and wait until it serves. The same again changes nothing.

    Raises StackError: one sentence for a person, with the way out.
    """
    teller, how = reporter or Reporter(), options or UpOptions()
    state_folder = StateFolder(settings.state_dir)
    with full_disk_in_words(settings.state_dir):
        made_state_folder(settings, teller, how.only)
        with only_one(state_folder.lock, teller.say, how.lock_patience_s):
            stack = Stack(settings)
            mine = stack.local(how.only)
            launched = [server for server in mine if not _already_serves(stack, server, teller, how.answer_patience_s)]
            if launched:
                need_disk_space(settings.state_dir, settings.local_min_free_mb)
            for server in launched:
                launch = server.prepare(how.machine, teller.say, teller.downloaded)
                pid = start(replace(launch, die_with_parent=how.die_with_parent))
                stack.pid_file(server).write(pid)
            for server in launched:
                _await_ready(stack, server, teller)
            for server in mine:
                server.after_start()
    return endpoints(settings, how.only)


def made_state_folder(settings: Settings, teller: Reporter, servers: Sequence[str] = ()) -> None:
    """Make what is missing of the state folder, and say so if there was none. Raises StackError."""
    if StateFolder(settings.state_dir).prepare(*servers):
        teller.say(f"state folder {settings.state_dir} made; commands find it from every folder below it too")


def _already_serves(stack: Stack, server: LocalServer, teller: Reporter, patience_s: float) -> bool:
    """True if the server runs and answers; one that runs and does not answer is ended."""
    pid = stack.running(server, teller)
    if pid is None:
        return False
    end = time.monotonic() + patience_s
    while time.monotonic() < end and stack.pid_file(server).alive():
        version = server.probe()
        if version:
            teller.say(f"{server.name} {version} is already running on {server.address} (pid {pid})")
            return True
        time.sleep(0.2)
    teller.say(f"{server.name} (pid {pid}) does not answer on {server.address}; it is started again")
    stop(pid, _STOP_PATIENCE_S / 3)
    stack.pid_file(server).remove()
    return False


def _await_ready(stack: Stack, server: LocalServer, teller: Reporter) -> None:
    """Wait until the server serves. A server that dies or takes too long is an error with its last log lines."""
    begun = time.monotonic()
    limit_s = stack.settings.local_start_timeout_s
    while True:
        version = server.probe()
        took = time.monotonic() - begun
        if version:
            teller.say(f"{server.name} {version} serves on {server.address} ({took:.1f} s)")
            return
        alive = stack.pid_file(server).alive()
        if alive is None or took > limit_s:
            tail = log_tail(server.logs)
            if alive:
                stop(alive, _STOP_PATIENCE_S / 3)
            stack.pid_file(server).remove()
            what = f"was not ready within {limit_s:g} s" if alive else "ended while starting"
            reason = next((text for sign, text in _REASONS.items() if sign in "\n".join(tail)), "")
            raise StackError("\n  ".join([f"{server.name} {what}{': ' if reason else ''}{reason}; last lines:", *tail]))
        time.sleep(0.1)


def down(settings: Settings, reporter: Reporter | None = None, patience_s: float = _STOP_PATIENCE_S) -> None:
    """Stop the local servers; their data, ports and passwords stay. Servers that the settings name are left alone.

    One that has not stopped by itself after ``patience_s`` is killed, which loses nothing that was acknowledged.
    """
    teller = reporter or Reporter()
    state_folder = StateFolder(settings.state_dir)
    if not state_folder.root.exists():
        teller.say("nothing is running")
        return
    with only_one(state_folder.lock, teller.say):
        stack = Stack(settings)
        stopped = [_stop(stack, server, teller, patience_s) for server in (stack.kafka, stack.clickhouse)]
    if not any(stopped):
        teller.say("nothing is running")


def _stop(stack: Stack, server: LocalServer, teller: Reporter, patience_s: float) -> bool:
    pid = stack.running(server, teller)
    if pid is None:
        return False
    clean = stop(pid, patience_s)
    stack.pid_file(server).remove()
    teller.say(
        f"{server.name} stopped" if clean else f"{server.name} did not stop by itself and was killed; data are kept"
    )
    return True


def endpoints(settings: Settings, only: Sequence[str] = SERVERS) -> Endpoints:
    """Where the servers are: the named ones, else the running local ones. Raises StackError if one is not running."""
    stack = Stack(settings)
    for server in stack.local(only):
        if stack.pid_file(server).alive() is None:
            absent = "" if settings.state_dir.is_dir() else ", which does not exist"
            where = f"state folder {settings.state_dir}{absent}"
            raise StackError(f"{server.name} is not running ({where}): run `cxwatch up`, or name a server of your own")
    kafka = brokers_of(settings) or stack.kafka.address
    given = external.clickhouse_of(settings)
    if given:
        return Endpoints(kafka, given.host, given.port, given.http_port, given.passwords, given.names)
    if "clickhouse" not in only:
        return Endpoints(kafka, "", 0, 0, {})
    native, http = stack.ports.get("clickhouse") or 0, stack.ports.get("clickhouse_http") or 0
    return Endpoints(kafka if "kafka" in only else "", LOOPBACK, native, http, secret_passwords(stack.state_folder))


def status(settings: Settings) -> list[ServerStatus]:
    """Kind, version, address and health of each server, local or named; changes nothing."""
    stack = Stack(settings)
    shown = [_local_status(stack, server) for server in stack.local()]
    brokers = brokers_of(settings)
    if brokers is not None:
        version, wrong = external.probe_kafka(brokers)
        health: Health = "unreachable" if wrong else "healthy"
        detail = wrong or forgets(version)
        shown.insert(0, ServerStatus("kafka", "named", version, brokers, health, detail=detail))
    given = external.clickhouse_of(settings)
    if given:
        version, wrong = external.probe_clickhouse(given)
        health = "unreachable" if wrong else "healthy"
        shown.append(ServerStatus("clickhouse", "named", version, f"{given.host}:{given.port}", health, detail=wrong))
    return shown


def _local_status(stack: Stack, server: LocalServer) -> ServerStatus:
    state, pid = stack.pid_file(server).read()
    if state == "alive":
        version = server.probe()
        health: Health = "healthy" if version else "not answering"
        return ServerStatus(server.name, "local", version or "", server.address, health, pid)
    if state == "none":
        return ServerStatus(server.name, "local", "", "", "stopped", detail="run `cxwatch up`")
    tail = tuple(log_tail(server.logs))
    return ServerStatus(
        server.name, "local", "", "", "dead", detail="died; `cxwatch up` starts it again", last_log_lines=tail
    )
