"""The tables of a report: issues, decisions by reason, money, and where a run came from. Cells are plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from schemas.currencies import money_text
from schemas.issue_ids import short_ids
from schemas.words import words_of
from streams.replay.compare import Comparison, SettingChange
from streams.replay.findings import Decided, FoundIssue, RunFindings
from streams.replay.report.bars import in_words
from streams.replay.wording import clock, decision_words, money_words, value_words

MOST_ROWS = 100
MOST_CHANGES = 12
_HASH_LENGTH = 64
_FIGURES = (
    ("at_risk", "At risk"), ("at_risk_low", "At risk, at least"), ("at_risk_high", "At risk, at most"),
    ("per_minute", "Per minute while open"), ("service", "Handling the contacts"), ("amounts", "Orders at stake"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of texts. ``right``: indexes of the columns with numbers."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    note: str = ""
    style: str = ""
    """Class of the page's styles: cards turns rows into cards on a phone."""


def issue_table(run: RunFindings) -> TextTable:
    """Every issue of one run."""
    short = short_ids([issue.issue_id for issue in run.issues])
    headings = ("What", "Issue", "Seen (UTC)", "Over", "Affected", "Silent", "Contacted us", "Notices", "At risk")
    gone = notices_by_issue(run)
    rows = [
        (issue.title, short[issue.issue_id], clock(issue.seen_ms), _over(issue), f"{len(issue.customers):,}",
         f"{issue.silent:,}", f"{len(issue.complainants):,}", f"{gone[issue.issue_id]:,}",
         money_words(issue.money["at_risk"]))
        for issue in run.issues
    ]  # fmt: skip
    return _cut(TextTable("Issues", headings, tuple(rows), (4, 5, 6, 7, 8), style="cards"))


def changed_issues(found: Comparison) -> TextTable:
    """Every issue of two runs, what is different first."""
    headings = ("What", "Change", "A seen (UTC)", "B seen (UTC)", "Affected", "In A only", "In B only", "At risk")
    ordered = sorted(found.issues, key=lambda change: change.kind == "same")
    rows = [
        (
            change.issue.title if not change.cause_changed or not change.a
            else f"{change.issue.title} (A: {change.a.title})",
            in_words(change), _seen(change.a), _seen(change.b), _two(*map(_hit, (change.a, change.b))),
            f"{change.customers_removed:,}", f"{change.customers_added:,}",
            _two(*(money_words(issue.money["at_risk"]) if issue else "" for issue in (change.a, change.b))),
        )
        for change in ordered
    ]  # fmt: skip
    return _cut(TextTable("Issues", headings, tuple(rows), (4, 5, 6, 7), style="cards"))


def decision_table(run: RunFindings) -> TextTable:
    """How many customers would have been told, held, refused or held out, and why."""
    rows = [(*_decided(stage, decided), f"{customers:,}") for (stage, decided), customers in _counted(run)]
    return TextTable("Notices that would have gone", ("Message", "Decision", "Reason", "Customers"), tuple(rows), (3,))


def decision_tables(found: Comparison) -> tuple[TextTable, TextTable]:
    """The same for two runs, and from what to what customers went."""
    ours, theirs = Counter(dict(_counted(found.a))), Counter(dict(_counted(found.b)))
    keys = sorted({*ours, *theirs}, key=lambda key: (-max(ours[key], theirs[key]), key))
    rows = [(*_decided(*key), f"{ours[key]:,}", f"{theirs[key]:,}") for key in keys]
    both = TextTable("Notices that would have gone", ("Message", "Decision", "Reason", "A", "B"), tuple(rows), (3, 4))
    changes = [
        (words_of("stage", one.stage), decision_words(one.a), decision_words(one.b), f"{one.customers:,}")
        for one in found.decisions
    ]  # fmt: skip
    headings = ("Message", "In A", "In B", "Customers")
    return both, _cut(TextTable("Decided differently", headings, tuple(changes), (3,)), MOST_CHANGES)


