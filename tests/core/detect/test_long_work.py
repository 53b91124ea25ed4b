"""One closing can open up days: the work may be left anywhere, made durable and gone on with, and nothing changes."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.findings import BinClosed
from schemas.issues import Issue
from streams.core.detect.rules import DetectRules
from streams.core.stage import Batch, LongStage
from tests.core.detect.line import DAY, HOUR, T0, Line, Outcome, records

RULES = DetectRules(cohorts=60, false_alarms_per_day=20.0, wander_prior=0.02)


@cache
def sparse() -> tuple[Any, ...]:
    """Three hours with an incident, then events days apart; everything is closed by a few closings at the end.

    The closings jump as those of a join do that was away: the first opens up the dense hours, the others days each.
    """
    rng = random.Random(3)
    out: list[Outcome] = []
    for second in range(0, 3 * 3600, 12):
        region, provider = rng.choice(("IT", "DE")), rng.choice(("paynow", "cardly"))
        bad = region == "IT" and provider == "paynow" and second > 2 * 3600
        at, who, failing = T0 + second * 1000, f"c-{rng.randrange(300)}", 0.7 if bad else 0.03
        out.append((at, "payment", who, (provider, "card", region), rng.random() < failing))
        out.append((at, "delivery", who, ("swift", "HAM", region), rng.random() < 0.04))
    for day in (1, 3, 4, 9):
        out.append((T0 + day * DAY, "payment", "c-1", ("cardly", "card", "DE"), True))
        out.append((T0 + day * DAY + HOUR, "app", "c-2", ("1", "ios", "x", "DE", "pay"), True))
    counts = [record for record in records(out) if record.kind == "cohort_count"]
    ends = (2 * HOUR, 4 * HOUR, 2 * DAY, 10 * DAY, 11 * DAY)
    return (*counts, *(BinClosed(partition=0, partitions=1, through_ms=T0 + end) for end in ends))


def told(line: Line) -> dict[str, str]:
    return {issue.issue_id: issue.model_dump_json() for issue in line.versions}


@cache
def at_once() -> tuple[dict[str, str], dict[bytes, bytes]]:
    line = Line(RULES)
    line.stage.step(line.state, Batch("cohort_count", 0, sparse(), range(len(sparse()))))
    line.drain()
    return told(line), line.kept


def in_pieces(units: int, seed: int, restarts: float) -> Line:
    """Leave the work after every piece; now and then make it durable there, and now and then load it from that."""
    line, dice = Line(RULES), random.Random(seed)
    batch, place = Batch("cohort_count", 0, sparse(), range(len(sparse()))), 0
    while place < len(sparse()) or line.stage.left(line.state):
        if line.stage.left(line.state):
            assert line.stage.go_on(line.state, units) > 0
        else:
            place = line.stage.take(line.state, batch, place)
        if dice.random() < 0.05 or units > 1_000:
            line.drain()
            if dice.random() < restarts:
                line.state = line.stage.load(0, 4, list(line.kept.items()))
    line.drain()
    return line


def test_the_stream_used_here_holds_an_issue() -> None:
    found = [Issue.model_validate_json(text) for text in at_once()[0].values()]
    assert any(issue.state != "suspected" for issue in found)


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(units=st.sampled_from((1, 2, 7, 100, 1 << 40)), seed=st.integers(0, 99), restarts=st.sampled_from((0.0, 0.3)))
def test_findings_and_state_do_not_depend_on_where_the_work_is_left(units: int, seed: int, restarts: float) -> None:
    line = in_pieces(units, seed, restarts)
    assert told(line) == at_once()[0]
    assert line.kept == at_once()[1]


def test_a_piece_of_work_is_small_however_much_one_closing_opens_up() -> None:
    line = Line(RULES)
    place = line.stage.take(line.state, Batch("cohort_count", 0, sparse(), range(len(sparse()))), 0)
    pieces = []
    while line.stage.left(line.state):
        pieces.append(line.stage.go_on(line.state, 10))
    assert place < len(sparse())
    assert len(pieces) > 20
    assert max(pieces) <= 10 + max(len(line.state.families), 2)


def test_how_far_the_room_says_it_has_come_never_runs_ahead_of_what_is_stepped() -> None:
    line = in_pieces(5, 1, 0.2)
    assert line.watermarks == sorted(line.watermarks)
    assert line.watermarks[-1] == T0 + 11 * DAY


def test_the_room_is_a_long_stage() -> None:
    assert isinstance(Line(RULES).stage, LongStage)
