"""match: the same customers in any order of arrival, cut, restart and number of partitions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import canonical
from schemas.errors import ConfigError
from schemas.fields import Money
from schemas.findings import LeafEvidence, Watermark
from streams.core.match.stage import MatchRules, MatchStage
from streams.core.stage import Idle
from tests.core.match.world import (
    DAY,
    END,
    HOUR,
    MINUTE,
    T0,
    Runner,
    World,
    cause,
    customer,
    episode,
    issue,
    mark,
    resolved,
    run_interleaved,
    worlds,
)  # fmt: skip

SHORT, LONG = MatchRules(retention_ms=2 * DAY), MatchRules(retention_ms=60 * DAY, currency="JPY")
EUROS = (Money(currency="EUR", minor=500), Money(currency="EUR", minor=100))
NOBODY: dict[str, Any] = {"first": END, "last": 0, "at": None, "money": {}, "right": 0, "origin": 2}


def reference(world: World, rules: MatchRules) -> dict[tuple[str, str], dict[str, Any]]:
    """Brute force over the last revision of everything."""
    episodes = {(e.customer_id, e.signal, e.window_ms): e for e in world.episodes if e.kind == "episode"}
    issues = {i.issue_id: i for i in world.issues if i.kind == "issue" and i.state != "suspected"}
    worth: dict[str, Any] = {}
    for profile in world.customers:
        old = worth.get(profile.customer_id)
        if old is None or profile.updated_at_ms >= old.updated_at_ms:
            worth[profile.customer_id] = profile
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in issues.values():
        for part in episodes.values():
            leaves = [leaf for leaf in part.leaves if _in(leaf, part, one, rules)]
            if not leaves or part.signal != one.signal:
                continue
            row = found.setdefault((one.issue_id, part.customer_id), dict(NOBODY))
            row["first"] = min(row["first"], *(leaf.first_ms for leaf in leaves))
            row["last"] = max(row["last"], *(leaf.last_ms for leaf in leaves))
            row["at"] = min([at for at in (row["at"], part.contacted_at_ms) if at is not None], default=None)
            row["money"] = dict(row["money"])
            for one_amount in part.amounts:
                code, minor = _resolved(one_amount, rules)
                row["money"][code] = max(row["money"].get(code, 0), minor)
            row["money"] = {code: minor for code, minor in row["money"].items() if minor}
            for leaf in leaves:
                row["right"] = max(row["right"], leaf.put_right_ms or END * 9)
                row["origin"] = min(row["origin"], ("live", "drill", "replay").index(leaf.origin))
            row["known"] = max(one.detected_at_ms, row["first"])
            profile = worth.get(part.customer_id)
            row["value"] = profile.value_cents if profile else None
    return found


def _resolved(amount: Any, rules: MatchRules) -> tuple[str, int]:
    """An amount without a currency is in hundredths of the company's."""
    if amount.currency:
        return amount.currency, amount.minor
    return rules.currency, (amount.minor + 50) // 100 if rules.currency == "JPY" else amount.minor


def _in(leaf: Any, part: Any, one: Any, rules: MatchRules) -> bool:
    values = dict(zip(part.attributes, leaf.values, strict=True))
    agrees = all(values.get(name) == value for name, value in one.cause.attributes.items())
    starts = max(one.opened_at_ms - rules.slack_ms, one.detected_at_ms - rules.retention_ms)
    before_end = one.resolved_at_ms is None or leaf.first_ms <= one.resolved_at_ms
    return bool(agrees and leaf.last_ms >= starts and before_end)


def run(draw: st.DrawFn, world: World, rules: MatchRules = LONG, index: tuple[int, int] = (0, 1)) -> Runner:
    """The world through match, interleaved, cut, flushed and restarted as drawn.

    With the short retention issues are dropped on the way; profiles, which carry no time to wait for, then come first.
    """
    runner = Runner(MatchStage(rules), *index)
    streams = {"episode": world.episodes, "issue": world.issues}
    if rules is SHORT:
        runner.feed("customer", *world.customers)
    else:
        streams["customer"] = world.customers
    return run_interleaved(draw, runner, streams, 3)


def rows(runner: Runner) -> dict[tuple[str, str], dict[str, Any]]:
    """What match said, in the reference's words."""
    latest = runner.latest("affected", "issue_id", "customer_id")
    return {
        key: {"first": row.first_failed_ms, "last": row.last_failed_ms, "at": row.contacted_at_ms,
              "money": {one.currency: one.minor for one in row.amounts},
              "known": row.known_at_ms, "value": row.value_cents,
              "right": row.put_right_ms or END * 9, "origin": ("live", "drill", "replay").index(row.origin)}
        for key, row in latest.items()
    }  # fmt: skip


