"""The input of the benchmarks: seeded events in the contract of ``schemas.events``, written to files once and kept.

Job J:

    telemetry  85 %   14 or 15 fields, 6 % failed with one of 8 error codes, 2 % abandoned, log-normal latency
    order      10 %   14 or 15 fields, one life of an order: placed with a promise, paid or not, packed, shipped, ...
    contact     5 %   13 fields, opened (60 %), answered or resolved, 80 characters of text

200,000 customers, the first ones busiest (share of the first x of them: sqrt(x)); 20,000 events a second of event time
from a fixed start in the past, out of order by up to 3 s; one event in a thousand is sent a second time, same bytes.
Other mixes differ in what :class:`Mix` says.

A set is a folder with one file per topic and partition, ``<topic>.<partition>.tsv``: one line per record in the order
of the log, key, tab, value. The same seed and number of events give the same bytes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.partition import partitions_of
from streams.stack.folders import Machine

VERSION = 2
"""Part of the folder's name: raise it when the generator changes."""
TOPICS = ("telemetry", "order", "contact")
PARTITIONS = 4
START_MS = 1_767_225_600_000
DISORDER_MS = 3_000
MOST_BEHIND_MS = 5_000
"""A repeated event is at most this much older than the event whose place it takes."""
SEED = 7
BLOCK = 100_000
"""Events made at a time; a repeated event lies in the same block as the first."""

PRODUCTS = ("player", "cart", "search", "account")
COMPONENTS = ("playback", "checkout", "query", "profile")
VERSIONS = tuple(f"4.{minor}.{patch}" for minor in range(8, 12) for patch in range(2))
REGIONS = ("eu-west", "eu-north", "us-east", "us-west", "ap-south", "sa-east")
DEVICES = ("Pixel 8 Pro", "iPhone 15", "Galaxy S24", "Chrome 128", "Bravia XR")
PLATFORMS = ("android", "ios", "android", "web", "tv")
ERRORS = ("E1001", "E1042", "E2003", "E2010", "E3100", "E4004", "E5000", "E5003")
NAMES = ("page_view", "play_start", "play_stop", "add_to_cart", "search_submit", "login", "api_call")
STATUSES = ("placed", "paid", "payment_failed", "packed", "shipped", "delivered", "late", "cancelled")
STATUS_SHARES = (0.28, 0.24, 0.02, 0.14, 0.15, 0.14, 0.01, 0.02)
PROVIDERS = ("paynow", "cardly", "billo")
METHODS = ("card", "wallet", "invoice")
CARRIERS = ("swiftpost", "parcelo", "bikes", "depot")
WAREHOUSES = tuple(f"W-{number:02d}" for number in range(1, 9))
CHANNELS = ("phone", "email", "chat", "app", "web")
REASONS = ("app", "technical", "payment", "delivery", "problem", "complaint", "question", "")
CONTACT_STATUSES = ("opened", "answered", "resolved")
LANGUAGES = ("en", "de", "fr")
WORDS = ("the", "app", "keeps", "crashing", "when", "i", "pay", "for", "order", "late", "refund", "please", "help")

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Mix:
    """What a set is made of. ``telemetry`` and ``order`` are shares of all events, contacts are the rest."""

    name: str = "j"
    telemetry: float = 0.85
    order: float = 0.10
    failed: float = 0.06
    """Share of telemetry that failed; two in a hundred are abandoned on top."""
    customers: int = 200_000
    skew: float = 2.0
    """The first x of the customers have x ** (1 / skew) of the events; 1: all are equally busy."""
    events_per_s: int = 20_000
    """Events per second of event time."""
    history_share: float = 0.0
    """Share of the events that come first and are spread over ``history_s``: what detection compares with."""
    history_s: int = 0
    incident_from: float = 1.0
    """Share of the events before an incident: from there on 40 % of one release's steps in one product fail."""

    def time_ms(self, number: Ints, events: int) -> Ints:
        """Event times of the events with these numbers (of ``events``), before disorder."""
        quiet = int(events * self.history_share)
        early = number * self.history_s * 1_000 // max(1, quiet)
        late = self.history_s * 1_000 + (number - quiet) * 1_000 // self.events_per_s
        return np.asarray(START_MS + np.where(number < quiet, early, late), dtype=np.int64)


