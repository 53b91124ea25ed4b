"""What went well after all: obligations that failures leave, and the memory of events that put failures right.

    failed 12:05            ok 12:06          <- put right at 12:06: the earliest repair at or after the latest failure
    ok 12:06 (arrives)      failed 12:05      <- the same: what went well is remembered, and looked up at the flush

An obligation is what is owed to one customer: this order, this contact, this event name on this line
(``core.join.rules.RepairRule``). It is named by 63 bits of hash. Statuses that put something right are numbered over
all topics; a mask says which of them count for a failure.

Log. One per topic, in buckets of event time, 8 bytes an event: high bits of the obligation, time in the bucket, number
of the status. Buckets and their persisted slices are those of ``core.join.dedup``. A lookup takes another obligation's
event for its own with odds of n / 2**45 (buckets of a minute) or n / 2**39 (an hour) in n remembered events, and then
one customer is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import xxhash

from schemas.fields import Signal
from schemas.topics import HOUR_MS, MINUTE_MS
from streams.core.join.dedup import Change, Memory
from streams.core.join.rules import KIND_BITS, MODELS, JoinRules, RepairRule

CACHED = 65_536
"""Most names of obligations that are remembered hashed."""
TIME_BITS: Mapping[int, int] = {MINUTE_MS: 16, HOUR_MS: 22}
"""Width of a bucket -> bits that a time in it takes."""


class Owed(NamedTuple):
    """What a failure leaves: the obligation, and a bit for each kind of event that puts it right (0: nothing can)."""

    obligation: int
    mask: int


NOTHING = Owed(0, 0)
"""Nothing is known that could put the failure right."""


Values = tuple[str, ...]


NEVER_MS = 2**62
"""Later than every time."""


@dataclass(slots=True)
class Obligation:
    """The latest failure of an obligation, what would put it right, and when something did."""

    time_ms: int
    mask: int
    put_right_ms: int | None = None

    @property
    def until_ms(self) -> int:
        """An event that puts it right changes something if it happened before this."""
        return NEVER_MS if self.put_right_ms is None else self.put_right_ms

    @property
    def waits(self) -> bool:
        """True while something can put it right and nothing did."""
        return self.put_right_ms is None and self.mask != 0

    def fail(self, time_ms: int, mask: int) -> bool:
        """Fold a failure in; True if what puts it right has to be looked for anew."""
        if time_ms < self.time_ms or (time_ms == self.time_ms and mask & self.mask == self.mask):
            return False
        self.mask = mask & self.mask if time_ms == self.time_ms else mask
        self.time_ms, self.put_right_ms = time_ms, None
        return True

    def takes(self, time_ms: int, reach_ms: int) -> bool:
        """Tell whether an event of the right kind would change something."""
        return self.time_ms <= time_ms < min(self.until_ms, self.time_ms + reach_ms)


class OpenObligations:
    """All obligations of a partition that something can put right, and how late an event may be to change something.

    ``until`` may be read directly in a hot loop: an event that is about an obligation matters if it happened before
    that. It may say too much (of an obligation that several leaves hold), never too little.
    """

    __slots__ = ("_more", "until")

    def __init__(self) -> None:
        """Start with nothing owed."""
        self.until: dict[int, int] = {}
        self._more: dict[int, int] = {}  # how many hold it besides the first

    def hold(self, name: int, owed: Obligation) -> None:
        """A leaf holds an obligation."""
        if not owed.mask:
            return
        if name in self.until:
            self._more[name] = self._more.get(name, 0) + 1
        self.until[name] = max(self.until.get(name, 0), owed.until_ms)

    def release(self, name: int, owed: Obligation) -> None:
        """A leaf does not hold it any more."""
        if not owed.mask:
            return
        more = self._more.pop(name, 0)
        if not more:
            del self.until[name]
        elif more > 1:
            self._more[name] = more - 1

    def reopen(self, name: int) -> None:
        """It failed once more: whatever puts it right matters, if anybody holds it."""
        if name in self.until:
            self.until[name] = NEVER_MS

    def settle(self, name: int, owed: Iterable[Obligation]) -> None:
        """Something put it right; ``owed``: what every leaf holds of it."""
        self.until[name] = max(one.until_ms for one in owed if one.mask)


class Naming:
    """Names obligations by the fields of one rule."""

    __slots__ = ("_known", "_seed", "read")

    def __init__(self, rule: RepairRule, index: int) -> None:
        """Compile the rule at ``index`` among all rules: what is equal under two rules is not the same."""
        self.read = attrgetter(*rule.same)
        self._seed = index
        self._known: dict[Any, int] = {}

    def __call__(self, event: Any, customer: int) -> int:
        """Return the obligation that an event is about, given its customer's hash."""
        return (customer ^ self.name(self.read(event))) >> 1

    def name(self, values: Any) -> int:
        """Return the hash of what :attr:`read` gives of an event; it is mostly known."""
        name = self._known.get(values)
        if name is None:
            if len(self._known) >= CACHED:
                self._known.clear()
            name = self._known[values] = named(values if isinstance(values, tuple) else (values,), self._seed)
        return name

    def of(self, values: Values, customer: int) -> int:
        """Return the obligation with these values of the rule's fields."""
        return (customer ^ named(values, self._seed)) >> 1

    def is_given(self, event: Any) -> bool:
        """Tell whether the event says what it is about."""
        values = self.read(event)
        return all(values if isinstance(values, tuple) else (values,))


