"""Failure rules as data: exposure, failure, promises, contacts, and the limits of memory.

A customer is *exposed* to a signal when an event says that it could have failed, and *failed* when it did.
Four signals are built in; the first three can be read off one event each, promises need a timer:

    signal    topic      exposed                      failed                        leaf cohort
    app       telemetry  outcome ok, failed           outcome failed                release, platform, device, ...
    payment   order      status paid, payment_failed  status payment_failed         provider, method, region
    contact   contact    status opened                its reason reports a failure  channel, region
    delivery  order      a promise has an outcome     the promise was broken        carrier, warehouse, region

Everything is checked when the rules are made: a rule that names a field or a value that its record does not have is a
``ConfigError`` at start, never a silent zero in the counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, get_args

from schemas.errors import ConfigError
from schemas.events import Contact, ContactStatus, Event, Order, OrderStatus, Telemetry
from schemas.fields import Signal
from schemas.signals import NAMES
from schemas.topics import BY_NOUN, DAY_MS, EVENT_NOUNS, HOUR_MS, MINUTE_MS
from streams.core.eventtime import Bounds

MODELS: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {"telemetry": Telemetry, "order": Order, "contact": Contact}
)
"""Record type of each input topic."""

_VOCABULARIES: Final[Mapping[tuple[str, str], frozenset[str]]] = MappingProxyType(
    {
        ("telemetry", "outcome"): frozenset(get_args(Telemetry.model_fields["outcome"].annotation)),
        ("order", "status"): frozenset(get_args(OrderStatus)),
        ("contact", "status"): frozenset(get_args(ContactStatus)),
    }
)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ConfigError(f"join rules: {sentence}")


def _require_field(topic: str, name: str) -> None:
    _require(topic in MODELS, f"unknown topic {topic!r}; one of {', '.join(MODELS)}")
    _require(name in MODELS[topic].model_fields, f"{topic} has no field {name!r}")


@dataclass(frozen=True, slots=True)
class FieldTest:
    """True for an event whose ``name`` has one of ``values``."""

    name: str
    values: frozenset[str]

    def check(self, topic: str) -> None:
        """Raise ConfigError unless events of ``topic`` can satisfy this."""
        _require_field(topic, self.name)
        _require(bool(self.values), f"{topic}.{self.name} needs at least one value")
        known = _VOCABULARIES.get((topic, self.name), self.values)
        _require(self.values <= known, f"{topic}.{self.name} never is {', '.join(sorted(self.values - known))}")


@dataclass(frozen=True, slots=True)
class SignalRule:
    """One signal whose exposure and failure can be read off a single event.

    An event counts if ``exposed`` holds; it is a failure if ``failed`` holds too. ``attributes`` name the fields of the
    leaf cohort, in order. ``amount`` names the field with the money at stake (hundredths), if there
    is one, ``currency`` that with its currency.
    """

    signal: Signal
    topic: str
    exposed: FieldTest
    failed: FieldTest
    attributes: tuple[str, ...]
    amount: str | None = None
    currency: str = "currency"

    def __post_init__(self) -> None:
        """Validate."""
        _require(self.signal in NAMES, f"unknown signal {self.signal!r}")
        self.exposed.check(self.topic)
        self.failed.check(self.topic)
        _check_attributes(self.topic, self.attributes)
        if self.amount is not None:
            _require_field(self.topic, self.amount)
            _require_field(self.topic, self.currency)


def _check_attributes(topic: str, attributes: tuple[str, ...]) -> None:
    _require(bool(attributes), f"{topic}: a leaf cohort needs at least one attribute")
    _require(len(set(attributes)) == len(attributes), f"{topic}: attributes repeat")
    for name in attributes:
        _require_field(topic, name)


@dataclass(frozen=True, slots=True)
class PromiseRule:
    """How an order's promise ends. Statuses not named leave it open.

    A status counts up to and including the promised time; after that the timer has decided. ``cancelled`` by the
    company breaks the promise, by anybody else it ends it without outcome. A refund does not end it: goodwill credits
    are paid while the parcel is still on its way.
    """

    signal: Signal = "delivery"
    attributes: tuple[str, ...] = ("carrier", "warehouse", "region")
    kept: frozenset[str] = frozenset({"delivered"})
    broken: frozenset[str] = frozenset({"late"})
    cancelled: frozenset[str] = frozenset({"cancelled"})
    dropped: frozenset[str] = frozenset({"returned"})
    memory_ms: int = DAY_MS
    """How long an ended promise is remembered, so that a repeated promise time is not a second promise. A promised time
    further than this before its own event is history, not a promise."""
    horizon_ms: int = 60 * DAY_MS
    """A promised time further ahead of its event than this is a default value or an error, not a promise."""

    def __post_init__(self) -> None:
        """Validate."""
        _check_attributes("order", self.attributes)
        groups = (self.kept, self.broken, self.cancelled, self.dropped)
        for statuses in groups:
            FieldTest("status", statuses).check("order")
        _require(sum(map(len, groups)) == len(frozenset().union(*groups)), "a status ends a promise in two ways")
        _require(self.memory_ms >= 0 and self.horizon_ms > 0, "memory_ms and horizon_ms must not be negative")


@dataclass(frozen=True, slots=True)
class ContactRule:
    """Which contacts are about which failures.

    A contact attaches to an episode of the same customer and line (a contact without product: any line) if the
    episode's first failure lies in ``[contact - before_ms, contact + after_ms]`` and the signal fits: ``any_signal``
    reasons fit every signal, ``by_reason`` names one. Any other reason (a question, a campaign) never attaches.
    A contact that attaches also fits the contact signal: whoever complained is not silent.
    """

    opened: FieldTest = FieldTest("status", frozenset({"opened"}))
    any_signal: frozenset[str] = frozenset({"", "unspecific", "complaint", "problem"})
    by_reason: Mapping[str, Signal] = field(
        default_factory=lambda: MappingProxyType(
            {"app": "app", "technical": "app", "payment": "payment", "delivery": "delivery"}
        )
    )
    before_ms: int = DAY_MS
    after_ms: int = 15 * MINUTE_MS

    def __post_init__(self) -> None:
        """Validate."""
        self.opened.check("contact")
        _require(not self.any_signal & self.by_reason.keys(), "a contact reason names one signal and any signal")
        _require(set(self.by_reason.values()) <= set(NAMES), "a contact reason names an unknown signal")
        _require(self.before_ms >= 0 and self.after_ms >= 0, "before_ms and after_ms must not be negative")

    def signals(self, reason: str) -> frozenset[Signal] | None:
        """Return the signals that a contact with this reason may be about, or None if it never attaches."""
        if reason in self.any_signal:
            return frozenset(NAMES)
        named = self.by_reason.get(reason)
        return None if named is None else frozenset((named, "contact"))


KIND_BITS: Final = 3
"""Bits for the number of a status that puts something right: eight of them over all topics."""


@dataclass(frozen=True, slots=True)
class RepairRule:
    """Which later events of one topic put failures right: those whose ``name`` has a value that ``by`` lists for the
    signal, of the same customer, and equal in the fields ``same``.

    A failure on another topic belongs here if it has these fields and none is empty (a contact that names an order).
    What went well is remembered in buckets of ``width_ms`` of event time: a minute or an hour.
    """

    topic: str
    same: tuple[str, ...]
    name: str
    by: Mapping[Signal, frozenset[str]]
    width_ms: int

    def __post_init__(self) -> None:
        """Validate."""
        _require(bool(self.same), f"{self.topic}: what is put right needs at least one field to be known by")
        for name in self.same:
            _require_field(self.topic, name)
        for signal, values in self.by.items():
            _require(signal in NAMES, f"unknown signal {signal!r}")
            FieldTest(self.name, values).check(self.topic)
        _require(self.width_ms in (MINUTE_MS, HOUR_MS), "what went well is remembered by the minute or by the hour")

    @property
    def values(self) -> tuple[str, ...]:
        """Every value that puts anything right, sorted."""
        return tuple(sorted(frozenset().union(*self.by.values())))


_PAID = frozenset({"paid", "delivered", "cancelled", "refunded"})
_DELIVERED = frozenset({"delivered", "cancelled", "refunded"})
REPAIRS: Final[tuple[RepairRule, ...]] = (
    RepairRule("order", ("order_id",), "status", {"payment": _PAID, "delivery": _DELIVERED, "contact": _PAID}, HOUR_MS),
    RepairRule("telemetry", ("product", "event_name"), "outcome", {"app": frozenset({"ok"})}, MINUTE_MS),
    RepairRule("contact", ("contact_id",), "status", {"contact": frozenset({"resolved"})}, HOUR_MS),
)
"""How failures are put right. What decided a failure (the company's cancellation) never puts it right itself."""


SIGNALS: Final[tuple[SignalRule, ...]] = (
    SignalRule(
        "app",
        "telemetry",
        FieldTest("outcome", frozenset({"ok", "failed"})),
        FieldTest("outcome", frozenset({"failed"})),
        ("app_version", "platform", "device_model", "region", "component"),
    ),
    SignalRule(
        "payment",
        "order",
        FieldTest("status", frozenset({"paid", "payment_failed"})),
        FieldTest("status", frozenset({"payment_failed"})),
        ("payment_provider", "payment_method", "region"),
        "amount_cents",
    ),
    SignalRule(
        "contact",
        "contact",
        FieldTest("status", frozenset({"opened"})),
        FieldTest("reason", frozenset({"app", "payment", "delivery", "problem", "complaint", "technical"})),
        ("channel", "region"),
    ),
)
"""The signals that single events decide."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory against producers gone wrong; ordinary traffic stays below all of them.

    ``leaves`` per (line, signal): leaf cohorts with a place of their own, the rest is counted under ``__other__``.
    The others bound one customer: leaf cohorts remembered per episode, obligations per leaf, contacts remembered,
    episodes that wait to be put right beyond the ordinary retention (the newest), and what is shown.
    """

    leaves: int = 10_000
    episode_leaves: int = 64
    episode_leaves_shown: int = 8
    evidence: int = 5
    contacts: int = 256
    obligations: int = 16
    old_episodes: int = 64

    def __post_init__(self) -> None:
        """Validate."""
        values = (self.leaves, self.episode_leaves_shown, self.evidence, self.contacts)
        _require(min(*values, self.obligations, self.old_episodes) >= 1, "every limit must be at least 1")
        _require(self.episode_leaves >= self.episode_leaves_shown, "episode_leaves must cover episode_leaves_shown")


def _catalogue_bounds() -> Mapping[str, Bounds]:
    topics = (BY_NOUN[noun] for noun in EVENT_NOUNS)
    return MappingProxyType({topic.noun: Bounds(topic.disorder_ms, topic.lateness_ms) for topic in topics})


class Terms(NamedTuple):
    """How much longer than the ordinary retention an episode stays: behind its window in any case (``joined_ms``) and
    while it waits to be put right (``open_ms``), behind its repair afterwards (``settled_ms``, may be negative)."""

    joined_ms: int
    open_ms: int
    settled_ms: int


@dataclass(frozen=True, slots=True)
class JoinRules:
    """Everything the join room decides by. Widths in ms; bounds default to the catalogue of topics."""

    signals: tuple[SignalRule, ...] = SIGNALS
    promise: PromiseRule = field(default_factory=PromiseRule)
    contact: ContactRule = field(default_factory=ContactRule)
    repairs: tuple[RepairRule, ...] = REPAIRS
    limits: Limits = field(default_factory=Limits)
    bounds: Mapping[str, Bounds] = field(default_factory=_catalogue_bounds)
    clock_customers: int = 3
    """How many distinct customers move a topic's clock together (``core.eventtime``)."""
    bin_ms: int = 10_000
    window_ms: int = HOUR_MS
    unrepaired_ms: int = 60 * DAY_MS
    """How long after a failure something can still put it right."""
    retention_ms: int = 3 * DAY_MS
    """How far behind the partition's watermark failures and contacts are remembered to be joined by time."""

    def __post_init__(self) -> None:
        """Validate what no part can see alone."""
        names = [rule.signal for rule in self.signals] + [self.promise.signal]
        _require(len(set(names)) == len(names), "a signal is declared twice")
        _require(set(self.bounds) == set(MODELS), f"bounds must name exactly {', '.join(MODELS)}")
        self._check_repairs()
        _require(self.attach_ms >= 0, "retention_ms must cover the reach of contacts and promises")
        _require(self.clock_customers >= 1, "clock_customers must be at least 1")
        _require(self.bin_ms > 0 and self.window_ms % self.bin_ms == 0, "window_ms must be a multiple of bin_ms")
        _require(MINUTE_MS % self.bin_ms == 0, "a minute must be a multiple of bin_ms")

    def _check_repairs(self) -> None:
        topics = [rule.topic for rule in self.repairs]
        _require(len(set(topics)) == len(topics), "a topic has two rules of what puts right")
        _require(set(topics) <= set(self.bounds), "what puts right comes on a topic that is not read")
        _require(len(self.kinds) <= 1 << KIND_BITS, f"at most {1 << KIND_BITS} statuses may put something right")
        for rule in self.repairs:
            fits = self.promise.signal not in rule.by or (rule.topic, *rule.same) == ("order", "order_id")
            _require(fits, "promises are put right by events of their order")

    @property
    def kinds(self) -> Mapping[tuple[str, str], int]:
        """Number of every (topic, value) that puts something right."""
        listed = [(rule.topic, value) for rule in self.repairs for value in rule.values]
        return MappingProxyType({pair: number for number, pair in enumerate(listed)})

    def mask(self, rule: RepairRule, signal: Signal) -> int:
        """Return a bit for each kind of event that puts failures of the signal right under one rule."""
        kinds = self.kinds
        return sum(1 << kinds[rule.topic, value] for value in rule.by.get(signal, ()))

    @property
    def attributes(self) -> Mapping[Signal, tuple[str, ...]]:
        """Names of the leaf cohort's attributes per signal."""
        named = {rule.signal: rule.attributes for rule in self.signals}
        return MappingProxyType({**named, self.promise.signal: self.promise.attributes})

    @property
    def attach_ms(self) -> int:
        """How late a contact or failure may be, by its topic's clock, to be joined by time whatever was read first, ms.

        A contact reaches failures ``before_ms`` back, a promise may be stated ``promise.memory_ms`` after its time, an
        episode starts at most a window before its first failure, and a contact about it ``after_ms`` before that.
        """
        reach = max(self.promise.memory_ms, self.contact.before_ms)
        return self.retention_ms - reach - self.window_ms - self.contact.after_ms

    def settled_ms(self, signal: Signal) -> int:
        """How long an earlier repair than the one that is known can still arrive, ms."""
        late = [self.bounds[rule.topic].lateness_ms for rule in self.repairs if signal in rule.by]
        return max(late, default=0) + self.window_ms

    def terms(self, signal: Signal) -> Terms:
        """How long the episodes of a signal stay beyond ``retention_ms``.

        The last repair that counts happens ``unrepaired_ms`` after the end of the window, and may be late.
        """
        open_ms = self.window_ms + self.unrepaired_ms + self.settled_ms(signal) - self.retention_ms
        joined_ms = self.longer_ms(signal)
        return Terms(joined_ms, max(joined_ms, open_ms), self.settled_ms(signal) - self.retention_ms)

    def reaches(self, topic: str) -> Mapping[str, int]:
        """How far behind the newest event of which topics a failure may lie that is looked up in the log of ``topic``.

        Failures of the topic itself come as late as its events, broken promises by ``promise.memory_ms`` later; those
        of other topics are looked up if they are no later than that topic's own.
        """
        own_ms = self.bounds[topic].lateness_ms
        found = {topic: own_ms + (self.promise.memory_ms if topic == "order" else 0)}
        for rule in self.repairs:
            if rule.topic == topic:
                others = (watched.topic for watched in self.signals if watched.signal in rule.by)
                found |= {noun: own_ms for noun in others if noun != topic}
        return MappingProxyType(found)

    def longer_ms(self, signal: Signal) -> int:
        """How much longer than ``retention_ms`` the episodes of a signal are remembered, ms.

        An episode is told in absolute numbers, so it must be known as long as a failure can still join it.
        """
        topics = {rule.signal: rule.topic for rule in self.signals}
        reach = self.promise.memory_ms if signal == self.promise.signal else 0
        lateness = self.bounds[topics.get(signal, "order")].lateness_ms
        return max(0, lateness + reach + self.window_ms - self.retention_ms)
