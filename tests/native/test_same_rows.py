"""Rows made in both ways on a real ClickHouse: the same in every table, whatever lies in the topics."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.bufferedwriter import CompressedBufferedWriter
from clickhouse_driver.columns.service import write_column
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import HOT, encode
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY, MAX_TIME_MS, MIN_TIME_MS, Event, Heartbeat, Record
from schemas.fieldspec import field_specs, nested_specs
from schemas.findings import BinClosed, CohortCount, Episode, LeafCount, Watermark
from schemas.issues import Issue
from schemas.rooms import BY_ROOM
from schemas.table import Column, Table
from schemas.tables import BY_NAME
from schemas.topics import BY_NOUN
from streams.agents.store import MAX_ROWS, Store, room
from streams.core.join.native import find
from streams.core.join.rules import JoinRules
from streams.core.join.stage import JoinStage
from streams.runtime.batch import RawBatch
from streams.runtime.room import Room
from streams.runtime.task import PartitionTask
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import migrate
from streams.sinks.native import FINDINGS, NativePlans, NativeRows, columns_of, finding_plan
from streams.sinks.ready import Ready
from streams.sinks.rows import RowBuffer
from streams.stack import Endpoints
from tests.core.join.world import arrive, with_stragglers, worlds
from tests.native.fetched import as_fetched
from tests.schemas.bad import BAD_VALUES, VALID, with_field
from tests.schemas.strategies import damaged, records
from tests.sinks.examples import DAY, EXAMPLES, batch
from tests.sinks.test_clickhouse import everything

needs_native = pytest.mark.skipif(find() is None, reason="the accelerator is not installed: make native")
NOUNS = sorted(HOT)
COUNTED: dict[str, type[Record]] = {"cohort_count": CohortCount, "episode": Episode}
TABLES = {noun: (f"{noun}_raw",) for noun in NOUNS} | {noun: (noun, "watermark") for noun in COUNTED}
SEEDS = st.integers(0, 2**32)
SIDES = ("cx_same_rows_python", "cx_same_rows_native")


@pytest.fixture(scope="module")
def stores(clickhouse: Endpoints) -> Iterator[tuple[Store, Store]]:
    """A store in Python and a native one, each on a migrated database of its own."""
    made = []
    for name in SIDES:
        migrate(clickhouse, name)
        made.append(Store(ClickHouse(login(clickhouse, "writer", name)), native=name.endswith("native")))
    yield made[0], made[1]
    for name in SIDES:
        ClickHouse(login(clickhouse, "migrator", "default")).query(f"DROP DATABASE {name}")


@pytest.fixture(scope="module")
def readers(clickhouse: Endpoints) -> tuple[ClickHouse, ClickHouse]:
    """Logins that read and empty both databases."""
    return ClickHouse(login(clickhouse, "migrator", SIDES[0])), ClickHouse(login(clickhouse, "migrator", SIDES[1]))


def contents(reader: ClickHouse, table: str) -> list[tuple[Any, ...]]:
    """Every row that counts as the text of a tuple, in order."""
    names = ", ".join(f"`{name}`" for name in BY_NAME[table].names)
    return reader.query(f"SELECT toString(tuple({names})) AS row FROM `{table}` FINAL ORDER BY row").rows


def part(noun: str, messages: Sequence[tuple[bytes | None, bytes | None]], start: int, partition: int) -> RawBatch:
    """A batch of (key, value) pairs."""
    size = len(messages)
    return RawBatch(noun, partition, start, start + size, range(start, start + size), [key for key, _ in messages],
                    [value for _, value in messages], [()] * size, [DAY] * size)


def check(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse], batches: Sequence[RawBatch],
    bound: int = 50_000,
) -> int:
    """Write the batches in both ways, compare what is read back, empty the tables; returns the number of rows."""
    fetched = [as_fetched(one) if index % 2 else one for index, one in enumerate(batches)]
    for store, some in zip(stores, (list(batches), fetched), strict=True):
        store.max_rows = bound
        store.write(some)
    found: dict[str, list[list[tuple[Any, ...]]]] = {}
    for table in {table for one in batches for table in TABLES[one.topic]}:
        found[table] = [contents(reader, table) for reader in readers]
        for reader, rows in zip(readers, found[table], strict=True):
            if rows:  # before they are compared: a difference must not be seen again in the next example
                reader.query(f"TRUNCATE TABLE `{table}`")
    for python, native in found.values():
        assert python == native
    return sum(len(native) for _, native in found.values())


@st.composite
def logs(draw: st.DrawFn) -> list[RawBatch]:
    """Batches of the three topics: valid and damaged messages, heartbeats, tombstones, foreign spellings."""
    made: list[RawBatch] = []
    dice = random.Random(draw(SEEDS))
    for noun in draw(st.lists(st.sampled_from(NOUNS), min_size=1, max_size=5)):
        bodies = draw(st.lists(records(HOT[noun]), max_size=5))
        messages: list[tuple[bytes | None, bytes | None]] = [(b"c", json.dumps(body).encode()) for body in bodies]
        messages += [(b"c", json.dumps(body, ensure_ascii=False).encode()) for body in bodies]
        messages += [(b"c", encode(HOT[noun].model_validate(body))) for body in bodies]
        messages += [(b"c", json.dumps({**body, "a new one": {"deep": [1, "ö"]}}).encode()) for body in bodies]
        messages += [(None, draw(damaged(HOT[noun]))), (b"c", None), (b"c", VALID[noun]), (b"c", b"{")]
        messages += [(HEARTBEAT_KEY, encode(Heartbeat(event_time_ms=DAY))), (HEARTBEAT_KEY, VALID[noun])]
        dice.shuffle(messages)
        messages = messages[: dice.randint(0, len(messages))]
        made.append(part(noun, messages, dice.choice((0, 7, 2**40)) + 1000 * len(made), dice.randint(0, 3)))
    return [*made, *dice.sample(made, dice.randint(0, len(made)))]


@needs_native
@pytest.mark.clickhouse
@settings(max_examples=15, deadline=None)
@given(made=logs(), bound=st.sampled_from((3, 10, 50_000)))
def test_the_rows_read_back_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse], made: list[RawBatch], bound: int
) -> None:
    check(stores, readers, made, bound)


@needs_native
@settings(max_examples=50, deadline=None)
@given(data=st.data(), noun=st.sampled_from(NOUNS))
def test_raw_copies_are_the_bytes_that_the_driver_writes(data: st.DataObject, noun: str) -> None:
    bodies = data.draw(st.lists(records(HOT[noun]), min_size=1, max_size=4))
    names = data.draw(st.lists(st.integers(0, 300), max_size=30, unique=True))
    bodies += [bodies[0] | {"attributes": {f"ä{name}": f"{name}" for name in some}} for some in (names, names[::-1])]
    made = batch(noun, [encode(HOT[noun].model_validate(body)) for body in bodies])
    python, native = RowBuffer(), RowBuffer(NativeRows(NativePlans()))
    for buffer in (python, native):
        buffer.add(made)
    [(table, ready)] = native.columns()
    assert [one.data for one in ready if isinstance(one, Ready)] == by_driver(table, dict(python.columns())[table])


@needs_native
@pytest.mark.clickhouse
def test_whatever_is_wrong_with_a_message_the_rows_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse]
) -> None:
    made = [
        part(noun, [message for make in BAD_VALUES.values() for message in ((b"c", make(noun)), (b"c", VALID[noun]))],
             0, 1)
        for noun in NOUNS
    ]
    assert check(stores, readers, made) > len(BAD_VALUES) * len(NOUNS)


@needs_native
@pytest.mark.clickhouse
def test_extremes_of_numbers_texts_and_offsets_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse]
) -> None:
    def values(noun: str, field: str, *spelled: str) -> list[tuple[bytes | None, bytes | None]]:
        return [(b"c", with_field(noun, field, one.encode())) for one in spelled]

    order = [
        *values("order", "amount_cents", "-1000000000000", "1000000000000", "0", "9223372036854775807", "null"),
        *values("order", "event_time_ms", str(MIN_TIME_MS), str(MAX_TIME_MS), str(MAX_TIME_MS + 1)),
        *values("order", "promised_at_ms", str(MIN_TIME_MS), str(MAX_TIME_MS), "null", "1.5"),
        *values("order", "region", '""', f'"{"x" * 127}"', f'"{"x" * 128}"', f'"{"x" * 129}"', f'"{"ö" * 128}"',
                f'"{"😀" * 128}"', '"\\ud83d\\ude00 \\"\\\\\\/"', '"\\u0000"', '"a\\u2028b"'),
        *values("order", "cancelled_by", '"company"', "null", '""'),
    ]
    telemetry = values("telemetry", "latency_ms", "0", "-0.0", "-0", "0.1", "1e9", "1e-300", "5e-324", "123456789.125",
                       "3", "null", "1000000000.0000001")
    contact = [*values("contact", "csat", "1", "5", "0", "6", "null"), *values("contact", "effort", "1", "7", "1.0"),
               *values("contact", "wait_ms", "0.30000000000000004", "null")]
    made = [part(noun, messages, start, partition)
            for noun, messages in (("order", order), ("telemetry", telemetry), ("contact", contact))
            for start, partition in ((0, 0), (2**62, 2**31 - 1))]
    assert check(stores, readers, made) > 60


@needs_native
@pytest.mark.clickhouse
@pytest.mark.parametrize("distinct", [255, 256, 257, 65_535, 65_536, 65_537])
def test_dictionaries_of_every_width_of_their_keys_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse], distinct: int
) -> None:
    body = json.loads(VALID["order"])
    messages = [(b"c", json.dumps(body | {"carrier": f"carrier {number}"}).encode()) for number in range(distinct)]
    assert check(stores, readers, [part("order", [*messages, *messages[:5]], 0, 0)], 10**6) == distinct + 5


@needs_native
@pytest.mark.clickhouse
def test_nothing_to_store_and_messages_stored_again_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse]
) -> None:
    assert check(stores, readers, [part("order", [], 5, 0)]) == 0
    assert check(stores, readers, [part("order", [(HEARTBEAT_KEY, encode(Heartbeat(event_time_ms=DAY)))], 5, 0)]) == 0
    events = part("contact", [(b"c", VALID["contact"])] * 5, 3, 2)
    assert check(stores, readers, [events, events.cut(1, 3), events]) == 5


@needs_native
@pytest.mark.clickhouse
def test_events_and_findings_of_one_round_reach_every_table(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse]
) -> None:
    for store in stores:
        store.max_rows = MAX_ROWS
        store.write(everything())
    for table in (name for name, one in BY_NAME.items() if one.kind != "register"):
        python, native = (contents(reader, table) for reader in readers)
        assert python == native != []
        for reader in readers:
            reader.query(f"TRUNCATE TABLE `{table}`")


def clamped(value: Any, name: str = "") -> Any:
    """A finding whose counts fit their columns."""
    if isinstance(value, dict):
        return {inner: clamped(one, inner) for inner, one in value.items()}
    if isinstance(value, list) and name != "failed":
        return [clamped(one) for one in value]
    return value % 2**32 if name in ("width_ms", "partition", "exposed", "failures", "contacts") else value


@st.composite
def found(draw: st.DrawFn) -> list[RawBatch]:
    """Batches of findings: several of a key with any versions, marks, foreign spellings, broken ones."""
    made: list[RawBatch] = []
    dice = random.Random(draw(SEEDS))
    for noun in draw(st.lists(st.sampled_from(sorted(COUNTED)), min_size=1, max_size=3)):
        model = COUNTED[noun]
        bodies = [clamped(body) for body in draw(st.lists(records(model, complete=True), min_size=1, max_size=4))]
        values: list[bytes | None] = [encode(model.model_validate(body)) for body in bodies]
        for body in bodies:
            again = body | {"line": "shop", "signal": "app", "partition": 1, "customer_id": "c", "window_ms": DAY}
            values += [encode(model.model_validate(again | {"bin_ms": DAY, "width_ms": 10_000}))] * dice.randint(0, 2)
        values += [encode(Watermark(partition=0, through_ms=DAY + dice.randint(0, 9)))] * (noun == "episode")
        values += [encode(BinClosed(partition=0, partitions=4, through_ms=DAY))] * (noun == "cohort_count")
        if dice.random() < 0.5:
            values += [json.dumps(dice.choice(bodies)).encode(), b"{", None, encode(EXAMPLES["issue"][0])]
        dice.shuffle(values)
        versions = [dice.choice(VERSIONS) if dice.random() < 0.1 else [("cx.ver", b"%d" % dice.randint(0, 3))]
                    for _ in values]
        made.append(RawBatch(noun, 0, 0, len(values), range(len(values)), [b"k"] * len(values), values, versions,
                             [DAY] * len(values)))
    return made


VERSIONS: list[list[tuple[str, bytes | None]]] = [
    [], [("cx.ver", None)], [("cx.ver", b"")], [("cx.ver", b"-1")], [("cx.ver", b"+1")], [("cx.ver", b"007")],
    [("other", b"5")], [("other", b"5"), ("cx.ver", b"2")], [("cx.ver", b"2"), ("cx.ver", b"3")],
    [("cx.ver", b"1" * 18)], [("cx.ver", b"1" * 19)], [("cx.ver", b"18446744073709551615")],
]
"""Headers as only a foreign writer makes them."""


@needs_native
@pytest.mark.clickhouse
@settings(max_examples=20, deadline=None)
@given(made=found(), bound=st.sampled_from((3, 50_000)))
def test_the_newest_findings_read_back_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse], made: list[RawBatch], bound: int
) -> None:
    check(stores, readers, made, bound)


@needs_native
@pytest.mark.clickhouse
@pytest.mark.parametrize("foreign_ver", [2, 3, 4])
def test_a_finding_left_to_python_replaces_a_native_one_of_its_key_or_is_replaced_by_it(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse], foreign_ver: int
) -> None:
    """Of one key the newest alone counts, with all its leaves, whoever reads the messages."""
    sure = CohortCount(line="shop", signal="app", bin_ms=DAY, width_ms=10_000, partition=1, attributes=("version",),
                       leaves=tuple(LeafCount(values=(value,), exposed=3, failed=(1,)) for value in "ab"), closed=False)
    other = sure.model_copy(update={"leaves": (LeafCount(values=("c",), exposed=4, failed=(2,)),)})
    foreign = json.dumps(other.model_dump(mode="json")).encode()  # blanks behind commas: not our rooms' spelling
    made = RawBatch("cohort_count", 0, 0, 2, range(2), [b"k"] * 2, [encode(sure), foreign],
                    [[("cx.ver", b"3")], [("cx.ver", b"%d" % foreign_ver)]], [DAY] * 2)
    assert check(stores, readers, [made]) == (1 if foreign_ver >= 3 else 2)


@needs_native
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), SEEDS)
def test_what_the_join_room_finds_becomes_the_same_bytes_without_python(world: list[Event], seed: int) -> None:
    dice = random.Random(seed)
    join = Room("join", BY_ROOM["join"].inputs, JoinStage(JoinRules()), "customer")
    task: PartitionTask[Any] = PartitionTask(join, 0, 1)
    for topic, events in arrive(world, dice, with_stragglers).items():
        for start in range(0, len(events), 7):
            some = [(event.customer_id.encode(), encode(event)) for event in events[start : start + 7]]
            task.feed(part(topic, some, start, 0))
    flushed = task.flush(DAY)
    assert flushed is not None
    python, native = RowBuffer(), RowBuffer(NativeRows(NativePlans()))
    for noun in COUNTED:
        writes = flushed.writes.get((BY_NOUN[noun].name, 0), [])
        size = len(writes)
        keys, values, headers = ([*column] for column in zip(*writes, strict=True)) if writes else ([], [], [])
        for buffer in (python, native):
            buffer.add(RawBatch(noun, 0, 0, size, range(size), keys, values, headers, [DAY] * size))
    plain, ready = dict(python.columns()), dict(native.columns())
    assert native.pending == python.pending
    assert plain.keys() == ready.keys()
    for table in plain.keys() & COUNTED.keys():
        assert [one.data if isinstance(one, Ready) else one for one in ready[table]] == by_driver(table, plain[table])


class Bytes:
    """Takes what a driver's column writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, more: bytes) -> None:
        self.data += bytes(more)


