"""The alert rules: what Grafana reads of them, and whether each fires in made-up situations."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml

from dashboards import alerts_sql
from dashboards.alerts import LIMITS, Alert, alerts, rule_group, rules_file
from dashboards.boards import BOARDS
from schemas import findings
from schemas.fields import Money
from streams.agents.store import Store
from streams.runtime.batch import RawBatch
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.seed import BIN, MINUTE, NOW
from tests.sinks.conftest import migrated
from tests.sinks.examples import EXAMPLES, batch, euros, issue

pytestmark = pytest.mark.clickhouse
ALERTS = {alert.uid: alert for alert in alerts()}
Labels = tuple[str, ...]
TABLES = (
    "issue", "impact", "affected_count", "outreach", "delivery", "channel", "dead_letter", "source_count", "watermark",
)


@dataclass(frozen=True)
class Scratch:
    """A database of this module, empty at the start of each test."""

    writer: ClickHouse
    reader: ClickHouse

    def write(self, *batches: RawBatch) -> None:
        """Store batches of the line's topics."""
        Store(self.writer).write(list(batches))


@pytest.fixture(scope="module")
def made(clickhouse: Endpoints) -> Iterator[tuple[ClickHouse, Scratch]]:
    """The database, and who may empty it."""
    with migrated(clickhouse) as name:
        users = {role: ClickHouse(login(clickhouse, role, name)) for role in ("migrator", "writer", "reader")}
        yield users["migrator"], Scratch(users["writer"], users["reader"])


@pytest.fixture
def scratch(made: tuple[ClickHouse, Scratch]) -> Scratch:
    """That database, empty."""
    for table in TABLES:
        made[0].query(f"TRUNCATE TABLE `{table}`")
    return made[1]


def answer(client: ClickHouse, sql: str) -> dict[Labels, float]:
    """Labels -> value, read as Grafana does: one column of numbers, the others text, no row twice."""
    found = client.query(sql)
    numbers = [at for at, kind in enumerate(found.types) if kind == "Float64"]
    texts = [at for at, kind in enumerate(found.types) if kind == "String"]
    assert len(numbers) == 1
    assert len(texts) + 1 == len(found.types), found.types
    rows = {tuple(row[at] for at in texts): row[numbers[0]] for row in found.rows}
    assert len(rows) == len(found.rows)
    return rows


def fires(client: ClickHouse, uid: str) -> dict[Labels, float]:
    """The instances of a rule that fire."""
    alert = ALERTS[uid]
    return {labels: value for labels, value in answer(client, alert.queries[0][1]).items() if value > alert.over}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.uid)
def test_a_rule_is_complete(alert: Alert) -> None:
    assert alert.queries[0][0] == "A"
    assert re.findall(r"[^.!?]+[.!?](?:\s|$)", alert.means)
    assert alert.why_no_data.endswith(".")
    assert not re.search(r"[$]", "".join(sql for _, sql in alert.queries)), "variable or macro"
    assert any(panel.slug == alert.panel for board in BOARDS if board.uid == alert.board for panel in board.panels)
    shown = set(re.findall(r"\.Values\.(\w)", alert.summary))
    assert shown <= {letter for letter, _ in alert.queries}
    first = " ".join(alert.queries[0][1].split())
    for label in re.findall(r"\.Labels\.(\w+)", f"{alert.summary} {alert.key and '.Labels.' + alert.key}"):
        assert f"AS {label}" in first, label


def test_the_file_and_the_api_say_the_same_and_link_to_a_panel() -> None:
    (group,) = yaml.safe_load(rules_file("https://docs.example.com"))["groups"]
    body = rule_group("https://docs.example.com")
    for in_file, in_api in zip(group["rules"], body["rules"], strict=True):
        api = in_api["annotations"]
        assert (in_file.pop("dashboardUid"), str(in_file.pop("panelId"))) == (
            api.pop("__dashboardUid__"), api.pop("__panelId__"))
        assert in_file == {key: value for key, value in in_api.items() if key in in_file}
        assert api["runbook_url"].startswith("https://docs.example.com/")
        assert in_api["labels"]["severity"] in ("critical", "warning")
    assert (group["name"], group["interval"]) == (body["title"], "30s")


@pytest.mark.parametrize("text", [text for rule in rule_group()["rules"] for text in rule["annotations"].values()])
def test_a_template_closes_what_it_opens(text: str) -> None:
    actions = re.findall(r"{{ (.*?) }}", text)
    assert text.count("{{") == text.count("}}") == len(actions)
    words = [action.split()[0] for action in actions]
    assert words.count("if") == words.count("end")
    for action in actions:
        assert re.fullmatch(r'(if|printf "%\.\df"|humanizePercentage|gt)?[ .\w]*|else|end', action), action


