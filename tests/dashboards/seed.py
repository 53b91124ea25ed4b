"""A made-up afternoon, written through the store: three issues, one resolved; a producer silent for 2 minutes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from schemas import events, findings, issues
from schemas.events import Record
from schemas.fields import Money, Signal
from streams.agents.store import Store
from streams.runtime.batch import RawBatch
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.seed_vitals import vitals
from tests.sinks.examples import batch, euros

NOW = 1_767_355_200_000
"""2026-01-02T12:00:00Z."""
MINUTE = 60_000
BIN = 10_000
HISTORY_MIN = 360
SILENT_FROM, SILENT_TO = NOW - 42 * MINUTE, NOW - 40 * MINUTE
PRODUCERS = {
    ("telemetry", "app-android"): 24, ("telemetry", "app-ios"): 18, ("order", "web-shop"): 9, ("order", "carrier"): 6,
    ("contact", "call-centre"): 1,
}
"""Mean events per 10 s bin."""
RELEASES = (("5.1.0", "android"), ("5.2.0", "android"), ("7.0.1", "ios"))
LEAVES = [(*release, region) for release in RELEASES for region in ("DE", "FR")]
LIFT = findings.Assumption(name="churn_lift", value=0.02, unit="ratio", source="default", assumed=True)
TERMS = (
    LIFT,
    findings.Assumption(name="loyalty_drop", value=0.25, unit="ratio", source="default", assumed=True),
    findings.Assumption(name="contact_cost", value=500, unit="cents", source="default", assumed=True),
    findings.Assumption(name="margin_unknown", value=5_000, unit="cents", source="default", assumed=True),
)
"""Parameters of money. The figures of the afternoon are round ones, not made with them."""
SEGMENTS = ("business", "family", "")
APP_ATTRIBUTES = ("app_version", "platform", "region")


@dataclass(frozen=True)
class Trouble:
    """One issue of the made-up afternoon."""

    issue_id: str
    signal: Signal
    title: str
    cause: dict[str, str]
    state: issues.IssueState
    began_min: int
    """Minutes before NOW."""
    over_min: int | None
    affected: int
    contacted: int
    per_minute: int


TROUBLES = (
    Trouble("i-app", "app", "Android app 5.2.0 fails at checkout", {"app_version": "5.2.0", "platform": "android"},
            "escalating", 95, None, 412, 37, 48_20),
    Trouble("i-depot", "delivery", "Promises break at depot HAM-2", {"warehouse": "HAM-2"}, "open", 210, None, 268, 9,
            19_75),
    Trouble("i-pay", "payment", "paynow declines cards in FR", {"payment_provider": "paynow", "region": "FR"},
            "resolved", 290, 180, 133, 21, 0),
)

CHANGES = (
    events.Change(change_id="rel-5.2.0", changed_at_ms=NOW - 97 * MINUTE, change_kind="release", product="shop",
                  attributes={"app_version": "5.2.0"}, title="Android 5.2.0"),
)


def seed(client: ClickHouse) -> None:
    """Write the afternoon."""
    Store(client).write(list(batches()))


def appended(made: RawBatch, at_ms: int = NOW) -> RawBatch:
    """The batch as the broker stored it at that time; what claims to be from the future of it is refused."""
    return replace(made, timestamps=[at_ms] * len(made))


REPLAYED = (
    replace(TROUBLES[0], issue_id="i-app-earlier", began_min=107, affected=430),
    replace(TROUBLES[2], issue_id="i-pay-wider", title="paynow declines cards", cause={"payment_provider": "paynow"}),
    Trouble("i-calls", "contact", "Customers report parcels that did not come", {"reason": "lost"}, "open", 60, None,
            40, 40, 3_00),
)
"""The same afternoon as another configuration would have seen it: one issue earlier, one with a wider cause, one more;
what the depot does is not seen."""


def batches(troubles: Sequence[Trouble] = TROUBLES) -> Iterator[RawBatch]:
    """The afternoon as batches of the line's topics, with these issues found in it."""
    chance = random.Random(7)
    yield batch("source_count", [*_source_counts(chance)])
    yield batch("cohort_count", [*_cohort_counts(chance),
                                 *(findings.BinClosed(partition=p, partitions=2, through_ms=NOW) for p in (0, 1))])
    for trouble in troubles:
        yield batch("issue", [_issue(trouble, "recovering")] if trouble.over_min else [], ver=1)
        yield batch("issue", [_issue(trouble)], ver=2)
        yield batch("impact", [*_impacts(trouble)], ver=2)
        yield batch("affected", [*_affected(trouble)], ver=2)
        yield batch("episode", [*_episodes(trouble)], ver=2)
        yield appended(batch("customer", [*_customers(trouble)]))
        yield from _outreach(trouble, chance)
    yield appended(batch("change", CHANGES))
    yield batch("channel", [
        findings.ChannelState(channel="webhook", partition=0, state="closed", since_ms=NOW - 300 * MINUTE),
        findings.ChannelState(channel="webhook", partition=1, state="paused", reason="gone", since_ms=NOW - 4 * MINUTE),
        findings.ChannelState(channel="webhook", partition=2, state="paused", reason="gone", since_ms=NOW - 5 * MINUTE),
        findings.ChannelState(channel="webhook", partition=3, state="open", reason="http_401", since_ms=NOW - MINUTE),
    ])
    reject_headers = {"dlq.reason": b"schema", "dlq.field": b"status", "dlq.rule": b"should be a known status"}
    yield batch("order.dlq", [b"{}"] * 3, headers=[list(reject_headers.items())] * 3)
    yield from spoken(NOW)


