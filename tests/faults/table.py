"""``python -m tests.faults.table``: renders docs/faults.md from the results that ``make faults`` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parents[1] / "docs" / "faults.md"
HEAD = """# Faults: what was broken, and what came of it

Made by `make faults` from real runs on real Kafka and ClickHouse (`tests/faults/`); do not edit. `make faults N=7` runs
one. After every fault an oracle outside the system, a process that shares no code with it, reads the raw topics, works
out what must have come out (accepted events, duplicates, late ones, cohort counts, episodes with their contacts, source
counts, dead letters with their bytes), and compares topics and tables with it. **lost**: expected and nowhere;
**diff**: another value, or should not be there; **twice**: accepts per webhook-id beyond the first. A fault without a
row was not run in its full size since the results were last thrown away.
"""


def load(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """All results, by number."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("fault-*.json"))]
    return sorted(found, key=lambda one: (one["number"], one["variant"]))


def page(results: list[dict[str, Any]]) -> str:
    """The page."""
    lines = [HEAD]
    machines = sorted({one["machine"] for one in results if one.get("machine")})
    if machines:
        lines += [f"Machine: {'; '.join(machines)}.", ""]
    lines += [
        "| # | fault | what was done | expected | events | lost | diff | twice | seconds | measured besides |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        cells = [
            one["number"], one["fault"], one["done"], one["expected"], one["events"], one["lost"], one["diff"],
            one["duplicate_accepts"], one["seconds"], _figures(one["figures"]),
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join([*lines, ""])


def _figures(figures: dict[str, Any]) -> str:
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in figures.items()}
    return "; ".join(f"{name}: {value}" for name, value in shown.items())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(load()), encoding="utf-8")


if __name__ == "__main__":
    main()
