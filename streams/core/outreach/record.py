"""A decision as its record on the topic: with the words that the customer reads, in the customer's language."""

from __future__ import annotations

from schemas.findings import Outreach
from streams.core.outreach.cases import Case, KnownIssue, OutreachRules
from streams.core.outreach.wording import cause_words, speakable, title_words


def record_of(case: Case, known: KnownIssue | None, rules: OutreachRules) -> Outreach:
    """The record of a decided case; ``known`` is its issue, if it is known already."""
    return Outreach.model_validate({
        "outreach_id": case.id, "issue_id": case.issue, "root_id": case.root, "customer_id": case.customer,
        "stage": case.stage, "decision": case.decision, "reason": case.reason, "channel": case.channel,
        "address": case.address, "language": case.language, "time_zone": case.time_zone,
        "template": f"{case.signal}.{case.stage}@{rules.template_version}",
        "title": title_words(case.signal, case.language),
        "cause_text": _cause_text(case, known, rules),
        "decided_at_ms": case.decided_ms, "not_before_ms": case.not_before_ms, "deadline_ms": case.deadline_ms,
        "drawn_at_ms": case.drawn_ms,
    })  # fmt: skip


def _cause_text(case: Case, known: KnownIssue | None, rules: OutreachRules) -> str:
    """The cause in words, with those values only that the company or many customers know."""
    cause, trusted = (known.cause, known.known) if known else ({}, ())
    return cause_words(case.signal, speakable(cause, trusted, rules.names, case.language), case.language)
