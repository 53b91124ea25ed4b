"""The join room for the runtime: one task per customer partition."""

from __future__ import annotations

from schemas.topics import ROOM_INPUTS
from streams.core.friction import JoinRules
from streams.core.join import JoinStage, JoinState
from streams.runtime.room import Room
from streams.settings import Settings


def room(_settings: Settings) -> Room[JoinState]:
    """Telemetry, orders and contacts of one customer partition; its rules are fixed, no setting changes a finding."""
    return Room(name="join", inputs=ROOM_INPUTS["join"], stage=JoinStage(JoinRules()), tasks="customer")
