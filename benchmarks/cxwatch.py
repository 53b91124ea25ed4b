"""One measured run of our own rooms: a real ``cxwatch worker``, watched from outside.

CPU and memory are the kernel's figures of the process. The run starts when the join room has recovered its state and
asks for its first records, and ends when ClickHouse holds the last closed bin, the last episode, the counts of every
event and, where raw copies are asked for, every raw row. Production code only: nothing here is a switch for
benchmarks. The input topics are shared by all peers; everything that the rooms write is made anew for each run.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from clickhouse_driver import Client
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.events import PARTITIONS, TOPICS, EventSet
from benchmarks.load import topic_name
from benchmarks.measure import Figure, cpu_s_of, peak_rss_mb_of
from benchmarks.rivals import PeerError
from benchmarks.stack import Servers
from schemas.rooms import WORKER_ROOMS
from schemas.topics import BY_NOUN, MINUTE_MS
from streams.demo.session import Session
from streams.runtime.serve import worker_file
from streams.settings import Settings
from streams.sinks.migrations import migrate
from streams.topics import ensure_topics

DATABASE = "cxbench_own"
ROOMS = "join,store"
FINDINGS = ("cohort_count", "source_count", "episode", "late", "tick")
"""What the store room copies in the row without raw copies: all that join gives."""
RAW_COUNTS = (
    "SELECT (SELECT count() FROM telemetry_raw), (SELECT count() FROM order_raw), (SELECT count() FROM contact_raw)"
)
LOOK_S = 0.2
FIRST_LOOK_S = 0.05
START_S = 120.0
LIMIT_S = 900.0

Samples = dict[str, list[tuple[dict[str, str], float]]]
"""Name of a sample -> (labels, value) pairs."""


@dataclass
class Watched:
    """A running worker and what was seen of it."""

    pid: int
    url: str
    ended: Callable[[], str]
    """How the worker ended; empty while it runs."""
    began: tuple[float, float] = (0.0, 0.0)
    """Clock in s and CPU in s when the join room began to read."""

    def metrics(self) -> Samples:
        """Scrape once."""
        there = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            there.request("GET", "/metrics")
            text = there.getresponse().read().decode()
        finally:
            there.close()
        found: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def await_ready(self) -> None:
        """Wait until the join room has recovered and begins to read; the measure begins there."""
        end = time.monotonic() + START_S
        while not total(self.metrics(), "cx_runtime_ready", room="join"):
            if time.monotonic() > end:
                raise PeerError(f"the join room was not ready within {START_S:.0f} s")
            time.sleep(FIRST_LOOK_S)
        self.began = (time.monotonic(), cpu_s_of(self.pid))

    def require_alive(self) -> None:
        """Raises PeerError if the worker has ended: it would be waited for in vain."""
        how = self.ended()
        if how:
            raise PeerError(f"the worker ended: {how}")

    def figure(self, events: int) -> Figure:
        """What lies between the beginning and now, when all ``events`` are read."""
        clock_s, cpu_s = self.began
        used_s = cpu_s_of(self.pid) - cpu_s
        return Figure(events, time.monotonic() - clock_s, used_s, peak_rss_mb_of(self.pid))


def total(metrics: Samples, name: str, **labels: str) -> float:
    """Sum of the samples of a name that have these labels."""
    return sum(value for found, value in metrics.get(name, ()) if labels.items() <= found.items())


def join_records(metrics: Samples) -> float:
    """Events that the join room has read and accepted."""
    name = "cx_runtime_records_total"
    return total(metrics, name, room="join", outcome="accepted")


def afresh(servers: Servers, prefix: str, raw: bool, native: bool = True) -> Settings:
    """Return settings of a run that finds the input topics of ``prefix`` filled and nothing else of its own.

    ``native`` says which join room runs; a worker without the accelerator it asks for does not start.
    """
    known: dict[str, Any] = {"topic_prefix": prefix, "partitions": PARTITIONS, "clickhouse_database": DATABASE}
    known |= {"native": "on" if native else "off"}
    settings = servers.settings.model_copy(update={**known, **({} if raw else without_raw())})
    admin = KafkaAdminClient(bootstrap_servers=servers.bootstrap, client_id="cxwatch-bench")
    try:
        inputs = {topic_name(prefix, noun) for noun in TOPICS}
        old = [name for name in admin.list_topics() if name.startswith(prefix) and name not in inputs]
        if old:
            admin.delete_topics(old)
        _await_gone(admin, set(old))
        _forget_groups(admin, prefix)
    finally:
        admin.close()
    ensure_topics(servers.bootstrap, settings)
    _drop_database(servers)
    migrate(servers.endpoints, DATABASE)
    return settings


def _drop_database(servers: Servers) -> None:
    """Drop what the run before left on the benchmark's own server."""
    user, password = servers.endpoints.account("migrator")
    host, port = servers.endpoints.clickhouse_host, servers.endpoints.clickhouse_port
    client = Client(host, port=port, user=user, password=password.get_secret_value())
    try:
        client.execute(f"DROP DATABASE IF EXISTS `{DATABASE}` SYNC")
    finally:
        client.disconnect()


