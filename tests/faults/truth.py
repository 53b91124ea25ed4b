"""What must come out, worked out a second time from the raw topics of one partition. No code of the product.

The rules restated here: an event is judged by how far its own topic has come (its place in the topic decides, so the
interleaving of topics does not matter): as far as the third-newest customer, or the newest heartbeat or tick; no event
or heartbeat counts for more than its arrival. Older than the lateness bound: kept apart; seen before (id, customer and
time): a duplicate; behind the disorder bound: joins episodes but no bin. Bins of 10 s hold distinct customers per leaf;
episodes hold failures per customer, line, signal and hour with the contacts about them; promises have one outcome. A
failure is put right by the first event at or after it that says so: of its order (paid, delivered, cancelled, refunded;
a broken promise not by paid, nor by what broke it), of its event name, or of its contact; an episode by the last of
these.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import xxhash
from aiokafka.partitioner import murmur2

from tests.faults.contract import event_of, heartbeat_of

NOUNS = ("telemetry", "order", "contact")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
BIN_MS = 10_000
DISORDER_MS = 10_000
LATENESS_MS = {"telemetry": 10 * MINUTE_MS, "order": 7 * DAY_MS, "contact": 45 * DAY_MS}
ATTACH_MS = 3 * DAY_MS - DAY_MS - HOUR_MS - 15 * MINUTE_MS
"""Contacts later than this behind their topic are counted, but join nothing by time."""
FUTURE_MS = 300_000
CLOCK_CUSTOMERS = 3
HEARTBEAT_KEY = b"cx.heartbeat"
COMPLAINTS = {"app", "payment", "delivery", "problem", "complaint", "technical"}
ANY_SIGNAL = {"", "unspecific", "complaint", "problem"}
SIGNAL_OF = {"app": "app", "technical": "app", "payment": "payment", "delivery": "delivery"}
ATTRIBUTES = {
    "app": ("app_version", "platform", "device_model", "region", "component"),
    "payment": ("payment_provider", "payment_method", "region"),
    "contact": ("channel", "region"),
    "delivery": ("carrier", "warehouse", "region"),
}
PAID = frozenset({"paid", "delivered", "cancelled", "refunded"})
ORIGINS = ("live", "drill", "replay")
"""The gravest first: one failure seen live makes all of it live."""
PROMISE_HORIZON_MS = 60 * DAY_MS
SHOWN_LEAVES = 8
SHOWN_EVIDENCE = 5
JOINED_MS = 3 * DAY_MS - DAY_MS - HOUR_MS - 15 * MINUTE_MS
"""Contacts later than this are joined by the order that they name only."""
KEPT_CONTACTS = 256
"""Of one customer: those with the smallest hashes."""


class Read(NamedTuple):
    """One raw record as the oracle's own consumer read it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


class Tick(NamedTuple):
    """A recorded idle passage of the join room: applies before the record at ``offsets[noun]``."""

    time_ms: int
    offsets: dict[str, int]


class Failure(NamedTuple):
    """One failure event."""

    time_ms: int
    event_id: str
    values: tuple[str, ...]
    amount: tuple[str, int]
    """Currency and minor units."""
    origin: str
    owed: tuple[str, ...]
    """What has to go well."""
    by: frozenset[str]
    """What it says then."""


EpisodeKey = tuple[str, str, str, int]
"""(customer, line, signal, start of the hour)."""
CohortKey = tuple[str, str, int, int]
"""(line, signal, bin, partition)."""