@given(st.data(), worlds(), st.sampled_from([SHORT, LONG]))
@settings(max_examples=120, deadline=None)
def test_match_equals_brute_force_however_its_inputs_arrive_and_whenever_it_dies(
    data: Any, world: World, rules: MatchRules
) -> None:
    assert rows(run(data.draw, world, rules)) == reference(world, rules)


@given(st.data(), worlds(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_partitions_add_up_to_the_brute_force_count(data: Any, world: World, partitions: int) -> None:
    runners = [run(data.draw, world.of_partition(n, partitions), LONG, (n, partitions)) for n in range(partitions)]
    expected = reference(world, LONG)
    assert {key: row for runner in runners for key, row in rows(runner).items()} == expected
    counts: dict[str, list[Any]] = {}
    for runner in runners:
        for row in runner.latest("affected_count", "issue_id", "partition").values():
            counts.setdefault(row.issue_id, []).append(row)
    for name, parts in counts.items():
        mine = [row for (issue_id, _), row in expected.items() if issue_id == name]
        assert sum(part.affected for part in parts) == len(mine)
        assert sum(part.contacted for part in parts) == sum(row["at"] is not None for row in mine)
        assert all(part.silent == part.affected - part.contacted for part in parts)
        sums: Counter[str] = Counter()
        for row in mine:
            sums.update(row["money"])
        counted: Counter[str] = Counter()
        for part in parts:
            counted.update({one.currency: one.minor for one in part.amounts})
        assert counted == sums
        assert sum(part.value_cents for part in parts) == sum(max(row["value"] or 0, 0) for row in mine)
        assert sum(part.valued for part in parts) == sum(row["value"] is not None for row in mine)
        assert len({part.as_of_ms for part in parts}) == 1


@given(st.data(), worlds())
@settings(max_examples=40, deadline=None)
def test_two_runs_end_with_byte_equal_counts(data: Any, world: World) -> None:
    first, second = run(data.draw, world), run(data.draw, world)
    for noun, key in (("affected", ("issue_id", "customer_id")), ("affected_count", ("issue_id", "partition"))):
        one, two = first.latest(noun, *key), second.latest(noun, *key)
        assert {k: canonical(v) for k, v in one.items()} == {k: canonical(v) for k, v in two.items()}


@given(st.data(), worlds())
@settings(max_examples=40, deadline=None)
def test_the_watermark_never_goes_back_and_no_timely_customer_comes_behind_it(data: Any, world: World) -> None:
    runner = run(data.draw, world)
    marks = [m.record.through_ms for m in runner.messages if m.record.kind == "watermark"]
    assert marks == sorted(marks)
    assert marks[-1] == END


#   onset-slack   onset  detected          resolved
#        |----------|------|------------------|
#  a  b       c                 d                  e
def test_evidence_counts_from_shortly_before_the_onset_to_the_end() -> None:
    detected, end = T0 + 5 * HOUR, T0 + 8 * HOUR
    onset = detected - 10 * MINUTE
    runner = Runner(MatchStage())
    times = {"a": T0 + HOUR, "b": onset - 6 * MINUTE, "c": onset - 5 * MINUTE, "d": T0 + 7 * HOUR, "e": end + 1}
    runner.feed("episode", *(episode(name, at) for name, at in times.items()), mark(END))
    runner.feed("issue", issue(at=detected), resolved(issue(at=detected), end), mark(END))
    runner.flush()
    found = runner.latest("affected", "customer_id")
    assert sorted(key[0] for key in found) == ["c", "d"]
    assert found[("c",)].known_at_ms == detected
    assert found[("d",)].known_at_ms == T0 + 7 * HOUR


def test_a_suspected_issue_hits_nobody_and_an_open_one_only_its_cause() -> None:
    runner = Runner(MatchStage())
    runner.feed("episode", episode("hit"), episode("other", version="5.1.0"), mark(T0 + 2 * HOUR))
    runner.feed("issue", issue(state="suspected", cause=cause(), at=T0 + HOUR), mark(T0 + 2 * HOUR))
    runner.flush()
    assert runner.records("affected") == runner.records("affected_count") == []
    runner.feed("issue", issue(at=T0 + HOUR))
    runner.flush()
    assert [row.customer_id for row in runner.records("affected")] == ["hit"]


def test_nobody_is_matched_before_detect_has_stepped_past_the_failure() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(at=T0 + HOUR), mark(T0 + HOUR))
    runner.feed("episode", episode(first=T0 + 2 * HOUR), mark(END))
    runner.flush()
    assert runner.records("affected") == []
    runner.feed("issue", mark(T0 + 2 * HOUR + 1))
    runner.flush()
    assert [row.customer_id for row in runner.records("affected")] == ["c-1"]


def test_a_contact_that_comes_later_moves_a_customer_from_silent_to_contacted() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(), mark(T0 + 3 * HOUR))
    runner.feed("episode", episode())
    runner.flush()
    runner.feed("episode", episode(contacted_at_ms=T0 + 2 * HOUR))
    runner.flush()
    first, last = runner.records("affected_count")
    assert (first.affected, first.contacted, first.silent) == (1, 0, 1)
    assert (last.affected, last.contacted, last.silent) == (1, 1, 0)
    assert runner.records("affected")[-1].contacted_at_ms == T0 + 2 * HOUR


