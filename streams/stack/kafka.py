"""A real Apache Kafka of one broker, its own controller (KRaft), on loopback."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from schemas.errors import ConfigError, StackError
from streams.settings import Settings
from streams.stack import jars, java
from streams.stack.folders import Machine, StateFolder, fill, write_private
from streams.stack.guard import Say
from streams.stack.ports import Ports
from streams.stack.process import Launch, log_tail, rotate
from streams.stack.server import LocalServer

NAME = "kafka"
_METADATA = 3
_CHATTY = (
    "org.apache.kafka.clients",
    "org.apache.kafka.storage.internals.log",
    "kafka.log",
    "kafka.cluster.Partition",
    "state.change.logger",
    "kafka.coordinator",
    "org.apache.kafka.coordinator",
)
_CLIENT = b"cxwatch-status"
_MADE_BY = "made-by"
"""File with the version of Kafka that formatted the data."""
_UNRECORDED = "4.3.0"
"""What formatted data without that file: the only version that was locked before there was one."""
_FORGETFUL = (4, 3)
"""Releases from here on forget to end a transaction on partitions that have no leader (docs/decisions/0010)."""

_SMALL_MACHINE = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""The optimising compiler, and a collector with threads of its own, take more from two cores than they give back."""


def _release(version: str) -> tuple[int, ...]:
    """Major and minor number."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def class_path(machine: Machine, maven_url: str | None, progress: jars.Progress) -> tuple[str, str]:
    """Class path and Kafka version: from KAFKA_HOME if that is set, else the locked jars."""
    if machine.kafka_home is None:
        folder = jars.ensure(jars.read_lock(), machine, maven_url, progress)
        return f"{folder}/*", jars.KAFKA_VERSION
    libs = machine.kafka_home / "libs"
    found = [re.fullmatch(r"kafka-clients-(.+)\.jar", path.name) for path in libs.glob("kafka-clients-*.jar")]
    versions = sorted(match[1] for match in found if match)
    if not versions or _release(versions[-1]) < (4,):
        shown = f"Kafka {versions[-1]}" if versions else "no Kafka"
        raise StackError(f"KAFKA_HOME={machine.kafka_home} holds {shown}; Apache Kafka 4.0 or newer is needed there")
    return f"{libs}/*", versions[-1]


def forgets(version: str) -> str:
    """A warning about a release that forgets marks of transactions; empty for any other, and for an unknown one."""
    if _release(version) < _FORGETFUL:
        return ""
    return (
        f"Apache Kafka {version} may forget to end a transaction when it restarts, {jars.KAFKA_VERSION} does not: see "
        "docs/reliability.md, Defects of the broker"
    )


class Kafka(LocalServer):
    """The local broker of one state folder."""

    name = NAME
    config_name = "server.properties"

    def __init__(self, settings: Settings, state_folder: StateFolder, ports: Ports) -> None:
        """Remember where things are; nothing is started."""
        super().__init__(settings, state_folder, ports)
        self.log = state_folder.logs / "kafka.log"
        self.version = jars.KAFKA_VERSION

    @property
    def logs(self) -> list[Path]:
        """Logs to show when it dies, best first."""
        return [self.log, self.folder / "format.log"]

    def prepare(self, machine: Machine, say: Say, progress: jars.Progress, /) -> Launch:
        """Jars, Java, ports, configuration and (once) the format; returns how to start it."""
        runtime = java.find(machine, self.settings.java)
        libraries, self.version = class_path(machine, self.settings.maven_url, progress)
        say(f"Apache Kafka {self.version} on Java {runtime.version} ({runtime.origin})")
        wanted = self.settings.local_kafka_port
        port, controller = self.choose_ports(wanted, "CX_LOCAL_KAFKA_PORT", "kafka_controller", say)
        data = self.folder / "data"
        values = {"port": port, "controller_port": controller, "data_dir": data, "partitions": self.settings.partitions}
        write_private(self.config, fill("server.properties", values))
        command = self._java(runtime.binary, libraries)
        if (data / "meta.properties").exists():
            self._refuse_newer_data(data)
        else:
            self._refuse_foreign_data(data)
            (self.folder / _MADE_BY).write_text(self.version, encoding="ascii")
            self._format([*command, "kafka.tools.StorageTool", "format", "--standalone"])
        if warning := forgets(self.version):
            say(warning)
        rotate(self.log)
        return Launch([*command, "kafka.Kafka", str(self.config)], self.folder, self.log, _environment())

    def _refuse_foreign_data(self, data: Path) -> None:
        """A format clears its folder: what lies there has to be left over from a format of ours that was cut off."""
        if not (self.folder / _MADE_BY).exists() and data.exists() and any(data.iterdir()):
            raise StackError(
                f"{data} holds files that no local Kafka of ours has made: move them away, or set CX_STATE_DIR to "
                "another folder"
            )

    def _refuse_newer_data(self, data: Path) -> None:
        """A broker cannot read what a newer one has formatted, and says so in a way that helps nobody."""
        record = self.folder / _MADE_BY
        made_by = record.read_text(encoding="ascii") if record.exists() else _UNRECORDED
        if _release(made_by) > _release(self.version):
            raise StackError(
                f"the local Kafka's data were made by Kafka {made_by}, this is {self.version}: run `cxwatch down`, and "
                f"remove {data} (topics and what they hold are lost), or name a newer Kafka in KAFKA_HOME"
            )

    def _java(self, binary: Path, libraries: str) -> list[str]:
        heap = self.settings.local_kafka_heap_mb
        simple = "-Dorg.slf4j.simpleLogger"
        return [
            str(binary),
            *_SMALL_MACHINE,
            f"-Xms{min(256, heap)}m",
            f"-Xmx{heap}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dkafka.logs.dir={self.state_folder.logs}",
            f"{simple}.showDateTime=true",
            f"{simple}.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            f"{simple}.defaultLogLevel=info",
            # One line per partition at every start would bury what matters.
            *(f"{simple}.log.{name}=warn" for name in _CHATTY),
            "-cp",
            libraries,
        ]

    def _format(self, command: list[str]) -> None:
        """Format the data folder once. Left-overs of a format that was cut off hold nothing yet and are removed."""
        data = self.folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        cluster = "cx" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[2:]
        done = subprocess.run(
            [*command, "-t", cluster, "-c", str(self.config)],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        (self.folder / "format.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode != 0:
            tail = "\n  ".join(log_tail([self.folder / "format.log"]))
            raise StackError(f"Kafka could not format {data}; last lines:\n  {tail}")

    def probe(self) -> str | None:
        """Version if the broker serves clients now, else None."""
        return self.version if probe_brokers(self.address) else None

    def after_start(self) -> None:
        """Nothing: topics come from the catalogue."""


def _environment() -> dict[str, str]:
    """A clean environment: neither settings nor secrets of the caller reach the server."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "TZ") if name in os.environ}