def without_raw() -> dict[str, Any]:
    """The setting with which the store copies findings only."""
    return {"store_topics": FINDINGS}


def _await_gone(admin: KafkaAdminClient, names: set[str]) -> None:
    """A topic that is being deleted is listed for a moment more, and would be taken for one that is there."""
    end = time.monotonic() + 60
    while names & set(admin.list_topics()):
        if time.monotonic() > end:
            raise PeerError(f"these topics are still there a minute after they were deleted: {sorted(names)}")
        time.sleep(FIRST_LOOK_S)


def _forget_groups(admin: KafkaAdminClient, prefix: str) -> None:
    """Delete our rooms' groups; one that still has members is asked again for a while."""
    groups = [f"{prefix}cx.{room}" for room in WORKER_ROOMS]
    end = time.monotonic() + 60
    while True:
        answers: object = "no answer"
        with contextlib.suppress(CoordinatorNotAvailableError):  # a young broker still makes the topic of offsets
            answers = found = admin.delete_groups(groups)
            groups = [group for group, answer in found.items() if answer not in ("OK", "GroupIdNotFoundError")]
        if not groups:
            return
        if time.monotonic() > end:
            raise PeerError(f"groups of the run before do not go away: {answers}")
        time.sleep(0.5)


@contextmanager
def worker(servers: Servers, settings: Settings, rooms: str, instance: str = "bench") -> Iterator[Watched]:
    """Run ``cxwatch worker`` and watch it; it is told to end on leaving."""
    run = Session(settings, servers.endpoints)
    file = worker_file(settings.model_copy(update={"instance": instance}))
    file.unlink(missing_ok=True)
    child = run.launch(f"bench-{instance}", ["worker", "--rooms", rooms, "--instance", instance])
    try:
        end = time.monotonic() + 60
        while not file.exists():
            if child.ended() or time.monotonic() > end:
                raise PeerError(f"the worker did not start: {child.ended() or 'it says nothing'}")
            time.sleep(0.05)
        started = json.loads(file.read_text())
        yield Watched(started["pid"], started["url"], child.ended)
    finally:
        run.stop()


def last_bin_ms(events: EventSet) -> int:
    """Bins before this are closed once every heartbeat was read, ms since 1970 UTC."""
    reached = events.end_ms + MINUTE_MS - max(BY_NOUN[noun].disorder_ms for noun in TOPICS)
    return reached - reached % 10_000


def stored(client: Client, events: EventSet, raw: bool, before: int = 0) -> bool:
    """True when ClickHouse holds everything that the run has to give; ``before``: events of earlier sets in it."""
    marks = client.execute(
        "SELECT topic, count(), min(toUnixTimestamp64Milli(through)) FROM watermark FINAL GROUP BY topic"
    )
    reached = {topic: through_ms for topic, count, through_ms in marks if count == PARTITIONS}
    if min(reached.get("cohort_count", 0), reached.get("episode", 0)) < last_bin_ms(events):
        return False
    spoken = client.execute("SELECT sum(events + duplicates) FROM source_count_latest")[0][0]
    if spoken < before + events.events:
        return False
    return not raw or sum(client.execute(RAW_COUNTS)[0]) >= before + events.events


def await_stored(watched: Watched, client: Client, events: EventSet, raw: bool, before: int = 0) -> None:
    """Wait until everything is stored. Raises PeerError if it takes too long, or the worker ends before."""
    await_done([watched], lambda: stored(client, events, raw, before))


def await_done(running: Sequence[Watched], done: Callable[[], bool]) -> None:
    """Wait until the work of some workers is done. Raises PeerError if it takes too long, or one ends before."""
    end = time.monotonic() + LIMIT_S
    while not done():
        for one in running:
            one.require_alive()
        if time.monotonic() > end:
            raise PeerError(f"not everything was stored within {LIMIT_S:.0f} s")
        time.sleep(LOOK_S)


def measure(servers: Servers, prefix: str, events: EventSet, raw: bool = False, native: bool = True) -> Figure:
    """Run join and store over one loaded set; returns when everything is stored and the worker has ended."""
    settings = afresh(servers, prefix, raw, native)
    client = servers.client(DATABASE)
    with worker(servers, settings, ROOMS) as watched:
        watched.await_ready()
        await_stored(watched, client, events, raw)
        return watched.figure(events.events)