def money_table(runs: Mapping[str, RunFindings]) -> TextTable:
    """Figures of all issues added up, per currency. ``runs``: heading -> run."""
    rows = []
    sums = [run.money for run in runs.values()]
    for name, heading in _FIGURES:
        for currency in sorted({currency for one in sums for currency in one[name]}):
            rows.append((heading, *(money_text(one[name].get(currency, 0), currency) for one in sums)))
    assumed = {name: value for run in runs.values() for name, value in run.assumed.items()}
    note = "Assumed, not measured: " + "; ".join(f"{name} = {value}" for name, value in sorted(assumed.items())) + "."
    right = tuple(range(1, len(runs) + 1))
    return TextTable("Money", ("", *runs), tuple(rows), right, note if assumed else "")


def run_facts(runs: Mapping[str, RunFindings]) -> TextTable:
    """Where each run came from, by its manifest."""
    facts = [_facts(run) for run in runs.values()]
    names = dict.fromkeys(name for one in facts for name in one)
    rows = tuple((name, *(one.get(name, "") for one in facts)) for name in names)
    notes = dict.fromkeys(note for run in runs.values() for note in run.manifest.notes)
    return TextTable("Where it comes from", ("", *runs), rows, note=" ".join(notes), style="facts")


def setting_table(caption: str, changes: Sequence[SettingChange], headings: tuple[str, str]) -> TextTable:
    """Settings with two values each."""
    rows = tuple((change.name, value_words(change.a), value_words(change.b)) for change in changes)
    return TextTable(caption, ("Setting", *headings), rows)


def notices_by_issue(run: RunFindings) -> Counter[str]:
    """Notices that would have gone, per issue."""
    return Counter(
        key.issue for key, decided in run.decisions.items() if key.stage == "notice" and decided.decision == "send"
    )


def _facts(run: RunFindings) -> dict[str, str]:
    manifest = run.manifest
    span = [clock(time) if time is not None else word
            for time, word in ((manifest.from_ms, "its beginning"), (manifest.until_ms, "its end"))]  # fmt: skip
    flat = {name: _short(value_words(value)) for name, value in manifest.source.items()
            if not isinstance(value, dict | list)}  # fmt: skip
    read = manifest.source.get("offsets", {}).values()
    if read:
        flat["offsets"] = f"{sum(end - start for start, end in read):,} in {len(read)} topic partitions"
    return {
        **{f"source: {name}": value for name, value in flat.items()},
        "stretch": f"{span[0]} to {span[1]}",
        "partitions": f"{manifest.partitions}",
        "rooms": ", ".join(manifest.rooms),
        "started": "cold: from nothing" if manifest.start == "cold" else "from a snapshot of a line's state",
        "orders and profiles applied at recorded moments": f"{manifest.cuts:,}",
        "join ran in": "native code" if manifest.native else "Python",
        "counted": ", ".join(f"{name} {number:,}" for name, number in sorted(manifest.counts.items())),
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items())),
        "took": f"{manifest.seconds:,.1f} s",
        **{f"{noun}: rows, SHA-256": f"{kind.rows:,}, {_short(kind.sha256)}"
           for noun, kind in sorted(manifest.findings.items())},
    }  # fmt: skip


def _counted(run: RunFindings) -> list[tuple[tuple[str, Decided], int]]:
    counted = Counter((key.stage, decided) for key, decided in run.decisions.items())
    return sorted(counted.items(), key=lambda one: (-one[1], one[0]))


def _decided(stage: str, decided: Decided) -> tuple[str, str, str]:
    return words_of("stage", stage), words_of("decision", decided.decision), words_of("reason", decided.reason)


def _cut(table: TextTable, most: int = MOST_ROWS) -> TextTable:
    rest = len(table.rows) - most
    if rest <= 0:
        return table
    note = f"{rest:,} more rows are not shown here; the folder has them all."
    return replace(table, rows=table.rows[:most], note=note)


def _short(text: str) -> str:
    """A hash as its beginning, any other text as it is."""
    return text[:16] if len(text) == _HASH_LENGTH else text


def _over(issue: FoundIssue) -> str:
    return clock(issue.ended_ms) if issue.ended_ms is not None else words_of("state", issue.state)


def _seen(issue: FoundIssue | None) -> str:
    return clock(issue.seen_ms) if issue else ""


def _hit(issue: FoundIssue | None) -> str:
    return f"{len(issue.customers):,}" if issue else ""


def _two(a: str, b: str) -> str:
    """Two values, or one where they are equal."""
    return a if a == b else " → ".join(value or "none" for value in (a, b))