def by_driver(table: str, columns: Sequence[Any]) -> list[bytes]:
    """The columns as the driver encodes them."""
    context, encoded = Client("localhost").connection.context, []
    for column, values in zip(BY_NAME[table].columns, columns, strict=True):
        into = Bytes()
        writer = CompressedBufferedWriter(into, 1 << 20)
        write_column(context, column.name, column.type, list(values), writer)
        writer.flush()
        encoded.append(into.data)
    return encoded


def limits(noun: str, **changes: Any) -> bytes:
    """An example of a finding with some fields changed, in the spelling of our rooms."""
    body = json.loads(encode(EXAMPLES[noun][0])) | changes
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


@needs_native
@pytest.mark.parametrize(
    ("value", "is_native"),
    [
        (limits("cohort_count"), True),
        (limits("cohort_count", width_ms=2**32 - 1), True),
        (limits("cohort_count", width_ms=2**32), False),  # for the driver to refuse
        (limits("cohort_count", width_ms=-1), False),
        (limits("cohort_count", line="ö😀"), True),
        (limits("cohort_count", line="a\nb"), False),
        (limits("cohort_count", line="x" * 129), False),
        (limits("cohort_count", signal=""), False),
        (limits("cohort_count", leaves=[]), True),
        (limits("cohort_count", leaves=[{"values": [], "exposed": 0, "failed": [0, 2**64 - 1]}]), True),
        (limits("cohort_count", leaves=[{"values": [], "exposed": 0, "failed": [10**20]}]), False),
        (limits("cohort_count", leaves=[{"values": [], "exposed": 0, "failed": [-1]}]), False),
        (limits("cohort_count", leaves=[{"values": [], "failed": [], "exposed": 0}]), False),
        (limits("cohort_count").replace(b"[1,", b"[01,"), False),
        (limits("cohort_count").replace(b"[1,", b"[1,,"), False),
        (limits("cohort_count").replace(b"[1,", b"[,"), False),
        (limits("cohort_count", extra=1), False),
        (limits("cohort_count") + b" ", False),
        (limits("cohort_count")[:-1], False),
        (limits("cohort_count").replace(b",", b", "), False),
        (limits("cohort_count", kind="bin_closed"), False),
        (limits("cohort_count", kind="episode"), False),
        (limits("episode"), True),
        (limits("episode", contacted_at_ms=DAY, contacts=1), True),
        (limits("episode", contacted_at_ms=1), False),
        (limits("episode", evidence=[]), True),
        (limits("episode", evidence=[""]), False),
        (limits("episode", amounts=[]), True),
        (limits("episode", amounts=[{"currency": "JPY", "minor": 5}, {"currency": "", "minor": -(10**14)}]), True),
        (limits("episode", amounts=[{"currency": "", "minor": 10**14 + 1}]), False),
        (limits("episode", amounts=[{"currency": "EURO", "minor": 1}]), False),
        (limits("episode", amounts=[{"minor": 1, "currency": "EUR"}]), False),
        (limits("episode", amounts=[{"currency": "EUR", "minor": None}]), False),
        (limits("episode", amounts=5), False),
        (limits("episode", failures=True), False),
        (limits("episode", failures=1.0), False),
        (limits("episode", customer_id=None), False),
    ],
)
def test_only_findings_as_our_rooms_spell_them_are_read_natively(value: bytes, is_native: bool) -> None:
    noun = "episode" if b"customer_id" in value else "cohort_count"
    one = batch(noun, [value])
    native = NativeRows(NativePlans())
    rows, left, _ = native.add(one, 0)
    assert list(left) == ([] if is_native else [0])
    python = RowBuffer()
    python.add(one)
    if is_native:
        assert rows == python.pending
        for table, columns in native.tables():
            assert [column.data for column in columns] == by_driver(table, dict(python.columns())[table])


