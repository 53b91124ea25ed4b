"""The report of a run, or of two side by side: one file of HTML that opens from the file system and loads nothing.

Every text of the input is escaped where it is written; customers are counts. What is drawn is bounded: curves have
about a point per pixel, and of many issues those that hit most customers are drawn, with the number of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from dashboards.palette import ISSUE_COLOURS
from schemas.words import words_of
from streams.replay.compare import Comparison, IssueChange, setting_changes
from streams.replay.findings import RunFindings, read_run
from streams.replay.folder import REPORT, read_findings, read_revisions
from streams.replay.report import assets, tables
from streams.replay.report.bars import MOST_BARS, IssueBars, States, TimeAxis, in_words, most_affected, states_of
from streams.replay.report.series import LEAST_MARGIN_MS, CohortCurves, Volume, cohort_curves, volume
from streams.replay.wording import clock, headline, length, money_words, run_headline
from streams.settings import Settings

MOST_COHORTS = 12
_INSIDE, _OUTSIDE = "#D55E00", "#0072B2"
_TOPICS = {"telemetry": "#0A96DB", "order": "#D27710", "contact": "#C96CC2"}
"""Colours of the topics' curves."""
_KEY = (("open", "open"), ("escalating", "getting worse"), ("recovering", "recovering"))
_KEY_OF_TWO = (("A", "seen in A"), ("B", "seen in B"))


def write_report(folder: Path) -> Path:
    """Write the report of a run into its folder; returns the file. Raises ConfigError if the run is not whole."""
    file = folder / REPORT
    file.write_text(run_page(read_run(folder)), encoding="utf-8")
    return file


def run_page(run: RunFindings) -> str:
    """The page of one run."""
    changes = [IssueChange(None, issue) for issue in run.issues]
    manifest = run.manifest
    defaults = Settings.model_construct().model_dump(mode="json")
    differing = setting_changes({name: defaults.get(name) for name in manifest.configuration}, manifest.configuration)
    found = {
        "issues": [tables.issue_table(run)], "decisions": [tables.decision_table(run)],
        "settings": [tables.setting_table("Settings that are not the default", differing, ("Default", "Here"))],
        "money": tables.money_table({"All issues": run}), "facts": tables.run_facts({"This run": run}),
    }  # fmt: skip
    own = {
        "two": False, "headline": run_headline(run), "warnings": [], "tiles": _tiles(run),
        "tables": found, "key": _KEY,
    }  # fmt: skip
    return _page(own, run, changes, states_of(read_revisions(run.folder)))


def comparison_page(found: Comparison) -> str:
    """The page of two runs side by side."""
    runs = {"A": found.a, "B": found.b}
    own = {
        "two": True, "headline": headline(found), "key": _KEY_OF_TWO, "tiles": _tiles_of_two(found),
        "warnings": [f"The two runs had different inputs: {sentence}." for sentence in found.inputs],
        "tables": {
            "issues": [tables.changed_issues(found)], "decisions": tables.decision_tables(found),
            "settings": [tables.setting_table("Settings that differ", found.settings, ("A", "B"))],
            "money": tables.money_table(runs), "facts": tables.run_facts(runs),
        },
    }  # fmt: skip
    return _page(own, found.b, found.issues, None)


def _page(own: Mapping[str, Any], run: RunFindings, changes: Sequence[IssueChange], states: States | None) -> str:
    """Render the page. ``run``: whose events are drawn; ``states``: those of its issues, None for two runs."""
    whole = volume(read_findings(run.folder, "source_count"))
    span = _span(changes, whole)
    axis = _axis(changes, span)
    events = whole if axis == span else volume(read_findings(run.folder, "source_count"), axis)
    drawn = most_affected(changes, MOST_BARS)
    charted = most_affected(changes, MOST_COHORTS)
    cohorts = [panel for panel in _cohorts(run, charted, span) if panel["series"]]
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(assets.page_template()).render(
        **own, title=own["headline"], policy=assets.policy(), style=assets.style(), scripts=assets.scripts(),
        subtitle=_subtitle(run, span, whole), stretch=f"{clock(axis.from_ms)} to {clock(axis.until_ms)} UTC",
        volume=events, bars=[asdict(_bars(change, axis, states)) for change in drawn],
        bars_left_out=len(changes) - len(drawn), cohorts=cohorts, cohorts_left_out=len(changes) - len(charted),
        data={
            "palette": {"states": {}, "issues": ISSUE_COLOURS, "names": _colours(cohorts)},
            "panels": [*_volume_panel(events, axis), *cohorts],
        },
    )  # fmt: skip


