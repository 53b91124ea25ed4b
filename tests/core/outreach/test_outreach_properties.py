"""outreach: the promises hold whatever comes in whatever order, and wherever the process dies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import canonical
from schemas.events import Command, Consent, Customer
from schemas.findings import Affected
from schemas.issues import Issue
from streams.core.outreach.cases import REASONS, held_out
from streams.core.outreach.policy import QuietHours
from streams.core.outreach.stage import OutreachRules, OutreachStage
from tests.core.match.world import (
    DAY,
    MINUTE,
    Runner,
    affected,
    customer,
    issue,
    mark,
    resolved,
    run_interleaved,
)
from tests.core.outreach.world import SPRING, command


@dataclass
class Town:
    """Streams for outreach over a weekend on which clocks change."""

    profiles: list[Customer]
    hits: list[Any]
    issues: list[Any]
    orders: list[Command]


@st.composite
def towns(draw: st.DrawFn, late: bool = False) -> Town:
    """Up to 6 customers in odd zones, 4 issues of 2 roots, contacts, orders. ``late``: some come behind the mark."""
    minute = st.integers(0, 5 * 24 * 60).map(lambda number: SPRING + number * MINUTE)
    names = [f"c-{number}" for number in range(draw(st.integers(1, 6)))]
    zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "", "Not/AZone"]
    profiles = [
        customer(name, time_zone=draw(st.sampled_from(zones)), opted_out=draw(st.integers(0, 5)) == 0,
                 updated_at_ms=SPRING - DAY,
                 consents=(Consent(channel="webhook", granted=draw(st.integers(0, 5)) > 0),))
        for name in names
    ]  # fmt: skip
    issues = [_draw_issue(draw, number, minute) for number in range(draw(st.integers(1, 4)))]
    revisions = sorted((one for pair in issues for one in pair), key=lambda one: one.updated_at_ms)
    events = []
    pairs = [(name, pair[0]) for name in names for pair in issues]
    for number in draw(st.lists(st.integers(0, len(pairs) - 1), max_size=16, unique=True)):
        name, one = pairs[number]
        hit, contacted = _draw_hit(draw, name, one, minute)
        events.append((hit.known_at_ms + (draw(st.integers(0, 600)) * MINUTE if late else 0), hit))
        if contacted:
            events.append((max(contacted.contacted_at_ms or 0, hit.known_at_ms), contacted))
        events += _draw_repairs(draw, contacted or hit, max(time for time, _ in events[-2:]), late)
    events.sort(key=lambda event: event[0])
    actions = st.sampled_from(["approve", "mute", "unmute", "stop", "resume", "resolve"])
    orders = [
        command(draw(actions), draw(minute), draw(st.sampled_from(["i-0", "i-1", "i-2"])), f"k-{number}")
        for number in range(draw(st.integers(0, 5)))
    ]  # fmt: skip
    return Town(profiles, _marked(draw, events), _marked(draw, [(one.updated_at_ms, one) for one in revisions]), orders)


def _draw_issue(draw: st.DrawFn, number: int, minute: st.SearchStrategy[int]) -> list[Issue]:
    at = draw(minute)
    one = issue(f"i-{number}", at, root_id=f"i-{number % 2}", onset=1 + number // 2)
    one = one.model_copy(update={"shown_at_ms": draw(st.sampled_from([None, at, at + 5 * MINUTE, at + DAY]))})
    one = one.model_copy(update={"updated_at_ms": one.shown_at_ms or at})
    end = draw(st.sampled_from(["recovered", "recovered", "resolved", "accepted", None]))
    over = one.updated_at_ms + draw(st.integers(1, 3_000)) * MINUTE
    return [one, resolved(one, over, end_reason=end)] if draw(st.booleans()) else [one]


def _draw_hit(
    draw: st.DrawFn, name: str, one: Issue, minute: st.SearchStrategy[int]
) -> tuple[Affected, Affected | None]:
    known = max(one.detected_at_ms, draw(minute))
    hit = affected(name, known, issue_id=one.issue_id, root_id=one.root_id)
    if draw(st.integers(0, 3)):
        return hit, None
    return hit, hit.model_copy(update={"contacted_at_ms": known + draw(st.integers(-60, 1_000)) * MINUTE})


def _draw_repairs(draw: st.DrawFn, hit: Affected, after: int, late: bool) -> list[tuple[int, Affected]]:
    """Put right and failed again, in turns. ``late``: some come behind the mark."""
    revisions = []
    at = known = max(after, hit.known_at_ms)
    for turn in range(draw(st.integers(0, 3))):
        at += draw(st.integers(1, 2_000)) * MINUTE
        change = {"put_right_ms": None, "last_failed_ms": at} if turn % 2 else {"put_right_ms": at}
        hit = hit.model_copy(update=change)
        known = max(known, at + (draw(st.integers(0, 2)) * 300 * MINUTE if late else 0))
        revisions.append((known, hit))
    return revisions


def _marked(draw: st.DrawFn, events: list[tuple[int, Any]]) -> list[Any]:
    """The stream with watermarks in between, also with records given twice."""
    stream: list[Any] = []
    for time, record in events:
        if draw(st.booleans()):
            stream.append(mark(time))
        stream.append(record)
        if draw(st.integers(0, 4)) == 0:
            stream.append(record)
    return [*stream, mark(SPRING + 30 * DAY)]


def walk(draw: st.DrawFn, town: Town, rules: OutreachRules, first: tuple[str, ...] = ("customer", "command")) -> Runner:
    """The town through outreach: interleaved, cut, flushed and restarted as drawn; ``first`` is read in advance."""
    runner = Runner(OutreachStage(rules), 0, 1)
    streams: dict[str, list[Any]] = {
        "affected": town.hits, "issue": town.issues, "customer": town.profiles, "command": [*town.orders, *town.orders],
    }  # fmt: skip
    for noun in first:
        runner.feed(noun, *streams.pop(noun))
    return run_interleaved(draw, runner, streams, 2)


RULES = OutreachRules(approval_above=2, quiet=QuietHours(served_zones=("Europe/Berlin", "Europe/London")))


FIRST = st.sampled_from([("customer", "command"), ("customer",), ("command",), ()])


@given(st.data(), st.booleans().flatmap(lambda late: towns(late=late)), FIRST)
@settings(max_examples=200, deadline=None)
def test_no_promise_to_a_customer_is_ever_broken(data: Any, town: Town, first: tuple[str, ...]) -> None:
    runner = walk(data.draw, town, RULES, first)
    profiles = {profile.customer_id: profile for profile in town.profiles}
    rows = runner.records("outreach")
    sent = [row for row in rows if row.decision == "send"]
    assert len({row.outreach_id for row in sent}) == len(sent), "a send key was decided twice"
    for name, profile in profiles.items():
        times = sorted(row.decided_at_ms for row in sent if row.customer_id == name)
        assert all(later - earlier >= DAY for earlier, later in itertools.pairwise(times))
        assert all(later - earlier >= 7 * DAY for earlier, later in zip(times, times[3:], strict=False))
        assert not times or (not profile.opted_out and profile.consents[0].granted)
        zones = [profile.time_zone] if "/" in profile.time_zone and profile.time_zone != "Not/AZone" else [
            "Europe/Berlin", "Europe/London"]  # fmt: skip
        for time in times:
            assert all(8 <= datetime.fromtimestamp(time / 1000, ZoneInfo(zone)).hour < 21 for zone in zones)
    for row in sent:
        assert not held_out(row.root_id, row.customer_id, 0.1) or row.stage == "all_clear"
    assert all(row.reason in REASONS for row in rows)
    contacted = {(row.root_id, row.customer_id) for row in sent if row.stage == "notice"}
    assert {(row.root_id, row.customer_id) for row in rows if row.stage == "all_clear"} <= contacted


def states_at(town: Town, root: str, name: str, at: int) -> dict[str, bool]:
    """Per onset of the root that has hit the customer by ``at``: was it right then?"""
    mine = [hit for hit in town.hits if hit.kind == "affected" and (hit.root_id, hit.customer_id) == (root, name)]
    past = [hit for hit in mine if max(hit.known_at_ms, hit.put_right_ms or hit.last_failed_ms) <= at]
    return {hit.issue_id: hit.put_right_ms is not None for hit in past}


@given(st.data(), towns())
@settings(max_examples=150, deadline=None)
def test_orders_and_the_end_of_an_issue_bind_every_decision(data: Any, town: Town) -> None:
    rows = walk(data.draw, town, RULES).records("outreach")
    ends = {one.issue_id: one.resolved_at_ms for one in town.issues if one.kind == "issue" and one.resolved_at_ms}
    mended = {one.issue_id for one in town.issues if getattr(one, "end_reason", None) in ("recovered", "resolved")}
    for row in rows:
        if row.decision != "send":
            continue
        at = row.decided_at_ms
        past = sorted((o for o in town.orders if o.issued_at_ms <= at), key=lambda o: (o.issued_at_ms, o.command_id))
        switch = [o.action for o in past if o.action in ("stop", "resume")]
        assert not switch or switch[-1] == "resume"
        mutes = [o.action for o in past
                 if o.action in ("mute", "unmute") and o.issue_id in (row.issue_id, row.root_id)]  # fmt: skip
        assert not mutes or mutes[-1] == "unmute"
        if row.stage == "all_clear":
            assert row.issue_id in mended
            assert all(states_at(town, row.root_id, row.customer_id, at).values())
            continue
        assert not (row.issue_id in ends and ends[row.issue_id] <= at)
        assert not states_at(town, row.root_id, row.customer_id, at)[row.issue_id]
        earlier = {r.customer_id for r in rows if r.root_id == row.root_id and r.stage == "notice"
                   and r.decision == "send" and (r.decided_at_ms, r.issue_id, r.customer_id)
                   < (at, row.issue_id, row.customer_id)}  # fmt: skip
        approved = any(o.action == "approve" and o.issue_id == row.issue_id for o in past)
        assert approved or len(earlier) < 2


@given(st.data(), towns(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_decisions_are_byte_equal_however_the_inputs_interleave_and_whenever_it_dies(
    data: Any, town: Town, scarce: bool
) -> None:
    """Profiles may come last as well, unless a few unapproved notices are dealt out in the order of decisions."""
    rules = RULES if scarce else replace(RULES, approval_above=100)
    runs = [walk(data.draw, town, rules, ("customer", "command") if scarce else ("command",)) for _ in range(2)]
    first, second = ({k: canonical(v) for k, v in run.latest("outreach", "outreach_id").items()} for run in runs)
    assert first == second
    marks = [m.record.through_ms for m in runs[0].messages if m.record.kind == "watermark"]
    assert marks == sorted(marks)
