"""``make bench-start``: CPU seconds that a command takes to start, for those that people type all day.

Each is run a few times in a process of its own, in an empty folder: ``cxwatch issues`` gets as far as asking where
ClickHouse is. Told is the median of user and system time, with the least and the most.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

COMMANDS = {("--help",): 0.3, ("issues",): 0.5}
"""Arguments -> bar, CPU s."""
RUNS = 9


def cpu_seconds(arguments: Sequence[str], folder: str) -> float:
    """User and system time of one run, s."""
    program = "import sys; from streams.cli.main import main; sys.exit(main())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CX_")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments], cwd=folder, env=environment, capture_output=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print one line a command; 1 if one is above its bar."""
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for arguments, bar in COMMANDS.items():
            taken = sorted(cpu_seconds(arguments, folder) for _ in range(RUNS))
            median = statistics.median(taken)
            missed |= median > bar
            print(
                f"cxwatch {' '.join(arguments)}: {median:.2f} CPU s ({taken[0]:.2f} to {taken[-1]:.2f}, {RUNS} runs), "
                f"bar {bar}{': missed' if median > bar else ''}"
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
