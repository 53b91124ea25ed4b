"""A batch recomputation in plain Python equals every figure of the experience board, late events and duplicates
included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import msgspec
import pytest

from dashboards.boards import EXPERIENCE
from dashboards.boards import experience_sql as sql
from dashboards.macros import Range, expand
from schemas.definitions import BY_DEFINITION
from schemas.definitions.experience import EXPERIENCE as CHAPTER
from schemas.topics import BY_NOUN, DAY_MS
from streams.agents.store import Store
from streams.runtime.memory import MemoryLine
from streams.runtime.room import Room
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.sources.arrivals import Arrival, Beats, with_heartbeats
from streams.stack import Endpoints
from tests.dashboards.demo_at import as_batches
from tests.experience.figures import NAMES, Batch
from tests.experience.world import END, PARTITIONS, START, World, made, segment_of
from tests.sinks.conftest import migrated

pytestmark = pytest.mark.clickhouse
ROOMS = ("join", "experience")
WEEK = Range(END - 7 * DAY_MS, END, 3_600)
RANGES = {"a week": WEEK, "a day": Range(END - DAY_MS, END, 600)}


@pytest.fixture(scope="module")
def batch() -> Batch:
    """What really happened."""
    world = made()
    return Batch(world.events, world.too_late, END)


@pytest.fixture(scope="module")
def reader(clickhouse: Endpoints) -> Iterator[ClickHouse]:
    """A reader of the database that the rooms made of it."""
    with migrated(clickhouse) as name:
        play(made(), ClickHouse(login(clickhouse, "writer", name)))
        yield ClickHouse(login(clickhouse, "reader", name))


def play(world: World, client: ClickHouse) -> None:
    """Run a world's events through the rooms and the store."""
    feed(MemoryLine([room_of(name) for name in ROOMS], PARTITIONS), world.arrivals(), client)


def room_of(name: str) -> Room[Any]:
    """The room of that name."""
    made_room: Room[Any] = import_module(f"streams.agents.{name}").room(Settings())
    return made_room


def json_key(value: bytes) -> bytes:
    """The key of an event on the wire."""
    return str(msgspec.json.decode(value)["customer_id"]).encode()


def feed(line: MemoryLine, arrivals: Iterable[Arrival], client: ClickHouse) -> None:
    """Give a line what arrives, and copy all its topics to ClickHouse."""
    for arrival in arrivals:
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition,
                     timestamp_ms=arrival.at_ms)  # fmt: skip
    line.run()
    store = Store(client)
    for noun in BY_NOUN:
        store.write(as_batches(noun, line.raw(noun)))


def asked(client: ClickHouse, statement: str, span: Range) -> dict[Any, Any]:
    """Rows of a statement: all but the last column -> the last."""
    return {row[:-1]: row[-1] for row in client.query(expand(statement, span)).rows}


def test_every_definition_of_the_chapter_is_recomputed_here_or_in_the_test_of_the_demo() -> None:
    assert {one.name for one in CHAPTER} - {"silent_share"} == set(NAMES)


