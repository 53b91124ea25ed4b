"""What the rooms say to each other: the derived records, one JSON object per Kafka record with a ``kind``.

All counts are absolute, never increments: a later record of the same natural key replaces the earlier one.
Revision, flush number and wall time travel in the ``cx.ver`` header, never in the record, so that the canonical
findings of two runs can be compared byte for byte.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events import Cents, Channel, Label, Origin, Record, TimeMs, Token
from schemas.fields import (
    T0,
    Amounts,
    Attributes,
    BinStart,
    Count,
    CustomerId,
    FailureOrigin,
    Figure,
    FirstFailed,
    IssueId,
    LastFailed,
    Line,
    OutreachId,
    Partition,
    PutRight,
    RootId,
    SignalName,
    Through,
    Values,
    Width,
    euros,
)

_HASHES = [1_311_768_467_463_790_320, 12_379_813_738_877_118_345]

class LeafCount(Record):
    """Counts of one leaf cohort (one full tuple of attribute values) in one bin."""

    values: Values
    exposed: Count = Field(description="Distinct customers who could have failed in the bin", examples=[120])
    failed: Annotated[tuple[int, ...], Field(strict=False)] = Field(
        description="Sorted unsigned 64-bit hashes of the distinct customers who failed in the bin", examples=[_HASHES])


class CohortCount(Record):
    """All leaf cohorts of one signal in one bin from one source partition. Key: service line."""

    kind: Literal["cohort_count"] = "cohort_count"
    line: Line
    signal: SignalName
    bin_ms: BinStart
    width_ms: Width
    partition: Partition
    attributes: Attributes
    leaves: Annotated[tuple[LeafCount, ...], Field(strict=False)] = Field(
        description="Leaves, sorted by values",
        examples=[[{"values": ["5.2.0", "DE"], "exposed": 120, "failed": _HASHES}]],
    )
    closed: bool = Field(
        description="True once the watermark passed the bin; detect reads closed ones only", examples=[True])


class BinClosed(Record):
    """A source partition promises: no more closed counts for bins that start before ``through_ms``."""

    kind: Literal["bin_closed"] = "bin_closed"
    partition: Partition
    partitions: Annotated[int, Field(ge=1)] = Field(
        description="Number of source partitions; detect waits for all", examples=[4])
    through_ms: Through


class SeenValue(Record):
    """Customers in whose events one value of one attribute was seen."""

    attribute: Label = Field(description="Attribute", examples=["app_version"])
    value: Label = Field(description="Value", examples=["5.2.0"])
    customers: Annotated[tuple[int, ...], Field(strict=False)] = Field(
        description="The smallest 20 unsigned 64-bit hashes of the customers, sorted", examples=[_HASHES])


class ValuesSeen(Record):
    """Who was seen with which values in one closed bin, of one bin in five minutes: what tells a value that many
    customers have from one that somebody made up. Key: service line."""

    kind: Literal["values_seen"] = "values_seen"
    line: Line
    signal: SignalName
    bin_ms: BinStart
    partition: Partition
    values: Annotated[tuple[SeenValue, ...], Field(strict=False)] = Field(
        description="Values, sorted by attribute and value; those of the most customers if there are very many",
        examples=[[{"attribute": "app_version", "value": "5.2.0", "customers": _HASHES}]],
    )


class SourceCount(Record):
    """Events of one producer on one topic in one closed bin, from one partition (stream health, no data)."""

    kind: Literal["source_count"] = "source_count"
    topic: Label = Field(description="Noun of the topic", examples=["telemetry"])
    source: Label = Field(description="The producer", examples=["app-android"])
    partition: Partition
    bin_ms: BinStart
    width_ms: Width
    events: Count = Field(description="Accepted events", examples=[512])
    late: Count = Field(default=0, description="Events behind the disorder bound", examples=[3])
    duplicates: Count = Field(default=0, description="Events seen before", examples=[1])


class LeafEvidence(Record):
    """Failures of one customer in one leaf cohort inside one episode."""

    values: Values
    first_ms: FirstFailed
    last_ms: LastFailed
    failures: Count = Field(description="Distinct failure events", examples=[2])
    put_right_ms: PutRight = None
    origin: FailureOrigin = "live"


class Episode(Record):
    """One customer's connected evidence: failures of one signal in one hour, and the contacts about them.

    Natural key: (customer_id, line, signal, window_ms). Key on the wire: customer.
    """

    kind: Literal["episode"] = "episode"
    customer_id: CustomerId
    line: Line
    signal: SignalName
    window_ms: TimeMs = Field(description="Start of the aligned one-hour window, ms since 1970 UTC", examples=[T0])
    attributes: Attributes
    leaves: Annotated[tuple[LeafEvidence, ...], Field(strict=False)] = Field(
        description="At most 8, earliest first",
        examples=[[{"values": ["5.2.0", "DE"], "first_ms": T0 + 4_000, "last_ms": T0 + 9_000, "failures": 2}]],
    )
    first_failed_ms: FirstFailed
    last_failed_ms: LastFailed
    failures: Count = Field(description="Distinct failure events", examples=[2])
    evidence: Annotated[tuple[Token, ...], Field(strict=False)] = Field(
        description="Up to 5 event ids, earliest first", examples=[["01J9-7f3a"]])
    amounts: Amounts = ()
    contacted_at_ms: TimeMs | None = Field(
        default=None, description="Earliest contact about it", examples=[T0 + 60_000])
    contacts: Count = Field(default=0, description="Distinct contacts about it", examples=[1])
    put_right_ms: PutRight = None
    origin: FailureOrigin = "live"


class Watermark(Record):
    """Progress of the writer: every later record on this partition has a decisive time at or after ``through_ms``."""

    kind: Literal["watermark"] = "watermark"
    partition: Partition
    through_ms: Through


class Respite(Record):
    """Everything that had failed was put right at ``since_ms``, and the next failure came at ``until_ms``."""

    since_ms: TimeMs = Field(description="When the last of it was put right, event time", examples=[T0 + 60_000])
    until_ms: TimeMs = Field(description="When it failed again, event time", examples=[T0 + 3_000_000])


class Affected(Record):
    """One customer hit by one issue. Natural key: (issue_id, customer_id). Key on the wire: customer."""

    kind: Literal["affected"] = "affected"
    issue_id: IssueId
    root_id: RootId
    customer_id: CustomerId
    line: Line
    signal: SignalName
    known_at_ms: TimeMs = Field(
        description="max(issue detected, customer's first failure), event time", examples=[T0 + 90_000])
    first_failed_ms: FirstFailed
    last_failed_ms: LastFailed
    contacted_at_ms: TimeMs | None = Field(default=None, description="First contact about it", examples=[T0 + 60_000])
    amounts: Amounts = ()
    value_cents: Cents | None = Field(
        default=None, description="Margin over 12 months, cents of the company's currency; none = no profile",
        examples=[12_000],
    )  # fmt: skip
    put_right_ms: PutRight = None
    origin: Origin = Field(default="live", description="Where the events behind it come from", examples=["live"])
    respites: Annotated[tuple[Respite, ...], Field(strict=False)] = Field(
        default=(), description="Earlier times in which all was put right, until it failed again; the latest 16",
        examples=[[{"since_ms": T0 + 60_000, "until_ms": T0 + 3_000_000}]],
    )  # fmt: skip


class AffectedCount(Record):
    """Customers of one source partition hit by one issue, absolute. Natural key: (issue_id, partition)."""

    kind: Literal["affected_count"] = "affected_count"
    issue_id: IssueId
    partition: Partition
    line: Line
    signal: SignalName
    open: bool = Field(description="False once the issue is resolved", examples=[True])
    affected: Count = Field(description="Distinct customers hit", examples=[130])
    contacted: Count = Field(description="Of these, who contacted the company about it", examples=[4])
    silent: Count = Field(description="Of these, who did not", examples=[126])
    recent: Count = Field(description="Affected whose first failure lies in the 15 minutes before as_of", examples=[37])
    value_cents: Cents = Field(
        description="Sum of known 12-month margins, cents of the company's currency", examples=[1_440_000])
    valued: Count = Field(description="How many of the affected have a known margin", examples=[120])
    amounts: Amounts
    as_of_ms: TimeMs = Field(description="Last change or last failure seen, event time", examples=[T0 + 90_000])


class Assumption(Record):
    """One parameter behind a money figure."""

    name: Label = Field(description="Name of the parameter", examples=["churn_ratio_per_failure"])
    value: float = Field(description="Its value, in unit", examples=[0.04])
    unit: Label = Field(description="Its unit", examples=["ratio"])
    source: Label = Field(description="Where the value comes from", examples=["default"])
    assumed: bool = Field(description="True for a default, false for a measured or configured value", examples=[True])


class Impact(Record):
    """What an issue costs. Natural key: issue_id. Its figures are in the company's currency, a list of one entry."""

    kind: Literal["impact"] = "impact"
    issue_id: IssueId
    line: Line
    signal: SignalName
    affected: Count = Field(description="Distinct customers hit", examples=[130])
    contacted: Count = Field(description="Of these, who contacted the company about it", examples=[4])
    silent: Count = Field(description="Of these, who did not", examples=[126])
    at_risk: Figure = Field(description="Money at risk", examples=[euros(57_600)])
    at_risk_low: Figure = Field(description="Money at risk, lower end of what is plausible", examples=[euros(28_800)])
    at_risk_high: Figure = Field(description="Money at risk, upper end of what is plausible", examples=[euros(115_200)])
    per_minute: Figure = Field(description="Cost of another minute of inaction; 0 if resolved", examples=[euros(960)])
    service: Figure = Field(description="Cost of handling the contacts", examples=[euros(2_400)])
    amounts: Amounts
    assumptions: Annotated[tuple[Assumption, ...], Field(strict=False)] = Field(
        description="Every parameter behind the figures",
        examples=[[{"name": "churn_ratio_per_failure", "value": 0.04, "unit": "ratio", "source": "default",
                    "assumed": True}]],
    )
    as_of_ms: TimeMs = Field(description="Newest event behind the figures, event time", examples=[T0 + 90_000])


