"""The outreach room for the runtime: one task per customer partition. It decides; it cannot send."""

from __future__ import annotations

from streams.core.outreach.stage import OutreachStage, OutreachState
from streams.rules import outreach_rules
from streams.runtime.room import Room, room_of
from streams.settings import Settings


def room(settings: Settings) -> Room[OutreachState]:
    """Affected customers, profiles, orders and issues of one customer partition in, decisions out.

    It alone writes profiles that lie on a wrong partition again to the right one.
    """
    stage = OutreachStage(outreach_rules(settings))
    return room_of("outreach", stage)