@needs_native
def test_a_topic_is_left_to_python_from_the_first_message_that_native_code_cannot_decide() -> None:
    native = NativeRows(NativePlans())
    mark = encode(Watermark(partition=0, through_ms=DAY))
    first = batch("episode", [limits("episode"), mark, b"{", mark, limits("episode")])
    assert native.add(first, 0) == (1, [1, 2, 3, 4], [(limits("episode"), 1)])
    assert native.add(batch("episode", [limits("episode")]), 0) == (0, range(1), ())
    assert native.add(batch("cohort_count", [limits("cohort_count")]), 0) == (1, [], ())
    assert [table for table, _ in native.tables()] == ["cohort_count"]


@needs_native
def test_models_and_tables_that_the_accelerator_cannot_follow_are_errors() -> None:
    native: Any = find()
    with pytest.raises(TypeError):
        nested_specs(Issue)
    kind, fields, columns, key, by, others = finding_plan("episode", FINDINGS["episode"])
    for wrong in (
        (kind, fields, [("String", "failures")], key, by, others),
        (kind, fields, [("DateTime64(3, 'UTC')", "contacted_at_ms")], key, by, others),
        (kind, fields, [("UInt32", "leaves.failures")], key, by, others),
        (kind, fields, [("Array(String)", "leaves.values")], key, by, others),
        (kind, fields, [("String", "nothing")], key, by, others),
        (kind, fields, [("String", "line.nothing")], key, by, others),
        (kind, fields, columns, ["attributes"], by, others),
        (kind, fields, columns, key, "nothing", others),
    ):
        with pytest.raises(ValueError, match=r"no field|does not fit|no list|keys are"):
            native.FindingPlan(*wrong)