def spoken(now_ms: int) -> Iterator[RawBatch]:
    """What the processes reported in the last hour."""
    for one in vitals(now_ms):
        yield batch("vital", [one], appended_ms=one.at_ms)


def _source_counts(chance: random.Random) -> Iterator[Record]:
    for start in range(NOW - HISTORY_MIN * MINUTE, NOW, BIN):
        for (topic, source), mean in PRODUCERS.items():
            if source == "app-ios" and SILENT_FROM <= start < SILENT_TO:
                continue
            if source == "carrier" and start >= NOW - MINUTE:
                continue
            for partition in (0, 1):
                events = int(chance.gauss(mean / 2, mean**0.5 / 3) + 0.5)
                if events > 0:
                    yield findings.SourceCount(topic=topic, source=source, partition=partition, bin_ms=start,
                                               width_ms=BIN, events=events)


def _cohort_counts(chance: random.Random) -> Iterator[Record]:
    began = NOW - TROUBLES[0].began_min * MINUTE
    for start in range(NOW - HISTORY_MIN * MINUTE, NOW, BIN):
        leaves = []
        for values in LEAVES:
            exposed = chance.randint(2, 6)
            rate = 0.35 if values[0] == "5.2.0" and start >= began else 0.01
            failed = sum(chance.random() < rate for _ in range(exposed))
            leaves.append(findings.LeafCount(values=values, exposed=exposed,
                                             failed=tuple(sorted(chance.getrandbits(63) for _ in range(failed)))))
        yield findings.CohortCount(line="shop", signal="app", bin_ms=start, width_ms=BIN, partition=0,
                                   attributes=APP_ATTRIBUTES, leaves=tuple(leaves), closed=True)


def _issue(trouble: Trouble, earlier: issues.IssueState | None = None) -> issues.Issue:
    """The issue as it stands; ``earlier``: as it stood in that state, 15 minutes before it was over."""
    changes = tuple(change.change_id for change in CHANGES if change.attributes.items() <= trouble.cause.items())
    cause = issues.Cause(attributes=trouble.cause, risk_ratio=11.2, risk_ratio_low=8.1, risk_ratio_high=15.6,
                         support=0.94, exposed=1_180, failed=trouble.affected, changes=changes)
    began = NOW - trouble.began_min * MINUTE
    over = None if trouble.over_min is None else NOW - trouble.over_min * MINUTE
    resolved = None if earlier else over
    return issues.Issue(
        issue_id=trouble.issue_id, root_id=trouble.issue_id, line="shop", signal=trouble.signal,
        state=earlier or trouble.state, title=trouble.title, cause=cause, opened_at_ms=began,
        detected_at_ms=began + 4 * MINUTE, shown_at_ms=began + 4 * MINUTE + 30_000,
        updated_at_ms=(over or NOW) - (15 * MINUTE if earlier else 0), resolved_at_ms=resolved,
        end_reason="recovered" if resolved else None, scale_ms=BIN, expected=12.5, observed=float(trouble.affected),
        ratio_low=8.1, provisional=True,
    )


def _impacts(trouble: Trouble) -> Iterator[Record]:
    end = trouble.over_min or 0
    steps = range(trouble.began_min - 4, end - 1, -2)
    for step, before in enumerate(steps, 1):
        share = step / len(steps)
        affected, contacted = int(trouble.affected * share), int(trouble.contacted * share)
        yield findings.Impact(
            issue_id=trouble.issue_id, line="shop", signal=trouble.signal, affected=affected, contacted=contacted,
            silent=affected - contacted, at_risk=euros(affected * 2_990), at_risk_low=euros(affected * 1_100),
            at_risk_high=euros(affected * 5_200), per_minute=euros(trouble.per_minute), service=euros(contacted * 650),
            amounts=(*euros(affected * 4_990), Money(currency="JPY", minor=127_650)), as_of_ms=NOW - before * MINUTE,
            assumptions=TERMS,
        )


