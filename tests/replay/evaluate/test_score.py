"""The figures, on examples worked by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from streams.replay.evaluate.matching import UNEXPLAINED, match
from streams.replay.evaluate.reports import DetectorReport, reports_of_issues
from streams.replay.evaluate.score import Figures, Saving, score, total
from streams.replay.evaluate.shares import DailyRate, Share
from streams.simulate.library.truth import WorldTruth, WrongReport
from tests.replay.evaluate.worked import MINUTE, at, incident, report, truth


def scored(world: WorldTruth, *reports: DetectorReport, names_customers: bool = False) -> Figures:
    return score(world, match(world, reports), names_customers)


def test_precision_and_recall_count_incidents_once() -> None:
    """Two incidents, one found by three reports; two false alarms: precision 1 of 3, recall 1 of 2."""
    world = truth(incident("a"), incident("b", starts=600, ends=700, severe=False))
    result = scored(world, report(70), report(75), report(80), report(400), report(500))
    assert (result.precise, result.found, result.severe) == (Share(1, 3), Share(1, 2), Share(1, 1))
    assert result.duplicates == 2
    assert result.false_alarms == Counter({UNEXPLAINED: 2})


def test_nothing_reported_has_no_precision_and_no_delay() -> None:
    result = scored(truth(incident()))
    assert result.precise.value is None
    assert result.precise.interval is None
    assert result.found == Share(0, 1)
    assert (result.delay_ms, result.delay_nth_ms, result.cause_first.value) == (None, None, None)


def test_a_world_without_incidents_has_no_recall_and_gives_the_rate_of_false_alarms() -> None:
    result = scored(truth(days=4), report(100), report(2_000))
    assert result.found.value is None
    assert result.quiet == DailyRate(2, 4.0)
    assert result.quiet.value == 0.5
    assert scored(truth(incident()), report(400)).quiet == DailyRate(0, 0.0)
    campaign = WrongReport(line="shop", starts_ms=at(0), ends_ms=at(400), why="a campaign")
    assert scored(truth(wrong=(campaign,)), report(100)).quiet == DailyRate(0, 0.0)


def test_delay_counts_from_the_onset_and_from_the_fifth_customer() -> None:
    """Onset at 60, fifth customer at 60 + 3 + 8 = 71, shown at 70: ten minutes, and one minute before the fifth."""
    result = scored(truth(incident()), report(70), report(90))
    assert result.delays_ms == (10 * MINUTE,)
    assert result.delays_nth_ms == (-MINUTE,)


def test_an_incident_of_four_customers_has_no_delay_from_the_fifth() -> None:
    few = incident(customers=tuple((f"c-{n}", at(63)) for n in range(4)))
    result = scored(truth(few), report(70))
    assert (result.delays_ms, result.delays_nth_ms) == ((10 * MINUTE,), ())


def test_the_cause_is_judged_when_first_shown_and_in_the_last_word() -> None:
    first_wrong = report(70, first_cause={"region": "DE"})
    result = scored(truth(incident()), first_wrong)
    assert (result.cause_first, result.cause_fits, result.cause_last) == (Share(0, 1), Share(0, 1), Share(1, 1))
    part = scored(truth(incident(cohort={"warehouse": ("HAM-2",), "region": ("DE",)})), report(70))
    assert (part.cause_first, part.cause_fits, part.cause_last) == (Share(0, 1), Share(1, 1), Share(0, 1))


def test_customers_named_and_customers_reached() -> None:
    """Reports name c-0, c-1 and one who was not hit, then c-2: 3 of 4 are right, 3 of 10 are reached."""
    named = report(70, affected=frozenset({"c-0", "c-1", "x"})), report(90, affected=frozenset({"c-1", "c-2"}))
    result = scored(truth(incident()), *named, names_customers=True)
    assert (result.named, result.reached) == (Share(3, 4), Share(3, 10))


def test_who_was_hit_by_another_incident_at_the_same_time_is_not_wrongly_named() -> None:
    """One report names customers of both incidents, of which it can find only one."""
    other = incident("other", cohort={}, customers=(("d-0", at(64)),))
    both = report(70, affected=frozenset({"c-0", "d-0", "x"}))
    result = scored(truth(incident(), other), both, names_customers=True)
    assert (result.found, result.named, result.reached) == (Share(1, 2), Share(2, 3), Share(1, 11))


def test_a_missed_incident_reaches_nobody_and_a_detector_without_names_is_not_asked() -> None:
    missed = scored(truth(incident()), names_customers=True)
    assert (missed.named.value, missed.reached) == (None, Share(0, 10))
    assert scored(truth(incident()), report(70)).reached.value is None


def test_money_is_saved_on_those_who_were_still_to_be_hit() -> None:
    """Customers at 63, 65, .. 81; shown at 70: those at 71 .. 81 are six; 500 cents each."""
    assert scored(truth(incident()), report(70)).money == {"EUR": Saving(3_000, 5_000)}
    assert scored(truth(incident())).money == {"EUR": Saving(0, 5_000)}


def test_money_of_two_currencies_is_never_added() -> None:
    world = truth(incident("a"), incident("b", starts=600, ends=700, currency="JPY", cost=7))
    assert scored(world, report(70)).money == {"EUR": Saving(3_000, 5_000), "JPY": Saving(0, 70)}


def test_scores_add_up_world_by_world() -> None:
    one, two = scored(truth(incident()), report(70)), scored(truth(incident()), report(80), report(400))
    both = total([one, two])
    assert (both.precise, both.found) == (Share(2, 3), Share(2, 2))
    assert both.delay_ms == 15 * MINUTE
    assert both.money == {"EUR": Saving(3_000 + 500, 10_000)}
    assert total([]) == Figures()


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [
        # Newcombe 1998, table I, method 3
        (Share(81, 263), 0.2553, 0.3662),
        (Share(15, 148), 0.0624, 0.1605),
        (Share(0, 20), 0.0, 0.1611),
        (Share(1, 29), 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_that_of_the_literature(share: Share, low: float, high: float) -> None:
    assert share.interval == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_a_daily_rate_is_the_exact_one() -> None:
    """No event in 3 days: at most 3.689 / 3 a day (rule of three for 97.5 %); 10 events: 4.795 to 18.390."""
    assert DailyRate(0, 3.0).interval == pytest.approx((0.0, 3.6889 / 3), abs=1e-4)
    assert DailyRate(10, 1.0).interval == pytest.approx((4.7954, 18.3904), abs=1e-4)
    assert DailyRate(0, 0.0).interval is None


def test_our_issues_become_reports_when_they_are_shown() -> None:
    def revision(name: str, shown: int | None, cause: dict[str, str], ended: int | None = None) -> dict[str, object]:
        return {
            "kind": "issue", "issue_id": name, "line": "shop", "signal": "app", "opened_at_ms": at(60),
            "shown_at_ms": shown, "resolved_at_ms": ended, "cause": {"attributes": cause},
        }  # fmt: skip

    revisions = [
        revision("i-1", None, {}), revision("i-1", at(65), {"region": "DE"}), revision("i-2", None, {}),
        revision("i-1", at(65), {"app_version": "5"}, at(90)), {"kind": "watermark", "through_ms": at(90)},
    ]  # fmt: skip
    hit = [{"kind": "affected", "issue_id": "i-1", "customer_id": "c-1"}, {"kind": "watermark"}]
    first, last = {"region": "DE"}, {"app_version": "5"}
    assert reports_of_issues(revisions, hit, {"i-1": at(66)}) == [
        DetectorReport("shop", "app", at(66), at(60), at(90), last, first, frozenset({"c-1"}))
    ]
    assert reports_of_issues(revisions, [], {})[0].at_ms == at(65)
