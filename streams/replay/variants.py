"""Two configurations on the same history: what an operator asks for by a word, and both runs in one folder.

    DIR/backtest.json    what was asked for
    DIR/a, DIR/b         the two run folders
    DIR/report.html      both side by side
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from schemas.errors import ConfigError
from streams.replay.compare import Comparison, compare
from streams.replay.configuration import configured
from streams.replay.engine import Progress
from streams.replay.findings import read_run
from streams.replay.folder import MANIFEST, REPORT, WORK
from streams.replay.recording import write_atomically
from streams.replay.report.page import comparison_page
from streams.replay.run import REQUEST, ReplayRequest, finish, left, run
from streams.rules import detect_rules, impact_rules, join_rules, outreach_rules

WORDS = {
    "false-alarms": "detect_false_alarms_per_day",
    "threshold": "detect_ratio_low",
    "customers": "detect_customers",
    "signals-off": "detect_signals_off",
    "attributes": "signal_attributes",
    "approval": "approval_above",
    "contact-budget": "contact_budget",
    "quiet-hours": "quiet_hours",
    "hold-out": "holdout_ratio",
}
"""What an operator calls it -> the setting."""
ASKED = "backtest.json"


@dataclass(frozen=True)
class BacktestRequest:
    """Two replays of the same source."""

    a: ReplayRequest
    b: ReplayRequest


def as_settings(given: Sequence[str]) -> tuple[str, ...]:
    """``NAME=VALUE`` with words of operators, as settings.

    >>> as_settings(["threshold=3", "CX_APPROVAL_ABOVE=10"])
    ('detect_ratio_low=3', 'CX_APPROVAL_ABOVE=10')
    """
    found = []
    for text in given:
        name, equals, value = text.partition("=")
        found.append(f"{WORDS.get(name, name)}{equals}{value}")
    return tuple(found)


def backtest(
    asked: BacktestRequest, folder: Path, watch: Callable[[str, Progress], None], stop: Callable[[], bool]
) -> Comparison:
    """Replay both, compare them and write the report. ``watch`` is told whose progress it is: A or B.

    What an earlier call has done in this folder is not done again. Raises ConfigError, Stopped; see ``run.run``.
    """
    for request in (asked.a, asked.b):
        _check(request)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ASKED, msgspec.json.encode(asked))
    for name, request in (("A", asked.a), ("B", asked.b)):
        own = folder / name.lower()
        if not (own / MANIFEST).exists():
            run(_same_ends(request, folder / "a"), own, partial(watch, name), stop)
    found = compare(read_run(folder / "a"), read_run(folder / "b"))
    (folder / REPORT).write_text(comparison_page(found), encoding="utf-8")
    for name in ("a", "b"):
        finish(folder / name)
    return found


def asked_before(folder: Path) -> BacktestRequest:
    """What was asked for in a folder. Raises ConfigError if it holds no backtest."""
    try:
        return msgspec.json.decode((folder / ASKED).read_bytes(), type=BacktestRequest)
    except (OSError, msgspec.DecodeError):
        raise ConfigError(f"{folder} holds no backtest that was left") from None


def _check(request: ReplayRequest) -> None:
    """Raise ConfigError for settings that cannot hold, before the first run takes its time."""
    settings = configured(Path(request.config) if request.config else None, request.given)
    for rules in (join_rules, detect_rules, outreach_rules, impact_rules):
        rules(settings)


def _same_ends(request: ReplayRequest, first: Path) -> ReplayRequest:
    """The request with the ends of live topics as the first run fixed them."""
    if not (first / WORK / REQUEST).exists():
        return request
    fixed = left(first)
    return replace(request, source=fixed.source, files=fixed.files, start=fixed.start, end=fixed.end)