def test_recent_counts_the_first_failures_of_the_last_quarter_of_an_hour_and_decays_while_time_passes() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(at=T0 + HOUR), mark(T0 + 2 * HOUR))
    firsts = {"a": 100, "b": 106, "c": 119, "d": 104}
    runner.feed("episode", *(episode(name, T0 + minute * MINUTE) for name, minute in firsts.items()))
    runner.flush()
    assert runner.records("affected_count")[-1].recent == 2
    runner.feed("issue", mark(T0 + 2 * HOUR + 5 * MINUTE))
    runner.flush()
    assert runner.records("affected_count")[-1].recent == 1
    runner.feed("issue", mark(T0 + 3 * HOUR))
    runner.flush()
    assert runner.records("affected_count")[-1].recent == 0


def test_a_profile_that_comes_later_adds_the_margin_and_a_negative_one_counts_as_nothing() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(), mark(END))
    runner.feed("episode", episode("a"), episode("b"), mark(END))
    runner.flush()
    runner.feed("customer", customer("a", value_cents=7_000), customer("b", value_cents=-900))
    runner.flush()
    last = runner.records("affected_count")[-1]
    assert (last.valued, last.value_cents) == (2, 7_000)
    assert runner.latest("affected", "customer_id")[("b",)].value_cents == -900


def test_state_is_bounded_in_event_time() -> None:
    runner = Runner(MatchStage(SHORT))
    for day in range(0, 30, 2):
        at = T0 + day * DAY
        one = issue(f"i-{day}", at + HOUR)
        parts = (episode(f"c-{day}-{n}", at + HOUR, right=at + 2 * HOUR) for n in range(20))
        runner.feed("episode", *parts, mark(at + DAY))
        runner.feed("issue", one, resolved(one, at + 3 * HOUR), mark(at + DAY))
        runner.flush()
        assert len(runner.state.episodes) <= 60
        assert len(runner.state.issues) <= 3
    live = len(runner.durable)
    runner.restart()
    assert live <= 70
    assert len(runner.durable) == live


def test_what_waits_to_be_put_right_is_bounded_in_event_time_too() -> None:
    runner = Runner(MatchStage(MatchRules(retention_ms=2 * DAY, unrepaired_ms=9 * DAY)))
    for day in range(0, 40, 2):
        at = T0 + day * DAY
        one = issue(f"i-{day}", at + HOUR)
        stray = episode("nobody", at + 20 * HOUR, version="5.1.0")
        runner.feed("episode", *(episode(f"c-{day}-{n}", at + HOUR) for n in range(20)), stray, mark(at + DAY))
        runner.feed("issue", one, resolved(one, at + 3 * HOUR), mark(at + DAY))
        runner.flush()
        assert len([key for key in runner.state.episodes if key[0] == "nobody"]) <= 3, "it is evidence in no issue"
        assert len(runner.state.episodes) <= 6 * 20 + 3
        assert len(runner.state.issues) <= 6
        assert len(runner.state.oldest) <= 2 * len(runner.state.episodes)


def mended(runner: Runner, *parts: Any) -> dict[tuple[Any, ...], int | None]:
    """Feed episodes, drain, and tell when which customer's failure was put right."""
    runner.feed("episode", *parts)
    runner.flush()
    return {key: row.put_right_ms for key, row in runner.latest("affected", "customer_id").items()}


