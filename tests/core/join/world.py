"""Small made-up streams for the join room, a harness that plays them, and a naive batch join to compare with."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.codec import encode, reference_decode
from schemas.events import Contact, Event, Heartbeat, Order, Telemetry
from schemas.partition import partition_of
from streams.core.join.dedup import customer_hash
from streams.core.join.native import NativeJoinStage, find
from streams.core.join.rules import JoinRules
from streams.core.join.stage import JoinStage
from streams.core.stage import Batch, Clocked, Drained, Idle, Message, Stage
from streams.replay.canonical import canonical

T0 = 1_767_225_600_000  # a full hour
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
TOPICS = ("telemetry", "order", "contact")
NOUNS = ("cohort_count", "source_count", "episode", "late")
_TOPIC_OF = {Telemetry: "telemetry", Order: "order", Contact: "contact"}


ALONE = JoinRules(clock_customers=1)
"""One event moves a topic's clock: for what is not about the clock."""

Factory = Callable[[JoinRules], Stage[Any]]
IMPLEMENTATIONS: dict[str, Factory] = {"python": JoinStage} | ({"native": NativeJoinStage} if find() else {})
"""Every implementation of the join room there is here: the properties hold for each, and all say the same."""
_chosen: list[Factory] = [JoinStage]


def choose_stage(factory: Factory) -> None:
    """Let the worlds be played with this implementation from now on (fixture ``stage``)."""
    _chosen[0] = factory


def make_stage(rules: JoinRules) -> Stage[Any]:
    """The join room of the chosen implementation."""
    return _chosen[0](rules)


def telemetry(at: int, customer: str = "c1", outcome: str = "ok", **more: Any) -> Telemetry:
    """A telemetry event ``at`` ms after T0; its id is made of what it says unless given."""
    values = {"event_id": f"t{at}{customer}{outcome}", "event_time_ms": T0 + at, "customer_id": customer,
              "product": "shop", "event_name": "tap", "outcome": outcome, "source": "app", "app_version": "1"}
    return Telemetry.model_validate(values | more)


def order(at: int, status: str, customer: str = "c1", order_id: str = "o1", promised: int | None = None,
          **more: Any) -> Order:
    """An order event ``at`` ms after T0, promised for ``promised`` ms after T0."""
    values = {"event_id": f"o{at}{customer}{order_id}{status}", "event_time_ms": T0 + at, "customer_id": customer,
              "product": "shop", "order_id": order_id, "status": status, "source": "erp", "carrier": "swift",
              "promised_at_ms": None if promised is None else T0 + promised}
    return Order.model_validate(values | more)


def contact(at: int, customer: str = "c1", reason: str = "app", **more: Any) -> Contact:
    """A contact opened ``at`` ms after T0."""
    values = {"event_id": f"k{at}{customer}{reason}", "event_time_ms": T0 + at, "customer_id": customer,
              "contact_id": f"k{at}{customer}", "channel": "phone", "reason": reason, "product": "shop",
              "source": "crm"}
    return Contact.model_validate(values | more)


def topic_of(event: Event) -> str:
    """Noun of the topic of an event."""
    return _TOPIC_OF[type(event)]


def decoded(drained: Drained) -> list[Message]:
    """Messages that a stage gave encoded, as records."""
    return [
        Message(noun, key.decode(), reference_decode(noun, value)[0], partition)
        for noun, key, value, partition in drained.encoded
    ]


