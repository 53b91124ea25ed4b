"""When something could be known: event time led back to the time of arrival, by the heartbeats of the sources."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from schemas.events import HEARTBEAT_KEY
from schemas.topics import BY_NOUN, EVENT_NOUNS
from streams.sources.arrivals import Arrival


class _Beat(msgspec.Struct):
    event_time_ms: int


_BEAT = msgspec.json.Decoder(_Beat)


@dataclass
class ArrivalClock:
    """How far the heartbeats of each topic have come, and when they arrived.

    A bin closes once every topic has passed its end by the topic's disorder bound, so what is found in it is shown only
    then. The events themselves may move the clocks sooner than the next heartbeat: the times here are the latest ones.
    """

    _through: dict[str, list[int]] = field(default_factory=dict)
    _arrived: dict[str, list[int]] = field(default_factory=dict)
    last_ms: int = 0

    def watched(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        """Hand arrivals through and note their heartbeats."""
        for arrival in arrivals:
            self.last_ms = max(self.last_ms, arrival.at_ms)
            if arrival.key == HEARTBEAT_KEY and arrival.noun in EVENT_NOUNS:
                self._note(arrival.noun, _BEAT.decode(arrival.value).event_time_ms, arrival.at_ms)
            yield arrival

    def _note(self, noun: str, through_ms: int, at_ms: int) -> None:
        through = self._through.setdefault(noun, [])
        if not through or through_ms > through[-1]:
            through.append(through_ms)
            self._arrived.setdefault(noun, []).append(at_ms)

    def known_ms(self, event_time_ms: int) -> int:
        """When what holds at an event time was there; never before that time itself.

        Where a topic's heartbeats never come that far: when the last message arrived.
        """
        found = event_time_ms
        for noun, through in self._through.items():
            at = bisect_left(through, event_time_ms + BY_NOUN[noun].disorder_ms)
            found = max(found, self._arrived[noun][at] if at < len(through) else self.last_ms)
        return found
