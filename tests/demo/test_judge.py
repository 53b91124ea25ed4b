"""Found, false and lost: the demo's judgement, on made-up findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from streams.board.queries import Cost, Gap, IssueRow, NoticeCounts
from streams.demo.reconcile import TopicCount
from streams.demo.score import judge
from streams.demo.summary import Summary
from streams.simulate import Injected, Truth

T0 = 1_773_216_000_000  # 2026-03-11T08:00:00Z


def incident(**change: Any) -> Injected:
    base = Injected("depot", "shop", "delivery", {"warehouse": "HAM-2"}, T0, T0 + 3_600_000, T0 + 600_000, ("c-1",), ())
    return replace(base, **change)


def truth(*incidents: Injected) -> Truth:
    return Truth(7, T0 - 1, T0, T0 + 2, incidents, {}, {})


def issue(cause: dict[str, str], **change: Any) -> IssueRow:
    values: dict[str, Any] = {
        "id": "i-1", "root_id": "i-1", "state": "open", "active": True, "title": "t", "line": "shop",
        "signal": "delivery", "cause": cause, "opened_at": "2026-03-11T08:05:00.000Z",
        "detected_at": "2026-03-11T08:12:00.000Z", "resolved_at": None, "affected": 3, "contacted": 1, "silent": 2,
        "money": Cost((), (), (), (), (), ()), "risk_ratio": 9.0, "support": 0.9, "changes": (),
        "provisional": True, "assumptions": (),
    } | change  # fmt: skip
    return IssueRow(**values)


def test_an_issue_that_contains_the_injected_pair_at_the_same_time_is_found_with_its_delay() -> None:
    verdict = judge(truth(incident()), [issue({"warehouse": "HAM-2", "carrier": "swiftpost"})])
    assert verdict.all_found
    assert verdict.false_issues == ()
    assert verdict.found[0].delay_s == 120.0


def test_all_injected_pairs_have_to_be_named() -> None:
    both = incident(attributes={"app_version": "5.2.0", "device_model": "Nova 8"})
    verdict = judge(truth(both), [issue({"app_version": "5.2.0"})])
    assert not verdict.all_found
    assert len(verdict.false_issues) == 1


def test_an_issue_that_ended_before_or_began_after_is_false() -> None:
    before = issue({"warehouse": "HAM-2"}, opened_at="2026-03-11T07:00:00.000Z", resolved_at="2026-03-11T07:59:00.000Z")
    after = issue({"warehouse": "HAM-2"}, id="i-2", opened_at="2026-03-11T09:30:00.000Z")
    verdict = judge(truth(incident()), [before, after])
    assert [one.id for one in verdict.false_issues] == ["i-1", "i-2"]


def test_suspected_issues_count_neither_way() -> None:
    verdict = judge(truth(incident()), [issue({"warehouse": "HAM-2"}, state="suspected")])
    assert not verdict.all_found
    assert verdict.false_issues == ()


def test_an_issue_of_another_line_is_false() -> None:
    assert judge(truth(incident()), [issue({"warehouse": "HAM-2"}, line="home")]).false_issues


def topic(**change: int) -> TopicCount:
    values = {"produced": 100, "in_kafka": 100, "raw": 98, "dead_letters": 2, "accepted": 95, "duplicates": 2,
              "too_late": 1}
    return TopicCount("order", **{**values, **change})


def test_nothing_is_lost_if_every_event_is_accounted_for() -> None:
    assert topic().lost == 0


def test_an_event_is_lost_if_it_is_not_stored_not_joined_or_never_arrived() -> None:
    assert topic(raw=97).lost == 1
    assert topic(accepted=94).lost == 1
    assert topic(produced=101).lost == 1


def summary(topics: list[TopicCount], gap: Gap | None, *issues: IssueRow) -> Summary:
    totals = NoticeCounts(1, 1, 3, 2, 5, 0, 1, 2, 1, 100, 0, 2)
    return Summary(judge(truth(incident()), issues), totals, [("held", "quiet_hours", 1)], topics, gap, 12.3)


def test_the_summary_has_the_keys_that_scripts_read() -> None:
    gap = Gap("2026-03-11T10:00:00.000Z", "2026-03-11T10:02:00.000Z", 120.0, 60.0)
    made = summary([topic()], gap, issue({"warehouse": "HAM-2"}))
    body = made.as_dict()
    assert {"injected", "found", "false_issues", "delay_s", "notices", "events_in", "dead_letters", "events_lost",
            "seconds"} <= body.keys()
    assert body["notices"] == {"sent": 5, "held": 1, "refused": 2, "held_out": 1}
    assert (body["injected"], body["found"], body["events_lost"], body["delay_s"]) == (1, 1, 0, [120.0])
    assert made.passed
    assert any("+120 s" in line for line in made.lines())


def test_the_demo_fails_if_an_event_is_lost_an_incident_missed_or_the_outage_not_seen() -> None:
    gap = Gap("2026-03-11T10:00:00.000Z", None, 120.0, 60.0)
    right = issue({"warehouse": "HAM-2"})
    assert not summary([topic(raw=1)], gap, right).passed
    assert not summary([topic()], None, right).passed
    assert not summary([topic()], gap).passed
    assert not summary([topic()], gap, right, issue({"carrier": "x"}, id="i-9")).passed