Decision = Literal["send", "hold", "refuse", "hold_out"]
Stage = Literal["notice", "all_clear"]
StageName = Annotated[Stage, Field(description="First notice, or word that it is mended", examples=["notice"])]


class Outreach(Record):
    """A decision about one customer and one issue. Natural key: (root issue, customer, stage) = outreach_id."""

    kind: Literal["outreach"] = "outreach"
    outreach_id: OutreachId
    issue_id: IssueId
    root_id: RootId
    customer_id: CustomerId
    stage: StageName
    decision: Decision = Field(description="What to do", examples=["send"])
    reason: Label = Field(
        description="Why: consent, opted_out, quiet_hours, budget, approval, muted, stopped, ...", examples=["eligible"]
    )
    channel: Channel | None = Field(default=None, description="Channel; none unless sending", examples=["webhook"])
    address: Label = Field(default="", description="Opaque address token", examples=["a-8f31"])
    language: Label = Field(default="en", description="BCP 47 language of the notice", examples=["de"])
    time_zone: Label = Field(default="", description="IANA zone of the customer", examples=["Europe/Berlin"])
    template: Label = Field(default="", description="Template name and version", examples=["notice.v1"])
    title: Label = Field(
        default="", description="Title of the issue in plain words", examples=["Checkout fails on 5.2.0"])
    cause_text: Label = Field(default="", description="Cause in plain words", examples=["app version 5.2.0"])
    decided_at_ms: TimeMs = Field(description="When it was decided, event time", examples=[T0 + 95_000])
    not_before_ms: TimeMs = Field(description="Earliest time to send (quiet hours)", examples=[T0 + 95_000])
    deadline_ms: TimeMs = Field(description="Useless after this time", examples=[T0 + 14_400_000])
    drawn_at_ms: TimeMs | None = Field(
        default=None, examples=[T0 + 95_000],
        description="When it was drawn whether to tell this customer or to hold out, whatever became of it later",
    )  # fmt: skip


