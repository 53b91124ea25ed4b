"""Run all tests but the long ones, in four lanes side by side: tests that need servers mostly wait for them.

Long are simulated months (``make long``) and faults that take minutes (``make faults``).

Prints the first lane as it goes, the others when all are done, then one line per lane with its minutes and one with the
counts of all.
Exit status 0 only if every part passed and ran something. Further arguments go to all (for example ``--durations=20``).
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

TABLES = "(clickhouse or browser or loopback)"
SHORT = "not long and not long_fault"
SHOWN = ("kafka", f"{SHORT} and kafka and not fault")
BESIDE = (
    ("tables", f"{SHORT} and {TABLES} and not kafka and not fault"),
    ("alone", f"{SHORT} and not {TABLES} and not kafka and not fault"),
    ("faults", f"{SHORT} and fault"),
)
"""The lane that is printed as it goes, and the others: a name and a marker expression."""
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors)\b")


@dataclass
class Part:
    """One finished pytest."""

    code: int
    lines: list[str] = field(default_factory=list)
    minutes: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Counts of its closing line; errors are failures."""
        found = {"passed": 0, "failed": 0, "skipped": 0}
        closing = next((line for line in reversed(self.lines) if COUNT.search(line)), "")
        for number, word in COUNT.findall(closing):
            found["failed" if word.startswith("error") else word] += int(number)
        return found


def run(marks: str, more: Sequence[str], show: bool) -> Part:
    """One pytest; without its cache, which two at a time would overwrite."""
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "--durations=10", "-m", marks, *more]
    lines, begun = [], time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if show:
                print(line, end="", flush=True)
    return Part(process.returncode, lines, (time.monotonic() - begun) / 60)


def main() -> int:
    """Run all lanes and add them up."""
    more = sys.argv[1:]
    with ThreadPoolExecutor(len(BESIDE)) as beside:
        started = [(name, beside.submit(run, marks, more, False)) for name, marks in BESIDE]
        lanes = {SHOWN[0]: run(SHOWN[1], more, True)}
        for name, lane in started:
            lanes[name] = lane.result()
            print("".join(lanes[name].lines))
    for name, part in lanes.items():
        print(f"{name}: {part.counts['passed']} passed, {part.counts['failed']} failed, {part.minutes:.1f} minutes")
    parts = list(lanes.values())
    total = {word: sum(part.counts[word] for part in parts) for word in parts[0].counts}
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return max(part.code for part in parts) or int(any(part.counts["passed"] == 0 for part in parts))


if __name__ == "__main__":
    sys.exit(main())
