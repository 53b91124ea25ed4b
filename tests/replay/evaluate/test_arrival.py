"""When what holds at an event time is there."""

from __future__ import annotations

from schemas.topics import BY_NOUN, EVENT_NOUNS
from streams.replay.evaluate.arrival import ArrivalClock
from streams.sources.arrivals import Arrival, heartbeats
from tests.replay.evaluate.worked import at

SLACK_MS = max(BY_NOUN[noun].disorder_ms for noun in EVENT_NOUNS)


def test_a_bin_is_known_when_the_slowest_topic_has_passed_it() -> None:
    clock = ArrivalClock()
    beats = [
        *heartbeats(at(1), at(1), 2, "player", EVENT_NOUNS),
        *heartbeats(at(2), at(2), 2, "player", ("telemetry", "order")),
        Arrival(at(3), "order", b"c-1", None, b"{}"),
        *heartbeats(at(9), at(2), 2, "player", ("contact",)),
    ]
    assert list(clock.watched(beats)) == beats
    assert clock.known_ms(at(1) - SLACK_MS) == at(1)
    assert clock.known_ms(at(1)) == at(9)
    assert clock.known_ms(at(2)) == at(9)


def test_nothing_is_known_before_its_own_time_or_without_heartbeats() -> None:
    assert ArrivalClock().known_ms(at(5)) == at(5)
    clock = ArrivalClock()
    list(clock.watched(heartbeats(at(1), at(30), 1, "player", EVENT_NOUNS)))
    assert clock.known_ms(at(20)) == at(20)
