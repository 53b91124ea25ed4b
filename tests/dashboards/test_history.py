"""The history of an issue by the minute: what rooms would have stated at each, however seldom they flushed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import events, findings
from schemas.currencies import DECIMALS, to_minor
from schemas.fields import Money
from schemas.issues import Issue
from streams.agents.store import Store
from streams.core.impact.stage import ImpactRules, ImpactStage, ImpactState
from streams.core.match.stage import MatchRules, MatchStage, MatchState
from streams.core.stage import Batch, Drained
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.progress import marks
from tests.dashboards.seed import MINUTE, NOW
from tests.sinks.examples import CAUSE, batch, issue

pytestmark = pytest.mark.clickhouse
ONSET, DETECTED, OVER = NOW, NOW + 5 * MINUTE, NOW + 47 * MINUTE
END = NOW + 60 * MINUTE
CURRENCY = "JPY"
"""Not of hundredths, so that a wrong unit shows."""
ATTRIBUTES = ("app_version", "platform")


def customer(number: int, dice: random.Random) -> tuple[findings.Episode, events.Customer | None]:
    """Who fails once within the hour; some contact the company, for some the margin is known (of some it is a loss)."""
    failed = ONSET + dice.randrange(0, 42 * MINUTE)
    contacted = failed + dice.randrange(1, 15 * MINUTE) if dice.random() < 0.3 else None
    leaf = findings.LeafEvidence(values=("5.2.0", "android"), first_ms=failed, last_ms=failed, failures=1)
    episode = findings.Episode(
        customer_id=f"c-{number}", line="shop", signal="app", window_ms=ONSET, attributes=ATTRIBUTES, leaves=(leaf,),
        first_failed_ms=failed, last_failed_ms=failed, failures=1, evidence=(), contacted_at_ms=contacted,
        contacts=int(contacted is not None))
    known = events.Customer(customer_id=f"c-{number}", updated_at_ms=ONSET - MINUTE,
                            value_cents=dice.choice((12_345, 777, 0, -5_000)))
    return episode, known if dice.random() < 0.6 else None


DICE = random.Random(11)
PEOPLE = [customer(number, DICE) for number in range(150)]


def revision(at_ms: int) -> Issue:
    """The issue as detect states it at a time."""
    over = {"state": "resolved", "resolved_at_ms": OVER, "end_reason": "recovered"} if at_ms >= OVER else {}
    return issue(cause=CAUSE, opened_at_ms=ONSET, detected_at_ms=DETECTED, updated_at_ms=at_ms, **over)


class Rooms:
    """match and impact, fed and flushed together."""

    def __init__(self) -> None:
        self.match, self.impact = MatchStage(MatchRules(currency=CURRENCY)), ImpactStage(ImpactRules(currency=CURRENCY))
        self.state: MatchState = self.match.start(0, 1)
        self.costs: ImpactState = self.impact.start(0, 1)
        self.affected: dict[str, Any] = {}
        profiles = [profile for _, profile in PEOPLE if profile]
        self.match.step(self.state, Batch("customer", 0, profiles, range(len(profiles))))

    def feed(self, from_ms: int, until_ms: int) -> None:
        """What join and detect say about a stretch of event time."""
        episodes = [
            episode if (episode.contacted_at_ms or 0) < until_ms else episode.model_copy(
                update={"contacted_at_ms": None, "contacts": 0})
            for episode, _ in PEOPLE
            if from_ms <= episode.first_failed_ms < until_ms or from_ms <= (episode.contacted_at_ms or 0) < until_ms
        ]
        mark = findings.Watermark(partition=0, through_ms=until_ms)
        found = [revision(until_ms)] if until_ms >= DETECTED else []
        for topic, records in (("episode", [*episodes, mark]), ("issue", [*found, mark])):
            self.match.step(self.state, Batch(topic, 0, records, range(len(records))))

    def flush(self) -> list[findings.Impact]:
        """Drain both; returns what impact says."""
        drained = self.match.drain(self.state)
        self.affected |= {message.key: message.record for message in _of("affected", drained)
                          if message.key != "watermark"}
        counts = [message.record for message in _of("affected_count", drained)]
        self.impact.step(self.costs, Batch("affected_count", 0, counts, range(len(counts))))
        return [message.record for message in self.impact.drain(self.costs).messages
                if isinstance(message.record, findings.Impact)]


def _of(noun: str, drained: Drained) -> Iterator[Any]:
    return (message for message in drained.messages if message.noun == noun)


def stated(figures: findings.Impact) -> tuple[Any, ...]:
    """What impact says, in the form of the view's rows."""
    def money(amounts: Any) -> list[tuple[str, int]]:
        return [(one.currency, one.minor) for one in amounts]

    return (figures.affected, figures.contacted, figures.silent, money(figures.at_risk), money(figures.per_minute))