def test_every_answer_on_an_empty_database_is_that_nothing_was_ever_heard_of(scratch: Scratch) -> None:
    fired = {uid: fires(scratch.reader, uid) for uid in ALERTS}
    assert set(fired.pop("cx-room-behind").values()) == {float(alerts_sql.NEVER_HEARD_S)}
    assert fired == {uid: {} for uid in ALERTS if uid != "cx-room-behind"}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.uid)
def test_all_queries_of_a_rule_have_the_same_rows(seeded_board: ClickHouse, alert: Alert) -> None:
    first, *others = [answer(seeded_board, sql) for _, sql in alert.queries]
    for other in others:
        assert other.keys() == first.keys()


def test_the_afternoon_fires_what_it_should(seeded_board: ClickHouse) -> None:
    app, depot = (
        ("i-app", "Android app 5.2.0 fails at checkout", "product engineering", "app", "assumed", "EUR"),
        ("i-depot", "Promises break at depot HAM-2", "logistics", "delivery", "assumed", "EUR"),
    )
    assert fires(seeded_board, "cx-issue-open") == {app: 412, depot: 268}
    assert answer(seeded_board, alerts_sql.ISSUE_SILENT) == {app: 375, depot: 259}
    assert answer(seeded_board, alerts_sql.ISSUE_COST) == {app: 48.2, depot: 19.75}
    assert all(value > 100 for value in answer(seeded_board, alerts_sql.ISSUE_SENT).values())
    assert answer(seeded_board, alerts_sql.money_per_minute()) == {("EUR",): 67.95}
    assert fires(seeded_board, "cx-money-per-minute") == {}
    assert fires(seeded_board, "cx-stream-silent").keys() == {("order · carrier",)}
    assert fires(seeded_board, "cx-channel-down") == {("webhook",): 2.0}
    assert ("newest event",) in fires(seeded_board, "cx-room-behind")


def _impact(*costs: Money, issue_id: str = "i-1") -> findings.Impact:
    known = next(record for record in EXAMPLES["impact"] if isinstance(record, findings.Impact))
    return known.model_copy(update={"issue_id": issue_id, "per_minute": costs, "affected": 50, "silent": 40})


@pytest.mark.parametrize(
    ("costs", "over"),
    [
        ((), {}),
        (euros(100_00), {}),
        (euros(100_01), {("EUR",): 0.01}),
        ((Money(currency="JPY", minor=15_000),), {}),
        ((Money(currency="JPY", minor=15_500), *euros(1)), {("JPY",): 500.0}),
        ((Money(currency="KWD", minor=2_500),), {("KWD",): 2.5}),
    ],
)
def test_money_is_compared_with_the_limit_of_its_own_currency(
    scratch: Scratch, costs: tuple[Money, ...], over: dict[Labels, float]
) -> None:
    scratch.write(batch("issue", [issue()]), batch("impact", [_impact(*costs)]))
    assert fires(scratch.reader, "cx-money-per-minute") == pytest.approx(over)


def test_issues_count_together_in_each_currency_and_only_while_they_are_open(
    scratch: Scratch
) -> None:
    over = issue(issue_id="i-3", root_id="i-3", state="resolved", resolved_at_ms=NOW)
    known = [issue(), issue(issue_id="i-2", root_id="i-2"), over]
    scratch.write(batch("issue", known),
           batch("impact", [_impact(*euros(60_00), issue_id=one.issue_id) for one in known]))
    assert fires(scratch.reader, "cx-money-per-minute") == {("EUR",): 20.0}
    assert answer(scratch.reader, alerts_sql.money_over({})) == {("EUR",): 120.0}
    assert {labels[0] for labels in fires(scratch.reader, "cx-issue-open")} == {"i-1", "i-2"}


def _clock(now_ms: int) -> RawBatch:
    return batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=now_ms)])


def test_a_new_issue_waits_two_minutes_for_its_cost_and_then_fires_without(
    scratch: Scratch
) -> None:
    shown = issue(detected_at_ms=NOW)
    scratch.write(batch("issue", [shown]), _clock(NOW + MINUTE))
    assert fires(scratch.reader, "cx-issue-open") == {}
    scratch.write(_clock(NOW + 2 * MINUTE))
    assert {labels[-1] for labels in fires(scratch.reader, "cx-issue-open")} == {""}
    scratch.write(batch("impact", [_impact(*euros(5), Money(currency="JPY", minor=7))]))
    assert {labels[-1] for labels in fires(scratch.reader, "cx-issue-open")} == {"EUR", "JPY"}


