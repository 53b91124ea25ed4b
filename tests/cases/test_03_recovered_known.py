"""Case 03: 70 % of the card payments fail once between 05 and 08 h, and every customer pays the same order 60 s later.

Of 326 notices, held over the night and sent in the morning, 233 said that a payment did not go through that had. Now it
is known of every such customer when it was put right.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.agents import detect, join, match
from streams.runtime.memory import MemoryLine
from tests.cases.shop import PAYS_AGAIN_S, Shop, played, trade


@pytest.fixture(scope="module")
def shop() -> Shop:
    """What really happened."""
    return trade()


@pytest.fixture(scope="module", params=["auto", "off"])
def line(shop: Shop, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MemoryLine:
    """The line up to match after both files."""
    return played(shop, tmp_path_factory.mktemp("case"), request.param, (join, detect, match))


def rows(line: MemoryLine, noun: str, *key: str) -> list[dict[str, Any]]:
    """The last record of every key."""
    found = [json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None]
    return list({tuple(row[name] for name in key): row for row in found if row["kind"] == noun}.values())


def test_of_every_recovered_customer_it_is_known_when_it_was_put_right(line: MemoryLine, shop: Shop) -> None:
    affected = rows(line, "affected", "issue_id", "customer_id")
    assert len(affected) > 200
    for row in affected:
        mine = [at for at, _ in shop.failed[row["customer_id"]] if at <= row["last_failed_ms"]]
        assert row["put_right_ms"] == max(mine) + 1_000 * PAYS_AGAIN_S, row
        assert row["origin"] == "live"