DeliveryOutcome = Literal["claimed", "waiting", "delivered", "failed", "expired", "suppressed", "unknown"]
"""waiting: was offered and surely not accepted; a later claim offers it again."""


class Delivery(Record):
    """What became of one decision to send. Natural key: outreach_id."""

    kind: Literal["delivery"] = "delivery"
    outreach_id: OutreachId
    issue_id: IssueId
    customer_id: CustomerId
    stage: StageName
    channel: Channel = Field(description="Channel", examples=["webhook"])
    outcome: DeliveryOutcome = Field(description="What became of it so far", examples=["delivered"])
    reason: Label = Field(default="", description="Why, unless delivered", examples=["http_503"])
    attempts: Count = Field(default=0, description="Attempts to send", examples=[1])
    claimed_at_ms: TimeMs = Field(description="When the sender claimed it, the sender's clock", examples=[T0 + 96_000])
    done_at_ms: TimeMs | None = Field(
        default=None, description="When it was settled, the sender's clock", examples=[T0 + 96_500])


ChannelCondition = Literal["closed", "open", "paused"]
"""Of the channel's circuit breaker. closed: sends; open: the receiver accepts nothing, only probes are sent; paused: it
said that it is gone (410), nothing is sent until an operator resumes the channel."""


class ChannelState(Record):
    """How a channel stands, as one partition of the sender sees it. Natural key: (channel, partition)."""

    kind: Literal["channel"] = "channel"
    channel: Channel = Field(description="Channel", examples=["webhook"])
    partition: Partition
    state: ChannelCondition = Field(description="State of its circuit breaker", examples=["paused"])
    reason: Label = Field(default="", description="Last answer that accepted nothing", examples=["gone"])
    since_ms: TimeMs = Field(description="Since when, the sender's clock", examples=[T0 + 96_000])


