"""The oracle: reads the raw topics with a consumer of its own, works out what must have come out, and compares.

A process of its own (``python -m tests.faults.oracle``) without any code of the product: JSON, aiokafka,
clickhouse-driver. It reads one JSON object from standard input (the fields of :class:`Where`) and prints one:

``lost`` expected keys that are nowhere, ``diff`` keys with another value or that should not be there,
``duplicate_accepts`` messages that a receiver took more than once; ``parts`` says the same per topic and table
(``topic.episode``, ``table.episode``, ...) with the number of expected keys; ``examples`` names up to 5 keys of each.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_driver import Client

from tests.faults.truth import NOUNS, Read, Tick, Truth, truth_of
from tests.patience import Deadline

EXAMPLES = 5
UNDECIDED_S = 90.0
"""Longest that a transaction may hold up readers: every 10 s the broker ends those that were left 60 s ago."""
KEYED = {
    "issue": ("issue_id",), "affected": ("issue_id", "customer_id"), "affected_count": ("issue_id", "partition"),
    "impact": ("issue_id",), "outreach": ("outreach_id",), "delivery": ("outreach_id",),
}  # fmt: skip
"""Derived topics whose values are not worked out again: noun -> natural key; topic and table must hold the same."""
SAME = {
    "issue": ("state", "onset"), "affected": ("amounts",), "affected_count": ("affected", "contacted", "silent"),
    "impact": ("affected", "at_risk", "amounts"), "outreach": ("decision", "reason"), "delivery": ("outcome",),
}  # fmt: skip
"""Columns of these that are compared between the topic's last record and the table."""
VERSION = "cx.ver"

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Where:
    """What the oracle is told. ``host`` empty: no ClickHouse to compare with."""

    bootstrap: str
    prefix: str
    partitions: int = 4
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    database: str = ""
    max_bytes: int = 65_536
    accepts: str = ""
    """File with one webhook id per line, written by the receiver at each accept."""
    signals: tuple[str, ...] = ("app", "payment", "contact", "delivery")
    """Signals that are compared; leave out those whose load is beyond what the oracle restates."""
    downstream: bool = True
    """Also compare issue, affected, affected_count, impact, outreach and delivery, topic against table."""
    again: bool = False
    """The inputs were read again from their beginning (the state was lost): a dead letter may be there repeatedly."""


@dataclass
class Verdict:
    """What the comparison found."""

    lost: int = 0
    diff: int = 0
    duplicate_accepts: int = 0
    accepted: int = 0
    duplicates: int = 0
    foreign: int = 0
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """True if nothing is lost, different or accepted twice."""
        return self.lost == self.diff == self.duplicate_accepts == 0

    def compare(self, where: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        """Count expected keys that are missing (lost), and keys that differ or are too many (diff)."""
        missing = [key for key in expected if key not in found]
        other = [key for key in found if key not in expected or found[key] != expected[key]]
        self.lost += len(missing)
        self.diff += len(other)
        self.parts[where] = {"expected": len(expected), "lost": len(missing), "diff": len(other)}
        if missing or other:
            shown = [f"lost {key}" for key in missing[:EXAMPLES]]
            shown += [f"{key}: {found[key]} instead of {expected.get(key)}"[:500] for key in other[:EXAMPLES]]
            self.examples[where] = shown


ReadTopic = Callable[[str, Callable[[Any], None]], Awaitable[None]]


@asynccontextmanager
async def reading(bootstrap: str) -> AsyncIterator[ReadTopic]:
    """Gives a function that hands every committed record of a topic, up to its end now, to a taker, in partition order.

    The end is that of all records: a transaction that is committed a moment ago may still lack its mark on some
    partition, and what lies behind it is not there for a reader of committed records before. Raises TimeoutError if one
    stays undecided.
    """
    committed, every = (
        AIOKafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level=level, auto_offset_reset="earliest", enable_auto_commit=False,
            fetch_max_wait_ms=50, max_partition_fetch_bytes=8_388_608, check_crcs=False,
        )
        for level in ("read_committed", "read_uncommitted")
    )  # fmt: skip

    async def read(name: str, take: Callable[[Any], None]) -> None:
        numbers = await committed._client._wait_on_metadata(name)
        tps = [TopicPartition(name, number) for number in sorted(numbers)]
        committed.assign(tps)
        await committed.seek_to_beginning(*tps)
        ends, deadline = await every.end_offsets(tps), Deadline(UNDECIDED_S)
        while any([await committed.position(tp) < ends[tp] for tp in tps]):
            if deadline.over:
                raise TimeoutError(f"{name}: an undecided transaction holds up its readers")
            for records in (await committed.getmany(timeout_ms=500)).values():
                deadline = Deadline(UNDECIDED_S)
                for record in records:
                    take(record)

    try:
        await committed.start()
        await every.start()
        yield read
    finally:
        await committed.stop()
        await every.stop()