def named(values: Values, seed: int) -> int:
    """Return the chained 64-bit hash of values."""
    for value in values:
        seed = xxhash.xxh3_64_intdigest(value.encode(), seed)
    return seed


class Success:
    """Reads off an event of one topic whether it puts something right, and what."""

    __slots__ = ("kinds", "naming", "read")

    def __init__(self, rules: JoinRules, index: int) -> None:
        """Compile one rule."""
        rule = rules.repairs[index]
        self.read = attrgetter(rule.name)
        self.kinds = {value: kind for (topic, value), kind in rules.kinds.items() if topic == rule.topic}
        self.naming = Naming(rule, index)


class Leaving:
    """Finds what a failing event of one topic and signal leaves."""

    __slots__ = ("_rules",)

    def __init__(self, rules: JoinRules, topic: str, signal: Signal) -> None:
        """Compile the rules that name the signal; one of another topic wins if the event says what it is about."""
        self._rules = [
            (Naming(rule, index), rules.mask(rule, signal), reach_ms)
            for index, rule, reach_ms in leaving(rules, topic, signal)
        ]

    def __call__(self, event: Any, customer: int, behind_ms: int) -> Owed:
        """Return what is owed; ``behind_ms``: how far the event lies behind the newest of its topic."""
        for naming, mask, reach_ms in self._rules:
            if reach_ms is None or (behind_ms <= reach_ms and naming.is_given(event)):
                return Owed(naming(event, customer), mask)
        return NOTHING


class Promised:
    """Finds what a broken promise leaves."""

    __slots__ = ("_kinds", "_mask", "_naming", "signal")

    def __init__(self, rules: JoinRules) -> None:
        """Compile the rule that names the signal of promises."""
        self.signal: Signal = rules.promise.signal
        indexes = [index for index, rule in enumerate(rules.repairs) if self.signal in rule.by]
        self._naming = Naming(rules.repairs[indexes[0]], indexes[0]) if indexes else None
        self._mask = rules.mask(rules.repairs[indexes[0]], self.signal) if indexes else 0
        self._kinds = {value: kind for (topic, value), kind in rules.kinds.items() if topic == "order"}

    def __call__(self, customer: int, order_id: str, status: str) -> Owed:
        """Return what is owed; ``status`` decided the promise and can therefore not put it right."""
        if self._naming is None:
            return NOTHING
        kind = self._kinds.get(status)
        return Owed(self._naming.of((order_id,), customer), self._mask & ~(0 if kind is None else 1 << kind))


def naming(rules: JoinRules, of: str, topic: str) -> list[tuple[int, RepairRule]]:
    """Return (index, rule) of the rule by which events of ``topic`` name what is owed on topic ``of``, if they do."""
    fields = MODELS[topic].model_fields.keys()
    return [(index, rule) for index, rule in enumerate(rules.repairs) if rule.topic == of and fields >= set(rule.same)]


def subject_naming(rules: JoinRules) -> Naming | None:
    """How a subject of a contact names an order, if orders are known by their id alone."""
    found = naming(rules, "order", "contact")
    return next((Naming(rule, index) for index, rule in found if rule.same == ("order_id",)), None)


def subjects_of(naming: Naming | None, subject_ids: Iterable[str], customer: int, order: int) -> tuple[int, ...]:
    """Return the obligations of the orders that the subjects may be, besides ``order``; sorted, each once."""
    if naming is None:
        return ()
    return tuple(sorted({naming.of((subject,), customer) for subject in subject_ids} - {order}))


def leaving(rules: JoinRules, topic: str, signal: Signal) -> list[tuple[int, RepairRule, int | None]]:
    """Return (index, rule, how late a failure may be to be looked up in another topic's log) of the rules that fit."""
    return [
        (index, rule, None if rule.topic == topic else rules.bounds[rule.topic].lateness_ms)
        for index, rule in enumerate(rules.repairs)
        if signal in rule.by and MODELS[topic].model_fields.keys() >= set(rule.same)
    ]