@dataclass
class Player:
    """Plays records into one partition of the room, keeps its state topic and everything it emitted."""

    partition: int = 0
    partitions: int = 1
    rules: JoinRules = ALONE
    store: dict[bytes, bytes] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    make: Factory | None = None
    """Another implementation than the chosen one."""

    def __post_init__(self) -> None:
        self.stage = (self.make or make_stage)(self.rules)
        self.state: Any = self.stage.start(self.partition, self.partitions)
        self.offsets = dict.fromkeys(TOPICS, 0)

    def play(self, topic: str, records: Sequence[Any], stamps: Sequence[int] = ()) -> None:
        """Feed one batch; ``stamps`` are its append times (none: nothing is ahead of them)."""
        start = self.offsets[topic]
        self.offsets[topic] += len(records)
        self.stage.step(self.state, Batch(topic, self.partition, records, range(start, self.offsets[topic]), stamps))

    def events(self, *events: Event) -> list[Message]:
        """Feed events one by one, each to its topic, and drain."""
        for event in events:
            self.play(topic_of(event), [event])
        return self.drain()

    def reach(self, at: int, topics: Iterable[str] = TOPICS) -> list[Message]:
        """A heartbeat ``at`` ms after T0 on each topic, then a drain."""
        for topic in topics:
            self.play(topic, [Heartbeat(event_time_ms=T0 + at)])
        return self.drain()

    def clock_ms(self, topic: str) -> int:
        """How far a topic has come."""
        assert isinstance(self.stage, Clocked)
        return self.stage.clock_ms(self.state, topic)

    def idle(self, at: int, topics: tuple[str, ...] = TOPICS) -> list[Message]:
        """An idle passage, then a drain."""
        self.stage.step(self.state, Idle(T0 + at, topics))
        return self.drain()

    def drain(self) -> list[Message]:
        """Apply what is durable, keep and return what was emitted."""
        drained = self.stage.drain(self.state)
        assert drained.changes == sorted(drained.changes)
        assert len({key for key, _ in drained.changes}) == len(drained.changes), "a key was written twice in one flush"
        for key, value in drained.changes:
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        emitted = drained.messages + decoded(drained)
        self.messages += emitted
        return emitted

    def restart(self, dice: random.Random) -> None:
        """Lose everything that is not durable, start again from the state topic, read in any order."""
        pairs = list(self.store.items())
        dice.shuffle(pairs)
        self.state = self.stage.load(self.partition, self.partitions, pairs)

    def stored(self, kind: str) -> dict[tuple[Any, ...], Any]:
        """What the state topic holds of one kind (see ``core.join.stage``): key without the kind -> value."""
        pairs = [(msgspec.msgpack.decode(key), value) for key, value in self.store.items()]
        return {tuple(key[1:]): msgspec.msgpack.decode(value) for key, value in pairs if key[0] == kind}

    def emitted(self, noun: str) -> list[Any]:
        """Every record of one kind."""
        return of(noun, self.messages)


def of(kind: str, messages: Iterable[Message]) -> list[Any]:
    """The records of one kind."""
    return [message.record for message in messages if getattr(message.record, "kind", "") == kind]


def findings(*players: Player) -> dict[str, list[bytes]]:
    """The canonical findings of a run."""
    return {
        noun: canonical(noun, [json.loads(encode(record)) for player in players for record in player.emitted(noun)])
        for noun in NOUNS
    }


Log = dict[str, list[Event]]
"""What each topic holds, in the order of arrival."""


def arrive(events: Iterable[Event], dice: random.Random, delay: Callable[[Event, random.Random], int]) -> Log:
    """Put events in the order of arrival: event time plus a delay in ms."""
    log: Log = {topic: [] for topic in TOPICS}
    for event in sorted(events, key=lambda event: (event.event_time_ms + delay(event, dice), dice.random())):
        log[topic_of(event)].append(event)
    return log


def within_disorder(_event: Event, dice: random.Random) -> int:
    """A delay that makes nothing late."""
    return dice.randrange(10_000)


def with_stragglers(_event: Event, dice: random.Random) -> int:
    """A delay that makes every fifth event late, some of them too old."""
    return dice.randrange(10_000) if dice.random() < 0.8 else dice.randrange(30 * HOUR)


@dataclass
class Cadence:
    """How a log is cut into batches, how topics interleave, when drains and restarts come."""

    seed: int
    batch: int = 7
    drain_ratio: float = 0.3
    restart_ratio: float = 0.0

    def play(
        self, player: Player, log: Log, end: int = 3 * DAY, stamps: Mapping[str, int] = MappingProxyType({})
    ) -> Player:
        """Play the log to its end, then a heartbeat ``end`` ms after T0 on every topic.

        ``stamps``: append time by event id.
        """
        dice = random.Random(self.seed)
        left = {topic: list(events) for topic, events in log.items() if events}
        while left:
            topic = dice.choice(sorted(left))
            size = dice.randint(1, self.batch)
            part = left[topic][:size]
            player.play(topic, part, [stamps[event.event_id] for event in part] if stamps else ())
            left[topic] = left[topic][size:]
            if not left[topic]:
                del left[topic]
            if dice.random() < self.drain_ratio:
                player.drain()
                if dice.random() < self.restart_ratio:
                    player.restart(dice)
        player.reach(end)
        return player