@dataclass
class Topics:
    """Everything the oracle reads from Kafka."""

    raw: dict[int, dict[str, list[Read]]] = field(default_factory=dict)
    """Partition -> topic -> records."""
    ticks: dict[int, list[Tick]] = field(default_factory=dict)
    dead: Counter[tuple[str, int, int, bytes | None, bytes | None]] = field(default_factory=Counter)
    derived: dict[str, dict[Hashable, dict[str, Any]]] = field(default_factory=dict)
    """Noun -> natural key -> last committed record."""


async def read_all(where: Where) -> Topics:
    """Read the raw, dead-letter and derived topics."""
    found = Topics(raw={number: {noun: [] for noun in NOUNS} for number in range(where.partitions)})
    async with reading(where.bootstrap) as read:
        for noun in NOUNS:
            await read(f"{where.prefix}cx.{noun}.v1", _raw(found, noun))
            await read(f"{where.prefix}cx.{noun}.v1.dlq", _dead(found, noun))
        await read(f"{where.prefix}cx.tick.v1", _tick(found))
        for noun, key in KEYS.items():
            if noun not in KEYED or where.downstream:
                await read(f"{where.prefix}cx.{noun}.v1", _derived(found, noun, key))
    return found


def _raw(found: Topics, noun: str) -> Callable[[Any], None]:
    def take(record: Any) -> None:
        read = Read(record.offset, record.key, record.value, record.timestamp)
        found.raw[record.partition][noun].append(read)

    return take


def _dead(found: Topics, noun: str) -> Callable[[Any], None]:
    def take(record: Any) -> None:
        headers = dict(record.headers)
        at = (noun, int(headers["dlq.partition"]), int(headers["dlq.offset"]))
        found.dead[(*at, record.key, record.value)] += 1

    return take


def _tick(found: Topics) -> Callable[[Any], None]:
    def take(record: Any) -> None:
        body = _decode(record.value)
        if body["room"] == "join":
            found.ticks.setdefault(body["partition"], []).append(Tick(body["event_time_ms"], body["offsets"]))

    return take


def _derived(found: Topics, noun: str, key: Callable[[dict[str, Any]], Hashable | None]) -> Callable[[Any], None]:
    kept = found.derived.setdefault(noun, {})

    def take(record: Any) -> None:
        body = _decode(record.value)
        if body.get("kind", noun) == noun and (natural := key(body)) is not None:
            kept[natural] = body

    return take


def _fields(*names: str) -> Callable[[dict[str, Any]], Hashable | None]:
    return lambda body: tuple(body[name] for name in names)


KEYS: dict[str, Callable[[dict[str, Any]], Hashable | None]] = {
    "cohort_count": lambda body: (
        (body["line"], body["signal"], body["bin_ms"], body["partition"]) if body["closed"] else None
    ),
    "source_count": _fields("topic", "source", "bin_ms", "partition"),
    "episode": _fields("customer_id", "line", "signal", "window_ms"),
    "late": _fields("topic", "partition", "offset"),
    **{noun: _fields(*names) for noun, names in KEYED.items()},
}
"""Natural key of each derived record; None: not compared (open bins)."""


