"""The board of outreach on a made-up company of which it is known who was drawn, told, and did what."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dashboards.boards import OUTREACH
from dashboards.boards.holdout_sql import LEAST_DRAWN, LEAST_OUTCOMES, MISS, TIGHTEST_AT
from dashboards.macros import Chosen, Range, expand
from schemas import findings
from schemas.events import Record
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.seed import DECISIONS, MINUTE, NOW, TROUBLES
from tests.sinks.conftest import migrated
from tests.sinks.examples import EXAMPLES, batch, issue

HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
CONTACT, ORDER = "contact within 48 hours", "order again within 28 days"
Figures = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One root issue: how many are drawn when, and the odds of a contact and of an order, to be told and held out."""

    drawn: int
    at_ms: int
    contact: tuple[float, float]
    order: tuple[float, float]


PLANS = {
    "i-large": Plan(1_500, NOW - 40 * DAY, (0.12, 0.34), (0.50, 0.45)),
    "i-other": Plan(1_300, NOW - 35 * DAY, (0.20, 0.20), (0.30, 0.30)),
    "i-small": Plan(60, NOW - 33 * DAY, (0.50, 0.50), (0.50, 0.50)),
    "i-fresh": Plan(400, NOW - 47 * HOUR, (1.00, 0.00), (1.00, 0.00)),
}


@dataclass
class Company:
    """What was written, and per (question, root): customers and outcomes, to be told and held out."""

    records: dict[str, list[Record]]
    truth: dict[tuple[str, str], np.ndarray[Any, np.dtype[np.int64]]]


def company() -> Company:
    """Everybody of the plans; of those to be told some are refused later, because they have contacted us first."""
    chance = random.Random(20)
    made = Company({noun: [] for noun in ("issue", "outreach", "contact_case", "order_outcome")}, {})
    for root, plan in PLANS.items():
        made.records["issue"].append(issue(issue_id=root, root_id=root))
        counts = {question: np.zeros((2, 2), dtype=np.int64) for question in (CONTACT, ORDER)}
        for number in range(plan.drawn):
            customer, held = f"c-{root}-{number}", chance.random() < 0.15
            called, ordered = chance.random() < plan.contact[held], chance.random() < plan.order[held]
            for question, did in ((CONTACT, called), (ORDER, ordered)):
                counts[question][int(held)] += (1, did)
            _write(made, root, customer, held, (called, ordered, chance.random() < 0.5))
        for question in (CONTACT, ORDER):
            if root != "i-fresh":
                made.truth[question, root] = counts[question]
        _not_drawn(made, root, plan)
    return made


def _write(made: Company, root: str, customer: str, held: bool, did: tuple[bool, bool, bool]) -> None:
    plan, (called, ordered, soon) = PLANS[root], did
    early = called and not held and soon
    decision, reason = ("hold_out", "hold_out") if held else ("refuse", "already_contacted") if early else DECISIONS[0]
    made.records["outreach"].append(_decision(root, customer, decision, reason, plan.at_ms + early * HOUR, plan.at_ms))
    contacts = [plan.at_ms + (HOUR if early else 48 * HOUR)] if called else [plan.at_ms, plan.at_ms + 48 * HOUR + 1]
    orders = [plan.at_ms + 28 * DAY] if ordered else [plan.at_ms - 1, plan.at_ms + 28 * DAY + 1]
    made.records["contact_case"] += [_contact(customer, at) for at in contacts if at <= NOW]
    made.records["order_outcome"] += [_order(customer, at) for at in orders if at <= NOW]


def _not_drawn(made: Company, root: str, plan: Plan) -> None:
    """Refused before any draw, and a second message about the same issue: neither counts."""
    for number in range(50):
        customer = f"c-{root}-refused-{number}"
        made.records["outreach"].append(_decision(root, customer, "refuse", "no_consent", plan.at_ms, None))
        made.records["contact_case"].append(_contact(customer, plan.at_ms + HOUR))


def _decision(root: str, customer: str, decision: str, reason: str, at: int, drawn: int | None) -> findings.Outreach:
    return findings.Outreach.model_validate({
        "outreach_id": f"o-{root}-{customer}", "issue_id": root, "root_id": root, "customer_id": customer,
        "stage": "notice", "decision": decision, "reason": reason, "decided_at_ms": at, "not_before_ms": at,
        "deadline_ms": at + 14 * HOUR, "drawn_at_ms": drawn,
        "channel": "webhook" if decision == "send" else None,
    })  # fmt: skip


def _contact(customer: str, at: int, **changes: Any) -> Record:
    (one, *_) = EXAMPLES["contact_case"]
    named = {"customer_id": customer, "contact_id": f"k-{customer}-{at}", "opened_at_ms": at, "reason": "delivery"}
    return one.model_copy(update={**named, "subject_ids": (), **changes})


def _order(customer: str, at: int) -> Record:
    (one, *_) = EXAMPLES["order_outcome"]
    return one.model_copy(update={"customer_id": customer, "order_id": f"b-{customer}-{at}", "placed_at_ms": at})


