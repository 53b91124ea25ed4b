"""What companies tell us: the input records.

Wire form: UTF-8 JSON objects, one per Kafka record, keyed by ``customer_id`` (or CloudEvents 1.0 binary mode: the
context attributes in ``ce_*`` headers, the rest in the body). Times are integers, milliseconds since 1970 UTC.
Unknown fields are ignored and counted; every constraint here also holds in the hot decoder (``schemas.hot``).

Text: tokens and labels hold no control characters (C0, DEL, C1), no line or paragraph separators and no marks or
overrides of writing direction, because they end up in keys, labels, boards and logs, where such characters forge
lines or reverse what is read. Free text keeps everything but NUL: it is stored as data and never leaves join. Lone
surrogates are no Unicode text and are refused everywhere.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2
"""The newest version of the input contract that this build understands; older ones are read for ever."""

MIN_TIME_MS = 946_684_800_000
"""2000-01-01T00:00:00Z: earlier times are units mixed up (seconds) or defaults."""
MAX_TIME_MS = 4_102_444_800_000
"""2100-01-01T00:00:00Z: later times are units mixed up (micro- or nanoseconds)."""

TimeMs = Annotated[int, Field(ge=MIN_TIME_MS, le=MAX_TIME_MS)]
PLAIN_TEXT = r"^[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$"
"""Pattern of tokens and labels: one line, read in the order in which it is stored."""
FREE_TEXT = r"^[^\x00]*$"
"""Pattern of free text."""
Token = Annotated[str, Field(min_length=1, max_length=128, pattern=PLAIN_TEXT)]
Label = Annotated[str, Field(max_length=128, pattern=PLAIN_TEXT)]
AttributeName = Annotated[str, Field(min_length=1, max_length=64, pattern=PLAIN_TEXT)]
Attributes = Annotated[dict[AttributeName, Label], Field(max_length=30)]
"""The company's own dimensions of an event: name -> value."""
Subjects = Annotated[tuple[Token, ...], Field(max_length=16, strict=False)]
DurationMs = Annotated[float, Field(ge=0, le=1e9)]
CurrencyCode = Annotated[str, Field(max_length=3, pattern=PLAIN_TEXT)]
Cents = Annotated[int, Field(ge=-1_000_000_000_000, le=1_000_000_000_000)]
Origin = Literal["live", "replay", "drill"]
"""Where events come from: live = as they happen, replay = a file of what has happened, drill = made up."""


