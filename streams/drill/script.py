"""What happens in a drill: events about nobody, made from the kind of incident, its size and its times alone.

    healthy     o  o  o  o  o  o  o  o  o  o  o  o  o  o  o      three customers of other values, never failing
    failing       x     x     x     x     x     x     x          one customer each, all with the same attribute value
                start                                    end

Every customer appears once, so that each failure is a customer of its own. Nothing here is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from schemas import drills
from schemas.codec import encode
from schemas.errors import ConfigError
from schemas.events import Contact, Event, Order, Telemetry
from schemas.topics import MINUTE_MS
from streams.sources.arrivals import Arrival

HEALTHY = 3
"""Customers without a failure for each one with."""
LEAST_CUSTOMERS, MOST_CUSTOMERS = 20, 5_000
_AMOUNT_CENTS = 4_990
_PROMISE_MS = MINUTE_MS
"""How far ahead an order of a drill is promised; it is decided a second after it was placed."""

Made = Callable[["Step"], list[Event]]


@dataclass(frozen=True, slots=True)
class Step:
    """One customer's turn: service line, token, unique id of its matter, time (ms), and whether it fails."""

    line: str
    customer: str
    matter: str
    at_ms: int
    fails: bool


@dataclass(frozen=True, slots=True)
class DrillKind:
    """A kind of incident: the signal that should show it, what is played, and who makes the events."""

    signal: str
    noun: str
    says: str
    make: Made


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. ``run`` tells its customers from those of others; times are ms. Raises ConfigError if impossible."""

    kind: str
    run: str
    start_ms: int
    customers: int = 60
    minutes: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what detection could not see, or would take for a flood."""
        if self.kind not in KINDS:
            raise ConfigError(f"there is no drill {self.kind!r}; `cxwatch drill --list` names {', '.join(KINDS)}")
        if not LEAST_CUSTOMERS <= self.customers <= MOST_CUSTOMERS:
            raise ConfigError(f"--customers must lie between {LEAST_CUSTOMERS} and {MOST_CUSTOMERS:,}")
        if not 1 <= self.minutes <= 60:
            raise ConfigError("--minutes must lie between 1 and 60")

    @property
    def end_ms(self) -> int:
        """No event happens at or after this."""
        return self.start_ms + int(self.minutes * MINUTE_MS)

    @property
    def signal(self) -> str:
        """The signal that should show it."""
        return KINDS[self.kind].signal

    @property
    def line(self) -> str:
        """Its service line."""
        return f"{drills.PREFIX}{self.signal}"

    def is_mine(self, customer_id: str) -> bool:
        """True for a customer of this drill."""
        return customer_id.startswith(f"{drills.PREFIX}{self.run}.")

    def arrivals(self) -> Iterator[Arrival]:
        """The events in order of time, each arriving when it happens."""
        kind, all_steps = KINDS[self.kind], self.customers * (1 + HEALTHY)
        length_ms = self.end_ms - self.start_ms - 2_000
        for number in range(all_steps):
            at_ms = self.start_ms + length_ms * number // all_steps
            name = f"{self.run}.{number:05}"
            fails = number % (1 + HEALTHY) == HEALTHY
            step = Step(self.line, f"{drills.PREFIX}{name}", f"drill.{name}", at_ms, fails)
            for event in kind.make(step):
                yield Arrival(event.event_time_ms, kind.noun, event.customer_id.encode(), None, encode(event))


def _common(step: Step, part: str = "") -> dict[str, object]:
    return {
        "event_id": f"{step.matter}{part}", "event_time_ms": step.at_ms, "customer_id": step.customer,
        "source": drills.SOURCE, "origin": drills.ORIGIN, "product": step.line,
    }  # fmt: skip


def _telemetry(step: Step) -> list[Event]:
    release = "drill-new" if step.fails else "drill-old"
    outcome = "failed" if step.fails else "ok"
    return [Telemetry.model_validate(_common(step) | {
        "event_name": "drill", "outcome": outcome, "app_version": release, "platform": "drill", "region": "drill",
    })]  # fmt: skip


def _payment(step: Step) -> list[Event]:
    provider = "drill-pay" if step.fails else "drill-bank"
    status = "payment_failed" if step.fails else "paid"
    return [Order.model_validate(_common(step) | {
        "order_id": step.matter, "status": status, "payment_provider": provider, "payment_method": "drill",
        "region": "drill", "amount_cents": _AMOUNT_CENTS,
    })]  # fmt: skip


def _delivery(step: Step) -> list[Event]:
    about = {
        "order_id": step.matter, "carrier": "drill-van" if step.fails else "drill-bike", "warehouse": "drill",
        "region": "drill", "amount_cents": _AMOUNT_CENTS, "promised_at_ms": step.at_ms + _PROMISE_MS,
    }  # fmt: skip
    done = {"event_time_ms": step.at_ms + 1_000, "status": "late" if step.fails else "delivered"}
    placed = Order.model_validate(_common(step) | about | {"status": "placed"})
    return [placed, Order.model_validate(_common(step, ".done") | about | done)]


def _contact(step: Step) -> list[Event]:
    return [Contact.model_validate(_common(step) | {
        "contact_id": step.matter, "channel": "phone", "reason": "complaint" if step.fails else "question",
        "region": "drill-south" if step.fails else "drill-north",
    })]  # fmt: skip


KINDS: Mapping[str, DrillKind] = {
    "app": DrillKind("app", "telemetry", "a release of the app fails for everybody who has it", _telemetry),
    "payment": DrillKind("payment", "order", "a payment provider declines every payment", _payment),
    "delivery": DrillKind("delivery", "order", "a carrier delivers nothing in time", _delivery),
    "contact": DrillKind("contact", "contact", "customers of one region complain, and nothing else says why", _contact),
}
"""Name of a drill -> what it is."""