def compare_topics(
    verdict: Verdict, truth: Truth, topics: Topics, signals: Iterable[str], again: bool = False
) -> None:
    """The last committed records on the derived topics, and the dead letters, against the truth."""
    wanted = set(signals)
    counts = {
        key: {tuple(leaf["values"]): (leaf["exposed"], tuple(leaf["failed"])) for leaf in body["leaves"]}
        for key, body in topics.derived["cohort_count"].items()
        if body["signal"] in wanted
    }
    verdict.compare("topic.cohort_count", only(truth.cohorts, 1, wanted), counts)
    sources = {
        key: (body["events"], body["late"], body["duplicates"]) for key, body in topics.derived["source_count"].items()
    }
    # A bin that is open for the slowest topic may be closed in a count that was sent before the last one.
    verdict.compare("topic.source_count", truth.sources, sources)
    episodes = {key: body for key, body in topics.derived["episode"].items() if body["signal"] in wanted}
    verdict.compare("topic.episode", only(truth.episodes, 2, wanted), episodes)
    verdict.compare("topic.late", dict.fromkeys(truth.late, True), dict.fromkeys(topics.derived["late"], True))
    dead = {(*at, key, value): 1 for at, (key, value) in truth.dead.items()}
    verdict.compare("topic.dead_letter", dead, dict.fromkeys(topics.dead, 1) if again else topics.dead)


def only(found: Mapping[Any, Any], index: int, wanted: set[str]) -> dict[Any, Any]:
    """Entries whose key names one of the wanted signals at ``index``."""
    return {key: value for key, value in found.items() if key[index] in wanted}


def compare_downstream(verdict: Verdict, topics: Topics) -> None:
    """Counts of affected customers add up to the customers named; every affected one was decided about."""
    named: Counter[str] = Counter(str(body["issue_id"]) for body in topics.derived["affected"].values())
    counted: Counter[str] = Counter()
    for body in topics.derived["affected_count"].values():
        counted[body["issue_id"]] += body["affected"]
    verdict.compare("affected_count", dict(named), {key: count for key, count in counted.items() if count})
    judged = {(body["issue_id"], body["customer_id"]) for body in topics.derived["outreach"].values()}
    roots = {(body["root_id"], body["customer_id"]) for body in topics.derived["affected"].values()}
    decided = {(body["root_id"], body["customer_id"]) for body in topics.derived["outreach"].values()} | judged
    verdict.compare("decided", dict.fromkeys(roots, True), dict.fromkeys(decided & roots, True))


@dataclass
class Tables:
    """A reader of the deployment's tables, each FINAL."""

    client: Any

    def rows(self, select: str, table: str, where: str = "1") -> list[tuple[Any, ...]]:
        """Rows of one table; ``select`` is the oracle's own text."""
        found: list[tuple[Any, ...]] = self.client.execute(f"SELECT {select} FROM {table} FINAL WHERE {where}")
        return found


def compare_tables(verdict: Verdict, truth: Truth, topics: Topics, tables: Tables, signals: Iterable[str]) -> None:
    """ClickHouse's rows against the truth."""
    wanted = set(signals)
    expected: dict[Any, Any] = {
        (*key, values): (exposed, len(failed))
        for key, leaves in only(truth.cohorts, 1, wanted).items()
        for values, (exposed, failed) in leaves.items()
    }
    ms = "toUnixTimestamp64Milli"
    rows = tables.rows(f"line, signal, {ms}(bin), partition, values, exposed, failed", "cohort_count", "closed")
    verdict.compare(
        "table.cohort_count", expected,
        {(*row[:4], tuple(row[4])): (row[5], row[6]) for row in rows if row[1] in wanted},
    )  # fmt: skip
    rows = tables.rows(f"topic, source, {ms}(bin), partition, events, late, duplicates", "source_count")
    verdict.compare("table.source_count", truth.sources, {tuple(row[:4]): tuple(row[4:]) for row in rows})
    _compare_episodes(verdict, only(truth.episodes, 2, wanted), tables, wanted)
    rows = tables.rows("topic, partition, offset", "late")
    verdict.compare("table.late", dict.fromkeys(truth.late, True), dict.fromkeys(map(tuple, rows), True))
    rows = tables.rows("topic, partition, offset", "dead_letter", f"topic IN {NOUNS}")
    verdict.compare("table.dead_letter", dict.fromkeys(truth.dead, True), dict.fromkeys(map(tuple, rows), True))
    for noun in NOUNS:
        table, rows_there = f"{noun}_raw", dict[Any, bool]()
        for (partition,) in tables.rows("DISTINCT partition", table):  # a reader may ask for a million rows at a time
            rows_there |= dict.fromkeys(tables.rows("partition, offset", table, f"partition = {partition}"), True)
        verdict.compare(f"table.{noun}_raw", dict.fromkeys(truth.raw[noun], True), rows_there)


