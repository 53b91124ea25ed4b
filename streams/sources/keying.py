"""A follower's customers: the key of every row that it hands on, decided in the order in which it hands them on.

Rows are mapped when they are fetched, partition by partition, and get their strongest identifier for a key. Only when
they are next in the merged order are links made and followed, and rows whose customer is another are keyed anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from schemas.errors import ConfigError
from schemas.topics import BY_NOUN
from streams.security.brokers import connection
from streams.sources.arrivals import Arrival
from streams.sources.beside import linked_in
from streams.sources.identity import Identity, IdentityCounts
from streams.sources.links import KeptLinks, NamedRow
from streams.sources.mapping import Mapping as RowMapping
from streams.sources.merge import Read
from streams.sources.presence import ended, started
from streams.sources.producer import Destination

log = logging.getLogger("cx.source")
ERASURES_S = 1.0
"""Longest time for which erasures are read at a stretch."""
REPORT_S = 600.0
"""How often it is logged what became of the rows."""
_MOST_PROFILES = 5_000


class FollowedCustomers:
    """The links of a follower, in a file that outlives it, and what became of its rows."""

    def __init__(self, identity: Identity, file: Path, topic: str, erasures: Erasures | None = None) -> None:
        """Open or make the file; ``topic`` is the one that is followed. Raises ConfigError if it cannot be used."""
        self._kinds = identity.kinds
        self._erasures = erasures
        self.links = KeptLinks(file, topic)
        self.counts = IdentityCounts()
        self._reported_s = time.monotonic()

    def begin(self, committed: Mapping[int, int]) -> None:
        """Say it if rows were read by a follower whose links are not in this file. ``committed``: offsets, -1: none."""
        self.links.forget_keys(committed)
        known = self.links.reached()
        elsewhere = [part for part, offset in committed.items() if offset > known.get(part, 0)]
        if elsewhere:
            log.warning(
                "partitions %s were read further than the links in this state folder: links made by a follower on "
                "another machine, or before identifiers were linked, are not known here", sorted(elsewhere)
            )  # fmt: skip

    def keyed(self, rows: Iterable[tuple[int, Read]], committed: Mapping[int, int]) -> list[Arrival]:
        """The arrivals of rows that are handed on now, with their customers; links and keys are on disk before that."""
        taken = list(rows)
        named = [
            NamedRow(part, read.offset, nth, min(read.at_ms, read.latest_ms), one.identifiers, one.links)
            for part, read in taken
            for nth, one in enumerate(read.named)
        ]
        reached = {part: read.offset + 1 for part, read in taken}
        keys = iter(self.links.keys(named, committed, reached, self.counts))
        if dropped := self.links.thin_out():
            log.warning("dropped %s links that were not used for longest (%s in all)", dropped, self.links.dropped)
        return [arrival for _, read in taken for arrival in _rekeyed(read, [next(keys) for _ in read.named])]

    async def carry_out_erasures(self, committed: Mapping[int, int]) -> None:
        """Forget the links of customers who were erased since; of a long topic only so much as a second allows."""
        self.links.forget_keys(committed)
        self.report(REPORT_S)
        until_s = time.monotonic() + ERASURES_S
        while self._erasures is not None and time.monotonic() < until_s:
            read = await self._erasures.read()
            for part, (customers, offset) in read.items():
                for customer in customers:
                    self.erase(customer)
                self.links.note_erasures(part, offset)
            if not read:
                break

    def report(self, every_s: float = 0.0) -> None:
        """Log how many links there are, and which share of the rows has none; at most once in so many seconds."""
        if time.monotonic() - self._reported_s >= every_s:
            self._reported_s = time.monotonic()
            for note in self.counts.notes():
                log.info("%s; %s links are kept", note, self.links.count)

    def erase(self, customer: str) -> None:
        """Forget every link that leads to a customer."""
        if removed := self.links.erase(customer, self._kinds):
            log.info("removed %s links of a customer who was erased", removed)

    def close(self) -> None:
        """Close the file."""
        self.links.close()


def _rekeyed(read: Read, keys: Sequence[str]) -> list[Arrival]:
    arrivals = list(read.arrivals)
    for one, key in zip(read.named, keys, strict=True):
        mapped_to = one.identifiers[0].value
        if key != mapped_to:
            for index in range(one.first, one.end):
                arrivals[index] = _of(arrivals[index], mapped_to.encode(), key)
    return arrivals


def _of(arrival: Arrival, mapped_to: bytes, customer: str) -> Arrival:
    """The same for another customer; what names one of its own, such as a change, is left as it is."""
    if arrival.headers or arrival.noun == "change" or arrival.key != mapped_to:
        return arrival
    body: dict[str, Any] = msgspec.json.decode(arrival.value)
    body["customer_id"] = customer
    return arrival._replace(key=customer.encode(), value=msgspec.json.encode(body))


class Erasures:
    """Reads which customers were erased: keys without a value in the customers' topic."""

    def __init__(self, target: Destination) -> None:
        """Nothing is connected yet."""
        self._consumer = AIOKafkaConsumer(
            **connection(target.bootstrap), enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", request_timeout_ms=30_000,
        )  # fmt: skip
        self._bootstrap = target.bootstrap
        topic = target.prefix + BY_NOUN["customer"].name
        self._tps = [TopicPartition(topic, number) for number in range(target.partitions)]

    async def start(self, read: Mapping[int, int]) -> None:
        """Begin where those that were ``read`` before end, per partition. Raises SinkUnavailable if Kafka is away."""
        await started(self._consumer.start(), self._bootstrap)
        self._consumer.assign(self._tps)
        for tp in self._tps:
            if tp.partition in read:
                self._consumer.seek(tp, read[tp.partition])
            else:
                await self._consumer.seek_to_beginning(tp)

    async def read(self) -> dict[int, tuple[list[str], int]]:
        """What is at hand: per partition the customers who were erased, and the offset behind what was read."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=0, max_records=_MOST_PROFILES)
        except TopicAuthorizationFailedError as error:
            topic = self._tps[0].topic
            raise ConfigError(f"identifiers are linked, so this needs Read on {topic}: erased customers") from error
        return {
            tp.partition: (
                [record.key.decode(errors="replace") for record in records if record.value is None and record.key],
                records[-1].offset + 1,
            )
            for tp, records in fetched.items()
        }

    async def stop(self) -> None:
        """Disconnect."""
        await ended(self._consumer.stop())


@asynccontextmanager
async def followed_customers(
    mapping: RowMapping, topic: str, file: Path | None, target: Destination, links_from: Path | None = None
) -> AsyncIterator[FollowedCustomers | None]:
    """The customers of a follower; None if its mapping looks none up. Raises ConfigError, SinkUnavailable.

    ``file`` keeps the links; those of ``links_from`` are added to it first.
    """
    if mapping.identity is None:
        if links_from is not None:
            raise ConfigError(f"--links: mapping {mapping.name} has no customer.identity, whose identifiers are linked")
        yield None
        return
    if file is None:
        raise ConfigError("identifiers are linked, and there is no file in which links are kept")
    erasures = Erasures(target)
    customers = FollowedCustomers(mapping.identity, file, topic, erasures)
    try:
        if links_from is not None:
            customers.links.add(linked_in(links_from, [mapping]), customers.counts)
        await erasures.start(customers.links.erasures_read())
        yield customers
    finally:
        customers.report()
        await erasures.stop()
        customers.close()