@pytest.mark.parametrize("stretch", RANGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_what_the_raw_events_say(name: str, stretch: str, reader: ClickHouse, batch: Batch) -> None:
    span, one = RANGES[stretch], BY_DEFINITION[name]
    expected = batch.figures(name, span.from_ms, span.to_ms)
    assert asked(reader, one.sql, span) == pytest.approx(expected)
    before = batch.figures(name, span.from_ms - 7 * DAY_MS, span.to_ms - 7 * DAY_MS)
    if name != "stage_low":
        assert asked(reader, one.by(one.per, weeks=1), span) == pytest.approx(before)
    assert expected or stretch == "a day"


@pytest.mark.parametrize("name", ["abandon_rate", "repeat_rate", "wait"])
def test_a_chart_has_the_figure_of_each_interval_that_has_enough_and_a_gap_where_there_are_fewer(
    name: str, reader: ClickHouse, batch: Batch
) -> None:
    points = reader.query(expand(sql.chart(name, "access"), WEEK)).rows
    series: dict[str, list[tuple[int, float | None]]] = {}
    for time, access, figure in points:
        series.setdefault(access, []).append((int(time.timestamp()) * 1_000, figure))
    assert set(series) == {f"{channel} · {mode}" for channel in ("phone", "chat") for mode in ("human", "automatic")}
    for access, found in series.items():
        width = found[1][0] - found[0][0]
        key = tuple(access.split(" · "))
        for start, figure in found:
            first, last = max(start, WEEK.from_ms), min(start + width - 1, WEEK.to_ms)
            assert figure == pytest.approx(batch.figures(name, first, last).get(key)), (access, start)
        assert any(figure is not None for _, figure in found)


def test_a_count_is_drawn_for_whole_intervals_and_breaks_where_nothing_was_opened(
    reader: ClickHouse, batch: Batch
) -> None:
    odd = Range(END - DAY_MS + 61_000, END - 61_000, 600)
    points = reader.query(expand(sql.chart("contacts", "access", aim=0), odd)).rows
    times = sorted({int(time.timestamp()) * 1_000 for time, *_ in points})
    assert (times[0] - odd.from_ms, odd.to_ms - times[-1]) == (539_000, 1_139_000)
    for time, access, figure in points:
        start = int(time.timestamp()) * 1_000
        assert figure == batch.figures("contacts", start, start + 599_999).get(tuple(access.split(" · ")))


def test_a_tile_tells_the_total_of_the_range_and_of_the_same_hours_a_week_before(
    reader: ClickHouse, batch: Batch
) -> None:
    found = asked(reader, sql.tile("reopening"), WEEK)
    for label, weeks in (("this range", 0), ("a week before", 1)):
        start = WEEK.from_ms - weeks * 7 * DAY_MS
        resolved = [one.case for one in batch.cases
                    if start <= one.case.opened <= start + 7 * DAY_MS and one.case.times("resolved")]  # fmt: skip
        assert found[label,] == sum(bool(case.times("reopened")) for case in resolved) / len(resolved)


def test_a_late_event_corrects_a_figure_that_was_shown_and_its_copies_change_nothing(clickhouse: Endpoints) -> None:
    def contact(number: int, status: str, after_ms: int) -> bytes:
        return msgspec.json.encode({
            "event_id": f"{status}-{number}", "event_time_ms": START + number * 60_000 + after_ms,
            "customer_id": f"c-{number}", "contact_id": f"k-{number}", "channel": "chat", "status": status,
        })  # fmt: skip

    line = MemoryLine([room_of("experience")], PARTITIONS)
    on_time = [contact(number, status, after) for number in range(25)
               for status, after in (("opened", 0), ("answered", 5_000), ("resolved", 50_000))]  # fmt: skip
    late = [contact(number, "reopened", 80_000) for number in (1, 1, 5, 8, 13, 21, 21)]
    day, statement = Range(START, START + DAY_MS, 600), BY_DEFINITION["reopening"].by(())
    with migrated(clickhouse) as name:
        client, found = ClickHouse(login(clickhouse, "writer", name)), []
        for sent, end in ((on_time, START + DAY_MS), (late, START + 3 * DAY_MS)):
            events = (Arrival(end, "contact", json_key(value), None, value) for value in sent)
            feed(line, with_heartbeats(events, PARTITIONS, Beats(DAY_MS, end_ms=end)), client)
            found.append(client.query(expand(statement, day)).rows)
    assert found == [[(0.0,)], [(0.2,)]]


def test_bars_of_segments_and_the_choice_of_one_agree_with_the_batch(reader: ClickHouse, batch: Batch) -> None:
    bars = reader.query(expand(EXPERIENCE.panel("right_by_segment").sql, WEEK)).rows
    expected = {}
    for name in ("gold", "silver", "unknown"):
        placed = [one for one in batch.orders if WEEK.from_ms <= one.placed <= WEEK.to_ms
                  and one.outcome != "withdrawn" and (segment_of(one.customer) or "unknown") == name]  # fmt: skip
        expected[name] = sum(one.outcome != "wrong" for one in placed) / len(placed)
    assert {label: figure for label, figure, _ in bars} == pytest.approx(expected)
    assert [figure for _, figure, _ in bars] == sorted(expected.values())
    chosen = reader.query(expand(sql.tile("right_so_far"), WEEK, {"segment": ("gold",)})).rows
    assert chosen[0] == ("this range", pytest.approx(expected["gold"]))


def test_new_lows_are_marked_where_the_bad_release_broke_a_stage(reader: ClickHouse) -> None:
    day = RANGES["a day"]
    marks = reader.query(expand(sql.LOW_MARKS, day)).rows
    assert {text.split(",")[0] for _, text in marks} == {"New low: shop · buy"}
    rows = reader.query(expand(sql.LOWS, day)).rows
    assert [row[0] for row in rows] == sorted((time for time, _ in marks), reverse=True)
    assert all(share > worst_before for *_, share, worst_before, _ in rows)


def test_the_journey_has_its_stages_in_the_order_in_which_sessions_go_through_them(reader: ClickHouse) -> None:
    noon = Range(END - 3 * DAY_MS, END - 11 * 3_600_000, 3_600)
    labels = [row[0] for row in reader.query(expand(sql.JOURNEY, noon)).rows]
    assert labels == ["shop · find", "shop · buy", "shop · wait"]
