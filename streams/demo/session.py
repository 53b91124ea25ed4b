"""One run of the whole line in processes of its own: topics, database, worker, sender. Demo and example are such runs.

Each run has a topic prefix and a database of its own, so that it mixes with nothing; the run before it is dropped
first, so that the disk holds one run of each kind - but only what this state folder made (``streams.stack.created``),
because the cluster may be a company's own. Whatever happens, the processes end with this one.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from schemas.errors import StackError
from schemas.rooms import WORKERS
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import migrate
from streams.stack import Endpoints, status
from streams.stack.created import Created, drop_database, drop_topics, make_database
from streams.stack.folders import write_private
from streams.stack.guard import locked
from streams.stack.last_run import remember
from streams.stack.manage import Reporter, made_state_folder, up
from streams.stack.supervisor import Program, SupervisedProcess, Supervisor, environment_of
from streams.topics import ensure_topics, topic_ids

MOST_RESTARTS = 3
"""A process of a run that ends more often in a row is given up."""
_STOP_S = 25.0
_NAMES = ("topic_prefix", "clickhouse_database", "instance")
"""Settings that a run has of its own."""
_DECIDED = "SELECT count(), min(through) FROM watermark FINAL WHERE topic = 'outreach'"


@dataclass(slots=True)
class Session:
    """A prepared run. ``settings`` name its prefix and database."""

    settings: Settings
    endpoints: Endpoints
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        file = self.settings.state_dir / f"run-{self.settings.instance}.json"
        self.supervisor = Supervisor(file, most_in_a_row=MOST_RESTARTS)

    def launch_workers(self) -> None:
        """Two workers, so that two cores are used: the join, which meets every event, and everything behind it."""
        for number, rooms in enumerate(WORKERS, 1):
            instance = f"{self.settings.instance}-{number}"
            self.launch(f"worker-{number}", ["worker", "--rooms", rooms, "--instance", instance])

    def launch(self, name: str, arguments: list[str], more: Mapping[str, str] | None = None) -> SupervisedProcess:
        """Start ``cxwatch ARGUMENTS`` with this run's settings; its output goes to a log in the state folder."""
        log = self.settings.state_dir / "logs" / f"{self.settings.instance}-{name}.log"
        return self.supervisor.begin(Program(name, arguments, log, {**environment_of(self.settings), **(more or {})}))

    def supervise(self) -> list[str]:
        """Start again what has ended by itself, as ``cxwatch run`` would, and say so; nothing is lost by it.

        Raises StackError with the end of its log if a process does not stay up, ConfigError if it refuses its settings.
        """
        return self.supervisor.look()

    def servers_gone(self) -> list[str]:
        """Names of the servers that do not answer now; if there are any, earlier ends of our processes do not count."""
        gone = [server.name for server in status(self.settings) if server.health != "healthy"]
        if gone:
            self.supervisor.forgive()
        return gone

    def reader(self, timeout_s: float = 20.0, role: str = "operator") -> ClickHouse:
        """A login on this run's database that only reads: user operator, or reader, who sees what boards see."""
        return ClickHouse(login(self.endpoints, role, self.settings.clickhouse_database), timeout_s)

    def stop(self) -> None:
        """End the processes, in order: a signal, then wait, then kill what is left."""
        self.supervisor.stop(_STOP_S)


@contextmanager
def session(settings: Settings, kind: str, reporter: Reporter, again: bool = False) -> Iterator[Session]:
    """Start the stack, drop the run before, make topics and tables; on leaving, end every process of the run.

    ``again``: drop nothing and make nothing, but go on with the run before. Raises StackError if there is none to go on
    with.
    """
    servers = up(settings, reporter)
    run: Session | None = None
    try:
        run = Session(_last_run(settings, kind) if again else _made(settings, servers, kind, reporter), servers)
        remember(run.settings, kind)
        yield run
    finally:
        if run is not None:
            run.stop()


@contextmanager
def claimed(settings: Settings, kind: str, reporter: Reporter) -> Iterator[None]:
    """Refuse a second run of a kind in the same state folder at once; the kernel lets go when this one is killed.

    Raises StackError naming the process that runs it.
    """

    def busy(holder: str) -> None:
        raise StackError(
            f"a {kind} is running already in {settings.state_dir} (pid {holder}): end it first (Ctrl-C in its terminal "
            f"or `kill {holder}`), or give this one a state folder of its own in CX_STATE_DIR"
        )

    made_state_folder(settings, reporter)
    with locked(settings.state_dir / f"{kind}.lock", busy):
        yield


def _made(settings: Settings, servers: Endpoints, kind: str, reporter: Reporter) -> Settings:
    """Topics and tables of a new run, and the settings that name them, which the next run can read."""
    created = Created(settings.state_dir)
    database = _drop_the_run_before(servers, created, kind, reporter)
    named = {"topic_prefix": f"{kind}-{secrets.token_hex(3)}.", "clickhouse_database": database, "instance": kind}
    mine = settings.model_copy(update=named)
    reporter.say("creating topics and tables")
    made = ensure_topics(servers.kafka_bootstrap, mine)
    created.add("topics", topic_ids(servers.kafka_bootstrap, made))
    make_database(servers, created, database)
    migrate(servers, database)
    write_private(_names_file(settings, kind), json.dumps(named))
    return mine


def _names_file(settings: Settings, kind: str) -> Path:
    return settings.state_dir / f"{kind}-kept.json"


def _last_run(settings: Settings, kind: str) -> Settings:
    """The settings of the run before."""
    try:
        named = json.loads(_names_file(settings, kind).read_text(encoding="utf-8"))
        return settings.model_copy(update={name: str(named[name]) for name in _NAMES})
    except (OSError, ValueError, KeyError, TypeError):
        raise StackError(f"there is no {kind} in {settings.state_dir} to go on with: start one") from None


def _drop_the_run_before(servers: Endpoints, created: Created, kind: str, reporter: Reporter) -> str:
    """Drop what earlier runs of this state folder left; returns the name of the database for the next one."""
    _, foreign = drop_topics(servers.kafka_bootstrap, created, f"{kind}-")
    if foreign:
        reporter.say(
            f"{len(foreign)} topics whose names begin with {kind}- were not made by this state folder "
            f"({foreign[0]}{', ...' if len(foreign) > 1 else ''}): they are left alone"
        )
    database = f"cx_{kind}"
    for known in sorted(set(created.ids("databases").values())):
        if known.startswith(f"{database}_"):
            drop_database(servers, created, known)
    if drop_database(servers, created, database):
        return database
    other = f"{database}_{secrets.token_hex(3)}"
    reporter.say(f"database {database} was not made by this state folder: it is left alone, this run uses {other}")
    return other


def decided_through(client: ClickHouse) -> tuple[int, int]:
    """How many partitions of outreach have reported, and the time (ms UTC) before which all of them have decided."""
    writers, through = client.query(_DECIDED).rows[0]
    return int(writers), round(through.timestamp() * 1000) if writers else 0


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