def by_partition(log: Log, partitions: int) -> list[Log]:
    """Split a log by customer."""
    return [
        {topic: [e for e in events if partition_of(e.customer_id.encode(), partitions) == partition]
         for topic, events in log.items()}
        for partition in range(partitions)
    ]


def repeated(events: list[Event], dice: random.Random) -> list[Event]:
    """Repeat every second event somewhere within the horizon after itself."""
    result = list(events)
    for event in events:
        if dice.random() < 0.5:
            first = result.index(event)
            near = [i for i in range(first, len(result)) if result[i].event_time_ms < event.event_time_ms + 5 * MINUTE]
            result.insert(dice.choice(near) + 1, event)
    return result


@st.composite
def worlds(draw: st.DrawFn) -> list[Event]:
    """Some customers over five hours: taps, orders with promises, contacts. Times are coarse, so that they collide."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    customers = [f"c{number}" for number in range(draw(st.integers(1, 6)))]
    count = draw(st.integers(1, 60))
    span = draw(st.sampled_from((2 * MINUTE, HOUR, 5 * HOUR)))
    return list(_unique(_event(dice, customers, span) for _ in range(count)))


def _unique(events: Iterable[Event]) -> Iterator[Event]:
    for number, event in enumerate(events):
        yield event.model_copy(update={"event_id": f"e{number * 7_919 % 1_000:03d}-{number}"})


def _event(dice: random.Random, customers: list[str], span: int) -> Event:
    at, customer = dice.randrange(0, span, 2_500), dice.choice(customers)
    line = dice.choice(("shop", "shop", "tv"))
    origin = dice.choice(("live", "live", "replay", "drill"))
    kind = dice.random()
    if kind < 0.4:
        return telemetry(at, customer, dice.choice(("ok", "ok", "failed", "abandoned")), product=line,
                         app_version=dice.choice("12"), source=dice.choice(("ios", "web")), origin=origin,
                         event_name=dice.choice(("tap", "pay")), component=dice.choice(("", "", "cart")))
    if kind < 0.75:
        status = dice.choice(("placed", "paid", "payment_failed", "shipped", "delivered", "late", "cancelled",
                              "returned", "refunded"))
        promised = dice.choice((None, at + dice.randrange(-HOUR, 2 * HOUR, 2_500), span // 2))
        return order(at, status, customer, f"o{dice.randrange(3)}", promised, product=line,
                     carrier=dice.choice(("", "swift", "dpx")), amount_cents=dice.choice((-500, 0, 550, 900)),
                     currency=dice.choice(("", "EUR", "eur", "jpy", "KWD", "abc")),
                     cancelled_by=dice.choice((None, "company", "customer")) if status == "cancelled" else None,
                     origin=origin)
    reason = dice.choice(("", "app", "technical", "payment", "delivery", "complaint", "question", "campaign"))
    return contact(at, customer, reason, contact_id=f"k{dice.randrange(20)}", product=dice.choice(("", line)),
                   status=dice.choice(("opened", "opened", "resolved")), origin=origin,
                   order_id=dice.choice((None, None, "", "o0", "o1")),
                   subject_ids=dice.choice(((), (), ("o0",), ("t9", "o2", "o1", "t9"))))


# -- the naive join: reads the whole log at once, knows nothing of state, watermarks or batches --------------------


@dataclass
class Hit:
    """One exposure."""

    at: int
    customer: str
    line: str
    signal: str
    values: tuple[str, ...]
    failed: bool
    in_bins: bool
    event_id: str = ""
    amount: tuple[str, int] = ("", 0)
    origin: str = "live"
    owed: tuple[str, ...] = ()
    """What has to go well for it to be put right."""
    by: frozenset[str] = frozenset()
    """The outcomes and statuses that put it right."""


def naive(log: Log, customers: int = 1) -> dict[str, list[bytes]]:
    """Canonical findings of a log without late orders, given that all time has passed afterwards.

    ``customers`` move a topic's clock together.
    """
    events = [(event, late) for topic in TOPICS for event, late in _admitted(log[topic], topic, customers)]
    hits = [hit for event, late in events for hit in _direct(event, late)] + list(_promised(events))
    return {
        "cohort_count": canonical("cohort_count", _cohort_rows(hits)),
        "source_count": canonical("source_count", _source_rows(log, customers)),
        "episode": canonical("episode", _episode_rows(hits, [event for event, _ in events])),
        "late": canonical("late", _late_rows(log, customers)),
    }


def _judged(events: list[Event], topic: str, customers: int) -> Iterator[tuple[Event, str, int]]:
    newest, seen, reached = 0, set(), dict[str, int]()
    for event in events:
        identity = (event.event_time_ms // MINUTE, event.customer_id, event.event_id)
        mark = newest - 10 * SECOND
        if event.event_time_ms < newest - {"telemetry": 10 * MINUTE, "order": 7 * DAY, "contact": 45 * DAY}[topic]:
            yield event, "too old", mark
        elif identity in seen:
            yield event, "repeated", mark
        else:
            seen.add(identity)
            yield event, "late" if event.event_time_ms < mark else "on time", mark
            reached[event.customer_id] = max(reached.get(event.customer_id, 0), event.event_time_ms)
            newest = max([newest, *sorted(reached.values(), reverse=True)[customers - 1 : customers]])


def _admitted(events: list[Event], topic: str, customers: int) -> list[tuple[Event, bool]]:
    judged = _judged(events, topic, customers)
    return [(e, verdict == "late") for e, verdict, _ in judged if verdict in ("late", "on time")]


_PAID = frozenset({"paid", "delivered", "cancelled", "refunded"})


def _direct(event: Event, late: bool) -> Iterator[Hit]:
    base = (event.event_time_ms, event.customer_id)
    if isinstance(event, Telemetry) and event.outcome != "abandoned":
        leaf = (event.app_version, event.platform, event.device_model, event.region, event.component)
        yield Hit(*base, event.product, "app", leaf, event.outcome == "failed", not late, event.event_id, ("", 0),
                  event.origin, ("tap", event.customer_id, event.product, event.event_name), frozenset({"ok"}))
    if isinstance(event, Order) and event.status in ("paid", "payment_failed"):
        values = (event.payment_provider, event.payment_method, event.region)
        failed = event.status == "payment_failed"
        yield Hit(*base, event.product, "payment", values, failed, not late, event.event_id,
                  money(event.amount_cents, event.currency),
                  event.origin, ("order", event.customer_id, event.order_id), _PAID)
    if isinstance(event, Contact) and event.status == "opened":
        failed = event.reason in ("app", "payment", "delivery", "problem", "complaint", "technical")
        owed = ("order", event.customer_id, event.order_id) if event.order_id else (
            "contact", event.customer_id, event.contact_id)
        yield Hit(*base, event.product, "contact", (event.channel, event.region), failed, not late, event.event_id,
                  ("", 0), event.origin, owed, _PAID if event.order_id else frozenset({"resolved"}))


def _promised(events: list[tuple[Event, bool]]) -> Iterator[Hit]:
    histories: dict[tuple[str, str], list[Order]] = defaultdict(list)
    for event, late in events:
        if isinstance(event, Order):
            assert not late, "the naive join knows no late orders"
            histories[event.customer_id, event.order_id].append(event)
    for history in histories.values():
        hit = _outcome(sorted(history, key=lambda event: (event.event_time_ms, event.event_id)))
        if hit is not None:
            yield hit


def _outcome(history: list[Order]) -> Hit | None:
    """Walk one order's life; return the one exposure it leads to, if any."""
    promise: Order | None = None
    stated: list[Order] = []
    for event in history:
        now, status = event.event_time_ms, event.status
        if promise is not None and (promise.promised_at_ms or 0) < now:
            break
        if promise is None and event.promised_at_ms is None:
            if status in ("delivered", "cancelled", "returned"):
                return None
            continue
        promise = event if event.promised_at_ms is not None else promise
        stated.append(event)
        if promise is None or (promise.promised_at_ms or 0) < now:
            break
        if status == "delivered":
            return _hit(now, promise, stated, False, event, status)
        if status == "late" or (status == "cancelled" and event.cancelled_by == "company"):
            return _hit(now, promise, stated, True, event, status)
        if status in ("cancelled", "returned"):
            return None
    return None if promise is None else _hit(promise.promised_at_ms or 0, promise, stated, True, promise, "")


