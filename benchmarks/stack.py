"""Kafka and ClickHouse of one benchmark run: a temporary state folder, free ports, stopped and removed at the end.

``python -m benchmarks.stack 60000`` starts them, loads so many events and prints the environment that a peer gets; it
stays until it is interrupted. Peers can then be tried by hand, and checked by ``python -m benchmarks.check``.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clickhouse_driver import Client

from benchmarks.events import event_set
from benchmarks.load import load
from streams.settings import Settings
from streams.stack import Endpoints, UpOptions, down, up
from streams.stack.process import PidFile

logging.getLogger("kafka").setLevel(logging.ERROR)  # it warns of every pause of its own event loop
FOLDER = "cxwatch-bench-"
DATABASE = "cxbench"
"""Database of the peers' tables."""


@dataclass(frozen=True)
class Servers:
    """Running servers. ``settings`` name the state folder and both servers' addresses are in ``endpoints``."""

    settings: Settings
    endpoints: Endpoints

    @property
    def bootstrap(self) -> str:
        """Address of Kafka."""
        return self.endpoints.kafka_bootstrap

    def client(self, database: str = DATABASE) -> Client:
        """A client of ClickHouse that may do everything in databases of ours; a user of its own per call."""
        user, password = self.endpoints.account("migrator")
        return Client(
            self.endpoints.clickhouse_host, port=self.endpoints.clickhouse_port, user=user,
            password=password.get_secret_value(), database=database,
        )

    def clickhouse_json(self) -> str:
        """How a peer reaches ClickHouse: the value of BENCH_CLICKHOUSE."""
        user, password = self.endpoints.account("migrator")
        return json.dumps({
            "host": self.endpoints.clickhouse_host,
            "port": self.endpoints.clickhouse_port,
            "http_port": self.endpoints.clickhouse_http_port,
            "user": user,
            "password": password.get_secret_value(),
            "database": DATABASE,
        })

    def peer_environment(self, prefix: str, name: str, events: int) -> dict[str, str]:
        """What a peer is told, and nothing else."""
        return {
            "BENCH_BOOTSTRAP": self.bootstrap,
            "BENCH_PREFIX": prefix,
            "BENCH_EVENTS": str(events),
            "BENCH_NAME": name,
            "BENCH_CLICKHOUSE": self.clickhouse_json(),
            "BENCH_RATE_MODE": "",
        }


@contextmanager
def servers(settings: Settings | None = None, options: UpOptions | None = None) -> Iterator[Servers]:
    """Start both servers (or those of ``options``) in a folder of their own; they end with this process."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    PidFile(folder / "owner").write(os.getpid())
    chosen = (settings or Settings()).model_copy(
        update={"state_dir": folder / "state", "kafka_bootstrap": None, "clickhouse_url": None}
    )
    try:
        running = Servers(chosen, up(chosen, options=options or UpOptions(die_with_parent=True)))
        running.client("default").execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        yield running
    finally:
        down(chosen, patience_s=3.0)
        shutil.rmtree(folder, ignore_errors=True)




def _sweep() -> None:
    """Stop servers of runs that are gone, and remove their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        if PidFile(folder / "owner").read()[0] in ("dead", "foreign"):
            down(Settings(state_dir=folder / "state"))
            shutil.rmtree(folder, ignore_errors=True)


def main(sizes: list[int]) -> None:
    """Start, load each size under the prefix ``b<size>.``, tell the environment, wait."""
    with servers() as running:
        for size in sizes:
            load(running.bootstrap, f"b{size}.", event_set(size))
            for name, value in running.peer_environment(f"b{size}.", "try", size).items():
                print(f"export {name}='{value}'", flush=True)
        print("# stop with Ctrl-C", flush=True)
        signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main([int(size) for size in sys.argv[1:]])
    except KeyboardInterrupt:
        print("stopped")