@needs_native
def test_cloudevents_go_the_long_way_with_their_headers() -> None:
    body = json.loads(VALID["order"])
    body.pop("event_id")
    headers = [[("ce_specversion", b"1.0"), ("ce_id", b"from a header"), ("ce_source", b"s"), ("ce_type", b"order")]]
    event = batch("order", [json.dumps(body).encode()], headers=headers)
    python, native = RowBuffer(), RowBuffer(NativeRows(NativePlans()))
    for buffer in (python, native):
        buffer.add(event)
    assert list(native.columns()) == list(python.columns())
    assert native.pending == python.pending


@needs_native
def test_rows_and_rejects_are_counted_as_ever() -> None:
    messages = [(b"c", VALID["order"]), (b"c", b"{"), (b"c", with_field("order", "amount_cents", b"1e3")), (b"c", None),
                (HEARTBEAT_KEY, encode(Heartbeat(event_time_ms=DAY))), (HEARTBEAT_KEY, b"{")]
    python, native = RowBuffer(), RowBuffer(NativeRows(NativePlans()))
    for buffer in (python, native):
        buffer.add(part("order", messages, 0, 0))
    assert (native.pending, native.rejected) == (python.pending, python.rejected) == (1, 4)


@needs_native
def test_a_message_over_the_topics_limit_is_not_stored() -> None:
    long = with_field("order", "extra", b'"' + b"x" * BY_NOUN["order"].max_bytes + b'"')
    native = RowBuffer(NativeRows(NativePlans()))
    native.add(part("order", [(b"c", long)], 0, 0))
    assert (native.pending, native.rejected, list(native.columns())) == (0, 1, [])


