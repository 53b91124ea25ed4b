"""Figures about outreach: who was told, what came of it, and what it is good for."""

from __future__ import annotations

from schemas.definitions.definition import ENOUGH, Definition

SERVICE, DATA = "Head of customer service", "Head of analytics"
_REAL = "NOT startsWith(customer_id, 'cx.drill.')"
_DECISION = "With each decision or delivery: seconds"

OUTREACH: tuple[Definition, ...] = (
    Definition(
        "decisions", "Decisions by reason", SERVICE, "decisions",
        "Decisions about one customer and one issue, by what became of them and the reason kept for it. The newest "
        "decision of a customer and stage counts. Drills are left out.",
        _DECISION, "count()", "notice_latest", "decided_at", _REAL, per=("status", "reason"),
    ),
    Definition(
        "notices", "Notices by what became of them", SERVICE, "notices",
        "Decisions about a notice: sent, pending, held (waiting for approval, the end of quiet hours or a resume), "
        "refused (no consent, opted out, budget used up, too late) or held out (not told, so that telling can be "
        "measured). Drills are left out.",
        _DECISION, "count()", "notice_latest", "decided_at", f"stage = 'notice' AND {_REAL}", ("status",),
    ),
    Definition(
        "told", "Customers told", SERVICE, "customers",
        "Distinct customers to whom a notice was delivered.",
        _DECISION, "uniqExact(customer_id)", "notice_latest", "decided_at", "stage = 'notice' AND status = 'sent'",
    ),
    Definition(
        "delivery_share", "Share delivered", SERVICE, "share of the notices whose outcome is known",
        "Notices delivered / notices decided to be sent whose outcome is known, per channel. Pending ones are left "
        "out.",
        _DECISION, "countIf(outcome = 'delivered') / count()", "delivery_latest", "claimed_at",
        "outcome NOT IN ('claimed', 'waiting')", ("channel",), least=ENOUGH,
    ),
    Definition(
        "message_complaints", "Complaints about messages", SERVICE, "share of the customers told",
        "Customers told who contact the company within 48 hours with a reason that names the message itself / "
        "customers told.",
        "48 hours after the notice",
    ),
    Definition(
        "holdout_effect", "Effect of telling", DATA, "difference of shares",
        "Of everyone drawn (intention to treat): share of the hold-out who contact the company within 48 hours of the "
        "draw minus the share of those not held out; with an interval that holds however often one looks at it. Below "
        "its least number of customers: not enough yet.",
        "48 hours after the draw",
    ),
    Definition(
        "budget_use", "Contact budget used", SERVICE, "notices per customer",
        "Notices delivered per customer told in the time range, all issues and channels together. At most 1 in 24 "
        "hours and 3 in 7 days.",
        _DECISION, "count() / uniqExact(customer_id)", "notice_latest", "decided_at",
        "stage = 'notice' AND status = 'sent'",
    ),
    Definition(
        "opt_outs", "Customers opted out", SERVICE, "customers",
        "Customers whose newest profile revokes every contact.",
        "With each profile", "countIf(opted_out)", "customer_latest",
    ),
    Definition(
        "channel_state", "State of a channel", SERVICE, "closed, open or paused",
        "The worst state of the channel's circuit breaker over the sender's partitions: closed (sends), open (probes "
        "only), paused (the receiver is gone).",
        _DECISION, "any(state)", "channel_status", per=("channel",),
    ),
)
"""Definitions of what the board of outreach shows."""
