"""What the views say about issues: words, who acts, what was sent, what to do next, and totals of the rows."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import findings, issues
from schemas.fields import Money
from schemas.signals import NAMES, signal_spec
from schemas.wordlists import KINDS
from schemas.words import cause_words, owner_of, title_words, words_of, words_sql
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.progress import marks
from tests.dashboards.seed import MINUTE, NOW, TROUBLES
from tests.sinks.examples import CAUSE, batch, euros, impact, issue, outreach

pytestmark = pytest.mark.clickhouse


def board(client: ClickHouse, where: str = "1") -> list[dict[str, Any]]:
    """Rows of the view for the board of operations."""
    return client.query(f"SELECT * FROM issue_board WHERE {where} ORDER BY issue_id").dicts()


def affected(issue_id: str, customer: str, contacted_ms: int | None = None, **changes: Any) -> findings.Affected:
    """One customer hit by one issue."""
    known = findings.Affected(
        issue_id=issue_id, root_id=issue_id, customer_id=customer, line="shop", signal="app", known_at_ms=NOW - MINUTE,
        first_failed_ms=NOW - MINUTE, last_failed_ms=NOW - MINUTE, contacted_at_ms=contacted_ms)
    return known.model_copy(update=changes)


def test_titles_causes_and_owners_are_those_of_the_catalogue(writer: ClickHouse, reader: ClickHouse) -> None:
    named = [name for name in KINDS["place"] if name not in ("", "*")]
    causes: list[dict[str, str]] = [{name: "x-1"} for name in named]
    causes += [{}, {"shop_floor": "web"}, {"region": "FR", "payment_provider": "Acme"}]
    made = [(signal, cause) for signal in (*NAMES, "lost_parcels") for cause in causes]
    Store(writer).write([batch("issue", [
        issue(issue_id=f"i-{number:08x}ff", signal=signal, title=f"X: {'a=b' if cause else 'everywhere in shop'}",
              cause=CAUSE.model_copy(update={"attributes": cause}))
        for number, (signal, cause) in enumerate(made)])])
    rows = reader.query("SELECT readable_title, cause_text, owner, label FROM issue_overview ORDER BY issue_id").rows
    assert [row[:3] for row in rows] == [
        (title_words(signal, cause, "shop"), cause_words(cause, "shop"), owner_of(signal)) for signal, cause in made]
    assert rows[0][3] == f"i-00000000 {title_words(NAMES[0], causes[0])}"
    assert all(signal_spec(signal).owner for signal in NAMES)


def test_a_title_that_is_in_words_already_stays(seeded: ClickHouse) -> None:
    assert [row["title"] for row in board(seeded)] == [trouble.title for trouble in TROUBLES]
    assert [row["cause_text"] for row in board(seeded)] == [
        "in app version 5.2.0 on android", "at warehouse HAM-2", "at payment provider paynow in FR"]


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_sql_says_codes_in_the_same_words(seeded: ClickHouse, language: str) -> None:
    for kind in ("reason", "state", "status", "letter", "attribute"):
        codes = [*KINDS[kind], "http_503", "never_heard_of"]
        given = ", ".join(f"'{code}'" for code in codes)
        (row,) = seeded.query(f"SELECT arrayMap(code -> {words_sql(kind, 'code', language)}, [{given}])").rows
        assert row[0] == [words_of(kind, code, language) for code in codes]


def test_totals_are_of_the_rows_and_count_a_customer_once(seeded: ClickHouse) -> None:
    active = [trouble for trouble in TROUBLES if trouble.state != "resolved"]
    for row in board(seeded):
        assert row["total_issues"] == len(active)
        assert row["total_affected"] == sum(trouble.affected for trouble in active)
        assert row["total_silent"] == sum(trouble.affected - trouble.contacted for trouble in active)
        assert row["total_per_minute"] == [("EUR", sum(trouble.per_minute for trouble in active))]
        assert row["total_at_risk_low"][0][1] < row["total_at_risk"][0][1] < row["total_at_risk_high"][0][1]
    assert {row["money_basis"] for row in board(seeded)} == {"assumed"}


def test_who_is_hit_by_two_issues_and_contacted_about_one_is_one_who_is_not_silent(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    yen = (Money(currency="JPY", minor=700),)
    Store(writer).write([
        batch("issue", [issue(), issue(issue_id="i-2"), issue(issue_id="i-3", state="resolved", resolved_at_ms=NOW)]),
        batch("impact", [impact(per_minute=euros(101)), impact(issue_id="i-2", per_minute=yen),
                         impact(issue_id="i-3", per_minute=euros(5_000))]),
        batch("affected", [affected("i-1", "c-1"), affected("i-2", "c-1", NOW), affected("i-2", "c-2"),
                           affected("i-3", "c-3")]),
        *marks(NOW),
    ])
    rows = board(reader)
    assert [(row["affected"], row["silent"]) for row in rows] == [(1, 1), (2, 1), (1, 1)]
    assert {(row["total_affected"], row["total_silent"]) for row in rows} == {(2, 1)}
    assert rows[0]["total_per_minute"] == [("EUR", 101), ("JPY", 700)]
    assert rows[0]["silent_share"] is None  # of fewer than 20


def test_new_customers_of_the_last_hour_are_a_line_of_blocks(writer: ClickHouse, reader: ClickHouse) -> None:
    times = [NOW - 70 * MINUTE, *[NOW - 59 * MINUTE] * 6, *[NOW - 7 * MINUTE] * 3, NOW - 1]
    hits = [affected("i-1", f"c-{number}", known_at_ms=at) for number, at in enumerate(times)]
    Store(writer).write([batch("issue", [issue()]), batch("affected", hits), *marks(NOW)])
    (row,) = board(reader)
    assert row["new_5m"] == [6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1]
    assert row["sparkline"] == "█▁▁▁▁▁▁▁▁▁▅▃"


STEPS: tuple[tuple[issues.IssueState, tuple[str, ...], tuple[str, ...], str], ...] = (
    ("open", (), (), "find the cause: no change is known around its start"),
    ("open", ("rel-1", "rel-2"), ("quiet_hours",),
     "look at change rel-1 and rel-2; wait for the end of the night: 1 notice held"),
    ("escalating", ("rel-1",), ("approval", "approval"),
     "approve or mute: 2 notices held for it; look at change rel-1"),
    ("open", (), ("stopped",),
     "resume sending: 1 notice held; find the cause: no change is known around its start"),
    ("recovering", (), ("muted",), "watch whether it stays well; unmute when it is right: 1 notice held"),
    ("resolved", ("rel-1",), ("approval",), "nothing: it is over"),
)
"""State, changes, reasons of holding, and what to do next."""


def test_the_next_step_follows_from_state_and_decisions(writer: ClickHouse, reader: ClickHouse) -> None:
    found, held = [], []
    for number, (state, changes, reasons, _) in enumerate(STEPS):
        cause = CAUSE.model_copy(update={"changes": changes})
        over = NOW if state == "resolved" else None
        found.append(issue(issue_id=f"i-{number}", state=state, cause=cause, resolved_at_ms=over))
        held += [outreach(outreach_id=f"o-{number}-{each}", issue_id=f"i-{number}", decision="hold", reason=reason,
                          channel=None) for each, reason in enumerate(reasons)]
    Store(writer).write([batch("issue", found), batch("outreach", held), *marks(NOW)])
    texts = [f"{len(reasons)} held" if reasons else "no decision yet" for _, _, reasons, _ in STEPS]
    assert [(row["next_step"], row["sent_text"]) for row in board(reader)] == [
        (step, text) for (*_, step), text in zip(STEPS, texts, strict=True)]