def by_minute(client: ClickHouse) -> dict[int, tuple[Any, ...]]:
    """Minute (ms) -> the row of the view that holds at its end."""
    rows = client.query(
        "SELECT toUnixTimestamp64Milli(minute), affected, contacted, silent, at_risk, per_minute FROM issue_minute"
        " WHERE issue_id = 'i-1' ORDER BY minute").rows
    changes = {int(str(at)): tuple(rest) for at, *rest in rows}
    held: dict[int, tuple[Any, ...]] = {}
    last: tuple[Any, ...] = ()
    for at in range(min(changes), END, MINUTE):
        last = held[at] = changes.get(at, last)
    return held


def test_after_a_catch_up_of_an_hour_each_minute_is_as_if_the_rooms_had_flushed_in_it(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    by_the_minute = Rooms()
    expected: dict[int, tuple[Any, ...]] = {}
    for until in range(ONSET + MINUTE, END + 1, MINUTE):
        by_the_minute.feed(until - MINUTE, until)
        for figures in by_the_minute.flush():
            expected[until - MINUTE] = stated(figures)
    del expected[DETECTED - MINUTE]  # what is known since the very moment of detection counts in the minute after it
    at_once = Rooms()
    at_once.feed(ONSET, END)
    (last,) = at_once.flush()
    Store(writer).write([batch("issue", [revision(END)]), batch("affected", list(at_once.affected.values())),
                         batch("impact", [last]), *marks(END)])
    found = by_minute(reader)
    assert len(expected) > 40
    assert {minute: found[minute] for minute in expected} == expected
    assert found[END - MINUTE] == stated(last)
    assert max(row[1] for row in expected.values()) > 20
    stored = reader.query("SELECT count() FROM impact_1m").rows
    assert stored == [(1,)]  # one flush left one minute behind


def test_minutes_count_who_became_known_in_them(writer: ClickHouse, reader: ClickHouse) -> None:
    rooms = Rooms()
    rooms.feed(ONSET, END)
    (last,) = rooms.flush()
    Store(writer).write([batch("issue", [revision(END)]), batch("affected", list(rooms.affected.values())),
                         batch("impact", [last]), *marks(END)])
    rows = reader.query("SELECT minute, new, open FROM issue_minute ORDER BY minute").rows
    assert rows[0][0] == datetime.fromtimestamp(DETECTED / 1000, UTC)
    assert sum(int(str(row[1])) for row in rows) == len(PEOPLE)
    assert [bool(row[2]) for row in rows].index(False) == [row[0] for row in rows].index(
        datetime.fromtimestamp(OVER / 1000 - 60, UTC))


def test_before_impact_has_spoken_there_are_counts_and_no_money(writer: ClickHouse, reader: ClickHouse) -> None:
    hit = findings.Affected(issue_id="i-1", root_id="i-1", customer_id="c-1", line="shop", signal="app",
                            known_at_ms=NOW, first_failed_ms=NOW, last_failed_ms=NOW)
    rows = "SELECT affected, recent, at_risk, per_minute FROM issue_minute ORDER BY minute"
    Store(writer).write([batch("issue", [issue()]), batch("affected", [hit]), *marks(NOW + 14 * MINUTE)])
    assert reader.query(rows).rows == [(1, 1, [], [])]  # nobody knows yet who will be hit by the next minute
    Store(writer).write(marks(NOW + 15 * MINUTE, ver=2))
    assert reader.query(rows).rows == [(1, 1, [], []), (1, 0, [], [])]


def test_the_view_knows_the_decimals_of_every_currency(writer: ClickHouse, reader: ClickHouse) -> None:
    codes = sorted(DECIMALS)
    hits = [findings.Affected(issue_id=f"i-{code}", root_id="i-1", customer_id="c-1", line="shop", signal="app",
                              known_at_ms=NOW, first_failed_ms=NOW, last_failed_ms=NOW, value_cents=12_345)
            for code in codes]
    terms = (findings.Assumption(name="loyalty_drop", value=1, unit="ratio", source="x", assumed=False),)
    Store(writer).write([
        *marks(NOW), batch("issue", [issue(issue_id=f"i-{code}") for code in codes]), batch("affected", hits),
        batch("impact", [
            findings.Impact(
                issue_id=f"i-{code}", line="shop", signal="app", affected=1, contacted=0, silent=1, at_risk=one,
                at_risk_low=one, at_risk_high=one, per_minute=one, service=one, amounts=(), assumptions=terms,
                as_of_ms=NOW)
            for code in codes for one in [(Money(currency=code, minor=1),)]
        ]),
    ])
    rows = reader.query("SELECT DISTINCT at_risk[1].currency, at_risk[1].minor FROM issue_minute").rows
    assert dict(rows) == {code: to_minor(12_345, code) for code in codes}