@needs_native
@pytest.mark.clickhouse
def test_a_ready_column_of_another_type_is_a_defect_of_ours(stores: tuple[Store, Store]) -> None:
    buffer = RowBuffer(NativeRows(NativePlans()))
    buffer.add(batch("order", EXAMPLES["order"]))
    [(table, columns)] = buffer.columns()
    wrong = [Ready("UInt8", one.rows, one.data) if isinstance(one, Ready) else one for one in columns]
    sink = stores[1].sink
    with pytest.raises(Exception, match="the catalogue says UInt8"):
        sink.insert(table, wrong)
    with pytest.raises(Exception, match="columns of one length"):
        sink.insert(table, columns[:-1])
    assert sink.insert(table, columns) == 1


@needs_native
@pytest.mark.clickhouse
def test_ready_columns_and_others_go_together(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse]
) -> None:
    buffers = RowBuffer(), RowBuffer(NativeRows(NativePlans()))
    for buffer in buffers:
        buffer.add(batch("order", EXAMPLES["order"]))
    [(table, python)], [(_, native)] = (buffer.columns() for buffer in buffers)
    stores[0].sink.insert(table, python)
    stores[1].sink.insert(table, [pair[index % 2] for index, pair in enumerate(zip(python, native, strict=True))])
    assert contents(readers[0], table) == contents(readers[1], table) != []
    for reader in readers:
        reader.query(f"TRUNCATE TABLE `{table}`")


