"""Case 03: payments of one method fail and go through a minute later, of the same order. Most were told all the same.

Six quiet hours, then three in which 70 % of the card payments fail at first; customers are in Berlin, where it is night
until the last hour. Nobody may be told whose orders were all paid by the time of the decision.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from streams.agents import detect, impact, join, match, outreach
from tests.cases.shop import played, trade


@pytest.mark.parametrize("native", ["auto", "off"])
def test_nobody_is_told_whose_payment_of_that_order_went_through_before_the_decision(
    native: str, tmp_path: Path
) -> None:
    shop = trade()
    line = played(shop, tmp_path, native, (join, detect, match, impact, outreach))
    rows = {row.outreach_id: row for row in line.records("outreach") if row.kind == "outreach"}.values()
    notices = [row for row in rows if row.stage == "notice"]
    sent = [row for row in notices if row.decision == "send"]
    assert [row.customer_id for row in sent if not shop.unpaid(row.customer_id, row.decided_at_ms)] == []
    reasons = Counter(row.reason for row in notices)
    assert sent, "who has just failed is told"
    assert reasons["put_right"] > len(sent), reasons
