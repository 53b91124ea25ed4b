"""The join room for the runtime: one task per customer partition."""

from __future__ import annotations

from typing import Any

from streams.core.join.native import NativeJoinStage, wanted
from streams.core.join.stage import JoinStage
from streams.core.stage import Stage
from streams.rules import join_rules
from streams.runtime.room import Room, room_of
from streams.settings import Settings


def room(settings: Settings) -> Room[Any]:
    """Telemetry, orders and contacts of one customer partition.

    ``CX_NATIVE`` decides about speed only. Raises ConfigError if it asks for an accelerator that is not installed.
    """
    rules = join_rules(settings)
    stage: Stage[Any] = NativeJoinStage(rules) if wanted(settings.native) else JoinStage(rules)
    return room_of("join", stage)