@pytest.mark.parametrize(
    ("field", "column_type"),
    [("amount_cents", "UInt8"), ("amount_cents", "UInt64"), ("promised_at_ms", "DateTime64(3, 'UTC')"),
     ("region", "UInt32"), ("amount_cents", "String"), ("event_id", "Date")],
)
def test_a_field_whose_values_might_not_fit_its_column_is_refused(field: str, column_type: str) -> None:
    table = Table("t", "order", (Column(field, column_type, ""),), (field,), "", 1, "")
    with pytest.raises(TypeError, match=f"not every {field}"):
        columns_of(table, field_specs(HOT["order"]))


@needs_native
@pytest.mark.parametrize("wrong", [[("String", "no such field")], [("Date", "@offset")], [("Nullable(String)", "sku")]])
def test_a_plan_that_makes_no_sense_is_an_error(wrong: list[tuple[str, str]]) -> None:
    native: Any = find()
    with pytest.raises(ValueError, match=r"no field|no columns"):
        native.CopyPlan("order", field_specs(HOT["order"]), wrong)


def test_the_setting_decides_who_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.core.join.native._look", lambda: "none is installed")
    url: Any = "clickhouse://localhost:1"
    room(Settings(clickhouse_url=url, native="off"))
    room(Settings(clickhouse_url=url, native="auto"))
    with pytest.raises(ConfigError, match="make native"):
        room(Settings(clickhouse_url=url, native="on"))
