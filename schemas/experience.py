"""What the room experience derives: how each contact and each order went for its customer, in event time.

Both are absolute and tell everything that is known by now. The words below are the definitions that metrics quote.

*Within 7 days* always counts event time. What is final only after 7 days of quiet is ``pending`` until every topic that
the room reads has passed their end. The same matter: :class:`ContactCase.repeat_of`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events import Label, Origin, Record, Subjects, TimeMs, Token
from schemas.fields import T0, Count, CustomerId, Line

CaseOutcome = Literal["pending", "resolved", "repeated", "reopened", "abandoned", "unknown"]
"""What became of a contact; of several words that fit the first of this order counts.

``abandoned``: the customer left before anybody answered. ``reopened``: a resolution did not hold. ``repeated``: the
customer came again about the same matter within 7 days. ``pending``: none of these, and 7 days since the last event of
the contact are not over. ``resolved``: they are over, and an event says that it was answered, handled or resolved.
``unknown``: they are over, and none does."""

OrderResult = Literal["open", "pending", "right", "wrong", "withdrawn"]
"""What became of an order.

``wrong``: there is at least one reason (:data:`Wrong`), for good. ``withdrawn``: the customer, or nobody in particular,
cancelled it before anything was wrong: it is neither right nor wrong. ``open``: not done yet. ``pending``: done, and 7
days since are not over. ``right``: they are over, without a reason."""

Wrong = Literal[
    "payment_failed", "late", "promise_broken", "cancelled_by_company", "refunded", "returned", "contacted", "replaced"
]
"""Why an order was not right the first time: what happened from its first event until 7 days after it was done.

