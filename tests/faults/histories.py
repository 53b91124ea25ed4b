"""Random histories of failures and repairs around one outreach room and one sender, in memory; see fault 65.

    fail, repair, end of the issue -> affected, issue -> outreach -> decisions -> claim -> attempt
         (any of them at any moment: also between the claim and the attempt, over nights, with both sides dying)

The judge is what was appended by the moment of the attempt, which the sender has to have read.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.findings import Affected
from schemas.issues import Issue
from streams.core.outreach.cases import OutreachRules
from streams.core.outreach.ledger import Ledger
from streams.core.outreach.ledger_records import Notice, Wait
from streams.core.outreach.policy import Budget
from streams.core.outreach.stage import OutreachStage
from tests.core.match.world import DAY, HOUR, MINUTE, NOON, Runner, affected, customer, issue, mark
from tests.sender.world import placed

RULES = OutreachRules(holdout_ratio=0.0, budgets=(Budget(2, DAY),))
END = ("recovered", "resolved", "accepted", "withdrawn")
STEPS = 60
Step = Literal["fail", "repair", "end", "wait", "outreach", "sender", "outreach dies", "sender dies"]
WEIGHTS: dict[Step, float] = {
    "fail": 3, "repair": 3, "end": 0.4, "wait": 5, "outreach": 6, "sender": 6, "outreach dies": 0.5, "sender dies": 0.5,
}  # fmt: skip


@dataclass
class History:
    """One history. ``wrong`` is every message that must not have left."""

    dice: random.Random
    now_ms: int = NOON
    affected: list[Any] = field(default_factory=list)
    issues: list[Any] = field(default_factory=list)
    decisions: list[Any] = field(default_factory=list)
    newest: dict[str, Affected] = field(default_factory=dict)
    over: Issue | None = None
    figures: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """One open issue, three customers who may be told."""
        self.now_ms += self.dice.randrange(24) * HOUR
        self.known = issue(at=self.now_ms, shown_at_ms=self.now_ms)
        self.names = ["c-1", "c-2", "c-3"]
        self.issues.append(self.known)
        self.room = Runner(OutreachStage(RULES))
        self.room.feed("customer", *map(customer, self.names))
        self.read = {"affected": 0, "issue": 0, "drained": 0}
        self.kept: dict[bytes, bytes] = {}
        self.revive()

    def run(self) -> History:
        """All of it, then everything that is still due."""
        steps, weights = list(WEIGHTS), list(WEIGHTS.values())
        for step in self.dice.choices(steps, weights, k=STEPS):
            self.take(step)
        for _ in range(3):
            self.now_ms += DAY
            self.mark()
            self.outreach()
            self.sender()
        return self

    def take(self, step: Step) -> None:
        """One step."""
        match step:
            case "fail" | "repair":
                self.change(step)
            case "end":
                self.end()
            case "wait":
                self.now_ms += self.dice.choice((MINUTE, 10 * MINUTE, HOUR, 9 * HOUR))
                self.mark()
            case "outreach":
                self.outreach()
            case "sender":
                self.sender()
            case "outreach dies":
                self.room.restart()
                self.collect()
            case "sender dies":
                self.revive()

    # -- what happens -----------------------------------------------------------------------------------------------

    def change(self, step: Literal["fail", "repair"]) -> None:
        """A customer fails, or what failed is put right."""
        name, self.now_ms = self.dice.choice(self.names), self.now_ms + self.dice.randrange(MINUTE)
        last = self.newest.get(name)
        if step == "fail":
            fresh = {"last_failed_ms": self.now_ms, "put_right_ms": None}
            word = last.model_copy(update=fresh) if last else affected(name, self.now_ms)
        elif last is None or last.put_right_ms is not None:
            return
        else:
            word = last.model_copy(update={"put_right_ms": self.now_ms})
        self.newest[name] = word
        self.affected.append(word)

    def end(self) -> None:
        """The issue is over."""
        if self.over is None:
            fresh = {"state": "resolved", "resolved_at_ms": self.now_ms, "updated_at_ms": self.now_ms}
            self.over = self.known.model_copy(update=fresh | {"end_reason": self.dice.choice(END)})
            self.issues.append(self.over)

    def mark(self) -> None:
        """Both topics have come to this time."""
        self.affected.append(mark(self.now_ms))
        self.issues.append(mark(self.now_ms))

    # -- the two sides ----------------------------------------------------------------------------------------------

    def outreach(self) -> None:
        """Outreach reads some of what there is, from either topic first."""
        streams = [("affected", self.affected), ("issue", self.issues)]
        self.dice.shuffle(streams)
        for noun, stream in streams:
            upto = self.dice.choice((len(stream), self.dice.randint(self.read[noun], len(stream))))
            self.room.feed(noun, *stream[self.read[noun] : upto])
            self.read[noun] = upto
        self.room.flush()
        self.collect()

    def collect(self) -> None:
        """What outreach has made durable lies on its topic."""
        fresh = self.room.messages[self.read["drained"] :]
        self.read["drained"] += len(fresh)
        self.decisions += [message.record for message in fresh]
        self.figures.update(f"decided: {r.record.reason}" for r in fresh if r.record.kind == "outreach")

    def revive(self) -> None:
        """A new sender with what its predecessor made durable."""
        self.ledger = Ledger(RULES, 0, 1)
        self.ledger.load(list(self.kept.items()))
        self.learnt = [0, 0]
        for offset, name in enumerate(self.names):
            self.ledger.learn(placed(customer(name), offset))

    def learn(self) -> None:
        """Read what was appended, to its end."""
        fresh = [self.affected[self.learnt[0] :], self.issues[self.learnt[1] :]]
        self.learnt = [len(self.affected), len(self.issues)]
        for record in (*fresh[0], *fresh[1]):
            self.ledger.learn(record)

    def commit(self) -> None:
        """Make the ledger durable."""
        for key, value in self.ledger.drain().changes:
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value

    def sender(self) -> None:
        """One round: claim, commit, and, whatever happens in between, read again right before each attempt."""
        for offset, record in enumerate(self.decisions):
            self.ledger.take(offset, record)
        self.learn()
        doubtful = list(self.ledger.claimed.values())
        claims = [*doubtful, *self.ledger.plan(self.now_ms, 10)]
        self.commit()
        for claim in claims:
            if self.dice.random() < 0.3:
                self.change(self.dice.choice(("fail", "repair")))
            if self.dice.random() < 0.1:
                return self.revive()
            self.learn()
            self.attempt(claim)
            self.commit()
        return None

    def attempt(self, claim: Notice) -> None:
        """The last check, then the bytes leave."""
        verdict = self.ledger.veto(claim.id, self.now_ms)
        if isinstance(verdict, Wait):
            return
        if verdict is not None:
            self.ledger.finish(claim.id, verdict.outcome, verdict.reason, self.now_ms)
            self.figures[f"stopped before the attempt: {verdict.reason}"] += 1
            return
        self.judge(claim)
        self.ledger.finish(claim.id, "delivered", "", self.now_ms)

    def judge(self, claim: Notice) -> None:
        """A message leaves: may it?"""
        self.figures[f"sent: {claim.stage}"] += 1
        right = self.newest[claim.customer].put_right_ms is not None
        mended = self.over is not None and self.over.end_reason in ("recovered", "resolved")
        if claim.stage == "notice" and right:
            self.wrong.append(f"{claim.customer} was told of what was put right")
        if claim.stage == "all_clear" and not (right and mended):
            self.wrong.append(f"{claim.customer} got an all-clear although it is not over")
