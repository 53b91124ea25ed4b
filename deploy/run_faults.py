"""Run every fault in its full size, those that mostly wait beside all others; results in ``RESULTS``.

Each lane has servers of its own. Exit status 0 only if both lanes passed and ran something.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from deploy.run_tests import run

FOLDER = "tests/faults"
RESULTS = f"{FOLDER}/results"
MOSTLY_WAIT = (
    f"{FOLDER}/test_clickhouse_gone.py::test_clickhouse_is_down_and_comes_back",
    f"{FOLDER}/test_groups.py::test_a_worker_that_was_stopped_past_its_session_wakes_up",
)
"""ClickHouse is down for ten minutes under a light load; a worker is stopped for a minute and a half."""


def main() -> int:
    """Run both lanes and print the second when it is done."""
    os.environ |= {"CX_TEST_FAULTS": "full", "CX_TEST_FAULT": "", "CX_TEST_FAULT_RESULTS": RESULTS}
    with ThreadPoolExecutor(1) as beside:
        second = beside.submit(run, "fault", list(MOSTLY_WAIT), False)
        elsewhere = [f"--deselect={one}" for one in MOSTLY_WAIT]
        shown = run("fault", [FOLDER, *elsewhere, *sys.argv[1:]], True)
        print("".join(second.result().lines))
    return max(shown.code, second.result().code)


if __name__ == "__main__":
    sys.exit(main())
