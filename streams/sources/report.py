"""What a mapping makes of a file, as plain data: for people (``streams.cli.play_report``), for machines (``--json``).

Nothing in it is a value of a row: fields, rules, lines, classes of values and the contract's closed vocabularies only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streams.lateness import LatenessPlan
from streams.settings import PREFIX, Settings
from streams.sources import MappedFile
from streams.sources.counts import NounCounts, Reason
from streams.sources.mapping import EventRule
from streams.sources.remarks import remarks


@dataclass(frozen=True, slots=True)
class EventReport:
    """One event of the mapping. ``filled``: events that have a field, of ``events``, in the order of the mapping."""

    event: str
    to: str
    matched: int
    events: int
    rejected: int
    reasons: tuple[Reason, ...]
    filled: dict[str, int]


@dataclass(frozen=True, slots=True)
class LateEvents:
    """Events that arrive later than a bound after they happened, and the setting that moves it.

    ``late`` ones miss the counts of their time, which are closed; ``too old`` ones are kept apart and change nothing.
    ``needed`` is the value that takes them all, or the largest one that is allowed, which takes ``taken`` of them.
    """

    to: str
    effect: str
    events: int
    setting: str
    value: int
    needed: int
    taken: int


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the rows of a file."""

    mapping: str
    file: str
    rows: int
    events: dict[str, int]
    rejected: int
    unmatched: int
    outside: int
    unreadable: int
    unreadable_reasons: tuple[Reason, ...]
    rules: tuple[EventReport, ...]
    statuses: dict[str, dict[str, int]]
    late: tuple[LateEvents, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def share(self) -> float:
        """Rejected rows among all rows, 0 to 1."""
        return self.rejected / self.rows if self.rows else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = asdict(self)
        for part, own in zip((*plain["rules"], plain), (*self.rules, self), strict=True):
            name = "reasons" if isinstance(own, EventReport) else "unreadable_reasons"
            part[name] = [reason._asdict() for reason in getattr(own, name)]
        return plain


def report_of(reading: MappedFile, planned: Sequence[LatenessPlan], customers: int) -> Report:
    """The report of a file that was mapped; ``customers``: fewest failed customers of an issue."""
    tally, mapping = reading.tally, reading.mapping
    return Report(
        mapping=mapping.name,
        file=reading.file.name,
        rows=tally.rows,
        events=dict(tally.events),
        rejected=tally.rejected,
        unmatched=tally.unmatched,
        outside=tally.outside,
        unreadable=tally.unreadable.count,
        unreadable_reasons=tuple(tally.unreadable.first),
        rules=tuple(_event(rule, index, reading) for index, rule in enumerate(mapping.events)),
        statuses={noun: _statuses(counts) for noun, counts in tally.nouns.items()},
        late=tuple(late for plan in planned for late in _late(plan, tally.nouns.get(plan.noun, NounCounts()).lags)),
        warnings=(*reading.warnings, *map(str, reading.broken)),
        remarks=(*reading.notes, *remarks(tally, customers)),
    )


def _event(rule: EventRule, index: int, reading: MappedFile) -> EventReport:
    counts = reading.tally.rules[index]
    return EventReport(
        event=rule.path,
        to=rule.noun,
        matched=counts.matched,
        events=counts.events,
        rejected=counts.rejects.count,
        reasons=tuple(counts.rejects.first),
        filled={field.name: counts.events - counts.absent.get(field.name, 0) for field in rule.fields},
    )


def _statuses(counts: NounCounts) -> dict[str, int]:
    """Events by outcome or status, the commonest first."""
    found: Counter[str] = Counter()
    for value, count in counts.values.items():
        found[value[0] if isinstance(value, tuple) else value] += count
    return dict(found.most_common())


def _late(plan: LatenessPlan, lags: Counter[int]) -> list[LateEvents]:
    """``lags``: events by how much later than they happened they arrive, ms."""
    lateness_ms = plan.lateness_s * 1_000
    behind = {lag_ms: count for lag_ms, count in lags.items() if plan.disorder_ms < lag_ms <= lateness_ms}
    too_old = {lag_ms: count for lag_ms, count in lags.items() if lag_ms > lateness_ms}
    found = []
    if behind:
        found.append(_bounded(plan.noun, "late", behind, f"{plan.noun}_disorder_ms", plan.disorder_ms))
    if too_old:
        found.append(_bounded(plan.noun, "too old", too_old, f"{plan.noun}_lateness_s", plan.lateness_s))
    return found


def _bounded(noun: str, effect: str, lags: dict[int, int], field: str, value: int) -> LateEvents:
    unit = 1 if field.endswith("_ms") else 1_000
    most = next(rule.le for rule in Settings.model_fields[field].metadata if getattr(rule, "le", None) is not None)
    needed = min(-(-max(lags) // unit), most)
    taken = sum(count for lag_ms, count in lags.items() if lag_ms <= needed * unit)
    return LateEvents(noun, effect, sum(lags.values()), f"{PREFIX}{field.upper()}", value, needed, taken)