``payment_failed``, ``late``, ``refunded``, ``returned``: an event has this status. ``promise_broken``: the promised
time passed and the order was not delivered, returned or cancelled by then; the promise is the one that held then.
``cancelled_by_company``: an event says so. ``contacted``: a contact of the customer names it. ``replaced``: something
of the company's doing was wrong (payment_failed, late, promise_broken or cancelled_by_company), and within 7 days after
that the customer placed another order of the same item and line."""

MOST_SPAN_MS = 2**32 - 1
"""Bound of waits and handling times; longer ones are cut to it."""
Span = Annotated[int, Field(ge=0, le=MOST_SPAN_MS)]
Cut = Annotated[bool, Field(
    description="The customer had more at a time than is remembered: not all is told, and this may lack relations",
    examples=[False])]  # fmt: skip
Gone = Annotated[bool, Field(
    description="Nothing is known under this key any more: it began on another day than was told before",
    examples=[False])]  # fmt: skip
OfEvents = Annotated[
    Origin, Field(description="live if at least one of its events was seen live, else drill or replay",
                  examples=["live"])
]  # fmt: skip


class ContactCase(Record):
    """One contact of a customer, or one case. Natural key: (customer_id, contact_id). Key on the wire: customer.

    Events of one contact id make it. Of what several events say the earliest that says it counts (channel, mode,
    reason, language, line, region, order, subjects, wait), of handling time, satisfaction and effort the latest.
    """

    kind: Literal["contact_case"] = "contact_case"
    customer_id: CustomerId
    contact_id: Token = Field(description="Contact or case id", examples=["k-5521"])
    line: Line
    channel: Label = Field(description="Channel in which it began", examples=["phone"])
    mode: Label = Field(description="Who answered at first: human or automatic", examples=["automatic"])
    last_mode: Label = Field(
        description="The same by its latest event: differs if it was handed on", examples=["human"])
    reason: Label = Field(description="Reason code", examples=["delivery"])
    language: Label = Field(description="BCP 47 language", examples=["de"])
    region: Label = Field(description="Country or sales region", examples=["DE"])
    order_id: Label = Field(description="Order it is about, empty if none", examples=["o-77812"])
    subject_ids: Subjects = Field(
        description="Orders, tickets or conversations it is about", examples=[["o-77812", "t-9001"]])
    opened_at_ms: TimeMs = Field(description="Its earliest event", examples=[T0])
    last_at_ms: TimeMs = Field(
        description="Time of its latest event, from which the 7 days run", examples=[T0 + 500_000])
    answered_at_ms: TimeMs | None = Field(
        default=None, description="When it was answered: earliest event `answered`", examples=[T0 + 42_000])
    wait_ms: Span | None = Field(
        default=None,
        description="Wait before an answer, ms: as an event says, else from the opening to the first answer",
        examples=[42_000],
    )  # fmt: skip
    handle_ms: Span | None = Field(default=None, description="Handling time, ms, as an event says", examples=[180_000])
    abandoned: bool = Field(description="An event `abandoned`, and no answer at or before the first", examples=[False])
    transfers: Count = Field(description="Events `transferred`", examples=[1])
    first_resolved_at_ms: TimeMs | None = Field(
        default=None, description="Earliest event `resolved`", examples=[T0 + 400_000])
    resolved_at_ms: TimeMs | None = Field(
        default=None,
        description="When it was resolved for good: the first `resolved` that nothing reopened since; none while open",
        examples=[T0 + 400_000],
    )  # fmt: skip
    reopened: Count = Field(description="Events `reopened`", examples=[0])
    csat: int | None = Field(default=None, description="Satisfaction 1-5", examples=[4])
    effort: int | None = Field(default=None, description="Effort 1-7", examples=[2])
    repeat_of: Label = Field(
        description="The latest earlier contact of the customer about the same matter whose latest event before this "
        "one began lies at most 7 days back; empty if there is none. The same matter: they name an order or a subject "
        "in common; or not both name one, and they have the same reason and the same line (or one has none)",
        examples=["k-5498"],
    )  # fmt: skip
    channel_before: Label = Field(description="Channel of repeat_of, empty if it is no repeat", examples=["chat"])
    mode_before: Label = Field(description="last_mode of repeat_of, empty if it is no repeat", examples=["automatic"])
    repeated_at_ms: TimeMs | None = Field(
        default=None, description="When the first contact that repeats this one began", examples=[T0 + 90_000_000])
    outcome: CaseOutcome = Field(description="What became of it", examples=["resolved"])
    first_contact_resolved: bool | None = Field(
        default=None, description="outcome: true for resolved, none for pending and unknown, false for the others. A "
        "rate of first contacts leaves out those that repeat one",
        examples=[True],
    )  # fmt: skip
    origin: OfEvents
    cut: Cut = False
    gone: Gone = False


class OrderOutcome(Record):
    """How one order went. Natural key: (customer_id, order_id). Key on the wire: customer.

    Events of one order id make it. An order of which only returns and refunds are known is not told.
    """

    kind: Literal["order_outcome"] = "order_outcome"
    customer_id: CustomerId
    order_id: Token = Field(description="Order id", examples=["o-77812"])
    line: Line
    region: Label = Field(description="Country or sales region, of the latest event that says it", examples=["DE"])
    placed_at_ms: TimeMs = Field(description="Its earliest event", examples=[T0])
    promised_at_ms: TimeMs | None = Field(
        default=None, description="Promised time that holds, or that was broken", examples=[T0 + 86_400_000])
    done_at_ms: TimeMs | None = Field(
        default=None,
        description="When it was done: earliest `delivered`; else the earliest `cancelled`; else, if it was never "
        "promised, packed, shipped or late, the earliest `paid`; none while it is open",
        examples=[T0 + 80_000_000],
    )  # fmt: skip
    ended: Label = Field(description="The status of done_at: delivered, cancelled or paid", examples=["delivered"])
    failed_at_ms: TimeMs | None = Field(
        default=None, description="First failure: payment_failed, late, promise_broken or cancelled_by_company",
        examples=[T0 + 60_000],
    )  # fmt: skip
    put_right_at_ms: TimeMs | None = Field(
        default=None, description="When the last of these was put right: a payment by paid, delivered, cancelled or "
        "refunded, the others by delivered, refunded or the customer's cancellation; none while any is not",
        examples=[T0 + 120_000],
    )  # fmt: skip
    contacted_at_ms: TimeMs | None = Field(
        default=None, description="First contact about it: of the same customer, naming it as its order or a subject, "
        "from its first event until 7 days after it was done",
        examples=[T0 + 90_000],
    )  # fmt: skip
    contacts: Count = Field(description="Such contacts", examples=[1])
    replaced_by: Label = Field(description="The order that replaced it, empty if none did", examples=["o-77813"])
    reasons: Annotated[tuple[Wrong, ...], Field(strict=False)] = Field(
        description="Why it was not right the first time, sorted", examples=[["contacted", "payment_failed"]])
    outcome: OrderResult = Field(description="What became of it", examples=["wrong"])
    first_time_right: bool | None = Field(
        default=None, description="outcome: true for right, false for wrong, none for the others", examples=[False])
    origin: OfEvents
    cut: Cut = False
    gone: Gone = False