class SuccessLog:
    """What went well on one topic."""

    __slots__ = ("_bits", "_memory", "width_ms")

    def __init__(self, width_ms: int) -> None:
        """Start empty; ``width_ms`` of a bucket is one of :data:`TIME_BITS`."""
        self.width_ms = width_ms
        self._bits = TIME_BITS[width_ms]
        self._memory = Memory(width_ms)

    def __len__(self) -> int:
        """Return how many events are remembered."""
        return len(self._memory)

    def writer(self, time_ms: int) -> tuple[int, int, Callable[[int], None]]:
        """Return (start of the bucket of ``time_ms``, bits below the obligation, how to append to it) for a loop."""
        start_ms = time_ms - time_ms % self.width_ms
        return start_ms, self._bits + KIND_BITS, self._memory.bucket(start_ms).log.append

    def note(self, time_ms: int, obligation: int, kind: int) -> None:
        """Remember one event."""
        start_ms, shift, append = self.writer(time_ms)
        append(item(obligation, time_ms - start_ms, kind, shift))

    def first(self, obligation: int, since_ms: int, mask: int) -> int | None:
        """Return the time of the earliest event from ``since_ms`` on that is about the obligation and counts."""
        shift = self._bits + KIND_BITS
        for start_ms in sorted(self._memory.buckets):
            if start_ms + self.width_ms <= since_ms:
                continue
            low = item(obligation, max(0, since_ms - start_ms), 0, shift)
            high = item(obligation, (1 << self._bits) - 1, (1 << KIND_BITS) - 1, shift)
            found = self._memory.buckets[start_ms].first(low, high, lambda entry: mask >> (entry & _KIND) & 1 == 1)
            if found is not None:
                return start_ms + (found >> KIND_BITS) % (1 << self._bits)
        return None

    def forget(self, before_ms: int) -> None:
        """Drop every bucket that ends at or before ``before_ms``."""
        self._memory.forget(before_ms)

    def drain(self) -> Iterator[Change]:
        """Yield what changed since the last drain. Nothing rests: sorting is left to lookups."""
        return self._memory.drain(0)

    def load(self, slices: dict[tuple[int, int], bytes]) -> None:
        """Fill from everything that drains handed out and that was not deleted since, in any order."""
        self._memory.load(slices)


_KIND = (1 << KIND_BITS) - 1


def item(obligation: int, offset_ms: int, kind: int, shift: int) -> int:
    """Return one entry of a log: as many high bits of the obligation as fit above ``shift``."""
    return obligation >> (shift - 1) << shift | offset_ms << KIND_BITS | kind


def logs_of(rules: JoinRules) -> dict[str, SuccessLog]:
    """Return an empty log for every topic on which something is put right."""
    return {rule.topic: SuccessLog(rule.width_ms) for rule in rules.repairs}


def finder(rules: JoinRules, logs: Mapping[str, SuccessLog]) -> Callable[[int, int, int], int | None]:
    """Return ``find(obligation, since_ms, mask)``: the earliest event in any log that puts it right, None if none."""
    of_topic = {rule.topic: 0 for rule in rules.repairs}
    for (topic, _), kind in rules.kinds.items():
        of_topic[topic] |= 1 << kind

    def find(obligation: int, since_ms: int, mask: int) -> int | None:
        found = (logs[topic].first(obligation, since_ms, mask) for topic, bits in of_topic.items() if bits & mask)
        return min((time_ms for time_ms in found if time_ms is not None), default=None)

    return find


class RepairTarget(Protocol):
    """Who remembers what is owed: the episodes of a partition."""

    open_obligations: OpenObligations

    def repair(self, customer_id: str, obligation: int, time_ms: int, mask: int) -> None:
        """Fold in an event that may put an obligation right."""


def note(
    success: Success, log: SuccessLog, episodes: RepairTarget, admitted: Iterable[tuple[Any, int, int, bool, int]]
) -> None:
    """Remember what went well in a slice of events, and put right what it puts right."""
    kind_of, read, same, name_of = success.kinds.get, success.read, success.naming.read, success.naming.name
    until, width_ms, start_ms = episodes.open_obligations.until, log.width_ms, -1
    for event, time_ms, customer, _, _ in admitted:
        kind = kind_of(read(event))
        if kind is None:
            continue
        if not 0 <= time_ms - start_ms < width_ms:
            start_ms, shift, append = log.writer(time_ms)
        obligation = (customer ^ name_of(same(event))) >> 1
        append(obligation >> (shift - 1) << shift | (time_ms - start_ms) << KIND_BITS | kind)  # item, without the call
        if obligation in until and time_ms < until[obligation]:
            episodes.repair(event.customer_id, obligation, time_ms, 1 << kind)
