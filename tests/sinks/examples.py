"""One valid record of every kind, and batches made of them."""

from __future__ import annotations

from collections.abc import Sequence

from schemas import events, experience, findings, issues, vitals
from schemas.codec import encode
from schemas.events import HEARTBEAT_KEY, Record
from schemas.fields import Money
from streams.runtime.batch import Headers, RawBatch

DAY = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
CAUSE = issues.Cause(
    attributes={"app_version": "5.2.0", "platform": "android"}, risk_ratio=9.5, risk_ratio_low=6.0,
    risk_ratio_high=14.0, support=0.97, exposed=800, failed=240, changes=("rel-5.2.0",),
)


def cohort(failed: tuple[int, ...] = (1, 2**63 + 1), closed: bool = True, leaves: int = 1) -> findings.CohortCount:
    """Counts of one bin."""
    return findings.CohortCount(
        line="shop", signal="app", bin_ms=DAY, width_ms=10_000, partition=0, attributes=("app_version", "platform"),
        leaves=tuple(
            findings.LeafCount(values=(f"5.{number}", "android"), exposed=9, failed=failed) for number in range(leaves)
        ),
        closed=closed,
    )


def profile(updated: int) -> events.Customer:
    """Profile of one customer."""
    return events.Customer(customer_id="c-1", updated_at_ms=updated, segment="gold", value_cents=12_000)

EVIDENCE = (
    issues.StreamEvidence(topic="telemetry", signal="app", since_ms=DAY, expected=21.5, observed=130.0),
    issues.StreamEvidence(topic="order", signal="returns", since_ms=DAY + 60_001, expected=0.25, observed=4.0),
)


def issue(**changes: object) -> issues.Issue:
    """An open issue."""
    known = issues.Issue(
        issue_id="i-1", root_id="i-1", line="shop", signal="app", state="open", title="App 5.2.0 fails on android",
        cause=CAUSE, opened_at_ms=DAY, detected_at_ms=DAY + 60_000, updated_at_ms=DAY + 70_000, scale_ms=10_000,
        expected=3.0, observed=40.0, ratio_low=6.0, provisional=True,
    )
    return known.model_copy(update=changes)


def euros(cents: int) -> tuple[Money, ...]:
    """An amount in the company's currency."""
    return (Money(currency="EUR", minor=cents),)


def impact(**changes: object) -> findings.Impact:
    """What the issue costs."""
    known = findings.Impact(
        issue_id="i-1", line="shop", signal="app", affected=420, contacted=31, silent=389,
        at_risk=euros(1_234_500), at_risk_low=euros(600_000), at_risk_high=euros(2_000_000), per_minute=euros(9_900),
        service=euros(18_600), amounts=(*euros(1_093_430), Money(currency="JPY", minor=127_650)),
        as_of_ms=DAY + 130_000,
        assumptions=(findings.Assumption(name="churn_lift", value=0.02, unit="ratio", source="default", assumed=True),),
    )
    return known.model_copy(update=changes)


def outreach(**changes: object) -> findings.Outreach:
    """A decision to send."""
    known = findings.Outreach(
        outreach_id="o-1", issue_id="i-1", root_id="i-1", customer_id="c-1", stage="notice", decision="send",
        reason="eligible", channel="webhook", address="a-1", template="notice/1", title="App fails", cause_text="5.2.0",
        decided_at_ms=DAY + 90_000, not_before_ms=DAY + 90_000, deadline_ms=DAY + 3_600_000,
    )
    return known.model_copy(update=changes)


def contact_case(**changes: object) -> experience.ContactCase:
    """A contact that ended well."""
    known = experience.ContactCase(
        customer_id="c-1", contact_id="k-1", line="shop", channel="phone", mode="automatic", last_mode="human",
        reason="delivery", language="de", region="DE", order_id="o-1", subject_ids=("o-1", "t-9"), opened_at_ms=DAY,
        last_at_ms=DAY + 400_000, answered_at_ms=DAY + 42_000, wait_ms=42_000, handle_ms=180_000, abandoned=False,
        transfers=1, first_resolved_at_ms=DAY + 400_000, resolved_at_ms=DAY + 400_000, reopened=0, csat=4, effort=2,
        repeat_of="k-0", channel_before="chat", mode_before="automatic", outcome="resolved",
        first_contact_resolved=True, origin="live",
    )  # fmt: skip
    return known.model_copy(update=changes)


def order_outcome(**changes: object) -> experience.OrderOutcome:
    """An order that is not done yet, and was not right."""
    known = experience.OrderOutcome(
        customer_id="c-1", order_id="o-1", line="shop", region="DE", placed_at_ms=DAY, ended="",
        failed_at_ms=DAY + 60_000, contacted_at_ms=DAY + 90_000, contacts=1, replaced_by="",
        reasons=("contacted", "payment_failed"), outcome="wrong", first_time_right=False, origin="live",
    )
    return known.model_copy(update=changes)


def task_vital(**changes: object) -> vitals.TaskVital:
    """What a worker says about one partition."""
    known = vitals.TaskVital(partition=0, opened_ms=DAY, position=90, end=97, behind={"order": 5, "contact": 2},
                            records={"accepted": 88, "dead": 2}, state_keys=12, state_bytes=3_400)
    return known.model_copy(update=changes)


