"""Run the tests that wait most beside busy loops of equal priority: no verdict of theirs may come from the clock.

Usage: ``python deploy/run_busy.py [further pytest arguments]``; ``CX_TEST_LOOPS`` loops (14 unless set).
"""

from __future__ import annotations

import os
import subprocess
import sys

SUBSET = (
    "tests/integration/test_runtime_kafka.py",
    "tests/integration/test_watchdog_kafka.py",
    "tests/sender/test_sender_kafka.py",
    "tests/sources/test_play_kafka.py",
    "tests/stack/test_process.py",
)
"""Kills, takeovers, stalls and waits on real servers: what a slow machine broke once."""
LOOP = "import os\nwhile os.getppid() == {parent}: sum(range(100_000))"
"""Ends with its parent, also after a kill -9."""


def main() -> int:
    """Start the loops, run the tests, end the loops; the exit status of the tests."""
    loop = [sys.executable, "-c", LOOP.format(parent=os.getpid())]
    loops = [subprocess.Popen(loop) for _ in range(int(os.environ.get("CX_TEST_LOOPS", "14")))]
    try:
        command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *SUBSET, *sys.argv[1:]]
        return subprocess.run(command, check=False).returncode
    finally:
        for one in loops:
            one.kill()
            one.wait()


if __name__ == "__main__":
    sys.exit(main())
