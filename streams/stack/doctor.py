"""What is missing on a machine, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.version import Version

from schemas.errors import ConfigError, CxError
from streams.core.join import native
from streams.lateness import planned_lateness
from streams.rules import join_rules
from streams.security.brokers import brokers_of
from streams.settings import Settings
from streams.stack import clickhouse_main, jars, java
from streams.stack.folders import Machine
from streams.stack.manage import Stack
from streams.stack.ports import any_free, is_free

_FIRST_RUN_MB = 3000
"""Space that the first run takes: packages (1.6 GB installed, 0.5 GB of wheels), jars, data of a demo."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    mend: str = ""
    """The command or setting that mends it."""
    needed: bool = True
    """False: things work without it, and ``found`` says what does not."""

    def as_json(self) -> str:
        """One JSON object, one line."""
        return json.dumps(asdict(self), sort_keys=True)


def examine(settings: Settings, machine: Machine | None = None) -> list[Diagnosis]:
    """Look at everything that the two commands need; changes nothing but a probe file in the state folder."""
    here = machine or Machine.here()
    return [
        _python(),
        _make(here),
        *_packages(),
        _native(settings),
        _memory(settings),
        *_kafka(settings, here),
        *_clickhouse(settings, here),
        _browser(here),
        *_state(settings),
        *_ports(settings),
    ]


def _python() -> Diagnosis:
    version = ".".join(map(str, sys.version_info[:3]))
    mend = "install Python 3.11 or newer, then `make clean setup PYTHON=python3.11`"
    return Diagnosis("Python 3.11 or newer", sys.version_info >= (3, 11), version, mend)


def _make(machine: Machine) -> Diagnosis:
    found = shutil.which("make", path=machine.path)
    return Diagnosis("make", found is not None, found or "not on PATH", "sudo apt-get install make", needed=False)


def lock_file() -> Path | None:
    """The lock of the checkout this runs from; None in an installed package."""
    path = Path(__file__).resolve().parents[2] / "deploy" / "requirements.lock"
    return path if path.is_file() else None


def locked(text: str) -> Iterator[tuple[str, str]]:
    """(package, version) of each line of a lock that applies to this platform."""
    for line in text.splitlines():
        found = re.match(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)\s*(?:;([^\\]*))?", line)
        if found and (not found[3] or Marker(found[3].strip()).evaluate()):
            yield found[1], found[2]


def _packages() -> Iterator[Diagnosis]:
    lock = lock_file()
    if lock is None:
        return
    wrong = []
    for name, version in locked(lock.read_text(encoding="utf-8")):
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            have = "missing"
        if have == "missing" or Version(have) != Version(version):
            wrong.append(f"{name} {have}, locked {version}")
    found = "all as locked" if not wrong else f"{len(wrong)} differ: {'; '.join(wrong[:3])}"
    yield Diagnosis("locked Python packages", not wrong, found, "make setup")


def _memory(settings: Settings) -> Diagnosis:
    """What the join needs to remember events by, at the planned rates, over all partitions."""
    planned = planned_lateness(settings)
    found = f"{sum(one.megabytes for one in planned):,.0f} MB: " + "; ".join(map(str, planned))
    try:
        join_rules(settings)
    except ConfigError as error:
        return Diagnosis("memory for late events", False, found, str(error))
    return Diagnosis("memory for late events", True, found)


def _native(settings: Settings) -> Diagnosis:
    reason = native.unused(settings.native)
    found = f"not used: {reason}" if reason else f"installed, contract {native.contract()}"
    mend = "unset CX_NATIVE" if settings.native == "off" else "make native (needs Rust from rustup.rs)"
    return Diagnosis("native accelerator", not reason, found, mend, needed=False)


def _kafka(settings: Settings, machine: Machine) -> Iterator[Diagnosis]:
    if settings.kafka_bootstrap is not None:
        yield _own_kafka(settings)
        return
    try:
        runtime = java.find(machine, settings.java)
        yield Diagnosis("Java 17 or newer", True, f"{runtime.version} ({runtime.origin})")
    except CxError as error:
        yield Diagnosis("Java 17 or newer", False, str(error), "make setup")
    if machine.kafka_home is not None:
        yield Diagnosis(
            "Kafka's jars",
            (machine.kafka_home / "libs").is_dir(),
            f"KAFKA_HOME={machine.kafka_home}",
            "unset KAFKA_HOME",
        )
        return
    wanted = jars.read_lock()
    gone = jars.missing(wanted, jars.folder_for(wanted, machine))
    found = f"{len(wanted) - len(gone)} of {len(wanted)} cached" + (
        ", the first `cxwatch up` downloads the rest" if gone else ""
    )
    yield Diagnosis("Kafka's jars", not gone, found, "cxwatch up", needed=False)


def _own_kafka(settings: Settings) -> Diagnosis:
    """A Kafka of the user's own: whether the settings for TLS and login fit together."""
    try:
        brokers_of(settings)
    except ConfigError as error:
        return Diagnosis("Kafka", False, str(error), "`cxwatch settings` lists them all; see docs/security.md")
    return Diagnosis("Kafka", True, f"yours: {settings.kafka_bootstrap} ({settings.kafka_security_protocol})")


def _clickhouse(settings: Settings, machine: Machine) -> Iterator[Diagnosis]:
    if settings.clickhouse_url is not None:
        yield Diagnosis("ClickHouse", True, "yours: CX_CLICKHOUSE_URL is set")
        return
    binary = shutil.which("clickhouse", path=machine.path)
    library = clickhouse_main.library()
    found = binary or (f"inside {library.parent}" if library else "neither a clickhouse binary nor the chdb package")
    yield Diagnosis("ClickHouse", bool(binary or library), found, "make setup")


def _browser(machine: Machine) -> Diagnosis:
    found = next((path for name in _BROWSERS if (path := shutil.which(name, path=machine.path))), None)
    mend = "sudo apt-get install chromium (or: .venv/bin/playwright install chromium)"
    return Diagnosis(
        "Chromium", found is not None, found or "none; only the tests of the boards need it", mend, needed=False
    )


def _state(settings: Settings) -> Iterator[Diagnosis]:
    folder = settings.state_dir
    above = next(path for path in (folder, *folder.parents) if path.exists())
    mend = "set CX_STATE_DIR to a folder of your own"
    yield Diagnosis("writable state folder", os.access(above, os.W_OK | os.X_OK), str(folder), mend)
    free_mb = shutil.disk_usage(above).free // 1_000_000
    least = settings.local_min_free_mb if folder.exists() else _FIRST_RUN_MB
    yield Diagnosis(
        f"{least} MB of disk", free_mb >= least, f"{free_mb} MB free", "make room, or set CX_STATE_DIR to another disk"
    )


def _ports(settings: Settings) -> Iterator[Diagnosis]:
    stack = Stack(settings)
    named = {"kafka": settings.local_kafka_port, "clickhouse": settings.local_clickhouse_port}
    for server in stack.local():
        port = named[server.name] or stack.ports.get(server.name) or any_free(set())
        ours = stack.pid_file(server).alive() is not None
        mend = f"stop the other program, or set CX_LOCAL_{server.name.upper()}_PORT=0"
        state = "in use by our server" if ours else "free" if is_free(port) else "in use by another program"
        ok = ours or is_free(port) or not named[server.name]
        yield Diagnosis(f"port of {server.name}", ok, f"{port}: {state}", mend)
