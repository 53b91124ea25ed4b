"""Heartbeats between messages, and streams split in two."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import HEARTBEAT_KEY
from schemas.topics import EVENT_NOUNS
from streams.sources.arrivals import Arrival, Beats, before, heartbeats, with_heartbeats, with_origin

MINUTE = 60_000
START = 1_773_216_000_000


def at(*times: int) -> list[Arrival]:
    return [Arrival(START + time, "order", b"c-1", None, b"{}") for time in times]


def beats_of(found: list[Arrival]) -> list[int]:
    """Event times of the heartbeats of one topic and partition."""
    mine = [a for a in found if a.key == HEARTBEAT_KEY and a.noun == "contact" and a.partition == 1]
    return [json.loads(a.value)["event_time_ms"] - START for a in mine]


def test_a_quiet_hour_has_a_heartbeat_a_minute_on_every_topic_and_partition() -> None:
    found = list(with_heartbeats(at(0, 60 * MINUTE), 2, Beats()))
    assert beats_of(found) == [n * MINUTE for n in range(1, 60)] + [61 * MINUTE]
    assert len(found) == 2 + 60 * 2 * len(EVENT_NOUNS)


def test_the_closing_heartbeat_lies_a_minute_past_the_end_of_the_span() -> None:
    assert beats_of(list(with_heartbeats(at(0), 2, Beats(end_ms=START + 10 * MINUTE))))[-1] == 11 * MINUTE


def test_a_heartbeat_vouches_only_for_what_must_have_arrived() -> None:
    assert beats_of(list(with_heartbeats(at(0, 90_000), 2, Beats(delay_ms=3_000))))[0] == MINUTE - 3_000


def test_an_empty_stream_has_no_heartbeat() -> None:
    assert list(with_heartbeats([], 4, Beats())) == []


@given(st.lists(st.integers(0, 10 * MINUTE), max_size=30), st.integers(1, 5))
def test_heartbeats_never_overtake_a_message_and_add_nothing_else(times: list[int], partitions: int) -> None:
    given_ = at(*sorted(times))
    found = list(with_heartbeats(given_, partitions, Beats()))
    assert [a for a in found if a.key != HEARTBEAT_KEY] == given_
    assert [a.at_ms for a in found] == sorted(a.at_ms for a in found)
    promised = 0
    for arrival in found:
        if arrival.key == HEARTBEAT_KEY:
            promised = max(promised, json.loads(arrival.value)["event_time_ms"])
        else:
            assert arrival.at_ms >= promised


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(-5, 105))
def test_a_split_stream_is_the_same_stream(times: list[int], cut: int) -> None:
    given_ = at(*sorted(times))
    first, rest = before(iter(given_), START + cut)
    early = list(first)
    assert early + list(rest) == given_
    assert all(a.at_ms < START + cut for a in early)


def test_events_out_of_a_file_say_so_whatever_the_file_says() -> None:
    event = Arrival(START, "order", b"c-1", None, b'{"event_id":"e-1","origin":"live"}')
    bare = Arrival(START, "contact", b"c-1", None, b"{}")
    found = list(with_origin([event, bare], "replay"))
    assert [json.loads(one.value) for one in found] == [{"event_id": "e-1", "origin": "replay"}, {"origin": "replay"}]


def test_what_is_no_event_is_handed_through_byte_for_byte() -> None:
    letter = Arrival(0, "order", None, None, b"{}", (("dlq.topic", b"cx.order.v1"),))
    profile = Arrival(START, "customer", b"c-1", None, b"{}")
    broken = Arrival(START, "order", b"c-1", None, b"[1]")
    given_ = [letter, profile, broken, *heartbeats(START, START, 2, "player", EVENT_NOUNS)]
    assert list(with_origin(given_, "drill")) == given_
