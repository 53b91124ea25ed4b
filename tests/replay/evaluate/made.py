"""Worlds made for tests of the runner: one that plays, one that raises, one whose process is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from schemas.topics import EVENT_NOUNS
from streams.simulate.library.truth import WorldTruth
from streams.sources.arrivals import Arrival, heartbeats
from tests.replay.evaluate.worked import at, truth


@dataclass(frozen=True)
class Plain:
    """An hour of payments, one every ten seconds, one in twenty of which fails."""

    name: str = "plain"
    counted: bool = False

    @property
    def identity(self) -> str:
        return self.name

    def truth(self) -> WorldTruth:
        return truth()

    def arrivals(self) -> Iterator[Arrival]:
        for number in range(360):
            minute = number / 6
            if number % 6 == 0:
                yield from heartbeats(at(minute), at(minute), 1, "made", EVENT_NOUNS)
            body = {
                "event_id": f"e-{number}", "event_time_ms": at(minute), "customer_id": f"c-{number}",
                "order_id": f"o-{number}", "product": "shop", "payment_provider": "paynow",
                "status": "payment_failed" if number % 20 == 0 else "paid",
            }  # fmt: skip
            yield Arrival(at(minute), "order", f"c-{number}".encode(), None, msgspec.json.encode(body))


class Raises(Plain):
    """Its truth cannot be made."""

    def truth(self) -> WorldTruth:
        raise ValueError("a customer's own words")


class Killed(Plain):
    """Its process ends at once."""

    def truth(self) -> WorldTruth:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