class Record(BaseModel):
    """Base of every record: immutable, strict types, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Event(Record):
    """Fields every input event carries."""

    event_id: Token = Field(
        description="Unique id given by the producer; the key of deduplication", examples=["01J9-7f3a"]
    )
    event_time_ms: TimeMs = Field(description="When it happened, ms since 1970 UTC", examples=[1_767_225_600_000])
    customer_id: Token = Field(description="Opaque customer token; the record key", examples=["c-000421"])
    source: Label = Field(default="", description="The producer (CloudEvents source)", examples=["app-android"])
    schema_version: Annotated[int, Field(ge=1)] = Field(default=1, description="Version of this contract", examples=[1])
    origin: Origin = Field(
        default="live", description="live = as it happens; replay = history played again; drill = made up to practise",
        examples=["live"],
    )  # fmt: skip
    arrived_at_ms: TimeMs | None = Field(
        default=None,
        description="When the company received it, ms since 1970 UTC, if that was before it reached this topic",
        examples=[1_767_225_602_000],
    )
    attributes: Attributes = Field(
        default_factory=dict,
        description="The company's own dimensions, up to 30: name (at most 64 characters) to value",
        examples=[{"plan": "family", "lot": "24-118"}],
    )


class Telemetry(Event):
    """One thing the product did for one customer."""

    product: Label = Field(description="Service line", examples=["shop"])
    component: Label = Field(default="", description="Part of the product", examples=["checkout"])
    app_version: Label = Field(default="", description="Release", examples=["5.2.0"])
    platform: Label = Field(default="", description="Operating platform", examples=["android"])
    region: Label = Field(default="", description="Country or sales region", examples=["DE"])
    device_model: Label = Field(default="", description="Device family or model", examples=["Nova 8"])
    firmware: Label = Field(default="", description="Device firmware", examples=["11.4"])
    event_name: Label = Field(description="What happened", examples=["checkout_submit"])
    outcome: Literal["ok", "failed", "abandoned"] = Field(description="How it ended", examples=["ok"])
    error_code: Label | None = Field(default=None, description="Code of the failure", examples=["E_PAY_42"])
    latency_ms: DurationMs | None = Field(default=None, description="Duration in ms", examples=[182.5])
    session_id: Label = Field(default="", description="Session", examples=["s-91"])
    journey_stage: Label = Field(default="", description="Stage of the customer journey", examples=["buy"])


OrderStatus = Literal[
    "placed", "paid", "payment_failed", "packed", "shipped", "delivered", "late", "cancelled", "returned", "refunded"
]


class Order(Event):
    """One change of status of one order."""

    order_id: Token = Field(description="Order id", examples=["o-77812"])
    status: OrderStatus = Field(description="Status reached by this event", examples=["placed"])
    product: Label = Field(description="Service line", examples=["shop"])
    sku: Label = Field(default="", description="Line item or item group", examples=["sku-12"])
    amount_cents: Cents = Field(
        default=0, description="Order value in cents: hundredths of one unit of the currency, whatever it is",
        examples=[4_990],
    )  # fmt: skip
    currency: CurrencyCode = Field(
        default="", description="ISO 4217 code; empty = the company's own", examples=["EUR"]
    )
    payment_provider: Label = Field(default="", description="Payment provider", examples=["paynow"])
    payment_method: Label = Field(default="", description="Payment method", examples=["card"])
    carrier: Label = Field(default="", description="Carrier", examples=["swiftpost"])
    warehouse: Label = Field(default="", description="Warehouse or depot", examples=["HAM-2"])
    region: Label = Field(default="", description="Country or sales region", examples=["DE"])
    promised_at_ms: TimeMs | None = Field(
        default=None,
        description="Promised completion, ms since 1970 UTC; join owns the timer",
        examples=[1_767_312_000_000],
    )
    cancelled_by: Literal["customer", "company"] | None = Field(
        default=None, description="Who cancelled; a company's cancellation is a failure", examples=["company"]
    )
    error_code: Label | None = Field(default=None, description="Code of the failure", examples=["DECLINED_05"])


ContactStatus = Literal["opened", "answered", "abandoned", "transferred", "resolved", "reopened"]


class Contact(Event):
    """One change of status of one contact of a customer with the company."""

    contact_id: Token = Field(description="Contact or case id", examples=["k-5521"])
    status: ContactStatus = Field(default="opened", description="Status reached by this event", examples=["opened"])
    channel: Literal["phone", "email", "chat", "app", "web", "social", "shop", "letter", "other"] = Field(
        description="Channel", examples=["phone"]
    )
    mode: Literal["human", "automatic"] = Field(default="human", description="Who answers", examples=["human"])
    reason: Label = Field(default="", description="Reason code", examples=["delivery"])
    text: Annotated[str, Field(max_length=20_000, pattern=FREE_TEXT)] = Field(
        default="", description="Free text; personal, never leaves join", examples=["Where is my parcel?"]
    )
    language: Label = Field(default="", description="BCP 47 language", examples=["de"])
    product: Label = Field(default="", description="Service line", examples=["shop"])
    region: Label = Field(default="", description="Country or sales region", examples=["DE"])
    order_id: Label | None = Field(default=None, description="Order it is about", examples=["o-77812"])
    subject_ids: Subjects = Field(
        default=(),
        description="Orders, tickets or conversations it is about, up to 16; looked at besides order_id",
        examples=[["o-77812", "t-9001"]],
    )
    wait_ms: DurationMs | None = Field(default=None, description="Wait before an answer, ms", examples=[42_000.0])
    handle_ms: DurationMs | None = Field(default=None, description="Handling time, ms", examples=[180_000.0])
    csat: Annotated[int, Field(ge=1, le=5)] | None = Field(default=None, description="Satisfaction 1-5", examples=[4])
    effort: Annotated[int, Field(ge=1, le=7)] | None = Field(default=None, description="Effort 1-7", examples=[2])


Channel = Literal["webhook", "email", "sms", "push", "app"]


class Consent(Record):
    """One permission: may this channel be used for this purpose?"""

    channel: Channel = Field(description="Channel", examples=["webhook"])
    purpose: Literal["service", "marketing"] = Field(default="service", description="Purpose", examples=["service"])
    granted: bool = Field(description="True if granted, false if refused or withdrawn", examples=[True])


class Address(Record):
    """An opaque address token of one channel; the channel adapter alone can resolve it."""

    channel: Channel = Field(description="Channel", examples=["webhook"])
    token: Token = Field(description="Opaque token", examples=["a-8f31"])


class Customer(Record):
    """Profile of one customer; the newest ``updated_at_ms`` wins."""

    customer_id: Token = Field(description="Opaque customer token; the record key", examples=["c-000421"])
    updated_at_ms: TimeMs = Field(description="When the profile changed", examples=[1_767_225_600_000])
    segment: Label = Field(default="", description="Segment", examples=["gold"])
    value_cents: Cents = Field(
        default=0, description="Margin over 12 months, cents of the company's currency", examples=[12_000]
    )
    language: Label = Field(default="en", description="BCP 47 language", examples=["de"])
    time_zone: Label = Field(default="", description="IANA zone; unknown = strictest", examples=["Europe/Berlin"])
    consents: Annotated[tuple[Consent, ...], Field(max_length=20, strict=False)] = Field(
        default=(), description="Consent per channel and purpose; absent = not granted", examples=[[]]
    )
    addresses: Annotated[tuple[Address, ...], Field(max_length=20, strict=False)] = Field(
        default=(), description="Opaque address tokens", examples=[[]]
    )
    opted_out: bool = Field(default=False, description="Revoked everything; beats every consent", examples=[False])


class Change(Record):
    """Something the company changed: a candidate cause."""

    change_id: Token = Field(description="Id", examples=["rel-5.2.0"])
    changed_at_ms: TimeMs = Field(description="When it took effect", examples=[1_767_225_600_000])
    change_kind: Literal["release", "price", "promotion", "campaign", "outage", "other"] = Field(
        description="Kind of change", examples=["release"]
    )
    product: Label = Field(default="", description="Service line, empty = all", examples=["shop"])
    attributes: Annotated[dict[Label, Label], Field(max_length=50)] = Field(
        default_factory=dict, description="What it touches", examples=[{"app_version": "5.2.0"}]
    )
    title: Label = Field(default="", description="Short name", examples=["Android 5.2.0"])


class Command(Record):
    """An operator's order. Global commands are written once per customer partition."""

    command_id: Token = Field(description="Id, idempotency key", examples=["cmd-1"])
    issued_at_ms: TimeMs = Field(description="When it was given", examples=[1_767_225_600_000])
    action: Literal["approve", "mute", "unmute", "resolve", "stop", "resume", "resume_channel"] = Field(
        description="approve outreach of an issue; mute or resolve an issue; stop or resume every send; resume a "
        "channel that its receiver called gone",
        examples=["approve"],
    )
    issue_id: Label | None = Field(default=None, description="Issue; none for stop and resume", examples=["i-3f9a"])
    channel: Channel | None = Field(
        default=None, description="Channel of resume_channel; none: every one", examples=["webhook"]
    )
    actor: Label = Field(default="", description="Who ordered (role or token)", examples=["operator"])
    reason: Label = Field(default="", description="Why", examples=["checked with carrier"])
    signature: Label = Field(
        default="", description="HMAC-SHA-256 of all the above with the actor's key, hex; wanted where keys are set",
        examples=["9f" * 32],
    )


class Heartbeat(Record):
    """A source is alive and has sent everything before ``event_time_ms``. Key: ``cx.heartbeat``, explicit partition."""

    event_time_ms: TimeMs = Field(description="Everything earlier was sent", examples=[1_767_225_600_000])
    source: Label = Field(default="", description="The producer", examples=["app-android"])
    heartbeat: Literal[True] = Field(default=True, description="Marker", examples=[True])


HEARTBEAT_KEY = b"cx.heartbeat"
"""Record key of heartbeats on the three event topics; they carry no customer and name their partition."""
