"""The life of an issue, seen from outside: states, regressions, commands, changes, contacts, looping devices."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import msgspec

from schemas.events import Change, Command
from schemas.issues import Issue
from streams.core.detect.live import candidates, title
from streams.core.detect.rules import DetectRules
from streams.core.stage import Batch
from tests.core.detect.line import HOUR, MINUTE, T0, Line, Outcome, records

QUICK = DetectRules(cohorts=60, false_alarms_per_day=20.0, wander_prior=0.02)
Span = tuple[float, float]


@cache
def payments(hours: float, *bad: Span, share: float = 0.7, seed: int = 2, ramp: float = 0.0) -> tuple[Outcome, ...]:
    """One payment every 5 s; in the hours of ``bad``, paynow fails for that share (``ramp``: later that much more)."""
    rng = random.Random(seed)
    out: list[Outcome] = []
    for second in range(0, int(hours * 3600), 5):
        provider, region = rng.choice(("paynow", "cardly", "cardly")), rng.choice(("IT", "DE"))
        at = second / 3600
        hurt = (
            next((share + ramp * (at >= a + 0.5) for a, b in bad if a <= at < b), 0.0) if provider == "paynow" else 0.0
        )
        who = f"c-{int(2000 * rng.random())}"
        out.append((T0 + second * 1000, "payment", who, (provider, "card", region), rng.random() < max(hurt, 0.03)))
    return tuple(out)


def states(line: Line, issue_id: str) -> list[str]:
    """States in order, repeats left out."""
    seen = [i.state for i in line.versions if i.issue_id == issue_id]
    return [s for s, after in zip(seen, [*seen[1:], ""], strict=True) if s != after]


def shown(line: Line) -> list[Issue]:
    return sorted(line.latest.values(), key=lambda i: i.detected_at_ms)


def test_an_issue_opens_recovers_and_is_resolved() -> None:
    line = Line(QUICK).feed(records(payments(5, (2.0, 2.8))), batch=20)
    (issue,) = shown(line)
    assert issue.title == "Payments failing: payment_provider=paynow"
    assert states(line, issue.issue_id)[-3:] == ["open", "recovering", "resolved"]
    assert T0 + 1.9 * HOUR <= issue.opened_at_ms <= issue.detected_at_ms <= T0 + 2.2 * HOUR
    assert issue.resolved_at_ms is not None
    assert T0 + 2.8 * HOUR < issue.resolved_at_ms < T0 + 4.5 * HOUR
    assert issue.provisional
    assert issue.ratio_low >= 2
    assert issue.end_reason == "recovered"


def test_when_an_issue_was_shown_is_told_by_that_revision_and_by_every_later_one() -> None:
    line = Line(QUICK, restart_every=7).feed(records(payments(8, (2.0, 2.8), (6.0, 6.6))), batch=20)
    for one in shown(line):
        mine = [revision for revision in line.versions if revision.issue_id == one.issue_id]
        suspected = [revision for revision in mine if revision.state == "suspected"]
        assert {revision.shown_at_ms for revision in suspected} <= {None}
        first = mine[len(suspected)]
        assert all(revision.shown_at_ms == first.shown_at_ms for revision in mine[len(suspected) :])
        assert first.detected_at_ms <= (first.shown_at_ms or 0) <= first.updated_at_ms


def test_only_an_end_has_a_reason_and_what_was_never_shown_is_withdrawn() -> None:
    items = records(payments(8, (2.0, 2.8), (6.0, 6.6)))
    nobody_is_enough = replace(QUICK, customers=10_000)
    for rules, end in ((QUICK, ("resolved", "recovered")), (nobody_is_enough, ("suspected", "withdrawn"))):
        line = Line(rules, restart_every=5).feed(items, batch=20)
        assert all((one.resolved_at_ms is None) == (one.end_reason is None) for one in line.versions)
        assert {(one.state, one.end_reason) for one in line.versions if one.resolved_at_ms is not None} == {end}


def test_it_does_not_recover_while_it_goes_on() -> None:
    line = Line(QUICK).feed(records(payments(7, (2.0, 7.0), share=0.4)), batch=20)
    (issue,) = shown(line)
    assert set(states(line, issue.issue_id)) <= {"suspected", "open", "escalating"}


def test_an_issue_that_doubles_is_escalating() -> None:
    line = Line(QUICK).feed(records(payments(5, (2.0, 5.0), share=0.2, ramp=0.6)), batch=20)
    assert "escalating" in states(line, shown(line)[0].issue_id)


def test_the_same_cause_later_is_a_regression_of_the_same_root() -> None:
    line = Line(QUICK).feed(records(payments(8, (2.0, 2.8), (6.0, 6.6))), batch=20)
    first, second = shown(line)
    assert (first.onset, second.onset) == (1, 2)
    assert second.root_id == first.issue_id == first.root_id != second.issue_id
    assert "regressed" in states(line, second.issue_id)


def test_one_incident_is_one_issue_although_many_cohorts_alarm() -> None:
    line = Line(QUICK).feed(records(payments(4, (2.0, 4.0))), batch=20)
    assert len(shown(line)) == 1


def test_a_separate_cause_in_the_same_family_is_a_second_issue() -> None:
    rng = random.Random(3)
    depot: list[Outcome] = [
        (t, "payment", who, ("depot-x" if rng.random() < 0.3 else values[0], "wallet", values[2]), failed)
        for t, _, who, values, failed in payments(5, (2.0, 4.0))
    ]
    hurt: list[Outcome] = [
        (t, f, w, v, fail or (v[0] == "depot-x" and t > T0 + 2.5 * HOUR and rng.random() < 0.7))
        for t, f, w, v, fail in depot
    ]
    line = Line(QUICK).feed(records(hurt), batch=20)
    assert {i.cause.attributes["payment_provider"] for i in shown(line)} == {"paynow", "depot-x"}


def test_an_operator_resolves_an_issue_and_a_muted_one_keeps_its_state() -> None:
    items = records(payments(5, (2.0, 2.8)))
    half = next(n for n, r in enumerate(items) if getattr(r, "bin_ms", 0) >= T0 + 2.7 * HOUR)
    for action in ("resolve", "mute"):
        line = Line(QUICK).feed(items[:half])
        (issue,) = shown(line)
        command = Command(command_id="c", issued_at_ms=T0 + 3 * HOUR, action=action, issue_id=issue.issue_id)
        line.stage.step(line.state, Batch("control", 0, [command], [0]))
        line.drain()
        after = line.latest[issue.issue_id]
        assert (after.state == "resolved") == (action == "resolve")
        assert (after.resolved_at_ms is not None) == (action == "resolve")
        assert after.end_reason == ("resolved" if action == "resolve" else None)
        line.feed(items[half:])
        assert (line.latest[issue.issue_id].state == "open") == (action == "mute")


def test_an_incident_that_goes_on_after_it_was_called_over_is_found_again_also_after_a_restart() -> None:
    items = records(payments(4, (2.0, 3.9)))
    half = next(n for n, r in enumerate(items) if getattr(r, "bin_ms", 0) >= T0 + 2.7 * HOUR)
    found = []
    for restarted in (False, True):
        line = Line(QUICK).feed(items[:half])
        (issue,) = shown(line)
        command = Command(command_id="c", issued_at_ms=T0 + 3 * HOUR, action="resolve", issue_id=issue.issue_id)
        line.stage.step(line.state, Batch("control", 0, [command], [0]))
        line.drain()
        if restarted:
            line.state = line.stage.load(0, 4, list(line.kept.items()))
        line.feed(items[half:])
        found.append(line.latest)
    assert [one.onset for one in found[0].values()] == [1, 2]
    assert found[1] == found[0]


def test_a_command_for_an_unknown_issue_changes_nothing() -> None:
    line = Line(QUICK)
    command = Command(command_id="c", issued_at_ms=T0, action="resolve", issue_id="i-none")
    line.stage.step(line.state, Batch("control", 0, [command], [0]))
    line.drain()
    assert line.versions == []


def change(name: str, hours: float, **attributes: str) -> Change:
    return Change(
        change_id=name,
        changed_at_ms=T0 + int(hours * HOUR),
        change_kind="release",
        product="shop",
        attributes=attributes,
    )


def test_changes_near_the_onset_that_overlap_the_cause_are_named_in_any_order_of_arrival() -> None:
    changes = [
        change("true", 1.95, payment_provider="paynow"),
        change("other provider", 1.95, payment_provider="cardly"),
        change("long ago", -3.0, payment_provider="paynow"),
        change("everywhere", 1.5),
        change("unrelated", 1.9, app_version="5.2.0"),
    ]
    items = records(payments(4, (2.0, 2.8)))
    seen = []
    for place in (0, len(items)):
        line = Line(QUICK).feed(items[:place])
        line.stage.step(line.state, Batch("change", 0, changes, range(5)))
        line.drain()
        line.feed(items[place:])
        seen.append(shown(line)[0])
    assert seen[0].cause.changes == ("true", "everywhere")
    assert seen[0] == seen[1]


def test_contacts_about_an_open_issue_open_no_issue_of_their_own() -> None:
    rng = random.Random(9)
    talk: list[Outcome] = []
    for second in range(0, 5 * 3600, 12):
        flood = 2.2 * 3600 < second < 3.2 * 3600
        talk.append(
            (
                T0 + second * 1000,
                "contact",
                f"k-{rng.random()}",
                (rng.choice(("phone", "chat")), "DE"),
                rng.random() < (0.9 if flood else 0.2),
            )
        )
    with_issue = Line(QUICK).feed(records(sorted([*payments(5, (2.0, 2.8)), *talk])), batch=50)
    assert {i.signal for i in shown(with_issue)} == {"payment"}
    alone = Line(QUICK).feed(records(sorted([*payments(5), *talk])), batch=50)
    assert {i.signal for i in shown(alone)} == {"contact"}


def test_one_looping_device_raises_nothing() -> None:
    loop: list[Outcome] = [
        (T0 + int(2 * HOUR) + n * 10_000, "payment", "c-looping", ("bankdirect", "card", "DE"), True)
        for n in range(900)
    ]
    line = Line(QUICK).feed(records(sorted([*payments(5), *loop])), batch=50)
    assert shown(line) == []


def test_eight_customers_of_a_tiny_cohort_are_enough() -> None:
    """A provider with one payment in five minutes, which never failed, fails eight times in a row."""
    rare: list[Outcome] = [
        (T0 + n * 5 * MINUTE + 3_000, "payment", f"r-{n}", ("bankdirect", "debit", "DE"), 36 <= n < 46)
        for n in range(60)
    ]
    line = Line(QUICK).feed(records(sorted([*payments(5), *rare])), batch=50)
    (issue,) = shown(line)
    assert ("bankdirect" in issue.cause.attributes.values()) or ("debit" in issue.cause.attributes.values())
    first = next(i for i in line.versions if i.issue_id == issue.issue_id and i.state != "suspected")
    assert first.observed <= 9


def test_a_permanent_change_is_accepted_after_a_week() -> None:
    rules = DetectRules(cohorts=60, false_alarms_per_day=20.0, wander_prior=0.02, accept_ms=HOUR)
    line = Line(rules).feed(records(payments(7, (2.0, 7.0))), batch=20)
    assert (shown(line)[0].state, shown(line)[0].end_reason) == ("resolved", "accepted")


def test_a_suspicion_that_an_operator_calls_over_is_withdrawn() -> None:
    items = records(payments(4, (2.0, 2.8)))
    line = Line(QUICK)
    for at in range(0, len(items), 10):
        line.feed(items[at : at + 10])
        if line.versions:
            break
    (issue_id,) = {one.issue_id for one in line.versions}
    assert line.versions[-1].state == "suspected"
    command = Command(command_id="c", issued_at_ms=T0 + 3 * HOUR, action="resolve", issue_id=issue_id)
    line.stage.step(line.state, Batch("control", 0, [command], [0]))
    line.drain()
    assert (line.versions[-1].state, line.versions[-1].end_reason) == ("suspected", "withdrawn")


def test_an_issue_that_an_earlier_version_kept_is_read_and_goes_on() -> None:
    items = records(payments(5, (2.0, 2.8)))
    half = next(n for n, r in enumerate(items) if getattr(r, "bin_ms", 0) >= T0 + 2.7 * HOUR)
    line = Line(QUICK).feed(items[:half])
    (issue,) = shown(line)
    kept = {}
    for key, value in line.kept.items():
        packed = msgspec.msgpack.decode(value)
        earlier = msgspec.msgpack.decode(key)[0] == "issue"
        if earlier:
            del packed["shown_at_ms"], packed["end_reason"]
        kept[key] = msgspec.msgpack.encode(packed) if earlier else value
    line.state = line.stage.load(0, 4, list(kept.items()))
    line.feed(items[half:])
    after = line.latest[issue.issue_id]
    assert (after.state, after.end_reason, after.shown_at_ms) == ("resolved", "recovered", None)


def test_titles_fit_and_candidates_are_few() -> None:
    assert len(title("shop", "app", (("app_version", "x" * 100), ("region", "y" * 100)))) == 128
    line = Line(QUICK).feed(records(payments(4, (2.0, 2.8))))
    live = next(iter(line.state.book.issues.values()))
    many = [change(f"c{n}", 2.0) for n in range(20)]
    assert len(candidates(many, live, QUICK)) == 5
