"""The join room for the runtime: one task per customer partition."""

from __future__ import annotations

from typing import Any

from schemas.topics import ROOM_INPUTS
from streams.core.accelerated import NativeJoinStage, wanted
from streams.core.friction import JoinRules
from streams.core.join import JoinStage
from streams.core.stage import Stage
from streams.runtime.room import Room
from streams.settings import Settings


def room(settings: Settings) -> Room[Any]:
    """Telemetry, orders and contacts of one customer partition; its rules are fixed, no setting changes a finding.

    ``CX_NATIVE`` decides about speed only. Raises ConfigError if it asks for an accelerator that is not installed.
    """
    rules = JoinRules()
    stage: Stage[Any] = NativeJoinStage(rules) if wanted(settings.native) else JoinStage(rules)
    return Room(name="join", inputs=ROOM_INPUTS["join"], stage=stage, tasks="customer")
