"""The outreach room for the runtime: one task per customer partition. It decides; it cannot send."""

from __future__ import annotations

from schemas.topics import ROOM_INPUTS
from streams.core.outreach import Outreach, OutreachState
from streams.rules import outreach_rules
from streams.runtime.room import Room
from streams.settings import Settings


def room(settings: Settings) -> Room[OutreachState]:
    """Affected customers, profiles, orders and issues of one customer partition in, decisions out."""
    stage = Outreach(outreach_rules(settings))
    return Room(name="outreach", inputs=ROOM_INPUTS["outreach"], stage=stage, tasks="customer")