def _compare_episodes(verdict: Verdict, expected: Mapping[Any, Any], tables: Tables, wanted: set[str]) -> None:
    ms = "toUnixTimestamp64Milli"
    names = (
        "customer_id", "line", "signal", f"{ms}(window)", f"{ms}(first_failed_at)", f"{ms}(last_failed_at)",
        "failures", "evidence", "amounts", f"{ms}(contacted_at)", "contacts",
    )  # fmt: skip
    fields = ("first_failed_ms", "last_failed_ms", "failures", "evidence", "amounts", "contacted_at_ms")
    want = {key: [_column(body[name]) for name in (*fields, "contacts")] for key, body in expected.items()}
    rows = tables.rows(", ".join(names), "episode")
    verdict.compare("table.episode", want, {tuple(row[:4]): list(row[4:]) for row in rows if row[2] in wanted})


def _column(value: Any) -> Any:
    """A field as its column shows it: amounts as pairs."""
    is_money = isinstance(value, list) and any(isinstance(one, dict) for one in value)
    return [(one["currency"], one["minor"]) for one in value] if is_money else value


def compare_copies(verdict: Verdict, topics: Topics, tables: Tables) -> None:
    """Topics whose values are not worked out again: the table must hold the last record of every key."""
    for noun, key in KEYED.items():
        columns = SAME[noun]
        want = {
            natural: tuple(_column(body[name]) for name in columns) for natural, body in topics.derived[noun].items()
        }
        rows = tables.rows(", ".join((*key, *columns)), noun)
        size = len(key)
        verdict.compare(f"table.{noun}", want, {tuple(row[:size]): tuple(row[size:]) for row in rows})


def count_accepts(path: Path) -> int:
    """How many accepts are one too many: the file holds an id per accept."""
    counted = Counter(path.read_text(encoding="utf-8").split())
    return sum(count - 1 for count in counted.values())


def judge(where: Where, topics: Topics, tables: Tables | None) -> Verdict:
    """Work out the truth and compare everything."""
    truth = Truth()
    for number, raw in topics.raw.items():
        truth.add(truth_of(number, where.partitions, raw, topics.ticks.get(number, ()), where.max_bytes))
    verdict = Verdict(accepted=truth.accepted, duplicates=truth.duplicates, foreign=truth.foreign)
    compare_topics(verdict, truth, topics, where.signals, where.again)
    if where.downstream:
        compare_downstream(verdict, topics)
    if tables is not None:
        compare_tables(verdict, truth, topics, tables, where.signals)
        if where.downstream:
            compare_copies(verdict, topics, tables)
    if where.accepts:
        verdict.duplicate_accepts = count_accepts(Path(where.accepts))
    return verdict


async def main() -> None:
    """One question in, one answer out."""
    where = Where(**json.load(sys.stdin))
    topics = await read_all(where)
    if not where.host:
        verdict = judge(where, topics, None)
    else:
        client = Client(where.host, port=where.port, user=where.user, password=where.password, database=where.database)
        verdict = judge(where, topics, Tables(client))
        client.disconnect()
    print(json.dumps({**asdict(verdict), "clean": verdict.clean}))


if __name__ == "__main__":
    asyncio.run(main())
