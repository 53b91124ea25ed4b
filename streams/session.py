"""One run of the whole line in processes of its own: topics, database, worker, sender. Demo and example are such runs.

Each run has a topic prefix and a database of its own, so that it mixes with nothing; the run before it is dropped
first, so that the disk holds one run of each kind. Whatever happens, the processes end with this one.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clickhouse_driver import Client
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from rich.markup import escape

from schemas.errors import SinkUnavailable, StackError
from streams.brokers import connection
from streams.keeper import Keeper, Kept, Program
from streams.settings import PREFIX, Settings
from streams.sinks.clickhouse import ClickHouse, login, migrate
from streams.stack import Endpoints
from streams.stack.manage import Reporter, up
from streams.stack.process import PidFile
from streams.topics import ensure_topics

WORKERS = ("join", "detect,match,impact,outreach,store")
MOST_RESTARTS = 3
"""A process of a run that ends more often in a row is given up."""
_STOP_S = 25.0


@dataclass(slots=True)
class Session:
    """A prepared run. ``settings`` name its prefix and database."""

    settings: Settings
    endpoints: Endpoints
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        file = self.settings.state_dir / f"run-{self.settings.instance}.json"
        self.keeper = Keeper(file, most_in_a_row=MOST_RESTARTS)

    def launch_workers(self) -> None:
        """Two workers, so that two cores are used: the join, which meets every event, and everything behind it."""
        for number, rooms in enumerate(WORKERS, 1):
            instance = f"{self.settings.instance}-{number}"
            self.launch(f"worker-{number}", ["worker", "--rooms", rooms, "--instance", instance])

    def launch(self, name: str, arguments: list[str], more: Mapping[str, str] | None = None) -> Kept:
        """Start ``cxwatch ARGUMENTS`` with this run's settings; its output goes to a log in the state folder."""
        log = self.settings.state_dir / "logs" / f"{self.settings.instance}-{name}.log"
        return self.keeper.begin(Program(name, arguments, log, {**environment_of(self.settings), **(more or {})}))

    def supervise(self) -> list[str]:
        """Start again what has ended by itself, as ``cxwatch run`` would, and say so; nothing is lost by it.

        Raises StackError with the end of its log if a process does not stay up, ConfigError if it refuses its settings.
        """
        return self.keeper.look()

    def reader(self, timeout_s: float = 20.0) -> ClickHouse:
        """A read-only login on this run's database."""
        return ClickHouse(login(self.endpoints, "reader", self.settings.clickhouse_database), timeout_s)

    def stop(self) -> None:
        """End the processes, in order: a signal, then wait, then kill what is left."""
        self.keeper.stop(_STOP_S)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a child reads the same settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None or value == type(settings).model_fields[name].default:
            continue
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        environment[PREFIX + name.upper()] = ",".join(map(str, plain)) if isinstance(plain, tuple) else str(plain)
    here = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, environment.get("PYTHONPATH", ""))))
    return environment


@contextmanager
def session(settings: Settings, kind: str, reporter: Reporter) -> Iterator[Session]:
    """Start the stack, drop the run before, make topics and tables; on leaving, end every process of the run.

    Raises StackError if a run of this kind is still going on.
    """
    mark = PidFile(settings.state_dir / f"{kind}.pid")
    other = mark.alive()
    if other is not None and other != os.getpid():
        raise StackError(f"a {kind} is still running (pid {other}): end it first (Ctrl-C in its terminal)")
    places = up(settings, reporter)
    mark.write(os.getpid())
    mine = settings.model_copy(
        update={
            "topic_prefix": f"{kind}-{secrets.token_hex(3)}.",
            "clickhouse_database": f"cx_{kind}",
            "instance": kind,
        }
    )
    run = Session(mine, places)
    try:
        drop_topics(places.kafka_bootstrap, f"{kind}-")
        drop_database(places, mine.clickhouse_database)
        reporter.say("creating topics and tables")
        ensure_topics(places.kafka_bootstrap, mine)
        migrate(places, mine.clickhouse_database)
        yield run
    finally:
        run.stop()
        mark.remove()


def drop_topics(bootstrap: str, prefix: str) -> int:
    """Delete every topic whose name starts with ``prefix``; returns how many."""
    try:
        admin = KafkaAdminClient(**connection(bootstrap), client_id="cxwatch-session")
        try:
            old = [name for name in admin.list_topics() if name.startswith(prefix)]
            if old:
                admin.delete_topics(old)
            return len(old)
        finally:
            admin.close()
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka at {bootstrap}") from error


def drop_database(places: Endpoints, database: str) -> None:
    """Drop a run's database; the name is one of ours, never a user's."""
    user, password = places.account("migrator")
    secret = password.get_secret_value()
    client = Client(places.clickhouse_host, port=places.clickhouse_port, user=user, password=secret)
    try:
        client.execute(f"DROP DATABASE IF EXISTS `{database}` SYNC")
    finally:
        client.disconnect()


def await_true(
    wanted: str, done: Callable[[], bool], seconds: float, run: Session, say: Callable[[str], None]
) -> None:
    """Wait until ``done()`` is true; raise StackError naming what was waited for."""
    end = time.monotonic() + seconds
    while not done():
        for sentence in run.supervise():
            say(escape(sentence))
        if time.monotonic() > end:
            raise StackError(f"{wanted}: not within {seconds:.0f} s")
        time.sleep(0.5)
