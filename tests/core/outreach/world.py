"""What the tests of outreach share: one partition with a customer, an issue and orders, and its latest decisions."""

from __future__ import annotations

from typing import Any

from schemas.events import Command, Customer
from schemas.findings import Affected
from schemas.issues import Issue
from streams.core.outreach.stage import OutreachRules, OutreachStage
from tests.core.match.world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    Runner,
    customer,
    issue,
    mark,
)

NOBODY_HELD_OUT = OutreachRules(holdout_ratio=0.0)


SPRING = 1_774_620_000_000 - 7 * HOUR
"""2026-03-27 07:00 UTC, two days before Berlin's clocks change."""


def command(action: str, at: int, issue_id: str | None = "i-1", name: str = "") -> Command:
    """An operator's order."""
    return Command.model_validate({
        "command_id": name or f"{action}-{at}-{issue_id}", "issued_at_ms": at, "action": action,
        "issue_id": None if action in ("stop", "resume") else issue_id,
    })  # fmt: skip


def play(
    *hits: Affected, rules: OutreachRules = NOBODY_HELD_OUT, until: int = NOON + DAY, one: Issue | None = None,
    profiles: tuple[Customer, ...] = (), orders: tuple[Command, ...] = (),
) -> dict[tuple[Any, ...], Any]:  # fmt: skip
    """One partition, everything in, clock at ``until``: latest decision per (customer, stage)."""
    runner = Runner(OutreachStage(rules))
    runner.feed("customer", *(profiles or {hit.customer_id: customer(hit.customer_id) for hit in hits}.values()))
    runner.feed("command", *orders)
    runner.feed("issue", issue(at=NOON - HOUR), *([one] if one else []), mark(until))
    runner.feed("affected", *hits, mark(until))
    runner.restart()
    runner.flush()
    return runner.latest("outreach", "customer_id", "stage")


def decision(found: dict[tuple[Any, ...], Any], name: str = "c-1", stage: str = "notice") -> tuple[str, str]:
    """Decision and reason."""
    return found[(name, stage)].decision, found[(name, stage)].reason


def failing(*revisions: Affected, rules: OutreachRules = NOBODY_HELD_OUT, until: int = NOON + DAY,
            one: Issue | None = None) -> dict[tuple[Any, ...], Any]:  # fmt: skip
    """One revision after the other, each followed by the time at which it came; then the clock at ``until``."""
    runner = Runner(OutreachStage(rules))
    runner.feed("customer", customer())
    runner.feed("issue", one or issue(at=NOON - HOUR), mark(until))
    for revision in revisions:
        runner.feed("affected", revision, mark(max(revision.last_failed_ms, revision.put_right_ms or 0) + MINUTE))
        runner.restart()
    runner.feed("affected", mark(until))
    runner.flush()
    return runner.latest("outreach", "customer_id", "stage")
