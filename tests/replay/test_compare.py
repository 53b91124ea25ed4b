"""Two runs side by side: which issue is which, what is earlier, who is hit and told in one only, and the money."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streams.replay.compare import Comparison, compare
from streams.replay.findings import Decided, read_run
from streams.replay.pairing import pair_issues
from streams.replay.wording import headline, run_headline
from tests.replay.made_run import MINUTE_MS, MadeIssue, write_run

PAYMENTS = MadeIssue("i-pay")


def compared(folder: Path, ours: list[MadeIssue], theirs: list[MadeIssue]) -> Comparison:
    return compare(read_run(write_run(folder / "a", ours)), read_run(write_run(folder / "b", theirs)))


def pairs(folder: Path, ours: list[MadeIssue], theirs: list[MadeIssue]) -> set[tuple[str, str]]:
    """Ids of the issues that were paired off, empty where a run has none."""
    found = compared(folder, ours, theirs).issues
    return {(one.a.issue_id if one.a else "", one.b.issue_id if one.b else "") for one in found}


def test_equal_runs_are_equal(tmp_path: Path) -> None:
    found = compared(tmp_path, [PAYMENTS], [PAYMENTS])
    assert found.equal
    assert [change.kind for change in found.issues] == ["same"]
    assert (found.decisions, found.settings, found.inputs) == ((), (), ())
    assert headline(found) == "Equal: both runs found the same, byte for byte (1 issue)."


def test_an_issue_that_is_seen_earlier_is_the_same_problem_under_another_id(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(PAYMENTS, seen=48)], [replace(PAYMENTS, name="i-early", seen=8, began=5)])
    assert [change.kind for change in found.issues] == ["changed"]
    assert found.issues[0].later_ms == -40 * MINUTE_MS
    assert "1 seen 40 min earlier" in headline(found)
    assert found.decisions == ()
    assert not found.equal


def test_issues_without_a_counterpart_are_added_or_lost(tmp_path: Path) -> None:
    late = MadeIssue("i-late", "delivery", {"warehouse": "HAM-2"}, customers=("c-8", "c-9"))
    found = compared(tmp_path, [PAYMENTS], [late])
    assert {(change.kind, change.issue.issue_id) for change in found.issues} == {("lost", "i-pay"), ("added", "i-late")}
    assert (found.notices_added, found.notices_removed) == (2, 3)
    assert {(one.a.decision, one.b.decision, one.customers) for one in found.decisions} == {
        ("none", "send", 2), ("send", "none", 3)
    }  # fmt: skip
    assert headline(found) == "Issues: 1 added, 1 lost. Notices: 2 more, 3 fewer."


def test_another_cause_of_the_same_customers_is_a_changed_cause(tmp_path: Path) -> None:
    found = compared(tmp_path, [PAYMENTS], [replace(PAYMENTS, name="i-de", cause={"region": "DE"})])
    assert [change.cause_changed for change in found.issues] == [True]
    others = replace(PAYMENTS, name="i-de", cause={"region": "DE"}, customers=("c-7", "c-8"))
    assert pairs(tmp_path / "else", [PAYMENTS], [others]) == {("i-pay", ""), ("", "i-de")}


def test_two_at_once_in_one_signal_find_their_own_counterparts(tmp_path: Path) -> None:
    acme = replace(PAYMENTS, name="i-1", customers=("c-1", "c-2"))
    beta = replace(PAYMENTS, name="i-2", cause={"payment_provider": "Beta"}, customers=("c-3", "c-4"))
    swapped = [replace(beta, name="i-3", began=9), replace(acme, name="i-4", began=12)]
    assert pairs(tmp_path, [acme, beta], swapped) == {("i-1", "i-4"), ("i-2", "i-3")}


def test_onsets_that_do_not_meet_in_time_are_two_problems(tmp_path: Path) -> None:
    again = replace(PAYMENTS, name="i-again", began=60, seen=70, ended=None)
    assert pairs(tmp_path, [PAYMENTS], [again]) == {("i-pay", ""), ("", "i-again")}
    assert pairs(tmp_path / "open", [replace(PAYMENTS, ended=None)], [again]) == {("i-pay", "i-again")}


def test_whether_a_problem_is_the_same_does_not_depend_on_which_run_comes_first(tmp_path: Path) -> None:
    ours = [PAYMENTS, replace(PAYMENTS, name="i-wide", cause={}, began=5, ended=None, customers=("c-1", "c-9"))]
    theirs = [replace(PAYMENTS, name="i-both", cause={"payment_provider": "Acme", "region": "DE"}, began=15)]
    one = read_run(write_run(tmp_path / "a", ours)).issues
    other = read_run(write_run(tmp_path / "b", theirs)).issues
    there, back = pair_issues(one, other), pair_issues(other, one)
    assert there == [(a, b) for b, a in back]
    assert [(a and a.issue_id, b and b.issue_id) for a, b in there] == [("i-wide", None), ("i-pay", "i-both")]


def test_affected_customers_are_counted_per_issue_and_over_all(tmp_path: Path) -> None:
    found = compared(tmp_path, [PAYMENTS], [replace(PAYMENTS, customers=("c-2", "c-3", "c-4", "c-5"))])
    assert (found.issues[0].customers_added, found.issues[0].customers_removed) == (2, 1)
    assert found.as_dict()["customers"] == {"added": 2, "removed": 1}


def test_decisions_are_told_by_reason_from_what_to_what(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(PAYMENTS, decision="hold", reason="quiet_hours")], [PAYMENTS])
    assert [tuple(one) for one in found.decisions] == [
        ("notice", Decided("hold", "quiet_hours"), Decided("send", "eligible"), 3)
    ]
    assert (found.notices_added, found.notices_removed) == (3, 0)


def test_money_is_added_up_per_currency(tmp_path: Path) -> None:
    yen = replace(PAYMENTS, name="i-jpy", began=20, currency="JPY", at_risk=700, cause={"payment_provider": "Sakura"})
    found = compared(tmp_path, [PAYMENTS], [PAYMENTS, replace(PAYMENTS, name="i-2", line="app"), yen])
    totals = found.as_dict()["totals"]
    assert totals["a"]["at_risk"] == [{"currency": "EUR", "minor": 5_000}]
    assert totals["b"]["at_risk"] == [{"currency": "EUR", "minor": 10_000}, {"currency": "JPY", "minor": 700}]


def test_different_inputs_and_settings_are_named(tmp_path: Path) -> None:
    other = {"kind": "recording", "name": "week", "sha256": "ff00"}
    one = read_run(write_run(tmp_path / "a", []))
    two = read_run(write_run(tmp_path / "b", [], source=other, start="snapshot", cuts=3,
                             configuration={"approval_above": 5, "holdout_ratio": 0.2}))  # fmt: skip
    found = compare(one, two)
    assert found.inputs == (
        "the sources differ in their sha256", "A started cold, B from a snapshot",
        "A kept to 0 recorded moments at which something acted on arrival, B to 3",
    )  # fmt: skip
    assert [tuple(change) for change in found.settings] == [("approval_above", 1_000, 5), ("holdout_ratio", None, 0.2)]


def test_one_run_in_a_sentence(tmp_path: Path) -> None:
    assert run_headline(read_run(write_run(tmp_path / "a", []))) == "No issue was found."
    assert run_headline(read_run(write_run(tmp_path / "b", [PAYMENTS]))) == (
        "1 issue hit 3 customers, 2 of them silent; 3 notices would have gone."
    )
