"""The same counts give the same issues, whatever the order, the cuts, the partitions, the restarts."""

from __future__ import annotations

import random
from functools import cache

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.findings import BinClosed, Watermark
from schemas.issues import Issue
from streams.core.detect.rules import DetectRules
from streams.core.detect.stage import DetectStage
from streams.core.stage import Batch, Idle
from tests.core.detect.line import HOUR, MINUTE, T0, Line, Outcome, records

QUICK = DetectRules(cohorts=60, false_alarms_per_day=20.0, wander_prior=0.02)
"""A short memory of normal suffices: a loose budget and little wander, so that three hours hold issues."""


@cache
def outcomes(seed: int) -> tuple[Outcome, ...]:
    """Five hours: quiet, then paynow in IT fails for 40 minutes, then the depot; contacts follow; a gap of an hour."""
    rng = random.Random(seed)
    out: list[Outcome] = []
    for second in range(0, 5 * 3600, 6):
        at = T0 + second * 1000
        if 4.4 * 3600 < second < 4.6 * 3600:
            continue
        who = f"c-{int(800 * rng.random() ** 1.4)}"
        region, provider = rng.choice(("IT", "DE", "DE")), rng.choice(("paynow", "cardly"))
        bad = region == "IT" and provider == "paynow" and 2.0 * 3600 < second < 2.7 * 3600
        out.append((at, "payment", who, (provider, "card", region), rng.random() < (0.7 if bad else 0.03)))
        depot = rng.choice(("HAM-2", "MUC-1", "LYO-1"))
        bad = depot == "HAM-2" and 3.2 * 3600 < second < 4 * 3600
        out.append((at, "delivery", who, ("swift", depot, region), rng.random() < (0.8 if bad else 0.04)))
        if rng.random() < 0.2:
            out.append((at + 1, "contact", who, (rng.choice(("phone", "chat")), region), rng.random() < 0.3))
    return tuple(out)


def told(line: Line) -> dict[str, str]:
    """Final text of every issue, suspicions included."""
    return {i.issue_id: i.model_dump_json() for i in line.versions}


@cache
def reference(seed: int) -> dict[str, str]:
    return told(Line(QUICK).feed(records(outcomes(seed)), batch=400))


def test_the_stream_used_here_holds_issues_that_resolve() -> None:
    found = [Issue.model_validate_json(text) for text in reference(1).values()]
    shown = {i.title: i.state for i in found if i.state != "suspected"}
    assert "Payments failing: payment_provider=paynow, region=IT" in shown
    assert "Deliveries late: warehouse=HAM-2" in shown
    assert "resolved" in shown.values()


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    partitions=st.sampled_from((1, 4, 7)),
    batch=st.integers(1, 900),
    restart_every=st.integers(0, 5),
    shuffle=st.integers(0, 99),
    seed=st.sampled_from((1, 2)),
)
def test_issues_do_not_depend_on_partitions_cuts_drains_restarts_or_order(
    partitions: int, batch: int, restart_every: int, shuffle: int, seed: int
) -> None:
    items, order = records(outcomes(seed), partitions), random.Random(shuffle)
    per_partition = [[r for r in items if r.partition == p] for p in range(partitions)]
    mixed = []
    while any(per_partition):
        queue = order.choice([q for q in per_partition if q])
        take = order.choice((1, 7, 400))
        mixed.extend(queue[:take])
        del queue[:take]
    line = Line(QUICK, restart_every=restart_every if batch > 60 else 0).feed(mixed, batch=batch)
    assert told(line) == reference(seed)


def test_counts_sent_again_after_a_crash_change_nothing() -> None:
    items = records(outcomes(1), 4)
    line = Line(QUICK)
    for at in range(0, len(items), 500):
        line.feed(items[max(0, at - 300) : at + 500])
    assert told(line) == reference(1)


def test_a_bin_waits_for_the_last_partition() -> None:
    stage = DetectStage(QUICK)
    state = stage.start(0, 4)
    for partition in range(3):
        closed = BinClosed(partition=partition, partitions=4, through_ms=T0 + HOUR)
        stage.step(state, Batch("cohort_count", 0, [closed], [partition]))
        assert stage.drain(state).messages == []
    last = BinClosed(partition=3, partitions=4, through_ms=T0 + MINUTE)
    stage.step(state, Batch("cohort_count", 0, [last], [3]))
    stage.step(state, Idle(T0 + HOUR, ("cohort_count",)))
    assert [m.record for m in stage.drain(state).messages] == [Watermark(partition=0, through_ms=T0 + MINUTE)]


def test_years_without_counts_are_passed_in_one_step_and_end_like_a_slow_walk() -> None:
    gap = 3 * 365 * 24 * HOUR
    before = records(outcomes(1))
    after = records([(t + gap, f, w, v, bad) for t, f, w, v, bad in outcomes(2)])
    direct, slow = Line(QUICK).feed([*before, *after]), Line(QUICK).feed(before)
    end = before[-1].through_ms
    for step in range(0, 60 * HOUR, 10 * MINUTE):
        slow.feed([BinClosed(partition=0, partitions=1, through_ms=end + step)])
    slow.feed(after)
    assert told(direct) == told(slow)


def test_the_state_stays_bounded_when_values_never_repeat() -> None:
    rng = random.Random(5)
    rules = DetectRules(cohorts=40, leaves=50)
    line = Line(rules)
    sizes = []
    for hour in range(3):
        bins: list[Outcome] = [
            (
                T0 + hour * HOUR + s * 1000,
                "payment",
                f"c-{rng.random()}",
                (f"p{rng.random()}", "card", "DE"),
                rng.random() < 0.1,
            )
            for s in range(0, 3600, 5)
        ]
        line.feed(records(bins))
        sizes.append(len(line.kept))
    family = line.state.families["shop", "payment"]
    assert family.lattice.size <= 40 + 3
    assert len(family.lattice.leaves) <= 51
    assert line.state.minted <= 40
    assert not line.state.pending
    assert sizes[2] - sizes[1] <= 15