def probe_brokers(bootstrap: str, timeout_s: float = 2.0) -> int:
    """How many brokers the first reachable one of ``bootstrap`` knows to serve clients now; 0 if none answers.

    A broker that still has to register again (after kill -9) answers, but lists no broker: it is not ready.
    One Metadata request of version 4 for no topic, by hand: a client library keeps threads and retries of its own.
    """
    body = struct.pack(">hhih", _METADATA, 4, 1, len(_CLIENT)) + _CLIENT + struct.pack(">i?", 0, False)
    for host, port in map(split_address, bootstrap.split(",")):
        try:
            with socket.create_connection((host, port), timeout=timeout_s) as connection:
                connection.sendall(struct.pack(">i", len(body)) + body)
                head = _receive(connection, 16)  # length, correlation id, throttle time, number of brokers
        except OSError:
            continue
        return max(0, int(struct.unpack(">iiii", head)[3]))
    return 0


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("closed by the other side")
        received += part
    return received


def split_address(text: str) -> tuple[str, int]:
    """``host:port`` in two; port 9092 if none is given. Raises ConfigError if it is no address."""
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        return text.strip(), 9092
    if not host or not port.isdigit():
        raise ConfigError("CX_KAFKA_BOOTSTRAP is wrong: allowed is host:port[,host:port]")
    return host.strip("[]"), int(port)