def _hit(at: int, promise: Order, stated: list[Order], failed: bool, named: Order, status: str) -> Hit:
    def last(name: str) -> Any:
        return next((getattr(event, name) for event in reversed(stated) if getattr(event, name)), "")

    values = (last("carrier"), last("warehouse"), last("region"))
    return Hit(at, promise.customer_id, promise.product, "delivery", values, failed, at >= promise.event_time_ms,
               named.event_id, money(last("amount_cents") or 0, last("currency")), named.origin,
               ("order", promise.customer_id, promise.order_id), _PAID - {"paid", status})


def money(cents: int, currency: str) -> tuple[str, int]:
    """What ISO 4217 makes of hundredths, for the few currencies of this world."""
    code = currency.upper() if currency.upper() in ("", "EUR", "JPY", "KWD") else "XXX"
    minor = Decimal(cents) / 100 * Decimal(10) ** {"JPY": 0, "KWD": 3}.get(code, 2)
    return code, int(minor.quantize(Decimal(1), ROUND_HALF_UP))


def largest(amounts: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """The largest of each currency, as findings list them."""
    found = {code: max(minor for other, minor in amounts if other == code) for code, _ in amounts}
    return [{"currency": code, "minor": found[code]} for code in sorted(found) if found[code] > 0]


ATTRIBUTES = {
    "app": ["app_version", "platform", "device_model", "region", "component"],
    "payment": ["payment_provider", "payment_method", "region"],
    "delivery": ["carrier", "warehouse", "region"],
    "contact": ["channel", "region"],
}


def _cohort_rows(hits: list[Hit]) -> list[dict[str, Any]]:
    groups: dict[tuple[int, str, str], list[Hit]] = defaultdict(list)
    for hit in hits:
        if hit.in_bins:
            groups[hit.at // (10 * SECOND) * 10 * SECOND, hit.line, hit.signal].append(hit)
    rows = []
    for (bin_ms, line, signal), found in groups.items():
        leaves = []
        for values in sorted({hit.values for hit in found}):
            inside = [hit for hit in found if hit.values == values]
            failed = sorted({customer_hash(hit.customer) for hit in inside if hit.failed})
            leaves.append({"values": list(values), "exposed": len({h.customer for h in inside}), "failed": failed})
        rows.append({"kind": "cohort_count", "line": line, "signal": signal, "bin_ms": bin_ms, "width_ms": 10 * SECOND,
                     "partition": 0, "attributes": ATTRIBUTES[signal], "leaves": leaves, "closed": True})
    return rows


def _source_rows(log: Log, customers: int) -> list[dict[str, Any]]:
    counts: dict[tuple[str, str, int], dict[str, int]] = defaultdict(lambda: {"events": 0, "late": 0, "duplicates": 0})
    for topic, events in log.items():
        for event, verdict, _ in _judged(events, topic, customers):
            if verdict != "too old":
                row = counts[topic, event.source, event.event_time_ms // (10 * SECOND) * 10 * SECOND]
                row["events"] += verdict != "repeated"
                row["late"] += verdict == "late"
                row["duplicates"] += verdict == "repeated"
    return [{"kind": "source_count", "topic": topic, "source": source, "partition": 0, "bin_ms": bin_ms,
             "width_ms": 10 * SECOND, **row} for (topic, source, bin_ms), row in counts.items()]


def _late_rows(log: Log, customers: int) -> list[dict[str, Any]]:
    return [{"kind": "late", "topic": topic, "partition": 0, "offset": offset, "source": event.source,
             "event_time_ms": event.event_time_ms, "watermark_ms": mark}
            for topic, events in log.items()
            for offset, (event, verdict, mark) in enumerate(_judged(events, topic, customers)) if verdict == "too old"]


_ABOUT = {"": {"app", "payment", "delivery", "contact"}, "complaint": {"app", "payment", "delivery", "contact"},
          "app": {"app", "contact"}, "technical": {"app", "contact"}, "payment": {"payment", "contact"},
          "delivery": {"delivery", "contact"}}


Went = dict[tuple[str, ...], list[tuple[int, str]]]
"""What had to go well -> when it did, and how."""


def _went_well(events: list[Event]) -> Went:
    found: Went = defaultdict(list)
    for event in events:
        if isinstance(event, Telemetry):
            tapped = ("tap", event.customer_id, event.product, event.event_name)
            found[tapped].append((event.event_time_ms, event.outcome))
        elif isinstance(event, Order):
            found["order", event.customer_id, event.order_id].append((event.event_time_ms, event.status))
        else:
            assert isinstance(event, Contact)
            found["contact", event.customer_id, event.contact_id].append((event.event_time_ms, event.status))
    return found


def _put_right(failures: list[Hit], went: Went) -> int | None:
    """When the last of these failures was put right: each by the first that counts at or after it."""
    times = [min((at for at, status in went[hit.owed] if at >= hit.at and status in hit.by), default=None)
             for hit in failures]
    return None if None in times else max(at for at in times if at is not None)


def _gravest(failures: list[Hit]) -> str:
    return next(origin for origin in ("live", "drill", "replay") if any(hit.origin == origin for hit in failures))


def _episode_rows(hits: list[Hit], events: list[Event]) -> list[dict[str, Any]]:
    went = _went_well(events)
    first_opened: dict[tuple[str, str], Contact] = {}
    for event in sorted((e for e in events if isinstance(e, Contact) and e.status == "opened" and e.reason in _ABOUT),
                        key=lambda e: (e.event_time_ms, e.contact_id, e.product, e.reason)):
        first_opened.setdefault((event.customer_id, event.contact_id), event)
    groups: dict[tuple[str, str, str, int], list[Hit]] = defaultdict(list)
    for hit in hits:
        if hit.failed:
            groups[hit.customer, hit.line, hit.signal, hit.at // HOUR * HOUR].append(hit)
    return [_episode_row(key, sorted(found, key=lambda hit: (hit.at, hit.event_id)), first_opened.values(), went)
            for key, found in groups.items()]


def _episode_row(
    key: tuple[str, str, str, int], found: list[Hit], contacts: Iterable[Contact], went: Went
) -> dict[str, Any]:
    customer, line, signal, window = key
    about = [c.event_time_ms for c in contacts
             if c.customer_id == customer and c.product in ("", line) and signal in _ABOUT[c.reason]
             and c.event_time_ms - DAY <= found[0].at <= c.event_time_ms + 15 * MINUTE]
    leaves = []
    for values in {hit.values for hit in found}:
        inside = [hit for hit in found if hit.values == values]
        times = [hit.at for hit in inside]
        leaves.append({"values": list(values), "first_ms": min(times), "last_ms": max(times), "failures": len(times),
                       "put_right_ms": _put_right(inside, went), "origin": _gravest(inside)})
    leaves.sort(key=lambda leaf: (leaf["first_ms"], leaf["values"]))
    return {
        "kind": "episode", "customer_id": customer, "line": line, "signal": signal, "window_ms": window,
        "attributes": ATTRIBUTES[signal], "leaves": leaves[:8], "first_failed_ms": found[0].at,
        "last_failed_ms": found[-1].at, "failures": len(found), "evidence": [hit.event_id for hit in found[:5]],
        "amounts": largest([hit.amount for hit in found]), "contacted_at_ms": min(about, default=None),
        "contacts": len(about), "put_right_ms": _put_right(found, went), "origin": _gravest(found),
    }