def effect_of(counts: np.ndarray[Any, Any]) -> Any:
    """(difference, margin) of the last two axes (told or held out; customers, outcomes), strata on the axis before."""
    (nt, xt), (nh, xh) = np.moveaxis(counts[..., 0, :], -1, 0), np.moveaxis(counts[..., 1, :], -1, 0)
    weight = np.where((nt > 0) & (nh > 0), nt * nh / (nt + nh), 0.0)
    share = weight / weight.sum(-1, keepdims=True)
    difference = (share * (xt / np.maximum(nt, 1) - xh / np.maximum(nh, 1))).sum(-1)
    variance = sum(
        p * (1 - p) * (share**2 / np.maximum(n, 1)).sum(-1)
        for n, x in ((nt, xt), (nh, xh)) for p in [(x.sum(-1) + 2) / (n.sum(-1) + 4)]
    )  # fmt: skip
    log_miss = -2 * np.log(MISS)
    grown = weight.sum(-1) * (log_miss + np.log1p(log_miss)) / TIGHTEST_AT
    return difference, np.sqrt(variance * (1 + 1 / grown) * (np.log1p(grown) + log_miss))


@pytest.fixture(scope="module")
def eventful(clickhouse: Endpoints) -> Iterator[ClickHouse]:
    """A reader of the made-up company."""
    with migrated(clickhouse) as name:
        Store(ClickHouse(login(clickhouse, "writer", name))).write([
            *(batch(noun, records) for noun, records in company().records.items()),
            batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=NOW)]),
        ])  # fmt: skip
        yield ClickHouse(login(clickhouse, "reader", name))


def ask(client: ClickHouse, slug: str, hours: float = 24, chosen: Chosen | None = None) -> list[Figures]:
    """Rows of one panel."""
    return client.query(expand(OUTREACH.panel(slug).sql, Range.ending(NOW, hours), chosen)).dicts()


@pytest.mark.clickhouse
def test_everybody_drawn_counts_in_the_group_they_were_drawn_into(eventful: ClickHouse) -> None:
    found = {(row["question"], row["issue_id"]): (row["told"], row["held_out"]) for row in ask(eventful, "effect")}
    truth = company().truth
    assert {key: value for key, value in found.items() if key[1]} == {
        key: (counts[0, 0], counts[1, 0]) for key, counts in truth.items()}
    for question in (CONTACT, ORDER):
        everyone = np.array([counts for (asked, _), counts in truth.items() if asked == question]).sum(0)
        assert found[question, ""] == (everyone[0, 0], everyone[1, 0])
    drawn = {row["group"]: row["customers"] for row in ask(eventful, "drawn")}
    assert sum(drawn.values()) == sum(plan.drawn for plan in PLANS.values())


@pytest.mark.clickhouse
def test_the_effect_of_an_issue_and_of_all_together_is_that_of_an_independent_computation(eventful: ClickHouse) -> None:
    rows = {(row["question"], row["issue_id"]): row for row in ask(eventful, "effect")}
    truth = company().truth
    wanted = {key: effect_of(counts[None]) for key, counts in truth.items()}
    for question in (CONTACT, ORDER):
        wanted[question, ""] = effect_of(np.array([c for (asked, _), c in truth.items() if asked == question]))
    for key, (difference, margin) in wanted.items():
        if key[1] == "i-small":
            continue
        row = rows[key]
        assert (row["effect"], row["low"], row["high"]) == pytest.approx(
            (difference, difference - margin, difference + margin), abs=1e-12), key
    counts = truth[CONTACT, "i-large"]
    assert rows[CONTACT, "i-large"]["told_share"] == pytest.approx(counts[0, 1] / counts[0, 0])
    assert rows[CONTACT, "i-large"]["held_share"] == pytest.approx(counts[1, 1] / counts[1, 0])


@pytest.mark.clickhouse
def test_the_verdict_says_what_may_be_said_and_what_is_missing(eventful: ClickHouse) -> None:
    rows = {(row["question"], row["issue_id"]): row for row in ask(eventful, "effect")}
    assert rows[CONTACT, "i-large"]["verdict"].startswith("telling lowers it by ")
    assert rows[CONTACT, "i-other"]["verdict"].startswith("no difference shown: ")
    small = rows[CONTACT, "i-small"]
    counts = company().truth[CONTACT, "i-small"]
    assert small["verdict"] == (
        f"not enough yet: {counts[0, 0]} of {LEAST_DRAWN} to be told, {counts[1, 0]} of {LEAST_DRAWN} held out")
    assert (small["told_share"], small["held_share"], small["effect"]) == (None, None, None)


@pytest.mark.clickhouse
def test_the_effect_is_that_of_the_issues_that_were_chosen(eventful: ClickHouse) -> None:
    chosen = ask(eventful, "effect", chosen={"issue": ("i-other",)})
    assert {row["issue_id"] for row in chosen} == {"", "i-other"}
    by_issue = {(row["question"], row["issue_id"]): row["effect"] for row in chosen}
    assert by_issue[CONTACT, ""] == by_issue[CONTACT, "i-other"]
    assert ask(eventful, "effect", chosen={"product": ("nothing",)}) == []


