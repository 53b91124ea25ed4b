"""The figures as tables: plain cells, which the terminal, Markdown and JSON each show in their way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from schemas.currencies import DECIMALS
from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.replay.evaluate.matching import Grade, grade
from streams.replay.evaluate.results import OURS, WorldResult, total_of
from streams.replay.evaluate.rivals import RIVALS, installed
from streams.replay.evaluate.score import Figures
from streams.replay.evaluate.shares import DailyRate, Share

UNDEFINED = "-"
"""Where a figure rests on nothing."""
NOT_INSTALLED = "not installed"


class FigureTable(NamedTuple):
    """A table of texts."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a Markdown table."""
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def detectors(results: Sequence[WorldResult]) -> FigureTable:
    """One row per detector, over all worlds that could be played."""
    played = [result for result in results if not result.error]
    head = (
        "detector", "precision", "recall", "severe recall", "delay", "after the 5th customer",
        "false alarms a day, quiet", "duplicates", "right cause first", "right cause last", "affected precision",
        "affected recall", "money saved",
    )  # fmt: skip
    rows = []
    for name in (OURS, *RIVALS):
        if name == OURS or installed(name):
            rows.append((name, *_figures(total_of(played, name))))
        else:
            rows.append((name, NOT_INSTALLED, *[UNDEFINED] * (len(head) - 2)))
    return FigureTable(head, tuple(rows))


def _figures(score: Figures) -> tuple[str, ...]:
    return (
        share_text(score.precise), share_text(score.found), share_text(score.severe), duration(score.delay_ms),
        duration(score.delay_nth_ms), rate_text(score.quiet), str(score.duplicates), share_text(score.cause_first),
        share_text(score.cause_last), plain_share(score.named), plain_share(score.reached), money_text(score),
    )  # fmt: skip


def worlds(results: Sequence[WorldResult]) -> FigureTable:
    """One row per world: what our detector made of it."""
    head = ("world", "events", "found", "missed", "delay", "cause", "false alarms", "duplicates", "days")
    return FigureTable(head, tuple(_world(result) for result in results))


def _world(result: WorldResult) -> tuple[str, ...]:
    if result.truth is None:
        return (result.world, UNDEFINED, f"could not be played: {result.error}", *[UNDEFINED] * 6)
    matching, score = result.matching(OURS), result.score(OURS)
    missed = [one.incident.id for one in matching.incidents if not one.reports]
    causes = [grade(one.first.shown_cause, one.incident) for one in matching.incidents if one.first]
    false = [f"{count} ({why})" for why, count in sorted(score.false_alarms.items())]
    return (
        result.world, f"{result.events:,}", f"{score.found.hits} of {score.found.of}", ", ".join(missed) or UNDEFINED,
        duration(score.delay_ms), ", ".join(_GRADES[one] for one in causes) or UNDEFINED, ", ".join(false) or "0",
        str(score.duplicates), f"{result.truth.days:.0f}",
    )  # fmt: skip


_GRADES = {Grade.RIGHT: "right", Grade.COMPATIBLE: "part of it", Grade.WRONG: "wrong"}


def share_text(share: Share) -> str:
    """Share with its counts and its interval.

    >>> share_text(Share(9, 10)), share_text(Share(0, 0))
    ('90 % (9 of 10; 60-98 %)', '-')
    """
    if share.value is None or share.interval is None:
        return UNDEFINED
    low, high = share.interval
    counts = f"{share.hits} of {share.of}; {low * 100:.0f}-{high * 100:.0f} %"
    return f"{share.value * 100:.0f} % ({counts})"


def plain_share(share: Share) -> str:
    """A share of so many that its interval says nothing.

    >>> plain_share(Share(983, 1000)), plain_share(Share(0, 0))
    ('98.3 %', '-')
    """
    return UNDEFINED if share.value is None else f"{share.value * 100:.1f} %"


def rate_text(rate: DailyRate) -> str:
    """Events a day with their interval.

    >>> rate_text(DailyRate(2, 4.0))
    '0.50 (2 in 4 days; 0.06-1.81)'
    """
    if rate.value is None or rate.interval is None:
        return UNDEFINED
    low, high = rate.interval
    return f"{rate.value:.2f} ({rate.events} in {rate.days:.0f} days; {low:.2f}-{high:.2f})"


def duration(ms: float | None) -> str:
    """Milliseconds in words.

    >>> duration(90_000), duration(-7_500_000), duration(200_000_000), duration(None)
    ('1.5 min', '-2.1 h', '2.3 d', '-')
    """
    if ms is None:
        return UNDEFINED
    for unit, name in ((DAY_MS, "d"), (HOUR_MS, "h")):
        if abs(ms) >= 2 * unit or (unit == HOUR_MS and abs(ms) >= unit):
            return f"{ms / unit:.1f} {name}"
    return f"{ms / MINUTE_MS:.1f} min"


def money_text(score: Figures) -> str:
    """What acting at the first report would have saved, currency by currency, with its share.

    >>> money_text(Figures(money={"EUR": Saving(300_000, 500_000)}))
    'EUR 3,000 (60 %)'
    """
    shown = [
        f"{currency} {saving.saved / 10 ** DECIMALS.get(currency, 2):,.0f} ({saving.saved / saving.total * 100:.0f} %)"
        for currency, saving in sorted(score.money.items()) if saving.total
    ]  # fmt: skip
    return ", ".join(shown) or UNDEFINED


def as_json(results: Iterable[WorldResult]) -> dict[str, Any]:
    """Everything, for machines: figures per detector, over all and per world, with counts; null where undefined."""
    listed = list(results)
    played = [result for result in listed if not result.error]
    names = [name for name in (OURS, *RIVALS) if name == OURS or installed(name)]
    return {
        "detectors": {name: figures(total_of(played, name)) for name in names},
        "not_installed": [name for name in RIVALS if name not in names],
        "worlds": [
            {"world": one.world, "error": one.error}
            | ({} if one.error else {"events": one.events, "detectors": {n: figures(one.score(n)) for n in names}})
            for one in listed
        ],
    }  # fmt: skip


def figures(score: Figures) -> dict[str, Any]:
    """One score as numbers. Times in ms, money in minor units, intervals of 95 %."""
    shares = {
        "precision": score.precise, "recall": score.found, "severe_recall": score.severe,
        "right_cause_first": score.cause_first, "fitting_cause_first": score.cause_fits,
        "right_cause_last": score.cause_last, "affected_precision": score.named, "affected_recall": score.reached,
    }  # fmt: skip
    return {
        **{name: {"value": one.value, "hits": one.hits, "of": one.of, "interval": one.interval}
           for name, one in shares.items()},
        "false_alarms_per_quiet_day": {"value": score.quiet.value, "events": score.quiet.events,
                                       "days": score.quiet.days, "interval": score.quiet.interval},
        "false_alarms": dict(sorted(score.false_alarms.items())),
        "duplicates": score.duplicates,
        "delay_ms": score.delay_ms,
        "delay_from_fifth_customer_ms": score.delay_nth_ms,
        "money": {name: {"saved": one.saved, "total": one.total} for name, one in sorted(score.money.items())},
    }  # fmt: skip
