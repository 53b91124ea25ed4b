"""The impact room for the runtime: a single task, which sees the counts of every partition."""

from __future__ import annotations

from streams.core.impact.stage import ImpactStage, ImpactState
from streams.rules import impact_rules
from streams.runtime.room import Room, room_of
from streams.settings import Settings


def room(settings: Settings) -> Room[ImpactState]:
    """Counts of affected customers in, money out."""
    return room_of("impact", ImpactStage(impact_rules(settings)))
