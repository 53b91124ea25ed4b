"""The shop of case 03: payments of one method fail, and go through a minute later, of the same order.

Ten hours, a payment every ten seconds; from 05 to 08 h UTC 70 % of the card payments fail at first. Customers are in
Berlin, where it is night until the last hour.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sources import parse_mapping, read
from streams.sources.arrivals import Beats, with_heartbeats

NOW_MS = 1_790_000_000_000
"""When the files are played, half a year later."""
EVENING_S = 1_772_402_400
"""2026-03-01T22:00:00Z."""
PAYS_AGAIN_S = 60
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
      currency: {field: data.object.currency, case: upper}
      payment_provider: stripe
      payment_method: "{data.object.payment_method_types.0}"
"""
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


@dataclass
class Shop:
    """What really happened."""

    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    failed: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    paid: dict[str, int] = field(default_factory=dict)
    """Order -> when it was paid, ms."""

    def event(self, at_s: int, kind: str, customer: str, order: str, method: str) -> None:
        """One line of the file."""
        details = {"customer": customer, "amount": 6_470, "currency": "eur", "metadata": {"order_id": order},
                   "payment_method_types": [method]}  # fmt: skip
        row = {"id": f"evt_{len(self.rows)}", "created": at_s, "type": f"payment_intent.{kind}"}
        self.rows.append((at_s, {**row, "data": {"object": details}}))
        if kind == "succeeded":
            self.paid[order] = at_s * 1000
        else:
            self.failed[customer].append((at_s * 1000, order))

    def unpaid(self, customer: str, at_ms: int) -> list[str]:
        """Orders that have failed by this time and are not paid yet."""
        return [order for failed_ms, order in self.failed[customer] if failed_ms <= at_ms < self.paid[order]]


def trade() -> Shop:
    """Ten hours, a payment every ten seconds."""
    shop, dice = Shop(), random.Random(3)
    for number in range(10 * 360):
        at_s = EVENING_S + 10 * number + dice.randrange(10)
        customer, method = f"cus_{dice.randrange(3_000)}", dice.choice(("card", "paypal"))
        struck = method == "card" and 7 * 3_600 <= at_s - EVENING_S < 10 * 3_600 and dice.random() < 0.7
        if struck or dice.random() < 0.01:
            shop.event(at_s, "payment_failed", customer, f"#{number}", method)
            at_s += PAYS_AGAIN_S
        shop.event(at_s, "succeeded", customer, f"#{number}", method)
    shop.rows.sort(key=lambda row: row[0])
    return shop


def played(shop: Shop, folder: Path, native: str, agents: Sequence[ModuleType]) -> MemoryLine:
    """The files through the rooms of these agents."""
    (folder / "events.ndjson").write_text("".join(json.dumps(row) + "\n" for _, row in shop.rows))
    lines = "".join(f"cus_{number},Europe/Berlin,en\n" for number in range(3_000))
    (folder / "customers.csv").write_text("id,zone,lang\n" + lines)
    settings = Settings(native=native)
    line = MemoryLine([agent.room(settings) for agent in agents], partitions=1)
    files = ((CUSTOMERS, "customers.csv"), (PAYMENTS, "events.ndjson"))
    sources = (read(parse_mapping(yaml.safe_load(text)), folder / name).arrivals() for text, name in files)
    arrivals = (one for one in merge(*sources, key=lambda one: one.at_ms) if not one.headers)
    for one in with_heartbeats(arrivals, 1, Beats()):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=NOW_MS)
    line.run()
    return line