def vital(**changes: object) -> vitals.Vital:
    """What a worker says about the room join, of which it has one partition."""
    known = vitals.Vital(
        room="join", process="worker-a", started_ms=DAY - 5_000, at_ms=DAY + 40_000, phase="running", ready=True,
        flushes=9, flush_ms=120, flush_max_ms=31, written=44, tasks=(task_vital(),),
    )
    return known.model_copy(update=changes)


EXAMPLES: dict[str, tuple[Record, ...]] = {
    "telemetry": (
        events.Telemetry(event_id="t-1", event_time_ms=DAY, customer_id="c-1", source="app-android", product="shop",
                         event_name="checkout", outcome="ok"),
    ),
    "order": (
        events.Order(event_id="o-1", event_time_ms=DAY, customer_id="c-1", source="shop", order_id="o-1",
                     status="placed", product="shop", amount_cents=4_990, currency="EUR", promised_at_ms=DAY + 9,
                     attributes={"shop": "web", "lot": "24-118"}),
    ),
    "contact": (
        events.Contact(event_id="k-1", event_time_ms=DAY, customer_id="c-1", source="crm", contact_id="k-1",
                       channel="phone", text="Where is it?", csat=4, attributes={"plan": "family"},
                       subject_ids=("o-1", "t-9")),
    ),
    "customer": (profile(DAY),),
    "change": (
        events.Change(change_id="rel-5.2.0", changed_at_ms=DAY, change_kind="release",
                      attributes={"app_version": "5.2.0"}, title="Android 5.2.0"),
    ),
    "command": (events.Command(command_id="cmd-1", issued_at_ms=DAY, action="approve", issue_id="i-1"),),
    "control": (events.Command(command_id="cmd-2", issued_at_ms=DAY, action="stop"),),
    "cohort_count": (cohort(), findings.BinClosed(partition=0, partitions=4, through_ms=DAY + 10_000)),
    "source_count": (
        findings.SourceCount(topic="telemetry", source="app-android", partition=0, bin_ms=DAY, width_ms=10_000,
                             events=12, late=1, duplicates=2),
    ),
    "episode": (
        findings.Episode(
            customer_id="c-1", line="shop", signal="app", window_ms=DAY, attributes=("app_version", "platform"),
            leaves=(findings.LeafEvidence(values=("5.2.0", "android"), first_ms=DAY, last_ms=DAY + 5, failures=2),),
            first_failed_ms=DAY, last_failed_ms=DAY + 5, failures=2, evidence=("t-1", "t-2"),
            amounts=(*euros(4_990), Money(currency="KWD", minor=1_250)),
        ),
        findings.Watermark(partition=0, through_ms=DAY),
    ),
    "issue": (issue(),),
    "affected": (
        findings.Affected(issue_id="i-1", root_id="i-1", customer_id="c-1", line="shop", signal="app",
                          known_at_ms=DAY + 60_000, first_failed_ms=DAY, last_failed_ms=DAY + 5, value_cents=None),
    ),
    "affected_count": (
        findings.AffectedCount(issue_id="i-1", partition=0, line="shop", signal="app", open=True, affected=105,
                               contacted=8, silent=97, recent=20, value_cents=9_000, valued=3,
                               amounts=euros(4_990), as_of_ms=DAY),
    ),
    "impact": (impact(),),
    "outreach": (outreach(),),
    "delivery": (
        findings.Delivery(outreach_id="o-1", issue_id="i-1", customer_id="c-1", stage="notice", channel="webhook",
                          outcome="delivered", attempts=1, claimed_at_ms=DAY + 91_000, done_at_ms=DAY + 91_200),
    ),
    "contact_case": (contact_case(),),
    "order_outcome": (order_outcome(),),
    "channel": (
        findings.ChannelState(channel="webhook", partition=0, state="paused", reason="gone", since_ms=DAY + 92_000),
    ),
    "late": (
        findings.Late(topic="telemetry", partition=0, offset=9, source="app-android", event_time_ms=DAY,
                      watermark_ms=DAY + 700_000),
    ),
    "tick": (findings.Tick(room="join", partition=0, event_time_ms=DAY, offsets={"order": 4}),),
    "vital": (vital(),),
}


def batch(
    noun: str,
    records: Sequence[Record | bytes],
    ver: int = 1,
    headers: Sequence[Headers] | None = None,
    start: int = 0,
    partition: int = 0,
    appended_ms: int = DAY,
) -> RawBatch:
    """A batch of one topic partition at offsets ``start``..., each record with the version ``ver``, all appended at
    ``appended_ms``."""
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    keys = [HEARTBEAT_KEY if isinstance(record, events.Heartbeat) else b"c-1" for record in records]
    stamped: list[Headers] = [[("cx.ver", str(ver).encode())] for _ in values]
    size = len(values)
    return RawBatch(noun, partition, start, start + size, range(start, start + size), keys, values,
                    headers if headers is not None else stamped, [appended_ms] * size)
