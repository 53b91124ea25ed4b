"""Rows -> table, verdicts, plot: what ``docs/benchmarks.md`` shows.

``python -m benchmarks.report [RESULTS.json]`` writes the newest (or named) results into ``docs/benchmarks.md`` between
its two marks, and the plot beside it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PLOT = HERE.parent / "docs" / "benchmarks.svg"
BEGIN, END = "<!-- table: made by python -m benchmarks.report -->", "<!-- end of table -->"
BAR_CPU = 6.0
"""Most CPU seconds per million events of cxwatch."""
RATIOS = (("faust-naive", 50.0), ("quix-tuned", 4.0), ("kafka-streams-idiomatic", 1.0))
"""cxwatch needs at least this many times less CPU than the peer."""

Row = Mapping[str, Any]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, least CPU first."""
    lines = [
        "| | CPU s per million events (least-most) | events/s | peak MB | events | rounds | what it does |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in sorted(rows, key=lambda found: float(found["cpu_s_per_million"])):
        low, high = one["spread"]["cpu_s_per_million"]
        warm = one.get("warm_cpu_s_per_million")
        lines.append(
            f"| {one['name']} | **{one['cpu_s_per_million']:.2f}** ({low:.2f}-{high:.2f})"
            + (f", warm {warm:.2f}" if warm else "")
            + f" | {one['events_per_s']:,} | {one['rss_mb']:,} | {one['events']:,} | {one['rounds']} | {one['about']} |"
        )
    return "\n".join(lines)


def bars(rows: Sequence[Row]) -> list[str]:
    """Return one verdict per bar that these rows can decide."""
    cpu = {one["name"]: float(one["cpu_s_per_million"]) for one in rows}
    if "cxwatch" not in cpu:
        return []
    own = cpu["cxwatch"]
    verdicts = [_verdict(own <= BAR_CPU, f"cxwatch needs {own:.2f} CPU s per million events, bar {BAR_CPU:g}")]
    for name, wanted in RATIOS:
        if name in cpu:
            ratio = cpu[name] / own
            held = ratio > wanted if wanted == 1.0 else ratio >= wanted
            verdicts.append(_verdict(held, f"{name} needs {ratio:.1f} times the CPU of cxwatch, bar {wanted:g}"))
    return verdicts


def _verdict(held: bool, sentence: str) -> str:
    return f"{'held  ' if held else 'MISSED'} {sentence}"


def plot(rows: Sequence[Row]) -> str:
    """Return an SVG: one bar per row, CPU seconds per million events on a logarithmic axis, the spread as a line."""
    shown = sorted(rows, key=lambda found: float(found["cpu_s_per_million"]))
    left, width, step, top = 190, 520, 26, 34
    low = 10 ** math.floor(math.log10(min(one["spread"]["cpu_s_per_million"][0] for one in shown)))
    high = 10 ** math.ceil(math.log10(max(one["spread"]["cpu_s_per_million"][1] for one in shown)))

    def at(value: float) -> float:
        return left + width * math.log10(value / low) / math.log10(high / low)

    height = top + step * len(shown) + 24
    bottom = top + step * len(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}" font-size="12">',
        "<style>text { font-family: sans-serif }</style>",
        f'<rect width="{left + width + 70}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="16">CPU seconds per million events (logarithmic; less is better)</text>',
    ]
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        x = at(10.0**power)
        parts.append(f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g}</text>')
    for index, one in enumerate(shown):
        y = top + step * index
        value = float(one["cpu_s_per_million"])
        first, last = (at(edge) for edge in one["spread"]["cpu_s_per_million"])
        colour = "#0b6e4f" if one["name"].startswith("cxwatch") else "#9aa5b1"
        parts += [
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{one["name"]}</text>',
            f'<rect x="{left}" y="{y + 3}" width="{max(1.0, at(value) - left):.1f}" height="15" fill="{colour}"/>',
            f'<line x1="{first:.1f}" y1="{y + 10}" x2="{last:.1f}" y2="{y + 10}" stroke="#222" stroke-width="2"/>',
            f'<text x="{max(last, at(value)) + 6:.1f}" y="{y + 14}">{value:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def newest(folder: Path = HERE / "results") -> Path:
    """Return the newest file of results. Raises FileNotFoundError if there is none."""
    found = sorted(folder.glob("????-??-??-*.json"))
    if not found:
        raise FileNotFoundError("no results yet: run `make bench`")
    return found[-1]


def page(text: str, rows: Sequence[Row]) -> str:
    """Return the page with the part between the marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    where = rows[0]
    measurement = f"Measured {where['measured_at']} on {where['machine']}; medians over alternating rounds."
    verdicts = "\n".join(f"- {line}" for line in bars(rows))
    drawn = f"![CPU per million events]({PLOT.name})"
    return f"{before}{BEGIN}\n{measurement}\n\n{table(rows)}\n\n{verdicts}\n\n{drawn}\n{END}{after}"


if __name__ == "__main__":
    measured = json.loads((Path(sys.argv[1]) if len(sys.argv) > 1 else newest()).read_text())
    PAGE.write_text(page(PAGE.read_text(), measured))
    PLOT.write_text(plot(measured))
    print("\n".join(bars(measured)))
