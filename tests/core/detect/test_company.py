"""A made-up company's 30 hours: three incidents are found by name, a campaign and a silent producer raise nothing.

hour 0 ............. 24 .. 24.3-24.6 .. 25 --- 26 .. 26.5 --- 27.5 .. 28 ----- 29.5 . 30
     history            burst x4      release      paynow in IT     depot HAM-2
"""

from __future__ import annotations

from functools import cache

import pytest

from schemas.issues import Issue
from tests.core.detect.company import Company
from tests.core.detect.line import MINUTE, Line

TRUE_CAUSES = {
    "app": {"app_version": "5.2.0", "device_model": "Nova 8"},
    "payment": {"payment_provider": "paynow", "region": "IT"},
    "delivery": {"warehouse": "HAM-2"},
}


@cache
def run(seed: int, per_second: float) -> tuple[Company, Line]:
    company = Company(seed=seed, per_second=per_second)
    return company, Line().feed(company.counts(), batch=300)


def check(seed: int, per_second: float) -> None:
    company, line = run(seed, per_second)
    found = {i.signal: i for i in line.latest.values()}
    assert len(line.latest) == len(found) == 3, [i.title for i in line.latest.values()]
    assert {family: issue.cause.attributes for family, issue in found.items()} == TRUE_CAUSES
    for family, issue in found.items():
        assert issue.detected_at_ms - company.truth[family] <= 3 * MINUTE, family


def test_three_incidents_are_each_found_once_by_name_within_three_minutes_of_the_tenth_customer() -> None:
    check(seed=1, per_second=3.7)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "per_second"), [(2, 3.7), pytest.param(4, 11.0, marks=pytest.mark.long)])
def test_they_are_found_for_other_seeds_and_rates_too(seed: int, per_second: float) -> None:
    check(seed, per_second)


def test_a_cause_is_frozen_once_the_issue_is_open() -> None:
    _, line = run(1, 3.7)
    for issue_id in line.latest:
        shown = [i for i in line.versions if i.issue_id == issue_id and i.state != "suspected"]
        assert len({str(i.cause.attributes) for i in shown}) == 1
        assert len({(i.opened_at_ms, i.detected_at_ms, i.scale_ms) for i in shown}) == 1


def test_issues_recover_visibly_before_they_are_resolved_and_never_flap() -> None:
    _, line = run(1, 3.7)
    for issue_id, last in line.latest.items():
        states = [i.state for i in line.versions if i.issue_id == issue_id]
        assert "recovering" in states
        changes = [a for a, b in zip(states, [*states[1:], ""], strict=True) if a != b]
        assert len(changes) <= 5, changes
        assert last.state in ("recovering", "resolved")


def test_the_watermark_of_issues_never_goes_back() -> None:
    _, line = run(1, 3.7)
    assert line.watermarks == sorted(line.watermarks)
    assert line.watermarks[-1] == line.state.clock_ms


def test_counts_of_an_issue_only_grow() -> None:
    _, line = run(1, 3.7)
    for issue_id in line.latest:
        shown: list[Issue] = [i for i in line.versions if i.issue_id == issue_id and i.state != "suspected"]
        assert [i.observed for i in shown] == sorted(i.observed for i in shown)
        assert [i.updated_at_ms for i in shown] == sorted(i.updated_at_ms for i in shown)