def test_it_is_put_right_once_every_part_is_and_at_the_time_of_the_last() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(), mark(END))
    first, second = T0 + HOUR, T0 + 2 * HOUR
    assert mended(runner, episode(first=first), episode(first=second)) == {("c-1",): None}
    assert mended(runner, episode(first=first, right=T0 + 9 * HOUR)) == {("c-1",): None}
    assert mended(runner, episode(first=second, right=T0 + 3 * HOUR)) == {("c-1",): T0 + 9 * HOUR}
    assert mended(runner, episode(first=second, last=second + MINUTE)) == {("c-1",): None}, "it failed once more"


def test_a_customer_learns_weeks_after_the_end_of_the_issue_that_it_was_put_right_also_after_a_restart() -> None:
    runner = Runner(MatchStage())
    one = issue()
    runner.feed("issue", one, resolved(one, T0 + 3 * HOUR), mark(T0 + 4 * HOUR))
    assert mended(runner, episode("c-1"), episode("c-2")) == {("c-1",): None, ("c-2",): None}
    for day in (20, 40):
        runner.feed("issue", mark(T0 + day * DAY))
        mended(runner, mark(T0 + day * DAY))
        runner.restart()
    right = T0 + 40 * DAY
    assert mended(runner, episode("c-2", right=right)) == {("c-1",): None, ("c-2",): right}
    runner.feed("issue", mark(T0 + 70 * DAY))
    mended(runner, mark(T0 + 70 * DAY))
    assert not runner.state.issues
    assert not runner.state.episodes


def test_evidence_counts_as_live_if_a_part_of_it_was_seen_live() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(), mark(END))
    runner.feed("episode", episode("a", origin="replay"), episode("b", origin="replay"), episode("c", origin="drill"))
    runner.feed("episode", episode("b", first=T0 + 2 * HOUR), episode("c", first=T0 + 2 * HOUR, origin="replay"))
    runner.flush()
    origins = {key: row.origin for key, row in runner.latest("affected", "customer_id").items()}
    assert origins == {("a",): "replay", ("b",): "live", ("c",): "drill"}


def test_evidence_of_dropped_episodes_stays_with_an_issue_that_goes_on() -> None:
    runner = Runner(MatchStage(SHORT))
    runner.feed("issue", issue(), mark(T0 + 9 * DAY))
    runner.feed("episode", episode(amounts=EUROS[:1], right=T0 + 2 * HOUR), mark(T0 + HOUR))
    runner.flush()
    runner.feed("episode", mark(T0 + 9 * DAY))
    runner.flush()
    runner.restart()
    assert runner.state.episodes == {}
    runner.feed("episode", episode(first=T0 + 8 * DAY, amounts=EUROS[1:]), mark(T0 + 9 * DAY))
    runner.flush()
    row = runner.records("affected")[-1]
    assert (row.first_failed_ms, row.last_failed_ms, row.amounts[0].minor) == (T0 + HOUR, T0 + 8 * DAY, 500)


def test_idle_inputs_are_passed() -> None:
    runner = Runner(MatchStage())
    runner.stage.step(runner.state, Idle(T0 + HOUR, ("episode", "issue")))
    marks = [m.record for m in runner.flush().messages]
    assert [mark.through_ms for mark in marks if isinstance(mark, Watermark)] == [T0 + HOUR]
    assert len(marks) == 1


def test_a_leaf_agrees_only_with_attributes_it_has() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(cause=cause(carrier="swiftpost")), mark(END))
    leaf = LeafEvidence(values=("5.2.0", "DE"), first_ms=T0 + HOUR, last_ms=T0 + HOUR, failures=1)
    runner.feed("episode", episode(leaves=(leaf,)), mark(END))
    runner.flush()
    assert runner.records("affected") == []


def test_a_retention_shorter_than_the_latest_correction_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 days"):
        MatchRules(retention_ms=DAY)


def test_a_revision_tells_when_all_was_right_before_although_only_the_last_one_is_seen() -> None:
    runner = Runner(MatchStage())
    runner.feed("issue", issue(), mark(END))
    hours = [T0 + number * HOUR for number in (2, 4, 6)]
    runner.feed("episode", *(episode(first=at, right=at + MINUTE) for at in hours))
    runner.feed("episode", mark(T0 + 8 * HOUR))
    runner.restart()
    (row,) = runner.records("affected")
    assert row.put_right_ms == hours[2] + MINUTE
    assert [(each.since_ms, each.until_ms) for each in row.respites] == [
        (hours[0] + MINUTE, hours[1]), (hours[1] + MINUTE, hours[2])]  # fmt: skip
    runner.feed("episode", episode(first=hours[1], right=None))
    runner.restart()
    again = runner.records("affected")[-1]
    assert (again.put_right_ms, [each.until_ms for each in again.respites]) == (None, [hours[1]])