def _colours(cohorts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {**_TOPICS, "everybody else": _OUTSIDE, **{one["inside"]: _INSIDE for one in cohorts}}


def _span(changes: Sequence[IssueChange], events: Volume | None) -> TimeAxis:
    """The time of a run: from the first event or onset to the last."""
    begins, ends = _times(changes)
    if events is not None:
        begins, ends = [*begins, events.from_ms], [*ends, events.until_ms]
    return TimeAxis(min(begins, default=0), max(ends, default=1))


def _axis(changes: Sequence[IssueChange], span: TimeAxis) -> TimeAxis:
    """What is drawn: all of it, or three times the stretch with issues if that is less."""
    begins, ends = _times(changes)
    if not begins:
        return span
    first, last = min(begins), max(ends) if all(_ended(change) for change in changes) else span.until_ms
    margin = max(last - first, LEAST_MARGIN_MS)
    return TimeAxis(max(first - margin, span.from_ms), min(last + margin, span.until_ms))


def _times(changes: Sequence[IssueChange]) -> tuple[list[int], list[int]]:
    issues = [issue for change in changes for issue in (change.a, change.b) if issue]
    return [issue.began_ms for issue in issues], [max(issue.ended_ms or 0, issue.seen_ms) for issue in issues]


def _ended(change: IssueChange) -> bool:
    return all(issue.ended_ms is not None for issue in (change.a, change.b) if issue)


def _subtitle(run: RunFindings, axis: TimeAxis, events: Volume | None) -> str:
    source = run.manifest.source
    name = " ".join(dict.fromkeys(str(source[part]) for part in ("kind", "name") if source.get(part)))
    if events is None:
        return name
    return (
        f"{name}: {clock(axis.from_ms)} to {clock(axis.until_ms)} UTC ({length(axis.until_ms - axis.from_ms)}), "
        f"{events.events:,} events."
    )


def _bars(change: IssueChange, axis: TimeAxis, states: States | None) -> IssueBars:
    if states is not None:
        return IssueBars(change.issue.title, "", (axis.bar(change.issue, "", states),))
    bars = [axis.bar(issue, run, {}) for run, issue in (("A", change.a), ("B", change.b)) if issue]
    return IssueBars(change.issue.title, in_words(change), tuple(bars))


def _volume_panel(events: Volume | None, axis: TimeAxis) -> list[dict[str, Any]]:
    if events is None:
        return []
    return [{
        "slug": "volume", "title": "Events per minute", "unit": "per_minute", "from": axis.from_ms,
        "until": axis.until_ms, "marks": [], "series": [curve.as_dict() for curve in events.curves],
    }]  # fmt: skip


def _cohorts(run: RunFindings, changes: Sequence[IssueChange], axis: TimeAxis) -> list[dict[str, Any]]:
    """A panel per issue, with what is needed to draw it."""
    named = {change.issue.issue_id: (change.issue, _cohort_name(change)) for change in changes}
    curves = cohort_curves(read_findings(run.folder, "cohort_count"), named, axis) if named else {}
    return [
        _cohort_panel(f"cohort-{number}", change, curves[change.issue.issue_id])
        for number, change in enumerate(changes)
    ]


def _cohort_panel(slug: str, change: IssueChange, curves: CohortCurves) -> dict[str, Any]:
    return {
        "slug": slug, "title": change.issue.title, "unit": "share", "from": curves.from_ms, "until": curves.until_ms,
        "marks": _marks(change), "series": [curve.as_dict() for curve in curves.curves],
        "inside": _cohort_name(change), "step": f"stretches of {length(curves.step_ms)}",
    }  # fmt: skip


def _cohort_name(change: IssueChange) -> str:
    cause = change.issue.cause
    return ", ".join(f"{words_of('attribute', name)} {value}" for name, value in cause.items()) or "everybody"


def _marks(change: IssueChange) -> list[dict[str, Any]]:
    issue = change.issue
    marks = [(issue.began_ms, "onset, as estimated", "warn")]
    if change.a is None or change.b is None:
        marks.append((issue.seen_ms, "seen", "bad"))
    else:
        marks += [(change.a.seen_ms, "seen in A", "bad"), (change.b.seen_ms, "seen in B", "bad")]
    if issue.ended_ms is not None:
        marks.append((issue.ended_ms, "over", "good"))
    return [{"at": at, "text": text, "tone": tone} for at, text, tone in marks]


def _tiles(run: RunFindings) -> list[dict[str, str]]:
    money = run.money
    return [
        _tile("Issues", f"{len(run.issues):,}", f"{sum(issue.ended_ms is None for issue in run.issues):,} still open"),
        _tile("Customers hit", f"{len(run.customers):,}", f"{run.silent:,} silent"),
        _tile("Notices that would have gone", f"{run.notices:,}", "a replay sends nothing"),
        _tile("Money at risk", money_words(money["at_risk"]), _range(run)),
        _tile("Per minute while open", money_words(money["per_minute"]), "assumed" if run.assumed else ""),
    ]


def _range(run: RunFindings) -> str:
    money = run.money
    if not money["at_risk"]:
        return ""
    low, high = money_words(money["at_risk_low"]), money_words(money["at_risk_high"])
    return f"{'assumed; ' if run.assumed else ''}{low} to {high}"


def _tiles_of_two(found: Comparison) -> list[dict[str, str]]:
    a, b = found.a, found.b
    added, lost = len(found.of_kind("added")), len(found.of_kind("lost"))
    customers = f"{len(b.customers - a.customers):,} added, {len(a.customers - b.customers):,} removed"
    both = [
        ("Issues", f"{len(a.issues):,}", f"{len(b.issues):,}", f"{added} added, {lost} lost"),
        ("Customers hit", f"{len(a.customers):,}", f"{len(b.customers):,}", customers),
        ("Notices that would have gone", f"{a.notices:,}", f"{b.notices:,}",
         f"{found.notices_added:,} added, {found.notices_removed:,} removed"),
        ("Money at risk", money_words(a.money["at_risk"]), money_words(b.money["at_risk"]),
         "assumed" if a.assumed or b.assumed else ""),
    ]  # fmt: skip
    return [_tile(label, one if one == other else f"{one} → {other}", more) for label, one, other, more in both]


def _tile(label: str, value: str, more: str) -> dict[str, str]:
    return {"label": label, "value": value, "more": more}
