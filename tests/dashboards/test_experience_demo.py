"""The demo at 12:40: every figure of the experience board is what its raw events say when counted in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dashboards.macros import Range, expand
from schemas.codec import decode
from schemas.definitions import BY_DEFINITION
from schemas.events import HEARTBEAT_KEY
from schemas.topics import EVENT_NOUNS, HOUR_MS, MINUTE_MS
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import AT_1240, DemoAt
from tests.experience.figures import NAMES, Batch
from tests.experience.oracle import per, share

pytestmark = pytest.mark.clickhouse
SPAN = Range(AT_1240 - 5 * HOUR_MS, AT_1240, 600)


@pytest.fixture(scope="module")
def batches(demo: DemoAt) -> tuple[Batch, Batch]:
    """What was sent, as it stands now and three minutes ago: a promise that falls due between may be broken or not."""
    events: dict[str, dict[str, Any]] = {noun: {} for noun in EVENT_NOUNS}
    late = set()
    for noun, found in events.items():
        sent_of = [one for one in demo.arrivals if one.noun == noun and one.key != HEARTBEAT_KEY]
        values, keys, headers = ([getattr(one, name) for one in sent_of] for name in ("value", "key", "headers"))
        kept = decode(noun, values, keys, headers)
        for arrival in (sent_of[at] for at in kept.index):
            event = {"mode": "human", "status": "opened", **msgspec.json.decode(arrival.value)}
            found.setdefault(event["event_id"], event)
            if arrival.at_ms - event["event_time_ms"] > MINUTE_MS:
                late.add(event["event_id"])
    sent = {noun: list(found.values()) for noun, found in events.items()}
    return Batch(sent, late, AT_1240), Batch(sent, late, AT_1240 - 3 * MINUTE_MS)


@pytest.fixture
def ask(clickhouse: Endpoints, demo_database: str) -> Callable[[str], dict[Any, Any]]:
    """Figure per group, of a statement."""
    reader = ClickHouse(login(clickhouse, "reader", demo_database))
    return lambda statement: {row[:-1]: row[-1] for row in reader.query(expand(statement, SPAN)).rows}


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_the_demo_is_what_its_raw_events_say(
    name: str, ask: Callable[[str], dict[Any, Any]], batches: tuple[Batch, Batch]
) -> None:
    found = ask(BY_DEFINITION[name].sql)
    now, ago = (batch.figures(name, SPAN.from_ms, SPAN.to_ms) for batch in batches)
    assert set(found) == set(now)
    for group, figure in found.items():
        low, high = sorted((now[group], ago[group]))
        assert low - 1e-9 <= figure <= high + 1e-9, group


def test_the_silent_share_of_the_demo_is_that_of_the_customers_it_lists(
    ask: Callable[[str], dict[Any, Any]], demo: DemoAt
) -> None:
    newest = {(row.issue_id, row.customer_id): row for row in demo.line.records("affected") if row.kind == "affected"}
    hit = [row for row in newest.values() if SPAN.from_ms <= row.first_failed_ms <= SPAN.to_ms]
    silent = per(hit, lambda row: (row.line,), lambda rows: share(rows, lambda row: row.contacted_at_ms is None))
    assert silent
    assert ask(BY_DEFINITION["silent_share"].sql) == silent
