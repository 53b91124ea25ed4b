"""Where reading starts, which topics are refused, and which group offsets are due."""

from __future__ import annotations

import pytest
from faust.types import TP

from schemas.errors import ConfigError
from streams.runtime.offsets import SHRUNK_LOOKS, GroupProgress, SourceTopics
from streams.runtime.state import META_KEY, Meta, state_records

TELEMETRY = TP("p.telemetry", 2)


def sources() -> SourceTopics:
    return SourceTopics("join", {"telemetry": "p.telemetry", "order": "p.order"})


@pytest.mark.parametrize(
    ("stored", "start"), [(10, 10), (15, 15), (20, 20), (3, 10)], ids=["first", "middle", "end", "expired"]
)
def test_reading_starts_at_the_stored_offset_or_at_the_first_that_is_left(stored: int, start: int) -> None:
    assert sources().start_offset(TELEMETRY, stored, first=10, end=20) == start


def test_a_topic_that_ends_before_the_stored_offset_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"p\.telemetry partition 2 ends at 20, .* has read to 21"):
        sources().start_offset(TELEMETRY, 21, first=10, end=20)


def test_another_epoch_of_a_topic_is_refused_and_an_unknown_one_is_not() -> None:
    one = sources()
    one.refuse_other_epochs({"telemetry": "first"}, {"telemetry": "first", "order": "new"})
    one.refuse_other_epochs({"telemetry": "first"}, {})
    with pytest.raises(ConfigError, match=r"p\.telemetry was made anew"):
        one.refuse_other_epochs({"telemetry": "first"}, {"telemetry": "second"})


def test_only_a_topic_that_stays_shorter_than_our_position_is_refused() -> None:
    one = sources()
    for _ in range(SHRUNK_LOOKS - 1):
        one.refuse_shrunk({TELEMETRY: (9, 5)})
    one.refuse_shrunk({TELEMETRY: (9, 9)})
    for _ in range(SHRUNK_LOOKS - 1):
        one.refuse_shrunk({TELEMETRY: (9, 5)})
    with pytest.raises(ConfigError, match="ends at 5, room join has read to 9"):
        one.refuse_shrunk({TELEMETRY: (9, 5)})


def test_group_offsets_are_due_once_until_they_move_or_the_assignment_ends() -> None:
    progress, order = GroupProgress(), TP("p.order", 2)
    progress.add(TELEMETRY, 5)
    assert progress.due({order: 7}) == {TELEMETRY: 5, order: 7}
    assert progress.due({order: 7}) == {}
    progress.add(TELEMETRY, 6)
    assert progress.due({TELEMETRY: 8, order: 7}) == {TELEMETRY: 8}, "markers behind the transaction were passed"
    progress.forget()
    assert progress.due({order: 7}) == {order: 7}


def test_the_meta_record_has_the_keys_that_earlier_versions_wrote() -> None:
    meta = Meta(3, 9, 4, {"customer": 5}, topics={"customer": "an-id"}, brings=("customer",), orders={"cmd-1": 8})
    ((key, value),) = state_records([], meta)
    assert key == META_KEY
    assert value == (
        b'{"incarnation":3,"flush":9,"partitions":4,"offsets":{"customer":5},"v":1,"topics":{"customer":"an-id"},'
        b'"brings":["customer"],"orders":{"cmd-1":8}}'
    )
