"""Deployments for the faults: servers of their own or shared ones, real worker processes, and the verdict on a run.

A deployment has a topic prefix, a database and a folder of its own. Its processes are started by the command that
production runs (``cxwatch worker``), tied to this process so that they end with it, and can be killed, stopped and
continued by pid. The oracle (``tests.faults.oracle``) is a process too. What a fault gave: ``tests.faults.result``.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from clickhouse_driver import Client
from kafka.admin import KafkaAdminClient

from schemas.topics import ABOUT_PROCESSES, BY_NOUN
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import migrate
from streams.stack import Endpoints, UpOptions, down, endpoints, up
from streams.stack.process import PidFile, log_tail, started_at, stop
from streams.stack.supervisor import environment_of
from streams.topics import ensure_topics
from tests.faults.load import LoadRules, Producer, Raw, make_load, profiles
from tests.patience import Deadline, patience

SERVERS = ("kafka", "clickhouse")
DIE_WITH_PARENT = Path(__file__).parents[2] / "streams" / "stack" / "die_with_parent.py"
COMMAND = "import sys; from streams.cli.main import main; sys.exit(main())"
PATIENCE_S = 180.0
REAP_S = 10.0
SECRET = "whsec_" + "Y3h3YXRjaC10ZXN0LXNlY3JldC0zMi1ieXRlcyEhISE="


# ---- servers ---------------------------------------------------------------------------------------------------


@dataclass
class Servers:
    """A Kafka and a ClickHouse that a test may kill. ``with Servers.own() as servers``."""

    settings: Settings
    only: tuple[str, ...] = SERVERS

    @classmethod
    @contextmanager
    def own(cls, only: Sequence[str] = SERVERS, **settings: Any) -> Iterator[Servers]:
        """Start servers in a folder of their own; stopped and removed at the end, swept if this process is killed."""
        folder = Path(tempfile.mkdtemp(prefix="cxwatch-test-"))
        PidFile(folder / "owner").write(os.getpid())
        made = cls(Settings(**{"state_dir": folder / "state", **settings}), tuple(only))
        try:
            made.up()
            yield made
        finally:
            down(made.settings, patience_s=1.0)
            shutil.rmtree(folder, ignore_errors=True)

    def up(self, only: Sequence[str] = ()) -> Endpoints:
        """Start what does not run (``only``: these); returns where everything is."""
        up(self.settings, options=UpOptions(only=tuple(only) or self.only, die_with_parent=True))
        return self.endpoints

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are."""
        return endpoints(self.settings, self.only)

    def pid(self, name: str) -> int:
        """Process id of ``kafka`` or ``clickhouse``; raises LookupError if it does not run."""
        pid = PidFile(self.settings.state_dir / name / "pid").alive()
        if pid is None:
            raise LookupError(f"{name} does not run")
        return pid

    def kill(self, name: str) -> None:
        """kill -9, and wait until nothing of it is left: it might answer once more; :meth:`up` starts it again."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        while started_at(pid):
            time.sleep(0.01)

    def stop(self, name: str, patience_s: float = 30.0) -> None:
        """A clean stop; :meth:`up` starts it again."""
        stop(self.pid(name), patience_s)


# ---- processes -------------------------------------------------------------------------------------------------


@dataclass
class Process:
    """One process of a deployment; ``restart`` starts the same again."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    file: Path
    """Where a worker says its address."""
    handle: subprocess.Popen[bytes] | None = None
    starts: int = 0
    codes: list[int] = field(default_factory=list)
    """Exit codes of the runs that ended."""

    def start(self) -> Process:
        """Start it; the file with its old address is removed first."""
        self.file.unlink(missing_ok=True)
        tied = (sys.executable, str(DIE_WITH_PARENT), *self.command) if sys.platform == "linux" else self.command
        with self.log.open("ab") as out:
            self.handle = subprocess.Popen(
                tied, env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.handle is not None
        return self.handle.pid

    def alive(self) -> bool:
        """True while it runs."""
        return self.handle is not None and self.handle.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 and reap."""
        self.signal(signal.SIGKILL)
        self.wait(REAP_S)

    def pause(self) -> None:
        """SIGSTOP."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Wait for its end; the exit code. Raises TimeoutExpired."""
        assert self.handle is not None
        code = self.handle.wait(patience(seconds))
        self.codes.append(code)
        return code

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a path of a worker's own web server; (0, "") if it does not answer."""
        try:
            url = json.loads(self.file.read_text())["url"]
            with urllib.request.urlopen(url + path, timeout=patience(5)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, ValueError):
            return 0, ""

    def ready(self) -> bool:
        """True once every room is assigned and recovered."""
        return self.get("/readyz")[0] == 200

    def metric(self, line: str) -> float:
        """Sum of the metrics whose line starts with ``line``; 0 if there is none."""
        rows = [row for row in self.get("/metrics")[1].splitlines() if row.startswith(line)]
        return sum(float(row.split()[-1]) for row in rows)

    def memory_mb(self) -> float:
        """Resident memory now."""
        with suppress(OSError, StopIteration):
            text = Path(f"/proc/{self.pid}/status").read_text()
            return next(int(row.split()[1]) for row in text.splitlines() if row.startswith("VmRSS")) / 1024
        return 0.0

    def reason(self) -> str:
        """The last line of its log that says why it ended."""
        lines = [row for row in log_tail([self.log], 200) if " exit " in row]
        return lines[-1].split(" exit ", 1)[1] if lines else ""

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(log_tail([self.log], lines))


# ---- deployments -----------------------------------------------------------------------------------------------


@dataclass
class Deployment:
    """Topics, database, folder and processes of one run. See :func:`deployment`."""

    settings: Settings
    endpoints: Endpoints
    """Where the processes connect to; a proxy's address may stand in (``over``)."""
    straight: Endpoints
    """Where load and oracle connect to: never through a proxy."""
    folder: Path
    stored: bool
    processes: list[Process] = field(default_factory=list)
    accepts: Path | None = None

    @property
    def prefix(self) -> str:
        """Prefix of topics, groups and transactional ids."""
        return self.settings.topic_prefix

    def worker(self, name: str = "a", rooms: str = "join", command: Sequence[str] = (), **env: str) -> Process:
        """Start ``cxwatch worker --rooms ROOMS --instance NAME``; ``env`` holds further ``CX_*`` settings.

        ``command`` replaces the program (a test's own entry point that breaks something in it).
        """
        program = tuple(command) or (sys.executable, "-c", COMMAND, "worker")
        return self.launch(name, (*program, "--rooms", rooms, "--instance", name), **env)

    def sender(self, name: str, url: str, command: Sequence[str] = (), **env: str) -> Process:
        """Start ``cxwatch sender`` towards ``url``."""
        program = tuple(command) or (sys.executable, "-c", COMMAND, "sender")
        given = {"CX_WEBHOOK_URL": url, "CX_WEBHOOK_SECRET": SECRET, "CX_WEBHOOK_ALLOW_LOOPBACK": "true"}
        return self.launch(name, program, **{**given, **env})

    def launch(self, name: str, command: tuple[str, ...], **env: str) -> Process:
        """Start any process with this deployment's settings."""
        environment = {**self.environment(), "CX_INSTANCE": name, **env}
        folder = Path(environment["CX_STATE_DIR"])
        process = Process(name, command, environment, self.folder / f"{name}.log", folder / f"worker-{name}.json")
        self.processes.append(process)
        return process.start()

    def environment(self) -> dict[str, str]:
        """Settings of the processes, with the servers named."""
        plain = environment_of(self.settings)
        plain["CX_KAFKA_BOOTSTRAP"] = self.endpoints.kafka_bootstrap
        if self.stored:
            user, password = self.endpoints.account("writer")
            at = f"{self.endpoints.clickhouse_host}:{self.endpoints.clickhouse_port}"
            plain["CX_CLICKHOUSE_URL"] = f"clickhouse://{user}:{password.get_secret_value()}@{at}"
            plain["CX_CLICKHOUSE_HTTP_PORT"] = str(self.endpoints.clickhouse_http_port)
        return plain

    def over(self, **changed: Any) -> None:
        """Send the processes started from now on somewhere else (``kafka_bootstrap=...`` of a proxy)."""
        self.endpoints = replace(self.endpoints, **changed)

    def client(self, role: str = "operator") -> ClickHouse:
        """A login on this run's database, not through a proxy."""
        return ClickHouse(login(self.straight, role, self.settings.clickhouse_database), 20.0)

    def execute(self, sql: str, role: str = "migrator") -> list[tuple[Any, ...]]:
        """Run a statement of the test's own in this run's database."""
        user, password = self.straight.account(role)
        client = Client(
            self.straight.clickhouse_host, port=self.straight.clickhouse_port, user=user,
            password=password.get_secret_value(), database=self.settings.clickhouse_database,
        )  # fmt: skip
        try:
            return list(client.execute(sql))
        finally:
            client.disconnect()

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[Producer]:
        """Writes loads, not through a proxy."""
        async with Producer(self.straight.kafka_bootstrap, self.prefix) as made:
            yield made

    async def load(self, rules: LoadRules, rate: float | None = None, with_profiles: bool = False) -> list[Raw]:
        """Make a load and write all of it."""
        records = (profiles(rules) if with_profiles else []) + await asyncio.to_thread(make_load, rules)
        async with self.producer() as producer:
            await producer.send(records, rate)
        return records

    async def committed(self, room: str) -> bool:
        """True if the group offsets of a room have reached the ends of its topics: seen from outside."""
        return await behind(self.straight.kafka_bootstrap, f"{self.prefix}cx.{room}") == 0

    async def settled(self, rooms: Sequence[str], seconds: float = PATIENCE_S, keep: bool = False) -> float:
        """Wait until every room has committed everything, twice in a row; seconds it took.

        ``keep``: processes that ended are started again, as a supervisor would. Raises TimeoutError.
        """
        deadline, quiet = Deadline(seconds), 0
        while quiet < 2:
            if deadline.over:
                tails = "\n".join(f"--- {process.name}\n{process.tail()}" for process in self.processes)
                raise TimeoutError(f"{rooms} not at the end within {deadline.waited_s:.0f} s\n{tails}")
            if keep:
                self.supervise()
            try:
                done = [await self.committed(room) for room in rooms]
            except (KafkaError, OSError, TimeoutError):
                done = [False]
            quiet = quiet + 1 if all(done) else 0
            await asyncio.sleep(0.7)
        return deadline.waited_s

    def supervise(self) -> list[Process]:
        """Start again what has ended; returns what was started."""
        ended = [process for process in self.processes if not process.alive()]
        for process in ended:
            if process.handle is not None:
                process.wait(1.0)
            process.start()
        return ended

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Inside the block whatever ends is started again, as by any supervisor."""

        async def keep() -> None:
            while True:
                self.supervise()
                await asyncio.sleep(0.3)

        task = asyncio.create_task(keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def judge(self, **more: Any) -> dict[str, Any]:
        """Ask the oracle (a process of its own). ``more``: fields of :class:`tests.faults.oracle.Where`."""
        where: dict[str, Any] = {
            "bootstrap": self.straight.kafka_bootstrap, "prefix": self.prefix, "partitions": self.settings.partitions,
            "accepts": str(self.accepts or ""), "max_bytes": self.settings.max_event_bytes,
        }
        if self.stored:
            user, password = self.straight.account("operator")
            where |= {
                "host": self.straight.clickhouse_host, "port": self.straight.clickhouse_port, "user": user,
                "password": password.get_secret_value(), "database": self.settings.clickhouse_database,
            }
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.oracle", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(asked.communicate(json.dumps(where | more).encode()), patience(300))
        finally:
            if asked.returncode is None:
                asked.kill()
        assert asked.returncode == 0, err.decode()[-3000:]
        return dict(json.loads(out))

    async def clean(self, seconds: float = 20.0, **more: Any) -> dict[str, Any]:
        """The oracle's verdict; asked again for ``seconds`` while rows may still be on their way."""
        deadline = Deadline(seconds)
        while not (verdict := await self.judge(**more))["clean"] and not deadline.over:
            await asyncio.sleep(2.0)
        return verdict

    def stop(self) -> None:
        """End every process, whatever state it is in."""
        for process in self.processes:
            if process.alive():
                process.resume()
                process.kill()


@contextmanager
def deployment(
    stack: Settings, servers: Endpoints, folder: Path, stored: bool = True, **settings: Any
) -> Iterator[Deployment]:
    """A deployment with topics and (``stored``) a database of its own; everything ends with the block.

    ``settings`` are fields of Settings; defaults here: no idle passages, fast flushes, short sessions.
    """
    name = secrets.token_hex(4)
    fast = {"idle_ms": 0, "flush_ms": 200, "session_timeout_ms": 6_000, "sender_clock": "event"}
    mine = stack.model_copy(update={
        "topic_prefix": f"f{name}.", "clickhouse_database": f"cx_f{name}", "state_dir": folder / "state", **fast,
        **settings,
    })
    mine.state_dir.mkdir(parents=True, exist_ok=True)
    ensure_topics(servers.kafka_bootstrap, mine)
    if stored:
        migrate(servers, mine.clickhouse_database)
    made = Deployment(mine, servers, servers, folder, stored)
    try:
        yield made
    finally:
        made.stop()
        with suppress(Exception):
            drop_topics(servers.kafka_bootstrap, mine.topic_prefix)
        if stored:
            with suppress(Exception):
                drop_database(servers, mine.clickhouse_database)


def drop_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic whose name starts with ``prefix``: one that only this test uses."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), client_id="cxwatch-faults")
    try:
        if old := [name for name in admin.list_topics() if name.startswith(prefix)]:
            admin.delete_topics(old)
    finally:
        admin.close()


def drop_database(server: Endpoints, database: str) -> None:
    """Drop a database that only this test uses."""
    user, password = server.account("migrator")
    secret = password.get_secret_value()
    client = Client(server.clickhouse_host, port=server.clickhouse_port, user=user, password=secret)
    try:
        client.execute(f"DROP DATABASE IF EXISTS `{database}` SYNC")
    finally:
        client.disconnect()


async def behind(bootstrap: str, group: str) -> int:
    """Records between the group offsets and the ends of the topics it has offsets for; -1 if it has none.

    What processes say about themselves is left out: it goes on while they run, so that nobody is ever at its end.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    await admin.start()
    try:
        endless = tuple(BY_NOUN[noun].name for noun in ABOUT_PROCESSES)
        listed = await admin.list_consumer_group_offsets(group)
        offsets = {tp: found for tp, found in listed.items() if not tp.topic.endswith(endless)}
        if not offsets:
            return -1
        ends = await _ends(bootstrap, list(offsets))
        return sum(max(0, ends[tp] - found.offset) for tp, found in offsets.items())
    finally:
        await admin.close()


async def _ends(bootstrap: str, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        return dict(await consumer.end_offsets(tps))
    finally:
        await consumer.stop()


async def until(check: Callable[..., Any], seconds: float = PATIENCE_S, every_s: float = 0.1) -> float:
    """Wait for something to become true; the seconds it took. Raises TimeoutError."""
    deadline = Deadline(seconds)
    while True:
        found = check() if asyncio.iscoroutinefunction(check) else await asyncio.to_thread(check)
        if await found if isinstance(found, Awaitable) else found:
            return deadline.waited_s
        if deadline.over:
            raise TimeoutError(f"not true within {deadline.waited_s:.0f} s")
        await asyncio.sleep(every_s)
