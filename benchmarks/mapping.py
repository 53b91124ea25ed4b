"""``make bench-mapping``: how many rows a second ``cxwatch play --check`` maps and checks, and in how much memory.

The rows are made up, in the form of the file that the shipped mapping ``flights`` reads (16 columns, 65 bytes a row,
three in a hundred cancelled); each makes two events with 9 to 10 fields. The command runs in a process of its own; its
CPU time is told less that of the same command on a file of one row, so that starting does not count. To compare with
another commit: ``git worktree add FOLDER COMMIT``, then ``make bench-mapping BEFORE=FOLDER``; rounds alternate.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure
from benchmarks.run import RESULTS, write

ROWS = 300_000
ROUNDS = 3
AIM = 60_000
"""Rows a second of CPU time."""
HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,"
    "dest,air_time,distance"
)
_COMMAND = "import sys; from streams.cli.main import main; sys.exit(main(sys.argv[1:]))"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
CANCELLED = 3
"""Per cent."""
_ORIGINS, _DESTS = ("JFK", "LGA", "EWR"), ("ATL", "ORD", "LAX", "BOS", "MCO", "CLT")
_CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "WN", "9E", "VX")


def rows(number: int) -> Iterator[str]:
    """Lines in order of day, as many as asked for."""
    dice = np.random.default_rng(13)
    most = (18, 60, 70, 100, 10, 6_000, 90_000, 3, 6, 370, 2_500)
    for index, drawn in enumerate(dice.integers(0, most, (number, len(most))).tolist()):
        hour, minute, delay, kind, carrier, flight, plane, origin, dest, air, distance = drawn
        month, day = _date(index * 365 // number)
        left = (hour + 5) * 60 + minute + delay - 10
        due, gone = f"{hour + 5}{minute:02}", f"{left // 60 % 24}{left % 60:02}"
        flown = kind >= CANCELLED
        times = f"{gone},{due},{delay - 10},{gone},{due},{delay - 10}" if flown else f"NA,{due},NA,NA,{due},NA"
        yield (
            f"2013,{month},{day},{times},{_CARRIERS[carrier]},{flight},N{plane + 10_000},{_ORIGINS[origin]},"
            f"{_DESTS[dest]},{air + 30 if flown else 'NA'},{distance + 100}"
        )


def _date(day: int) -> tuple[int, int]:
    for month, days in enumerate(_DAYS, 1):
        if day < days:
            return month, day + 1
        day -= days
    raise ValueError("a year has 365 days here")


def check(tree: Path, file: Path) -> Figure:
    """Run the command of a checkout on a file. CPU is user and system time; memory is the largest resident."""
    words = [sys.executable, "-P", "-c", _COMMAND, "play", "flights", str(file), "--check"]
    env = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    before = os.times()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, words, env, file_actions=silent)
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{tree}: play --check ended with {os.waitstatus_to_exitcode(status)}")
    with file.open() as lines:
        number = sum(1 for _ in lines) - 1
    return Figure(number, os.times().elapsed - before.elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measure(trees: dict[str, Path], number: int, rounds: int) -> list[dict[str, object]]:
    """A row of results for each checkout: medians over alternating rounds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(prefix="cx-bench-") as folder:
        whole, one = Path(folder) / "flights.csv", Path(folder) / "one.csv"
        whole.write_text("\n".join((HEADER, *rows(number), "")))
        one.write_text("\n".join((HEADER, *rows(1), "")))
        for _ in range(rounds):
            for name, tree in trees.items():
                start, figure = check(tree, one), check(tree, whole)
                found[name].append((number / (figure.cpu_s - start.cpu_s), figure.rss_mb))
    return [_row(name, figures, number) for name, figures in found.items()]


def _row(name: str, figures: list[tuple[float, float]], number: int) -> dict[str, object]:
    rates = sorted(rate for rate, _ in figures)
    return {
        "name": name,
        "rows_per_cpu_s": round(rates[len(rates) // 2]),
        "spread": [round(rates[0]), round(rates[-1])],
        "rss_mb": round(max(memory for _, memory in figures)),
        "rows": number,
        "rounds": len(figures),
    }


def main() -> int:
    """Measure, print, write the results; exit code 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description="Rows a second of `cxwatch play flights FILE --check`")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--before", type=Path, help="checkout of an earlier commit to compare with")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    here = Path(__file__).resolve().parent.parent
    trees = {"before": given.before.resolve(), "now": here} if given.before else {"now": here}
    measured = measure(trees, given.rows, given.rounds)
    for row in measured:
        print(f"{row['name']:8} {row['rows_per_cpu_s']:>8,} rows per CPU second {row['spread']}, {row['rss_mb']} MB")
    write(measured, given.results, "mapping")
    rate = measured[-1]["rows_per_cpu_s"]
    held = isinstance(rate, int) and rate >= AIM
    print(f"{'held  ' if held else 'MISSED'} {rate:,} rows per CPU second, aim {AIM:,}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
