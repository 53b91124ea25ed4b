"""What two runs, or one, come to in a sentence; times, lengths, money, settings and decisions in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from schemas.currencies import money_text
from schemas.words import words_of
from streams.replay.compare import Comparison, IssueChange
from streams.replay.findings import Decided, RunFindings, Sums

MINUTE_MS = 60_000


def headline(found: Comparison) -> str:
    """The difference in one sentence."""
    if found.equal:
        return f"Equal: both runs found the same, byte for byte ({_issues(len(found.a.issues))})."
    parts = [
        f"{number} {word}" for word, number in
        (("added", len(found.of_kind("added"))), ("lost", len(found.of_kind("lost")))) if number
    ]  # fmt: skip
    both = [change for change in found.issues if change.a and change.b]
    parts += [_in_time([change for change in both if change.later_ms < 0], "earlier"),
              _in_time([change for change in both if change.later_ms > 0], "later")]  # fmt: skip
    causes = sum(change.cause_changed for change in both)
    parts.append(f"{causes} with another cause" if causes else "")
    differs = ", ".join(part for part in parts if part)
    gained, spared = found.notices_added, found.notices_removed
    notices = ", ".join(f"{number:,} {word}" for number, word in ((gained, "more"), (spared, "fewer")) if number)
    issues = f"Issues: {differs}" if differs else f"The same {_issues(len(found.b.issues))}"
    return f"{issues}. Notices: {notices}." if notices else f"{issues}. The same notices."


def _in_time(changes: list[IssueChange], word: str) -> str:
    if not changes:
        return ""
    by = sorted(abs(change.later_ms) for change in changes)
    span = length(by[0]) if length(by[0]) == length(by[-1]) else f"{length(by[0])} to {length(by[-1])}"
    return f"{len(changes)} seen {span} {word}"


def run_headline(run: RunFindings) -> str:
    """What one run found, in one sentence."""
    if not run.issues:
        return "No issue was found." if "detect" in run.manifest.rooms else "Issues were not looked for."
    return (
        f"{_issues(len(run.issues))} hit {_customers(len(run.customers))}, {run.silent:,} of them silent; "
        f"{run.notices:,} notices would have gone."
    )


def _issues(number: int) -> str:
    return f"{number:,} issue" if number == 1 else f"{number:,} issues"


def _customers(number: int) -> str:
    return f"{number:,} customer" if number == 1 else f"{number:,} customers"


def clock(ms: int) -> str:
    """A time for people: day, hour and minute, UTC.

    >>> clock(1_767_225_600_000)
    '2026-01-01 00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def length(ms: int) -> str:
    """A length of time in at most two units.

    >>> length(5_000), length(40 * 60_000), length(26 * 3_600_000), length(90_061_000)
    ('5 s', '40 min', '26 h', '25 h 1 min')
    """
    seconds = round(ms / 1000)
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(ms / MINUTE_MS)
    hours, rest = divmod(minutes, 60)
    if hours < 2:
        return f"{minutes} min"
    if hours >= 48:
        days, hours = divmod(hours, 24)
        return f"{days} d {hours} h" if hours else f"{days} d"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def money_words(sums: Sums) -> str:
    """Money of all currencies, for people.

    >>> money_words({"EUR": 1_250, "JPY": 90})
    '12.50 EUR, 90 JPY'
    """
    return ", ".join(money_text(minor, currency) for currency, minor in sums.items()) or "0"


def value_words(value: Any) -> str:
    """A setting's value for people.

    >>> value_words(["a", "b"]), value_words(None), value_words(True), value_words(())
    ('a, b', 'unset', 'true', 'none')
    """
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def decision_words(decided: Decided) -> str:
    """A decision with its reason."""
    if not decided.reason:
        return "nothing decided"
    return f"{words_of('decision', decided.decision)}: {words_of('reason', decided.reason)}"
