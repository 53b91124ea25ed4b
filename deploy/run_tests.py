"""Run all tests but the long ones, in two processes side by side: those that need servers mostly wait for them.

Long are simulated months (``make long``) and faults that take minutes (``make faults``).

Prints the server tests as they go, the others when they are done, and one closing line with the counts of both.
Exit status 0 only if both passed and ran something. Further arguments go to both (for example ``--durations=20``).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from typing import IO

SERVERS = "(kafka or clickhouse or browser or loopback)"
SHORT = "not long and not long_fault"
PARTS = (f"{SHORT} and {SERVERS}", f"{SHORT} and not {SERVERS}")
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors)\b")


def start(marks: str, more: list[str], output: int | IO[str]) -> subprocess.Popen[str]:
    """One pytest; without its cache, which two at a time would overwrite."""
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-m", marks, *more]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)


def counts(closing: str) -> dict[str, int]:
    """Counts of a closing line; errors are failures."""
    found = {"passed": 0, "failed": 0, "skipped": 0}
    for number, word in COUNT.findall(closing):
        found["failed" if word.startswith("error") else word] += int(number)
    return found


def main() -> int:
    """Run both parts and add them up."""
    more = sys.argv[1:]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as kept:
        pure = start(PARTS[1], more, kept)
        served = start(PARTS[0], more, subprocess.PIPE)
        assert served.stdout is not None
        last = ""
        for line in served.stdout:
            print(line, end="", flush=True)
            last = line if COUNT.search(line) else last
        codes = (served.wait(), pure.wait())
        kept.seek(0)
        text = kept.read()
    print(text)
    lines = [line for line in text.splitlines() if COUNT.search(line)]
    both = [counts(last), counts(lines[-1] if lines else "")]
    total = {word: sum(part[word] for part in both) for word in both[0]}
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return max(codes) or int(any(part["passed"] == 0 for part in both))


if __name__ == "__main__":
    sys.exit(main())