@pytest.mark.parametrize("state", ["suspected", "resolved"])
def test_an_issue_that_is_not_open_does_not_fire(scratch: Scratch, state: Any) -> None:
    scratch.write(batch("issue", [issue(state=state)]), batch("impact", [_impact(*euros(500_00))]))
    assert fires(scratch.reader, "cx-issue-open") == fires(scratch.reader, "cx-money-per-minute") == {}


def _outreach(number: int, decision: findings.Decision, reason: str, decided_ms: int, **changes: Any) -> Any:
    known = next(record for record in EXAMPLES["outreach"] if isinstance(record, findings.Outreach))
    return known.model_copy(update={
        "outreach_id": f"o-{number}", "issue_id": "i-1", "customer_id": f"c-{number}", "decision": decision,
        "reason": reason, "decided_at_ms": decided_ms, "not_before_ms": decided_ms, "deadline_ms": NOW + 240 * MINUTE,
        **changes,
    })


def test_what_is_held_too_long_fires_by_reason_and_a_night_does_not(scratch: Scratch) -> None:
    long_ago = NOW - 31 * MINUTE
    scratch.write(_clock(NOW), batch("issue", [issue()]), batch("outreach", [
        _outreach(1, "hold", "approval", long_ago),
        _outreach(2, "hold", "approval", long_ago),
        _outreach(3, "hold", "quiet_hours", long_ago, not_before_ms=NOW + 60 * MINUTE),
        _outreach(4, "hold", "budget", NOW - 29 * MINUTE),
        _outreach(5, "refuse", "consent", long_ago),
        _outreach(6, "hold", "stopped", long_ago, deadline_ms=NOW - MINUTE),
    ]))
    held = fires(scratch.reader, "cx-outreach-held")
    assert {(labels[0], *labels[2:]): count for labels, count in held.items()} == {
        ("i-1", "approval", "many are hit: a person must approve"): 2.0}


def test_a_sender_is_down_once_decisions_to_send_lie_untaken_for_five_minutes(
    scratch: Scratch
) -> None:
    decided = [_outreach(number, "send", "eligible", NOW - ago * MINUTE, channel="webhook")
               for number, ago in enumerate((4, 6, 7))]
    scratch.write(_clock(NOW), batch("outreach", decided))
    assert fires(scratch.reader, "cx-sender-down") == {(): 2.0}
    done = [findings.Delivery(outreach_id=one.outreach_id, issue_id="i-1", customer_id=one.customer_id, stage="notice",
                              channel="webhook", outcome="delivered", attempts=1, claimed_at_ms=NOW, done_at_ms=NOW)
            for one in decided]
    scratch.write(batch("delivery", done))
    assert fires(scratch.reader, "cx-sender-down") == {}


@pytest.mark.parametrize(("state", "level"), [("closed", None), ("open", 1.0), ("paused", 2.0)])
def test_a_channel_fires_while_it_accepts_nothing_or_is_gone(
    scratch: Scratch, state: Any, level: float | None
) -> None:
    scratch.write(batch("channel", [
        findings.ChannelState(channel="webhook", partition=0, state=state, reason="x", since_ms=NOW)]))
    assert fires(scratch.reader, "cx-channel-down") == ({} if level is None else {("webhook",): level})


@pytest.mark.parametrize(("rejected", "accepted", "share"), [
    (1, 18, None), (1, 19, None), (2, 18, 0.1), (20, 0, 1.0), (19, 0, None), (0, 40, None),
])
def test_dead_letters_fire_above_5_percent_of_at_least_20_messages(
    scratch: Scratch, rejected: int, accepted: int, share: float | None
) -> None:
    headers = [("dlq.reason", b"schema"), ("dlq.field", b"status"), ("dlq.rule", b"x")]
    now_ms = time.time_ns() // 1_000_000
    rejects = batch("order.dlq", [b"{}"] * rejected, headers=[headers] * rejected)
    older = batch("order.dlq", [b"{}"] * 30, headers=[headers] * 30, start=100)  # rejected long ago, by their stamp
    counts = [findings.SourceCount(topic="order", source="erp", partition=0, bin_ms=NOW, width_ms=BIN,
                                   events=accepted)] * (accepted > 0)
    scratch.write(replace(rejects, timestamps=[now_ms] * rejected), older, batch("source_count", counts))
    assert fires(scratch.reader, "cx-dead-letter-share") == ({} if share is None else {("order",): share})


def test_a_limit_of_every_shipped_currency_stands_in_the_sql() -> None:
    sql = alerts_sql.money_over(LIMITS)
    assert all(f"'{currency}'" in sql for currency in LIMITS)
