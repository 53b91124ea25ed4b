"""The match room for the runtime: one task per customer partition."""

from __future__ import annotations

from streams.core.match.stage import MatchStage, MatchState
from streams.rules import match_rules
from streams.runtime.room import Room, room_of
from streams.settings import Settings


def room(settings: Settings) -> Room[MatchState]:
    """Episodes, customers and issues of one customer partition."""
    return room_of("match", MatchStage(match_rules(settings)))
