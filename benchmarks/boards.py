"""``python -m benchmarks.boards [--rows N] [--days N]``: what the boards cost a ClickHouse that has seen a year.

A real server of its own is filled inside ClickHouse (``benchmarks.board_data``). Then every panel of every board is
asked as the reader, over 24 hours and over 30 days, and 20 viewers look at the operations board at once. Printed and
written into docs/benchmarks.md: milliseconds per panel, cores, bytes per stored event; what misses its aim is named.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from clickhouse_driver import Client

from benchmarks.board_data import NOW_S, fills
from benchmarks.measure import cpu_s_of
from benchmarks.report import PAGE
from benchmarks.stack import Servers, servers
from dashboards.boards import BOARDS, OPERATIONS
from dashboards.macros import Range, expand
from dashboards.model import Board
from dashboards.statements import statement
from schemas.errors import SinkUnavailable
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import migrate
from streams.stack import UpOptions, status
from streams.stack.machine import machine_in_words

DATABASE = "cxbench_boards"
AIMS_MS = {24: 300, 720: 1_000}
"""Hours shown -> most milliseconds for one panel."""
ROUNDS = 3
SLOW_MS = 3_000
"""Whoever takes longer is not asked again."""
VIEWERS, REFRESH_S, MOST_CORES = 20, 30, 1.0
BEGIN, END = "<!-- boards: made by python -m benchmarks.boards -->", "<!-- end of boards -->"
BYTES = """
SELECT table, sum(rows), sum(bytes_on_disk)
FROM system.parts
WHERE active AND database = %(db)s AND rows > 0
GROUP BY table
ORDER BY table
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """One panel over one stretch; ``median_ms`` is None if the server refused, ``error`` says why."""

    board: str
    panel: str
    hours: int
    median_ms: float | None
    error: str = ""

    @property
    def over(self) -> bool:
        """True if it misses its aim."""
        return self.median_ms is None or self.median_ms > AIMS_MS[self.hours]


def fill(where: Servers, days: int, rows: int) -> None:
    """Tables, and everything in them."""
    migrate(where.endpoints, DATABASE)
    client = where.client(DATABASE)
    for one in fills(days, rows):
        started = time.monotonic()
        client.execute(one.sql, settings={"max_insert_threads": 1})
        print(f"{one.table}: {one.rows:,} rows in {time.monotonic() - started:.0f} s", flush=True)


def ask(client: ClickHouse, board: Board, hours: int) -> list[Timing]:
    """Every panel of one board that asks by itself."""
    span, found = Range.ending(NOW_S * 1000, hours), []
    for panel in board.panels:
        if not panel.sql:
            continue
        sql, took, error = expand(statement(panel), span, board.within(DATABASE)), [], ""
        for _ in range(ROUNDS):
            started = time.monotonic()
            try:
                client.query(sql)
            except SinkUnavailable as refused:
                error = str(refused)
                break
            took.append((time.monotonic() - started) * 1000)
            if took[-1] > SLOW_MS:
                break
        found.append(Timing(board.name, panel.slug, hours, None if error else median(took), error))
        print(f"{board.name} {panel.slug} {hours} h: {error or f'{median(took):,.0f} ms'}", flush=True)
    return found


def cores_of_viewers(where: Servers) -> float:
    """Cores that the server needs while so many viewers of the operations board refresh, each for itself, as Grafana's
    do: the CPU seconds of one refresh of all of them, spread over the time between two."""
    (pid,) = (server.pid for server in status(where.settings) if server.name == "clickhouse")
    assert pid is not None
    client = ClickHouse(login(where.endpoints, "reader", DATABASE), 60.0)
    span = Range.ending(NOW_S * 1000, OPERATIONS.hours)
    statements = [expand(statement(panel), span) for panel in OPERATIONS.panels if panel.sql]
    before = cpu_s_of(pid)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client.query, statements * VIEWERS))
    return (cpu_s_of(pid) - before) / REFRESH_S


def stored(client: Client) -> list[tuple[str, int, int]]:
    """(table, rows, bytes on disk)."""
    return [(str(table), int(rows), int(size)) for table, rows, size in client.execute(BYTES, {"db": DATABASE})]


def section(timings: Sequence[Timing], cores: float, tables: Sequence[tuple[str, int, int]], about: str) -> str:
    """What docs/benchmarks.md shows."""
    by_panel: dict[tuple[str, str], dict[int, Timing]] = {}
    for one in timings:
        by_panel.setdefault((one.board, one.panel), {})[one.hours] = one
    lines = [about, "", "| board | panel | 24 h, ms | 30 d, ms | |", "|---|---|---|---|---|"]
    for (board, panel), found in by_panel.items():
        cells = ["refused" if one.median_ms is None else f"{one.median_ms:,.0f}" for one in found.values()]
        missed = "over" if any(one.over for one in found.values()) else ""
        lines.append(f"| {board} | {panel} | {' | '.join(cells)} | {missed} |")
    viewers = (f"{VIEWERS} viewers of the operations board, each asking for itself every {REFRESH_S} s, need "
               f"{cores:.2f} cores of ClickHouse (aim: {MOST_CORES:g}).")  # fmt: skip
    over = sum(one.over for one in timings)
    lines += [
        "", f"{over} of {len(timings)} over their aim (300 ms over 24 hours, 1 s over 30 days).",
        "", viewers, "", "| table | rows | bytes a row |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {table} | {rows:,} | {size / rows:.1f} |" for table, rows, size in tables]
    return "\n".join(lines)


def write(text: str, page: Path = PAGE) -> None:
    """Put the section between its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Fill, ask, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="raw copies of events (full: 100000000)")
    parser.add_argument("--days", type=int, default=365, help="days of aggregates")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md alone")
    chosen = parser.parse_args()
    with servers(options=UpOptions(only=("clickhouse",), die_with_parent=True)) as where:
        fill(where, chosen.days, chosen.rows)
        reader = ClickHouse(login(where.endpoints, "reader", DATABASE), 60.0)
        timings = [one for board in BOARDS for hours in AIMS_MS for one in ask(reader, board, hours)]
        cores = cores_of_viewers(where)
        tables = stored(where.client(DATABASE))
    about = (f"Measured {datetime.now(UTC):%Y-%m-%dT%H:%MZ} on {machine_in_words()}: {chosen.days} days of aggregates, "
             f"{chosen.rows:,} raw events; medians of {ROUNDS}.")  # fmt: skip
    text = section(timings, cores, tables, about)
    print(text)
    for one in timings:
        if one.over:
            print(f"OVER {one.board} {one.panel} {one.hours} h: {one.error or f'{one.median_ms:,.0f} ms'}")
    if not chosen.print_only:
        write(text)


if __name__ == "__main__":
    main()
