"""Raw copies in both ways on a real ClickHouse: the same rows of every table, whatever lies in the topics."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import HOT, encode
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY, MAX_TIME_MS, MIN_TIME_MS, Heartbeat
from schemas.fieldspec import field_specs
from schemas.tables import BY_NAME, Column, Table
from schemas.topics import BY_NOUN
from streams.agents.store import Store, room
from streams.core.accelerated import find
from streams.runtime.batch import RawBatch
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login, migrate
from streams.sinks.copies import NativeCopies, Ready, columns_of, plans
from streams.sinks.rows import RowBuffer
from streams.stack import Endpoints
from tests.schemas.bad import BAD_VALUES, VALID, with_field
from tests.schemas.strategies import damaged, records
from tests.sinks.examples import DAY, EXAMPLES, batch
from tests.sinks.test_clickhouse import everything

needs_native = pytest.mark.skipif(find() is None, reason="the accelerator is not installed: make native")
NOUNS = sorted(HOT)
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


def contents(reader: ClickHouse, table: str, final: bool = True) -> list[tuple[Any, ...]]:
    """Every row as the text of a tuple, in order."""
    names = ", ".join(f"`{name}`" for name in BY_NAME[table].names)
    what = f"SELECT toString(tuple({names})) AS row FROM `{table}` {'FINAL' if final else ''} ORDER BY row"
    return reader.query(what).rows


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
    before = [store.stored for store in stores]
    for store in stores:
        store.max_rows = bound
        store.write(list(batches))
    assert len({store.stored - old for store, old in zip(stores, before, strict=True)}) == 1
    rows = 0
    for noun in NOUNS:
        for final in (False, True):
            python, native = (contents(reader, f"{noun}_raw", final) for reader in readers)
            assert python == native
        rows += len(native)
        for reader in readers:
            reader.query(f"TRUNCATE TABLE `{noun}_raw`")
    return rows


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
@settings(max_examples=25, deadline=None)
@given(made=logs(), bound=st.sampled_from((3, 10, 50_000)))
def test_the_rows_read_back_are_the_same(
    stores: tuple[Store, Store], readers: tuple[ClickHouse, ClickHouse], made: list[RawBatch], bound: int
) -> None:
    check(stores, readers, made, bound)


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
        store.max_rows = 50_000
        store.write(everything())
    for table in BY_NAME:
        python, native = (contents(reader, table) for reader in readers)
        assert python == native != []
        for reader in readers:
            reader.query(f"TRUNCATE TABLE `{table}`")


@needs_native
def test_cloudevents_go_the_long_way_with_their_headers() -> None:
    body = json.loads(VALID["order"])
    body.pop("event_id")
    headers = [[("ce_specversion", b"1.0"), ("ce_id", b"from a header"), ("ce_source", b"s"), ("ce_type", b"order")]]
    event = batch("order", [json.dumps(body).encode()], headers=headers)
    python, native = RowBuffer(), RowBuffer(NativeCopies(plans()))
    for buffer in (python, native):
        buffer.add(event)
    assert list(native.columns()) == list(python.columns())
    assert native.pending == python.pending


@needs_native
def test_rows_and_rejects_are_counted_as_ever() -> None:
    messages = [(b"c", VALID["order"]), (b"c", b"{"), (b"c", with_field("order", "amount_cents", b"1e3")), (b"c", None),
                (HEARTBEAT_KEY, encode(Heartbeat(event_time_ms=DAY))), (HEARTBEAT_KEY, b"{")]
    python, native = RowBuffer(), RowBuffer(NativeCopies(plans()))
    for buffer in (python, native):
        buffer.add(part("order", messages, 0, 0))
    assert (native.pending, native.rejected) == (python.pending, python.rejected) == (1, 4)


@needs_native
def test_a_message_over_the_topics_limit_is_not_stored() -> None:
    long = with_field("order", "extra", b'"' + b"x" * BY_NOUN["order"].max_bytes + b'"')
    native = RowBuffer(NativeCopies(plans()))
    native.add(part("order", [(b"c", long)], 0, 0))
    assert (native.pending, native.rejected, list(native.columns())) == (0, 1, [])


@needs_native
@pytest.mark.clickhouse
def test_a_ready_column_of_another_type_is_a_defect_of_ours(stores: tuple[Store, Store]) -> None:
    buffer = RowBuffer(NativeCopies(plans()))
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
    buffers = RowBuffer(), RowBuffer(NativeCopies(plans()))
    for buffer in buffers:
        buffer.add(batch("order", EXAMPLES["order"]))
    [(table, python)], [(_, native)] = (buffer.columns() for buffer in buffers)
    stores[0].sink.insert(table, python)
    stores[1].sink.insert(table, [pair[place % 2] for place, pair in enumerate(zip(python, native, strict=True))])
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
    monkeypatch.setattr("streams.sinks.copies.find", lambda: None)
    monkeypatch.setattr("streams.agents.store.find", lambda: None)
    url: Any = "clickhouse://localhost:1"
    room(Settings(clickhouse_url=url, native="off"))
    room(Settings(clickhouse_url=url, native="auto"))
    with pytest.raises(ConfigError, match="make native"):
        room(Settings(clickhouse_url=url, native="on"))