def _affected(trouble: Trouble) -> Iterator[Record]:
    began = NOW - trouble.began_min * MINUTE
    for number in range(trouble.affected):
        hit = began + number * 9_000
        yield findings.Affected(
            issue_id=trouble.issue_id, root_id=trouble.issue_id, customer_id=f"c-{trouble.signal}-{number:04d}",
            line="shop", signal=trouble.signal, known_at_ms=hit, first_failed_ms=hit, last_failed_ms=hit + 1_000,
            contacted_at_ms=hit + 300_000 if number < trouble.contacted else None, amounts=euros(4_990),
            value_cents=value_of(number), put_right_ms=hit + 40 * MINUTE if number % 10 == 0 else None,
        )


def _episodes(trouble: Trouble) -> Iterator[Record]:
    began = NOW - trouble.began_min * MINUTE
    for number in range(trouble.affected):
        hit, of = began + number * 9_000, {**trouble.cause, "region": region_of(trouble, number)}
        leaf = findings.LeafEvidence(values=tuple(of.values()), first_ms=hit, last_ms=hit + 1_000, failures=1)
        yield findings.Episode(
            customer_id=f"c-{trouble.signal}-{number:04d}", line="shop", signal=trouble.signal,
            window_ms=hit - hit % (60 * MINUTE), attributes=tuple(of), leaves=(leaf,), first_failed_ms=hit,
            last_failed_ms=hit + 1_000, failures=1, evidence=(f"e-{number}",), amounts=euros(4_990),
        )


def _customers(trouble: Trouble) -> Iterator[Record]:
    for number in range(trouble.affected):
        value = value_of(number)
        if value is not None:
            yield events.Customer(
                customer_id=f"c-{trouble.signal}-{number:04d}", updated_at_ms=NOW - 24 * 60 * MINUTE,
                segment=segment_of(number), value_cents=value,
            )


def value_of(number: int) -> int | None:
    """Margin of a customer over 12 months, cents; nothing is known of every third."""
    return (3_000, 12_000, 60_000, 250_000)[number % 4] if number % 3 else None


def segment_of(number: int) -> str:
    """Segment of a customer of whom something is known; empty if it is not known."""
    return SEGMENTS[number // 3 % len(SEGMENTS)]


def region_of(trouble: Trouble, number: int) -> str:
    """Where a customer was when it failed."""
    return trouble.cause.get("region", ("DE", "FR", "DE")[number % 3])


DECISIONS: tuple[tuple[findings.Decision, str], ...] = (
    ("send", "eligible"), ("hold", "quiet_hours"), ("refuse", "consent"), ("refuse", "budget"), ("hold_out", "holdout"),
)


def _outreach(trouble: Trouble, chance: random.Random) -> Iterator[RawBatch]:
    decisions, deliveries = [], []
    for number in range(trouble.affected):
        decision, reason = chance.choices(DECISIONS, (70, 6, 10, 4, 10))[0]
        record = findings.Outreach(
            outreach_id=f"o-{trouble.issue_id}-{number}", issue_id=trouble.issue_id, root_id=trouble.issue_id,
            customer_id=f"c-{trouble.signal}-{number:04d}", stage="notice", decision=decision, reason=reason,
            channel="webhook" if decision == "send" else None, address="a-1", template="notice/1", title=trouble.title,
            decided_at_ms=NOW - (trouble.began_min - 5) * MINUTE + number * 1_000,
            not_before_ms=NOW - trouble.began_min * MINUTE, deadline_ms=NOW + 60 * MINUTE,
            drawn_at_ms=None if decision == "refuse" else NOW - (trouble.began_min - 5) * MINUTE + number * 1_000,
        )
        decisions.append(record)
        if decision == "send" and number % 50:
            deliveries.append(findings.Delivery(
                outreach_id=record.outreach_id, issue_id=record.issue_id, customer_id=record.customer_id,
                stage="notice", channel="webhook", outcome="delivered", attempts=1,
                claimed_at_ms=record.decided_at_ms,
                done_at_ms=record.decided_at_ms + 90,
            ))
    yield batch("outreach", decisions, ver=2)
    yield batch("delivery", deliveries, ver=2)
