"""The experience room for the runtime: one task per customer partition."""

from __future__ import annotations

from streams.core.experience.stage import ExperienceStage, ExperienceState
from streams.rules import experience_rules
from streams.runtime.room import Room, room_of
from streams.settings import Settings


def room(settings: Settings) -> Room[ExperienceState]:
    """Orders and contacts of one customer partition in, how each went out.

    What is wrong in these topics is set aside by join.
    """
    return room_of("experience", ExperienceStage(experience_rules(settings)))
