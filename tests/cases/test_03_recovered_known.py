"""Case 03: half of the card payments fail once between 05 and 08 h, and every customer pays the same order 60 s later.

Of 326 notices, held over the night and sent in the morning, 233 said that a payment did not go through that had. Now it
is known of every such customer when it was put right.
"""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.agents import detect, join, match
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sources import parse_mapping, read
from streams.sources.arrivals import Beats, with_heartbeats

START = datetime.datetime(2026, 3, 1, 22, 0, tzinfo=datetime.UTC)
NOW_MS = 1_790_000_000_000
"""When the files are played, half a year later."""
LATER_S = 60
CUSTOMERS = """
name: crm
input: {format: csv}
customer: "{id}"
times: {start: {text: "2026-02-20", format: "%Y-%m-%d"}}
events:
  - to: customer
    time: start
    fields:
      language: "{lang}"
      time_zone: "{zone}"
      consents: [{channel: webhook, purpose: service, granted: true}]
      addresses: [{channel: webhook, token: "a-{id}"}]
"""
PAYMENTS = """
name: stripe
input: {format: ndjson}
source: stripe
customer: "{data.object.customer}"
events:
  - to: order
    time: {field: created, format: epoch_s}
    id: "{id}"
    fields:
      order_id: "{data.object.metadata.order_id}"
      status: {field: type, table: {payment_intent.succeeded: paid, payment_intent.payment_failed: payment_failed}}
      product: shop
      amount_cents: {field: data.object.amount}
      payment_provider: stripe
      payment_method: "{data.object.payment_method_types.0}"
"""


def payments() -> Iterator[tuple[int, str, str, str, str]]:
    """Ten hours, a payment every ten seconds: time, event, customer, order, method. Who failed pays 60 s later."""
    dice = random.Random(3)
    for number in range(3_600):
        at = START + datetime.timedelta(seconds=10 * number + dice.randrange(10))
        customer, method = f"cus_{dice.randrange(3_000)}", "card" if dice.random() < 0.5 else "paypal"
        time_s = int(at.timestamp())
        fails = method == "card" and 5 <= at.hour < 8 and dice.random() < 0.7
        if fails or dice.random() < 0.01:
            yield time_s, "payment_intent.payment_failed", customer, f"#{number}", method
            time_s += LATER_S
        yield time_s, "payment_intent.succeeded", customer, f"#{number}", method


def written(folder: Path) -> tuple[Path, Path]:
    """The two files."""
    rows = [
        {"id": f"evt_{number}", "created": at, "type": kind, "data": {"object": {
            "amount": 6470, "customer": customer, "metadata": {"order_id": order}, "payment_method_types": [method]}}}
        for number, (at, kind, customer, order, method) in enumerate(sorted(payments()))
    ]  # fmt: skip
    events, customers = folder / "events.ndjson", folder / "customers.csv"
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    customers.write_text("id,zone,lang\n" + "".join(f"cus_{n},Europe/Berlin,en\n" for n in range(3_000)))
    return events, customers


def play(line: MemoryLine, mapping: str, file: Path) -> None:
    """Play a file into the line as if it happened now."""
    arrivals = read(parse_mapping(yaml.safe_load(mapping)), file).arrivals()
    for one in with_heartbeats(arrivals, 1, Beats()):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=NOW_MS)
    line.run()


def rows(line: MemoryLine, noun: str, *key: str) -> list[dict[str, Any]]:
    """The last record of every key."""
    found = [json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None]
    return list({tuple(row[name] for name in key): row for row in found if row["kind"] == noun}.values())


@pytest.fixture(scope="module", params=["auto", "off"])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MemoryLine:
    """The whole line after both files."""
    settings = Settings(native=request.param)
    found = MemoryLine([room.room(settings) for room in (join, detect, match)], partitions=1)
    events, customers = written(tmp_path_factory.mktemp("case"))
    play(found, CUSTOMERS, customers)
    play(found, PAYMENTS, events)
    return found


def test_of_every_recovered_customer_it_is_known_when_it_was_put_right(line: MemoryLine) -> None:
    affected = rows(line, "affected", "issue_id", "customer_id")
    failed: dict[str, list[int]] = {}
    for at, kind, customer, *_ in payments():
        if kind.endswith("failed"):
            failed.setdefault(customer, []).append(1_000 * at)
    assert len(affected) > 200
    for row in affected:
        mine = [at for at in failed[row["customer_id"]] if at <= row["last_failed_ms"]]
        assert row["put_right_ms"] == max(mine) + 1_000 * LATER_S, row
        assert row["origin"] == "live"
