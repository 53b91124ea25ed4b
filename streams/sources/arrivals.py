"""Messages on their way into the company's topics, in arrival order, with heartbeats between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from schemas.events import HEARTBEAT_KEY, Origin
from schemas.topics import EVENT_NOUNS, MINUTE_MS

"""The topics whose watermarks the join waits for: each needs heartbeats, even if a source does not feed it."""


class Arrival(NamedTuple):
    """One message as it reaches Kafka at ``at_ms`` (event-time clock). ``partition`` None means: by key.

    A dead letter has ``headers`` and goes to the dead-letter topic of ``noun``.
    """

    at_ms: int
    noun: str
    key: bytes | None
    partition: int | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


AUTO = "auto"
"""Heartbeats at the rhythm of the events; see :func:`automatic`."""
BEATS_PER_S = 10
"""Where a play is paced, a stretch without events has at most so many heartbeats a second of the wall clock."""


class Beats(NamedTuple):
    """When heartbeats are due: every ``every_ms`` from the first event on; each vouches for ``delay_ms`` before it.

    ``quiet_ms`` thins them out where nothing happens: of the heartbeats that are due between two events, one in each
    ``quiet_ms`` is sent, and always the last (None: the last only). Every event finds the clocks where it would find
    them with all heartbeats, so the same events are late; only how finely the time between them is cut differs.

    ``end_ms`` is the end of the span (None: the last event); the closing heartbeat lies a minute past it, so that
    every bin of the span closes, and no further, so that promises which fall due later are not called broken.
    """

    every_ms: int = MINUTE_MS
    delay_ms: int = 0
    end_ms: int | None = None
    source: str = "player"
    nouns: tuple[str, ...] = EVENT_NOUNS
    quiet_ms: int | None = 0

    def between(self, due_ms: int, until_ms: int) -> Iterator[int]:
        """Times of the heartbeats from the one due next up to an event at ``until_ms``."""
        last_ms = due_ms + (until_ms - 1 - due_ms) // self.every_ms * self.every_ms
        if self.quiet_ms is not None and due_ms <= last_ms:
            yield from range(due_ms, last_ms, max(self.quiet_ms, self.every_ms))
        if due_ms <= last_ms:
            yield last_ms


def automatic(speed: float | None) -> Beats:
    """Heartbeats for ``--heartbeat auto``: once a minute of event time, and where nothing happens as few as will do.

    Flat out (``speed`` None) a stretch without events has one, right before the next event. Paced, what is found must
    not wait for that event: there is one a minute, at most :data:`BEATS_PER_S`.
    """
    if speed is None:
        return Beats(quiet_ms=None)
    return Beats(quiet_ms=max(1, round(speed * 1_000 / BEATS_PER_S / MINUTE_MS)) * MINUTE_MS)


def before(arrivals: Iterator[Arrival], at_ms: int) -> tuple[Iterator[Arrival], Iterator[Arrival]]:
    """Split a stream at an arrival time. The first part has to be used up before the second is asked for anything."""
    pending: list[Arrival] = []

    def first() -> Iterator[Arrival]:
        for arrival in arrivals:
            if arrival.at_ms >= at_ms:
                pending.append(arrival)
                return
            yield arrival

    def rest() -> Iterator[Arrival]:
        yield from pending
        yield from arrivals

    return first(), rest()


def with_heartbeats(arrivals: Iterable[Arrival], partitions: int, beats: Beats) -> Iterator[Arrival]:
    """Weave heartbeats into a stream that is already in arrival order.

    Only events move time. Dead letters, profiles and changes are handed through: a stream without a single event, such
    as one whose rows were all rejected, gets no heartbeat, and none comes before the first event.
    """
    due = last = 0
    for arrival in arrivals:
        if not is_event(arrival):
            yield arrival
            continue
        due = due or arrival.at_ms - arrival.at_ms % beats.every_ms + beats.every_ms
        for at_ms in beats.between(due, arrival.at_ms):
            yield from heartbeats(at_ms, at_ms - beats.delay_ms, partitions, beats.source, beats.nouns)
            due = at_ms + beats.every_ms
        last = arrival.at_ms
        yield arrival
    if due:
        end = last if beats.end_ms is None else beats.end_ms
        yield from heartbeats(max(last, end), end + MINUTE_MS, partitions, beats.source, beats.nouns)


def is_event(arrival: Arrival) -> bool:
    """True for what happened to a customer at a time: no dead letter, no heartbeat, no profile, no change."""
    return arrival.noun in EVENT_NOUNS and not arrival.headers and arrival.key != HEARTBEAT_KEY


def with_origin(arrivals: Iterable[Arrival], origin: Origin) -> Iterator[Arrival]:
    """Say in every event where it comes from, whatever it says itself."""
    mark = b'"origin":"%s"}' % origin.encode()
    for arrival in arrivals:
        value = arrival.value
        if not is_event(arrival) or value[:1] != b"{" or value[-1:] != b"}":
            yield arrival
            continue
        if b'"origin"' in value:
            value = _without_origin(value)
        comma = b"" if value == b"{}" else b","
        yield arrival._replace(value=value[:-1] + comma + mark)


def _without_origin(value: bytes) -> bytes:
    try:
        body: dict[str, Any] = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
    body.pop("origin", None)
    return msgspec.json.encode(body)


def heartbeats(
    at_ms: int, event_time_ms: int, partitions: int, source: str, nouns: Iterable[str]
) -> Iterator[Arrival]:
    """One heartbeat per topic and partition: ``source`` has sent everything before ``event_time_ms``."""
    value = msgspec.json.encode({"event_time_ms": event_time_ms, "source": source, "heartbeat": True})
    for noun in nouns:
        for partition in range(partitions):
            yield Arrival(at_ms, noun, HEARTBEAT_KEY, partition, value)