class Late(Record):
    """An event older than the allowed lateness: kept apart, changes nothing."""

    kind: Literal["late"] = "late"
    topic: Label = Field(description="Noun of the topic it came from", examples=["order"])
    partition: Partition
    offset: Count = Field(description="Offset it was read at", examples=[18_122])
    source: Label = Field(description="The producer", examples=["erp"])
    event_time_ms: TimeMs = Field(description="When it happened", examples=[T0 - 172_800_000])
    watermark_ms: TimeMs = Field(description="Newest event time of the topic partition at its arrival", examples=[T0])


class Tick(Record):
    """An idle input was passed: replay applies it at exactly these offsets."""

    kind: Literal["tick"] = "tick"
    room: Label = Field(description="The room that passed it", examples=["join"])
    partition: Partition
    event_time_ms: TimeMs = Field(description="Time that the idle topics are taken to have reached", examples=[T0])
    offsets: dict[Label, Count] = Field(
        description="Next offset per input topic at which the tick applies",
        examples=[{"order": 18_122, "contact": 940}],
    )


class Cut(Record):
    """Records were fed that act when they arrive (orders, changes, profiles): where, and how far the room had come.

    A replay feeds them in the same slices once its room has come exactly as far.
    """

    kind: Literal["cut"] = "cut"
    room: Label = Field(description="The room they were fed to", examples=["outreach"])
    partition: Partition
    topic: Label = Field(description="Noun of the input", examples=["command"])
    steps: Annotated[tuple[Count, ...], Field(strict=False)] = Field(
        description="Next offset behind each of the slices that were fed one after the other", examples=[[13, 14]])
    clocks: dict[Label, Count] = Field(
        description="Event time that each derived input had reached, ms since 1970 UTC; 0 if none was read",
        examples=[{"affected": T0 + 95_000, "issue": T0 + 100_000}],
    )  # fmt: skip
    offsets: dict[Label, Count] = Field(
        description="Next offset per input topic before the first slice",
        examples=[{"affected": 2_214, "customer": 900, "command": 12, "issue": 87}],
    )  # fmt: skip
    refused: Annotated[tuple[Count, ...], Field(strict=False)] = Field(
        default=(), description="Offsets of orders that were not let in: unreadable, refused or copies",
        examples=[[12]])
