"""The sender refuses a customer of a drill whatever it was told: the second check, behind that of outreach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas import drills
from tests.core.match.world import affected
from tests.sender.world import RULES, house, send

NOBODY = f"{drills.PREFIX}a1.00003"


@pytest.mark.parametrize("replayed", [True, False])
async def test_a_decision_to_tell_a_customer_of_a_drill_is_never_sent(replayed: bool) -> None:
    row = send(NOBODY)
    built = house(row, rules=replace(RULES, replayed=replayed))
    built.broker.reference.append(affected(NOBODY, origin="drill"))
    await built.work()
    assert built.outcome(row) == ("suppressed", "drill")
    assert built.channel.posts == []
