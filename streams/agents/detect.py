"""The detect room for the runtime: a single task, because budget and siblings of all lines live in one state."""

from __future__ import annotations

from streams.core.detect.stage import DetectStage
from streams.core.detect.state import DetectState
from streams.rules import detect_rules
from streams.runtime.room import Room, room_of
from streams.settings import Settings


def room(settings: Settings) -> Room[DetectState]:
    """Closed counts, changes and commands in, issues out."""
    return room_of("detect", DetectStage(detect_rules(settings)))
