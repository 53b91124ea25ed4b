"""Case 15: one incident hits orders in euros and in yen. What stands at stake was one number over both.

Six hours of payments of 900 customers; after five hours 60 % fail. Customers whose number ends in 1 pay in yen.
Expected: EUR 10,934.30 and JPY 127,650.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.currencies import money_text
from streams.agents import detect, impact, join, match
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sources import parse_mapping, read
from streams.sources.arrivals import Beats, with_heartbeats

T0_S = 1_772_409_600
NOW_MS = 1_790_000_000_000
STRIPE = """
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
      currency: {field: data.object.currency, case: upper}
      payment_provider: stripe
"""
Pays = Callable[[str], tuple[int, str]]
"""Customer -> (hundredths, currency) of every order."""


def euros_and_yen(customer: str) -> tuple[int, str]:
    return (555_000, "jpy") if customer.endswith("1") else (6_470, "eur")


def of_many_kinds(customer: str) -> tuple[int, str]:
    """Three decimals, a code that nobody knows, none at all, and the company's own in both spellings."""
    found = {"1": (1_234, "kwd"), "2": (1_000, "zzz"), "3": (2_000, ""), "4": (3_000, "CHF"), "5": (100, "chf")}
    return found.get(customer[-1], (6_470, "EUR"))


def rows_of(pays: Pays) -> list[dict[str, Any]]:
    dice, rows = random.Random(2), []
    for number in range(6 * 360):
        customer = f"cus_{dice.randrange(900)}"
        failed = number > 1_800 and dice.random() < 0.6
        amount, currency = pays(customer)
        details = {"amount": amount, "currency": currency, "customer": customer, "metadata": {"order_id": f"#{number}"}}
        kind = "payment_intent.payment_failed" if failed else "payment_intent.succeeded"
        row = {"id": f"evt_{number}", "created": T0_S + 10 * number, "type": kind}
        rows.append({**row, "data": {"object": details}})
    return rows


def played(rows: list[dict[str, Any]], folder: Path, settings: Settings, partitions: int) -> MemoryLine:
    (folder / "events.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = MemoryLine([agent.room(settings) for agent in (join, detect, match, impact)], partitions=partitions)
    arrivals = read(parse_mapping(yaml.safe_load(STRIPE)), folder / "events.ndjson").arrivals()
    for one in with_heartbeats((one for one in arrivals if not one.headers), partitions, Beats()):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=NOW_MS)
    line.run()
    return line


def latest(line: MemoryLine, noun: str, *key: str) -> list[dict[str, Any]]:
    found = [json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None]
    return list({tuple(row[name] for name in key): row for row in found if row["kind"] == noun}.values())


def added(rows: list[dict[str, Any]]) -> dict[str, int]:
    """What the rows list as amounts, added up by hand, per currency."""
    sums: Counter[str] = Counter()
    for row in rows:
        assert [one["currency"] for one in row["amounts"]] == sorted({one["currency"] for one in row["amounts"]})
        sums.update({one["currency"]: one["minor"] for one in row["amounts"]})
    return dict(sums)


@pytest.mark.parametrize(("native", "partitions"), [("auto", 1), ("off", 1), ("auto", 4)])
def test_what_stands_at_stake_is_told_per_currency(tmp_path: Path, native: str, partitions: int) -> None:
    line = played(rows_of(euros_and_yen), tmp_path, Settings(native=native), partitions)
    expected = {"EUR": 1_093_430, "JPY": 127_650}
    (cost,) = latest(line, "impact", "issue_id")
    assert added([cost]) == expected
    assert added(latest(line, "affected_count", "issue_id", "partition")) == expected
    assert added(latest(line, "affected", "issue_id", "customer_id")) == expected
    words = [money_text(one["minor"], one["currency"]) for one in cost["amounts"]]
    assert words == ["10,934.30 EUR", "127,650 JPY"]
    assert [one["currency"] for one in cost["at_risk"]] == ["EUR"]


@pytest.mark.parametrize("native", ["auto", "off"])
def test_three_decimals_unknown_codes_and_none_at_all_are_kept_apart(tmp_path: Path, native: str) -> None:
    line = played(rows_of(of_many_kinds), tmp_path, Settings(native=native, currency="chf"), 2)
    minor = {"1": {"KWD": 12_340}, "2": {"XXX": 1_000}, "3": {"CHF": 2_000}, "4": {"CHF": 3_000}, "5": {"CHF": 100}}
    affected = latest(line, "affected", "issue_id", "customer_id")
    assert len(affected) > 100
    expected: Counter[str] = Counter()
    for row in affected:
        mine = minor.get(row["customer_id"][-1], {"EUR": 6_470})
        assert {one["currency"]: one["minor"] for one in row["amounts"]} == mine
        expected.update(mine)
    (cost,) = latest(line, "impact", "issue_id")
    assert added([cost]) == dict(expected)
    assert expected.keys() == {"CHF", "EUR", "KWD", "XXX"}
    assert [one["currency"] for one in cost["per_minute"]] == ["CHF"]
