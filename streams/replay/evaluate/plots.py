"""Pictures of the figures as SVG, drawn by hand: how soon who finds how much, and every world as a strip of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.replay.evaluate.results import OURS, WorldResult, total_of
from streams.replay.evaluate.rivals import RIVALS, installed

COLOURS = ("#0b6bcb", "#8a8f98", "#b8bcc4", "#d97706", "#a855f7", "#059669", "#db2777")
"""One for each detector, ours first."""
TRUE, FALSE = "#94a3b8", "#dc2626"
_MARKS = ((MINUTE_MS, "1 min"), (10 * MINUTE_MS, "10 min"), (HOUR_MS, "1 h"), (6 * HOUR_MS, "6 h"), (DAY_MS, "1 d"),
          (7 * DAY_MS, "7 d"))  # fmt: skip
_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 20, 640, 300
_ROW, _NAME = 5, 250


BOUNDS = ("never fires", "always fires")
"""Detectors whose strips would be empty or full: they are left out there."""


def detectors_shown() -> list[tuple[str, str]]:
    """Name and colour of every detector that is installed."""
    named = zip((OURS, *RIVALS), COLOURS, strict=True)
    return [(name, colour) for name, colour in named if name == OURS or installed(name)]


def delays(results: Sequence[WorldResult]) -> str:
    """Share of all true incidents (0-1, upwards) that each detector had found within a time of their onset (log)."""
    played = [result for result in results if not result.error]
    parts = [_line(_LEFT, _TOP + _HEIGHT, _LEFT + _WIDTH, _TOP + _HEIGHT, "#333")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + _HEIGHT * (1 - share)
        parts += [_line(_LEFT, y, _LEFT + _WIDTH, y, "#e5e7eb"), _text(_LEFT - 6, y + 4, f"{share:.0%}", "end")]
    for ms, words in _MARKS:
        parts += [_line(_across(ms), _TOP, _across(ms), _TOP + _HEIGHT, "#e5e7eb"),
                  _text(_across(ms), _TOP + _HEIGHT + 16, words, "middle")]  # fmt: skip
    for number, (name, colour) in enumerate(detectors_shown()):
        figures = total_of(played, name)
        parts.append(_steps(sorted(figures.delays_ms), figures.found.of, colour, 3 if name == OURS else 1.5))
        y = _TOP + 14 + 18 * number
        parts += [_line(_LEFT + _WIDTH + 14, y - 4, _LEFT + _WIDTH + 34, y - 4, colour, 3),
                  _text(_LEFT + _WIDTH + 40, y, name, "start")]  # fmt: skip
    return _svg(_LEFT + _WIDTH + 240, _TOP + _HEIGHT + 30, parts, "Incidents found, by the time since their onset")


def strips(results: Iterable[WorldResult]) -> str:
    """A strip per world: grey what is true; below it a line for each detector: coloured what is right, red what is not.

    Each strip spans its world from beginning to end.
    """
    parts: list[str] = []
    y, lanes = 20.0, [one for one in detectors_shown() if one[0] not in BOUNDS]
    for result in results:
        if result.truth is None:
            continue
        parts += _strip(result, lanes, y)
        y += _ROW * (len(lanes) + 3) + 6
    for number, (name, colour) in enumerate(lanes):
        parts += [_bar(20 + number * 150, y, 10, 10, colour), _text(34 + number * 150, y + 9, name, "start")]
    return _svg(_NAME + _WIDTH + 180, y + 24, parts, "Worlds: what is true, and what each detector reported")


def _strip(result: WorldResult, lanes: Sequence[tuple[str, str]], y: float) -> list[str]:
    truth = result.truth
    assert truth is not None
    span = max(1, truth.ends_ms - truth.starts_ms)

    def x(ms: int) -> float:
        return _NAME + _WIDTH * min(1.0, max(0.0, (ms - truth.starts_ms) / span))

    parts = [_text(_NAME - 8, y + 2 * _ROW, result.world, "end"), _line(_NAME, y, _NAME + _WIDTH, y, "#e5e7eb")]
    for one in truth.incidents:
        parts.append(_bar(x(one.starts_ms), y, max(1.5, x(one.ends_ms) - x(one.starts_ms)), 2 * _ROW, TRUE))
    for number, (name, colour) in enumerate(lanes):
        if name not in result.reports:
            continue
        matching, row = result.matching(name), y + _ROW * (number + 2) + 2
        right = [report for one in matching.incidents for report in one.reports]
        for report in right:
            parts.append(_bar(x(report.at_ms), row, 2, _ROW - 1, colour))
        parts += [_bar(x(one.report.at_ms), row, 1, _ROW - 1, FALSE) for one in matching.false_alarms]
    return parts


def _across(ms: float) -> float:
    """Where a delay lies; everything up to a minute lies at the left edge, everything above a week at the right."""
    share = math.log(max(ms, MINUTE_MS) / MINUTE_MS) / math.log(7 * DAY_MS / MINUTE_MS)
    return _LEFT + _WIDTH * min(1.0, share)


def _steps(delays_ms: Sequence[int], incidents: int, colour: str, width: float) -> str:
    points = [(_LEFT, _TOP + _HEIGHT)]
    for number, delay_ms in enumerate(delays_ms, 1):
        x = round(_across(delay_ms))
        points += [(x, points[-1][1]), (x, round(_TOP + _HEIGHT * (1 - number / incidents)))]
    points.append((_LEFT + _WIDTH, points[-1][1]))
    drawn = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif"'
    return "\n".join([f'{head} font-size="11">', f"<title>{escape(title)}</title>",
                      '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])  # fmt: skip