def test_the_interval_misses_the_truth_as_rarely_as_it_says_however_often_one_looks() -> None:
    """Two issues that begin one after the other, a tenth held out, a look after every 100 customers."""
    dice = np.random.default_rng(14)
    runs, looks, step = 500, 200, 100
    for odds in ((0.03, 0.01), (0.05, 0.20), (0.30, 0.45)):
        counts = np.zeros((runs, looks, 2, 2, 2))
        for stratum, first in enumerate((0, looks // 2)):
            held = dice.binomial(step, 0.1, (runs, looks)) * (np.arange(looks) >= first)
            spoken_to = step * (np.arange(looks) >= first) - held
            for group, people in enumerate((spoken_to, held)):
                counts[:, :, stratum, group, 0] = people.cumsum(1)
                counts[:, :, stratum, group, 1] = dice.binomial(people, odds[stratum]).cumsum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            difference, margin = effect_of(counts)
        everyone = counts.sum(2)
        enough = (everyone[..., 0].min(-1) >= LEAST_DRAWN) & (everyone[..., 1].sum(-1) >= LEAST_OUTCOMES)
        missed = (enough & (np.abs(difference) > margin)).any(1).mean()
        at_once = (enough & (np.abs(difference) > margin * 1.96 / 4.0)).any(1).mean()
        assert missed <= MISS, odds
        assert at_once > 3 * MISS, "looks as often as this would find an interval for one look wrong"


@pytest.mark.clickhouse
def test_decisions_deliveries_and_what_waits_are_those_of_the_seed(seeded: ClickHouse) -> None:
    everyone = sum(trouble.affected for trouble in TROUBLES)
    assert sum(row["notices"] for row in ask(seeded, "reasons")) == everyone
    assert sum(row["decisions"] for row in ask(seeded, "decisions")) == everyone
    (channel,) = ask(seeded, "delivery")
    assert (channel["channel"], channel["half_within"]) == ("webhook", "0 s")
    waits = ask(seeded, "waiting")
    by_status = {status: sum(row["waiting"] for row in waits if row["status"] == status)
                 for status in ("held", "pending")}  # fmt: skip
    figures = {row["decision"].partition(":")[0]: row["notices"] for row in ask(seeded, "reasons")}
    assert by_status == {"held": figures["held"], "pending": figures["pending"]}
    assert channel["waiting"] == by_status["pending"]
    assert channel["accepted"] == channel["offered"] == figures["sent"]
    (bar,) = ask(seeded, "budget")
    assert (bar["told"], bar["customers"]) == ("1", channel["accepted"])


@pytest.mark.clickhouse
def test_a_message_that_waits_past_its_deadline_is_called_too_late(writer: ClickHouse, reader: ClickHouse) -> None:
    rows = [_decision("i-1", f"c-{hours}", "hold", "approval", NOW - hours * HOUR, None) for hours in (1, 13, 15)]
    late = _decision("i-1", "c-sent", "send", "eligible", NOW - HOUR, None)
    Store(writer).write([batch("issue", [issue()]), batch("outreach", [*rows, late]), batch("cohort_count", [
        findings.BinClosed(partition=0, partitions=1, through_ms=NOW)])])  # fmt: skip
    held, sent = ask(reader, "waiting")
    assert (held["state"], held["waiting"], held["longest"]) == ("✗ too late", 3, "15 hours")
    assert (sent["state"], sent["status"]) == ("! due", "pending")


@pytest.mark.clickhouse
def test_a_contact_is_a_complaint_about_the_message_only_if_it_says_so(writer: ClickHouse, reader: ClickHouse) -> None:
    at = NOW - 3 * DAY
    delivered = [
        findings.Delivery(outreach_id=f"o-{number}", issue_id="i-1", customer_id=f"c-{number}", stage="notice",
                          channel="webhook", outcome="delivered", attempts=1, claimed_at_ms=at, done_at_ms=at)
        for number in range(40)
    ]  # fmt: skip
    contacts = [_contact(f"c-{number}", at + HOUR) for number in range(10)]
    contacts += [_contact("c-20", at + HOUR, subject_ids=("o-20",)), _contact("c-21", at + 50 * HOUR)]
    contacts += [_contact("c-22", at + 2 * HOUR, reason="notice")]
    store = Store(writer)
    store.write([batch("issue", [issue()]), batch("delivery", delivered), batch("contact_case", contacts)])
    store.write([batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=NOW)])])
    (row,) = ask(reader, "answers", hours=24 * 7)
    assert (row["told"], row["complained"], row["contacted"]) == (40, 2, 12)
    assert (row["complained_share"], row["contacted_share"]) == (2 / 40, 12 / 40)
    failed = [one.model_copy(update={"outcome": "failed"}) for one in delivered[19:]]
    store.write([batch("delivery", failed, ver=2)])
    (row,) = ask(reader, "answers", hours=24 * 7)
    assert (row["told"], row["complained_share"], row["contacted"]) == (19, None, 10)