@dataclass
class Truth:
    """What must come out of one partition."""

    cohorts: dict[CohortKey, dict[tuple[str, ...], tuple[int, tuple[int, ...]]]] = field(default_factory=dict)
    """Closed bins: leaf -> (distinct exposed, sorted hashes of the failed)."""
    sources: dict[tuple[str, str, int, int], tuple[int, int, int]] = field(default_factory=dict)
    """(topic, source, bin, partition) of closed bins -> accepted, late, duplicates."""
    episodes: dict[EpisodeKey, dict[str, Any]] = field(default_factory=dict)
    late: set[tuple[str, int, int]] = field(default_factory=set)
    dead: dict[tuple[str, int, int], tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    """(topic, partition, offset) -> key and bytes."""
    raw: dict[str, set[tuple[int, int]]] = field(default_factory=lambda: {noun: set() for noun in NOUNS})
    """Topic -> (partition, offset) of everything that keeps the contract."""
    accepted: int = 0
    duplicates: int = 0
    foreign: int = 0

    def add(self, other: Truth) -> None:
        """Take over another partition's truth."""
        self.cohorts.update(other.cohorts)
        self.sources.update(other.sources)
        self.episodes.update(other.episodes)
        self.late |= other.late
        self.dead.update(other.dead)
        for noun in NOUNS:
            self.raw[noun] |= other.raw[noun]
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.foreign += other.foreign


@lru_cache(maxsize=65_536)
def hash_of(customer: str) -> int:
    """How a customer is named in counts."""
    return xxhash.xxh3_64_intdigest(customer.encode())


@lru_cache(maxsize=65_536)
def home_of(customer: bytes, partitions: int) -> int:
    """The partition where a customer lives: Java's murmur2."""
    return int((murmur2(customer) & 0x7FFFFFFF) % partitions)


@dataclass
class _Promise:
    """An order that was promised for a time."""

    stated: tuple[int, str]
    latest: tuple[int, str]
    due_ms: int = 0
    fire_ms: int = 0
    line: str = ""
    values: list[str] = field(default_factory=lambda: ["", "", ""])
    amount: int = 0
    currency: str = ""
    origin: str = "live"


class _Partition:
    """Works through the topics of one partition."""

    def __init__(self, number: int, partitions: int, ticks: Sequence[Tick], max_bytes: int) -> None:
        self.number, self.partitions, self.ticks, self.max_bytes = number, partitions, ticks, max_bytes
        self.truth = Truth()
        self.newest = dict.fromkeys(NOUNS, 0)
        self.reached: dict[str, dict[str, int]] = {noun: {} for noun in NOUNS}
        self.bins: dict[tuple[str, str, int], dict[tuple[str, ...], tuple[set[int], set[int]]]] = {}
        self.cells: dict[tuple[str, str, int], list[int]] = {}
        self.failures: dict[EpisodeKey, list[Failure]] = {}
        self.well: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        self.contacts: dict[str, dict[str, tuple[int, str, str, str, str, bool]]] = {}
        self.orders = _Orders(self)

    def topic(self, noun: str, records: Iterable[Read]) -> None:
        """All records of one topic, in order of their offsets."""
        seen: set[tuple[int, str, str]] = set()
        ticks = sorted((tick.offsets.get(noun, 0), tick.time_ms) for tick in self.ticks)
        index = 0
        for record in records:
            while index < len(ticks) and ticks[index][0] <= record.offset:
                self.newest[noun] = max(self.newest[noun], ticks[index][1] + DISORDER_MS)
                index += 1
            self._record(noun, record, seen)
        for _, time_ms in ticks[index:]:
            self.newest[noun] = max(self.newest[noun], time_ms + DISORDER_MS)
        if noun == "order":
            self.orders.advance(max(0, self.newest[noun] - DISORDER_MS))

    def _record(self, noun: str, record: Read, seen: set[tuple[int, str, str]]) -> None:
        if record.key == HEARTBEAT_KEY:
            self._heartbeat(noun, record)
            return
        event = event_of(noun, record.value, self.max_bytes)
        at = (noun, self.number, record.offset)
        if event is not None:
            self.truth.raw[noun].add((self.number, record.offset))
        arrival_ms = record.timestamp_ms
        if event is not None and event.get("arrived_at_ms") is not None:
            arrival_ms = min(arrival_ms, event["arrived_at_ms"])
        if event is None or event["event_time_ms"] > arrival_ms + FUTURE_MS:
            self.truth.dead[at] = (record.key, record.value)
            return
        customer = event["customer_id"].encode()
        if record.key != customer or home_of(customer, self.partitions) != self.number:
            self.truth.foreign += 1
            return
        time_ms = event["event_time_ms"]
        if time_ms < self.newest[noun] - LATENESS_MS[noun]:
            self.truth.late.add(at)
            return
        identity = (time_ms - time_ms % MINUTE_MS, event["event_id"], event["customer_id"])
        cell = self.cells.setdefault((noun, event.get("source", ""), time_ms - time_ms % BIN_MS), [0, 0, 0])
        if identity in seen:
            cell[2] += 1
            self.truth.duplicates += 1
            return
        seen.add(identity)
        late = time_ms < self.newest[noun] - DISORDER_MS
        cell[0] += 1
        cell[1] += late
        self.truth.accepted += 1
        self._accept(noun, event, time_ms, late)
        self._reach(noun, event["customer_id"], min(time_ms, arrival_ms))

    def _reach(self, noun: str, customer: str, time_ms: int) -> None:
        """Everybody's newest time; the third-newest moves the topic. Who is behind it cannot matter any more."""
        reached = self.reached[noun]
        if time_ms <= max(self.newest[noun], reached.get(customer, 0)):
            return
        reached[customer] = time_ms
        newest = sorted(reached.values(), reverse=True)
        if len(newest) >= CLOCK_CUSTOMERS:
            self.newest[noun] = max(self.newest[noun], newest[CLOCK_CUSTOMERS - 1])
        self.reached[noun] = {who: at for who, at in reached.items() if at > self.newest[noun]}

    def _heartbeat(self, noun: str, record: Read) -> None:
        beat = heartbeat_of(record.value)
        if beat is None or beat["event_time_ms"] > record.timestamp_ms + FUTURE_MS:
            self.truth.dead[noun, self.number, record.offset] = (record.key, record.value)
        else:
            self.newest[noun] = max(self.newest[noun], min(beat["event_time_ms"], record.timestamp_ms))

    def _accept(self, noun: str, event: dict[str, Any], time_ms: int, late: bool) -> None:
        self.well.setdefault(_about(noun, event), []).append((time_ms, event.get(_SAYS[noun], "opened")))
        if noun == "telemetry":
            if event["outcome"] in ("ok", "failed"):
                self._count(event, "app", time_ms, late, event["outcome"] == "failed")
        elif noun == "order":
            if event["status"] in ("paid", "payment_failed"):
                failed = event["status"] == "payment_failed"
                amount = _money(event.get("amount_cents", 0), event.get("currency", ""))
                self._count(event, "payment", time_ms, late, failed, amount)
            self.orders.take(event, time_ms, late, self.newest["order"] - DISORDER_MS)
        elif event.get("status", "opened") == "opened":
            self._count(event, "contact", time_ms, late, event.get("reason", "") in COMPLAINTS)
            if time_ms >= self.newest[noun] - ATTACH_MS:
                self._contact(event, time_ms)

    def _count(
        self, event: dict[str, Any], signal: str, time_ms: int, late: bool, failed: bool,
        amount: tuple[str, int] = ("", 0),
    ) -> None:
        line = event.get("product", "")
        values = tuple(event.get(name) or "" for name in ATTRIBUTES[signal])
        if not late:
            self.expose(line, signal, time_ms, values, event["customer_id"], failed)
        if failed:
            noun = {"app": "telemetry", "payment": "order", "contact": "contact"}[signal]
            by = {"app": frozenset({"ok"}), "payment": PAID, "contact": frozenset({"resolved"})}[signal]
            if signal == "contact" and event.get("order_id"):
                noun, by = "order", PAID
            origin = event.get("origin", "live")
            failure = Failure(time_ms, event["event_id"], values, amount, origin, _about(noun, event), by)
            self.fail(event["customer_id"], line, signal, failure)

    def expose(
        self, line: str, signal: str, time_ms: int, values: tuple[str, ...], customer: str, failed: bool
    ) -> None:
        """Count a customer in the bin of its event."""
        leaves = self.bins.setdefault((line, signal, time_ms - time_ms % BIN_MS), {})
        exposed, broken = leaves.setdefault(values, (set(), set()))
        exposed.add(hash_of(customer))
        if failed:
            broken.add(hash_of(customer))

    def fail(self, customer: str, line: str, signal: str, failure: Failure) -> None:
        """Note a failure for the episode of its hour."""
        key = (customer, line, signal, failure.time_ms - failure.time_ms % HOUR_MS)
        self.failures.setdefault(key, []).append(failure)

    def _contact(self, event: dict[str, Any], time_ms: int) -> None:
        reason = event.get("reason", "")
        if reason not in ANY_SIGNAL and reason not in SIGNAL_OF:
            return
        mine = self.contacts.setdefault(event["customer_id"], {})
        order, late = event.get("order_id") or "", time_ms < self.newest["contact"] - JOINED_MS
        if late and not order:
            return
        found = (time_ms, event["contact_id"], event.get("product", ""), reason, order, late)
        mine[event["contact_id"]] = min(found, mine.get(event["contact_id"], found))

    def finish(self) -> Truth:
        """Close what is closed and attach contacts to episodes."""
        slowest = min(self.newest.values())
        through = max(0, slowest - DISORDER_MS)
        through -= through % BIN_MS
        for (line, signal, start), leaves in self.bins.items():
            if start + BIN_MS <= through:
                self.truth.cohorts[line, signal, start, self.number] = {
                    values: (len(exposed), tuple(sorted(failed))) for values, (exposed, failed) in leaves.items()
                }
        for (noun, source, start), counts in self.cells.items():
            if start + BIN_MS <= through:
                self.truth.sources[noun, source, start, self.number] = (counts[0], counts[1], counts[2])
        for key, failures in self.failures.items():
            self.truth.episodes[key] = self._episode(key, failures)
        return self.truth

    def _episode(self, key: EpisodeKey, failures: list[Failure]) -> dict[str, Any]:
        customer, line, signal, window = key
        first = min(failure.time_ms for failure in failures)
        about = [
            at for at, _, product, reason, order, late in self._kept_contacts(customer)
            if product in ("", line) and (reason in ANY_SIGNAL or signal in (SIGNAL_OF.get(reason), "contact"))
            and first <= at + 15 * MINUTE_MS
            and ((at - DAY_MS <= first and not late) or self._names(order, at, failures))
        ]  # fmt: skip
        leaves: dict[tuple[str, ...], list[Failure]] = {}
        for failure in failures:
            leaves.setdefault(failure.values, []).append(failure)
        shown = sorted(leaves.items(), key=lambda item: (min(item[1]).time_ms, item[0]))[:SHOWN_LEAVES]
        return {
            "kind": "episode", "customer_id": customer, "line": line, "signal": signal, "window_ms": window,
            "attributes": list(ATTRIBUTES[signal]),
            "leaves": [
                {"values": list(values), "first_ms": min(mine).time_ms, "last_ms": max(mine).time_ms,
                 "failures": len(mine), "put_right_ms": self._put_right(mine), "origin": _gravest(mine)}
                for values, mine in shown
            ],
            "first_failed_ms": first, "last_failed_ms": max(failure.time_ms for failure in failures),
            "failures": len(failures),
            "evidence": [event_id for _, event_id, *_ in sorted(failures)[:SHOWN_EVIDENCE]],
            "amounts": _largest(failure.amount for failure in failures),
            "contacted_at_ms": min(about, default=None), "contacts": len(about),
            "put_right_ms": self._put_right(failures), "origin": _gravest(failures),
        }  # fmt: skip

    def _names(self, order: str, at: int, failures: list[Failure]) -> bool:
        """A contact that names an order is about its failures until they are put right."""
        mine = [one for one in failures if one.owed == ("order", one.owed[1], order)] if order else []
        if not mine:
            return False
        right = self._put_right(mine)
        return right is None or at < right

    def _put_right(self, failures: list[Failure]) -> int | None:
        times = []
        for failure in failures:
            later = (one for one in self.well.get(failure.owed, ()) if one[0] >= failure.time_ms)
            well = [at for at, status in later if status in failure.by]
            if not well:
                return None
            times.append(min(well))
        return max(times)

    def _kept_contacts(self, customer: str) -> list[tuple[int, str, str, str, str, bool]]:
        found = sorted(self.contacts.get(customer, {}).values(), key=lambda contact: hash_of(contact[1]))
        return found[:KEPT_CONTACTS]


_SAYS = {"telemetry": "outcome", "order": "status", "contact": "status"}
_NAMES = {"telemetry": ("product", "event_name"), "order": ("order_id",), "contact": ("contact_id",)}


def _about(noun: str, event: dict[str, Any]) -> tuple[str, ...]:
    return noun, event["customer_id"], *(event[name] for name in _NAMES[noun])


def _gravest(failures: list[Failure]) -> str:
    return min((failure.origin for failure in failures), key=ORIGINS.index)


class _Orders:
    """Promises of one partition: events on time wait for the topic's watermark, late ones are applied at once."""

    def __init__(self, partition: _Partition) -> None:
        self.partition = partition
        self.open: dict[tuple[str, str], _Promise] = {}
        self.ended: dict[tuple[str, str], int] = {}
        self.pending: list[tuple[int, int, str, str, str, dict[str, Any] | None]] = []

    def take(self, event: dict[str, Any], time_ms: int, late: bool, watermark_ms: int) -> None:
        """One accepted order event; ``watermark_ms`` as it was before the event."""
        self.advance(watermark_ms)
        if late:
            self._apply(event, watermark_ms, late=True)
        else:
            key = (event["customer_id"], event["order_id"])
            heapq.heappush(self.pending, (time_ms, 0, event["event_id"], *key, event))

    def advance(self, watermark_ms: int) -> None:
        """Apply everything before the watermark in order of time; an event comes before a timer of the same time."""
        while self.pending and self.pending[0][0] < watermark_ms:
            time_ms, _, _, customer, order, event = heapq.heappop(self.pending)
            if event is not None:
                self._apply(event, watermark_ms, late=False)
                continue
            promise = self.open.get((customer, order))
            if promise is not None and promise.fire_ms == time_ms:
                on_time = promise.fire_ms == promise.due_ms >= promise.stated[0]
                named = {"event_id": promise.stated[1], "origin": promise.origin, "status": ""}
                self._decide((customer, order), promise, promise.due_ms, True, on_time, named)
                self._end((customer, order), promise.due_ms)

    def _apply(self, event: dict[str, Any], watermark_ms: int, *, late: bool) -> None:
        key, at = (event["customer_id"], event["order_id"]), event["event_time_ms"]
        status: str = event["status"]
        promised: int | None = event.get("promised_at_ms")
        states = promised is not None and at - DAY_MS <= promised <= at + PROMISE_HORIZON_MS
        promise = self.open.get(key)
        if promise is None:
            if not states:
                if status in ("delivered", "returned", "cancelled"):
                    self.ended[key] = max(at, self.ended.get(key, 0))
                return
            if self._ended_lately(key, at):
                return
            promise = self.open[key] = _Promise((0, ""), (0, ""))
        self._learn(promise, event)
        if promised is not None and states and (at, event["event_id"]) > promise.stated:
            fire = max(promised, watermark_ms + DISORDER_MS) if late else promised
            if fire != promise.fire_ms:
                heapq.heappush(self.pending, (fire, 1, "", *key, None))
            promise.stated, promise.due_ms, promise.fire_ms = (at, event["event_id"]), promised, fire
            promise.line, promise.origin = event["product"], event.get("origin", "live")
        if at <= promise.due_ms:
            self._resolve(key, promise, event, late)

    def _ended_lately(self, key: tuple[str, str], at: int) -> bool:
        """The memory of ended orders works in days: a day of memory, rounded to whole days."""
        ended = self.ended.get(key)
        return ended is not None and ended - ended % DAY_MS + DAY_MS > at - DAY_MS

    def _learn(self, promise: _Promise, event: dict[str, Any]) -> None:
        stamp = (event["event_time_ms"], event["event_id"])
        newer = stamp >= promise.latest
        for index, name in enumerate(ATTRIBUTES["delivery"]):
            new = event.get(name) or ""
            if new and (newer or not promise.values[index]):
                promise.values[index] = new
        if event.get("amount_cents", 0) and (newer or not promise.amount):
            promise.amount = event["amount_cents"]
        if event.get("currency") and (newer or not promise.currency):
            promise.currency = event["currency"]
        if newer:
            promise.latest = stamp

    def _resolve(self, key: tuple[str, str], promise: _Promise, event: dict[str, Any], late: bool) -> None:
        at, status = event["event_time_ms"], event["status"]
        broken = status == "late" or (status == "cancelled" and event.get("cancelled_by") == "company")
        if broken or status == "delivered":
            self._decide(key, promise, at, broken, not late, event)
        if broken or status in ("delivered", "returned", "cancelled"):
            self._end(key, max(at, promise.due_ms))

    def _end(self, key: tuple[str, str], at: int) -> None:
        del self.open[key]
        self.ended[key] = max(at, self.ended.get(key, 0))

    def _decide(
        self, key: tuple[str, str], promise: _Promise, at: int, failed: bool, on_time: bool, named: dict[str, Any]
    ) -> None:
        values = tuple(promise.values)
        if on_time:
            self.partition.expose(promise.line, "delivery", at, values, key[0], failed)
        if failed:
            owed, by = ("order", *key), PAID - {"paid", named["status"]}
            origin = named.get("origin", "live")
            failure = Failure(at, named["event_id"], values, _money(promise.amount, promise.currency), origin, owed, by)
            self.partition.fail(key[0], promise.line, "delivery", failure)


def _money(cents: int, currency: str) -> tuple[str, int]:
    """Hundredths in the minor units of a currency, of those that the load has."""
    code = currency.upper() if currency.upper() in ("", "EUR", "CHF", "JPY", "KWD") else "XXX"
    minor = Decimal(cents) / 100 * 10 ** {"JPY": 0, "KWD": 3}.get(code, 2)
    return code, int(minor.quantize(Decimal(1), ROUND_HALF_UP))


def _largest(amounts: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    found: dict[str, int] = {}
    for code, minor in amounts:
        found[code] = max(minor, found.get(code, 0))
    return [{"currency": code, "minor": minor} for code, minor in sorted(found.items()) if minor > 0]


def truth_of(
    number: int,
    partitions: int,
    topics: dict[str, list[Read]],
    ticks: Sequence[Tick] = (),
    max_bytes: int = 65_536,
) -> Truth:
    """What must come out of one partition: ``topics`` holds the raw records of its three topics by offset."""
    partition = _Partition(number, partitions, ticks, max_bytes)
    for noun in NOUNS:
        partition.topic(noun, topics.get(noun, []))
    return partition.finish()