JOB_J = Mix()


@dataclass(frozen=True)
class EventSet:
    """A generated set. ``events`` counts all records over the three topics, repeated ones too."""

    folder: Path
    events: int
    seed: int
    counts: dict[str, int]
    """Records per topic."""
    value_bytes: int
    """Bytes of all values."""
    end_ms: int
    """Event time that no event reaches, ms since 1970 UTC."""

    def file(self, topic: str, partition: int) -> Path:
        """The records of one topic partition."""
        return self.folder / f"{topic}.{partition}.tsv"

    def lines(self, topic: str, partition: int, size: int = 1 << 24) -> Iterator[list[bytes]]:
        """Yield the lines (key, tab, value) of one topic partition in order, some ``size`` bytes at a time."""
        with self.file(topic, partition).open("rb") as source:
            while chunk := source.readlines(size):
                yield [line[:-1] for line in chunk]


def cache() -> Path:
    """Folder of everything the benchmarks keep between runs: sets of events, environments, jars."""
    return Machine.here().cache / "bench"


def event_set(events: int, mix: Mix = JOB_J, seed: int = SEED) -> EventSet:
    """Return the set of so many events; made now if it is not there yet."""
    folder = cache() / f"events-{VERSION}-{mix.name}-{seed}-{events}"
    if not (folder / "set.json").exists():
        generator = Generator(seed, mix, events)
        blocks = (generator.block(first, min(BLOCK, events - first)) for first in range(0, events, BLOCK))
        write_set(folder, blocks, int(mix.time_ms(np.array([events]), events)[0]), seed)
    return read_set(folder)


def read_set(folder: Path) -> EventSet:
    """Return the set that was written to a folder."""
    return EventSet(folder, **json.loads((folder / "set.json").read_text()))


