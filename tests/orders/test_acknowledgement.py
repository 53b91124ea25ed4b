"""What the command says about who has heard an order."""

from __future__ import annotations

from typing import Any

import pytest
from kafka.errors import GroupIdNotFoundError
from kafka.structs import OffsetAndMetadata

from streams.orders.acknowledgement import Acknowledgement, Senders, _look, senders_of
from streams.settings import Settings


class Groups:
    """An admin client that knows some groups."""

    def __init__(self, **groups: dict[str, Any]) -> None:
        self.groups = {name.replace("_", "."): group for name, group in groups.items()}

    def describe_groups(self, names: list[str]) -> dict[str, Any]:
        """As the broker answers."""
        if names[0] not in self.groups:
            raise GroupIdNotFoundError
        return {names[0]: self.groups[names[0]]}


def member(*partitions: int, client_id: str = "cx.send") -> dict[str, Any]:
    assigned = [{"topic": "cx.outreach.v1", "partitions": list(partitions)}] if partitions else []
    return {"client_id": client_id, "member_assignment": {"assigned_partitions": assigned}}


def group(*members: dict[str, Any], state: str = "Stable") -> dict[str, Any]:
    return {"members": list(members), "group_state": state}


def look(**groups: dict[str, Any]) -> Senders:
    admin: Any = Groups(**groups)
    return senders_of(admin, Settings())


def test_partitions_are_served_by_what_the_group_assigns() -> None:
    assert look(cx_send=group(member(0, 1), member(2))) == Senders(frozenset({0, 1, 2}))


def test_senders_with_partitions_of_their_own_say_them_in_their_name_and_not_by_what_is_assigned() -> None:
    fixed = group(member(3, client_id="cx.send.fixed:0,2"))
    assert look(cx_send_fixed=fixed) == Senders(frozenset({0, 2}))


def test_no_member_is_no_sender_and_a_group_that_shares_out_is_not_decided() -> None:
    assert look() == Senders()
    assert look(cx_send=group(state="Empty")) == Senders()
    half = group({"client_id": "a", "member_assignment": b""}, state="PreparingRebalance")
    assert look(cx_send=half) == Senders(sharing=True)


@pytest.mark.parametrize(
    ("served", "sharing", "heard", "complete", "words"),
    [
        ({0, 1, 2, 3}, False, {0, 1, 2, 3}, True, "heard by 4 of 4 senders' partitions"),
        ({0, 1, 2, 3}, False, {0, 2}, False, "heard by 2 of 4 senders' partitions"),
        ({0, 1}, False, {0, 1}, True, "heard by 2 of 2 senders' partitions; no sender serves partitions 2, 3"),
        ({0, 1, 2}, True, {0, 1, 2}, False, "heard by 3 of 3 senders' partitions; no sender serves partition 3"),
        (set(), False, set(), True, "no sender runs"),
        (set(), True, set(), False, "the senders share their partitions out just now"),
    ],
)
def test_heard_means_by_every_sender_there_is(
    served: set[int], sharing: bool, heard: set[int], complete: bool, words: str
) -> None:
    found = Acknowledgement(4, Senders(frozenset(served), sharing), frozenset(heard))
    assert (found.complete, found.words) == (complete, words)


def test_an_order_that_was_read_and_is_not_obeyed_is_neither_heard_nor_waited_for() -> None:
    class Committed(Groups):
        """Partition 0 obeys the order, 1 has read it and does not, 2 has not read it."""

        def list_group_offsets(self, asked: dict[str, list[Any]]) -> dict[str, Any]:
            """As the broker answers."""
            [(name, tps)] = asked.items()
            committed = [OffsetAndMetadata(8, "cmd-0\ncmd-1", -1), OffsetAndMetadata(8, "cmd-0", -1)]
            return {name: dict(zip(tps, [*committed, OffsetAndMetadata(-1, "", -1)], strict=True))}

    admin: Any = Committed(cx_send=group(member(0, 1, 2)))
    found = _look(admin, Settings(), "cmd-1", {0: 7, 1: 7, 2: 7})
    assert (found.heard, found.refused) == (frozenset({0}), frozenset({1}))
    assert (found.not_heard, found.complete) == ([2], False)
