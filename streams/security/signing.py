"""Signed orders: one counts only if it carries a signature made with its actor's key. No I/O, no clock.

The signature is HMAC-SHA-256 over a JSON array of everything that an order says (:func:`text_of`), so nothing of it can
be changed and no two orders have the same text. An order is fresh if it was appended within five minutes of the time it
names; its id is remembered for a day, so a copy is either stale or known. Where the stream's time is simulated, times
of orders are the stream's and freshness cannot be judged.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from schemas.errors import MalformedEvent
from schemas.events import Command
from schemas.topics import DAY_MS, MINUTE_MS

FRESH_MS = 5 * MINUTE_MS
"""Most that the time an order names may differ from the time at which the broker took it."""
REMEMBER_MS = DAY_MS
"""How long ids are remembered, by append time; far longer than an order is fresh."""
MOST_IDS = 10_000
"""Most ids that are remembered; the oldest go first."""
ORDER_TOPICS = ("command", "control")
_FORM = "cxwatch order 1"
MOST_WORDS = 60
"""Most orders that a sender names when it commits that it has heard them."""
_WORDS_BYTES = 4_000
"""Most bytes that they may take: a broker keeps 4096 with an offset."""


def heard_words(names: Iterable[str]) -> str:
    """Ids of orders that were obeyed, one a line, the newest last, as many as a broker keeps with an offset.

    >>> heard_words(["cmd-1", "cmd-2"]).splitlines()
    ['cmd-1', 'cmd-2']
    """
    chosen: list[str] = []
    space_left = _WORDS_BYTES
    for name in reversed(list(names)):
        space_left -= len(name.encode()) + 1
        if space_left < 0:
            break
        chosen.append(name)
    return "\n".join(reversed(chosen))


def text_of(order: Command) -> bytes:
    """What is signed: id, time, action, issue, channel, actor and reason, each as an element of its own."""
    about = (order.action, order.issue_id, order.channel)
    return msgspec.json.encode([_FORM, order.command_id, order.issued_at_ms, *about, order.actor, order.reason])


@dataclass(frozen=True)
class Keyring:
    """One key per actor. Never shows a key."""

    keys: Mapping[str, bytes] = field(repr=False)

    def sign(self, order: Command) -> Command:
        """The order with the signature of its actor. Raises KeyError if there is no key for the actor."""
        return order.model_copy(update={"signature": self._signature(order)})

    def fault(self, order: Command) -> MalformedEvent | None:
        """Why this order was not given by its actor, None if it was."""
        if not order.signature:
            return MalformedEvent("signature", "should be there: orders are signed here", "", "unsigned")
        if order.actor not in self.keys:
            return MalformedEvent("actor", "should have a key in CX_ORDER_KEYS", "", "unknown_actor")
        if not hmac.compare_digest(order.signature.encode(), self._signature(order).encode()):
            return MalformedEvent("signature", "should fit what the order says", "", "wrong_signature")
        return None

    def _signature(self, order: Command) -> str:
        return hmac.new(self.keys[order.actor], text_of(order), "sha256").hexdigest()


@dataclass(frozen=True)
class OrderRules:
    """What an order must fulfil to be obeyed. Without a keyring, whoever may write the topic may order."""

    keyring: Keyring | None = None
    fresh_ms: int | None = FRESH_MS
    """None where the stream's time is simulated."""

    def fault(self, order: Command, appended_ms: int) -> MalformedEvent | None:
        """Why an order that the broker appended at ``appended_ms`` is refused; None if it is accepted."""
        if self.keyring is None:
            return None
        wrong = self.keyring.fault(order)
        if wrong is None and self.fresh_ms is not None and abs(order.issued_at_ms - appended_ms) > self.fresh_ms:
            rule = f"should be within {self.fresh_ms} ms of when it was received"
            return MalformedEvent("issued_at_ms", rule, "integer", "stale")
        return wrong


@dataclass
class OrderVerifier:
    """Accepts every order once. The ids that it remembers belong in the state of its owner."""

    rules: OrderRules = field(default_factory=OrderRules)
    known: dict[str, int] = field(default_factory=dict)
    """Ids of accepted orders -> append time, ms; oldest first."""

    def fault(self, order: Command, appended_ms: int) -> MalformedEvent | None:
        """Why an order is refused; None if it is accepted, and its id is then remembered."""
        wrong = self.rules.fault(order, appended_ms)
        if (wrong is None or wrong.reason == "stale") and order.command_id in self.known:
            return MalformedEvent("command_id", "should not have been used before", "string", "repeated")
        if wrong is not None:
            return wrong
        self.known[order.command_id] = appended_ms
        while len(self.known) > 1 and self._forgettable(oldest := next(iter(self.known)), appended_ms):
            del self.known[oldest]
        return None

    def _forgettable(self, name: str, now_ms: int) -> bool:
        return len(self.known) > MOST_IDS or self.known[name] < now_ms - REMEMBER_MS