def write_set(folder: Path, blocks: Iterable[list[list[str]]], end_ms: int, seed: int) -> None:
    """Write blocks of lines per (topic, partition); the folder holds a set only once ``set.json`` is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts = dict.fromkeys(TOPICS, 0)
    size = 0
    names = [(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)]
    files = [(folder / f"{topic}.{partition}.tsv").open("wb") for topic, partition in names]
    try:
        for logs in blocks:
            for (topic, _), file, log in zip(names, files, logs, strict=True):
                counts[topic] += len(log)
                size += file.write("".join(log).encode()) - 10 * len(log)  # the key, a tab and the end of the line
    finally:
        for file in files:
            file.close()
    described = {"events": sum(counts.values()), "seed": seed, "counts": counts, "value_bytes": size, "end_ms": end_ms}
    (folder / "set.json").write_text(json.dumps(described) + "\n")


class Generator:
    """Makes blocks of events, each from random numbers of its own: no block depends on another."""

    def __init__(self, seed: int, mix: Mix, events: int) -> None:
        """Find every customer's partition. ``events`` is the size of the whole set."""
        self._seed = seed
        self._mix = mix
        self._events = events
        self._incident = int(events * mix.incident_from)
        self._customers = customer_ids(mix.customers)
        keys = [customer.encode() for customer in self._customers]
        self._partition_of = np.array(partitions_of(keys, PARTITIONS), dtype=np.int64)

    def block(self, first: int, count: int) -> list[list[str]]:
        """Return events ``first`` to ``first + count`` as lines per (topic, partition), in the order of the log."""
        dice = np.random.default_rng((self._seed, first))
        mix = self._mix
        times = mix.time_ms(first + np.arange(count), self._events)
        times -= np.minimum(DISORDER_MS, dice.exponential(300, count)).astype(np.int64)
        topics = np.searchsorted((mix.telemetry, mix.telemetry + mix.order), dice.random(count), side="right")
        topics = np.asarray(topics, dtype=np.int64)
        customers = (dice.random(count) ** mix.skew * mix.customers).astype(np.int64)
        orders = _orders_of(dice, first, topics)
        customers[topics == 1] = _customers_of(orders, self._seed, mix)
        ids = dice.bytes(12 * count).hex()
        lines = [""] * count
        for topic, make in enumerate((self._telemetry, self._orders, self._contacts)):
            where = np.flatnonzero(topics == topic)
            heads = [
                f'{(c := self._customers[customer])}\t{{"event_id":"{ids[24 * i : 24 * i + 24]}",'
                f'"event_time_ms":{time_ms},"customer_id":"{c}",'
                for i, time_ms, customer in zip(where, times[where].tolist(), customers[where].tolist(), strict=True)
            ]
            made = make(dice, heads, times[where], orders if topic == 1 else first + where)
            for i, line in zip(where.tolist(), made, strict=True):
                lines[i] = line
        self._repeat(dice, lines, times, (topics, customers))
        logs: list[list[str]] = [[] for _ in range(len(TOPICS) * PARTITIONS)]
        for log, line in zip((topics * PARTITIONS + self._partition_of[customers]).tolist(), lines, strict=True):
            logs[log].append(line)
        return logs

    @staticmethod
    def _repeat(dice: np.random.Generator, lines: list[str], times: Ints, more: tuple[Ints, Ints]) -> None:
        """Replace one event in a thousand by an earlier one, as a producer does that sends again."""
        for i in np.flatnonzero(dice.random(len(lines)) < 0.001).tolist():
            earlier = max(0, i - int(dice.integers(1, 2_000)))
            while times[i] - times[earlier] > MOST_BEHIND_MS:
                earlier = (earlier + i + 1) // 2
            lines[i] = lines[earlier]
            for column in (times, *more):
                column[i] = column[earlier]

    def _telemetry(self, dice: np.random.Generator, heads: list[str], _times: Ints, numbers: Ints) -> list[str]:
        count = len(heads)
        endings = [f'"outcome":"failed","error_code":"{code}",' for code in ERRORS]
        endings += ['"outcome":"abandoned",', '"outcome":"ok",']
        draw = dice.random(count)
        failed = self._mix.failed
        codes = (draw / failed * len(ERRORS)).astype(np.int64)
        ending = np.where(draw < failed, codes, np.where(draw < failed + 0.02, 8, 9))
        sessions = dice.bytes(4 * count).hex()
        products = np.array(_pick(dice, count, len(PRODUCTS)))
        versions = (dice.random(count) ** 1.5 * len(VERSIONS)).astype(np.int64)
        hit = (numbers >= self._incident) & (products == 1) & (versions == len(VERSIONS) - 1) & (draw > 0.6)
        ending[hit] = 0
        columns = (
            range(count),
            heads,
            products.tolist(),
            versions.tolist(),
            _pick(dice, count, len(REGIONS)),
            _pick(dice, count, len(DEVICES)),
            _pick(dice, count, len(NAMES)),
            ending.tolist(),
            np.minimum(dice.lognormal(4.5, 0.8, count), 60_000).round(1).tolist(),
        )
        return [
            f'{head}"source":"app-{PLATFORMS[device]}","product":"{PRODUCTS[product]}",'
            f'"component":"{COMPONENTS[product]}","app_version":"{VERSIONS[version]}",'
            f'"platform":"{PLATFORMS[device]}","region":"{REGIONS[region]}","device_model":"{DEVICES[device]}",'
            f'"event_name":"{NAMES[name]}",{endings[end]}"latency_ms":{latency},'
            f'"session_id":"s-{sessions[8 * i : 8 * i + 8]}"}}\n'
            for i, head, product, version, region, device, name, end, latency in zip(*columns, strict=True)
        ]

    @staticmethod
    def _orders(dice: np.random.Generator, heads: list[str], times: Ints, orders: Ints) -> list[str]:
        count = len(heads)
        status = dice.choice(len(STATUSES), count, p=STATUS_SHARES)
        waits = np.where(dice.random(count) < 0.1, dice.integers(30, 600, count), dice.integers(20_000, 260_000, count))
        columns = (
            heads,
            orders.tolist(),
            status.tolist(),
            _pick(dice, count, len(REGIONS)),
            dice.integers(300, 30_000, count).tolist(),
            _pick(dice, count, len(WAREHOUSES)),
            (times + waits * 1000).tolist(),
            dice.integers(1, 60, count).tolist(),
        )
        return [
            f'{head}"source":"shop-{PRODUCTS[order % 4]}","order_id":"o-{order:09d}","status":"{STATUSES[state]}",'
            f'"product":"{PRODUCTS[order % 4]}","amount_cents":{amount},"currency":"EUR",'
            f'"payment_provider":"{PROVIDERS[order % 3]}","payment_method":"{METHODS[order // 3 % 3]}",'
            f'"carrier":"{CARRIERS[order // 7 % 4]}","warehouse":"{WAREHOUSES[depot]}","region":"{REGIONS[region]}"'
            + (f',"promised_at_ms":{promised}' if state == 0 else "")
            + (f',"error_code":"DECLINED_{code:02d}"' if state == 2 else "")
            + (',"cancelled_by":"company"' if state == 7 and code < 15 else "")
            + "}\n"
            for head, order, state, region, amount, depot, promised, code in zip(*columns, strict=True)
        ]

    @staticmethod
    def _contacts(dice: np.random.Generator, heads: list[str], _times: Ints, numbers: Ints) -> list[str]:
        count = len(heads)
        words = np.array(WORDS)[dice.integers(0, len(WORDS), (256, 20))]
        texts = [" ".join(row)[:80] for row in words.tolist()]
        columns = (
            numbers.tolist(),
            heads,
            dice.choice(len(CONTACT_STATUSES), count, p=(0.6, 0.2, 0.2)).tolist(),
            _pick(dice, count, len(CHANNELS)),
            _pick(dice, count, len(REASONS)),
            _pick(dice, count, len(texts)),
            _pick(dice, count, len(LANGUAGES)),
            _pick(dice, count, len(PRODUCTS)),
            _pick(dice, count, len(REGIONS)),
        )
        return [
            f'{head}"source":"crm","contact_id":"k-{number:09d}","status":"{CONTACT_STATUSES[status]}",'
            f'"channel":"{CHANNELS[channel]}","mode":"human","reason":"{REASONS[reason]}","text":"{texts[text]}",'
            f'"language":"{LANGUAGES[language]}","product":"{PRODUCTS[product]}","region":"{REGIONS[region]}"}}\n'
            for number, head, status, channel, reason, text, language, product, region in zip(*columns, strict=True)
        ]


def customer_ids(count: int) -> list[str]:
    """Return that many customer ids of eight characters, at most a million."""
    return [f"c-{number:06d}" for number in range(count)]


def _pick(dice: np.random.Generator, count: int, choices: int) -> list[int]:
    found: list[int] = dice.integers(0, choices, count).tolist()
    return found


def _orders_of(dice: np.random.Generator, first: int, topics: Ints) -> Ints:
    """Which order each order event is about: mostly one of the last few minutes, some older than the set."""
    count = int((topics == 1).sum())
    newest = 1_000_000 + first // 10 + np.arange(count)
    return np.asarray(newest - dice.integers(0, 100_000, count), dtype=np.int64)


def _customers_of(orders: Ints, seed: int, mix: Mix) -> Ints:
    """Whose order it is: fixed by its number, so that all events of an order have one customer."""
    mixed = (orders.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    share = (mixed >> np.uint64(11)).astype(np.float64) / 2**53
    return np.asarray(share**mix.skew * mix.customers, dtype=np.int64)


if __name__ == "__main__":
    made = event_set(int(sys.argv[1]))
    print(f"{made.folder}: {made.events} events {made.counts}, {made.value_bytes / made.events:.0f} bytes each")
