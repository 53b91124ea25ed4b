"""Who may order: nothing of a signed order can be changed, and no order acts twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Command
from streams.security.signing import (
    FRESH_MS,
    MOST_IDS,
    REMEMBER_MS,
    Keyring,
    OrderRules,
    OrderVerifier,
    heard_words,
    text_of,
)

NOW = 1_767_225_600_000
RING = Keyring({"alice": b"a" * 32, "bob": b"b" * 32})
LABEL = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=20)


def order(**other: Any) -> Command:
    fields = {"command_id": "k-1", "issued_at_ms": NOW, "action": "stop", "actor": "alice", "reason": "drill"}
    return Command.model_validate(fields | other)


def reason(given: Command, at: int = NOW, rules: OrderRules | None = None) -> str:
    fault = (rules or OrderRules(RING)).fault(given, at)
    return fault.reason if fault else ""


@pytest.mark.parametrize(
    "changed",
    [
        {"command_id": "k-2"}, {"issued_at_ms": NOW + 1}, {"action": "resume"}, {"issue_id": "i-1"}, {"channel": "sms"},
        {"actor": "bob"},
        {"reason": "other"}, {"signature": "0" * 64}, {"signature": "\u00fc"},
    ],
)  # fmt: skip
def test_nothing_of_a_signed_order_can_be_changed(changed: dict[str, Any]) -> None:
    signed = RING.sign(order())
    assert reason(signed) == ""
    assert reason(signed.model_copy(update=changed)) == "wrong_signature"


def test_an_order_without_signature_or_of_somebody_without_key_is_none() -> None:
    assert reason(order()) == "unsigned"
    assert reason(order(actor="eve", signature="0" * 64)) == "unknown_actor"
    assert reason(order(), rules=OrderRules()) == "", "without keys whoever may write the topic may order"


def test_an_order_is_only_fresh_around_the_time_it_names_and_always_where_time_is_simulated() -> None:
    signed = RING.sign(order())
    assert [reason(signed, NOW + away) for away in (FRESH_MS, FRESH_MS + 1, -FRESH_MS, -FRESH_MS - 1)] == [
        "", "stale", "", "stale",
    ]  # fmt: skip
    assert reason(signed, NOW + 10**9, OrderRules(RING, None)) == ""


@given(st.lists(LABEL, min_size=4, max_size=4), st.lists(LABEL, min_size=4, max_size=4))
def test_no_two_orders_have_the_same_text(one: list[str], other: list[str]) -> None:
    texts = [text_of(Command.model_construct(
        command_id=name, issued_at_ms=1, action="stop", issue_id=issue, channel=None, actor=actor, reason=why,
    )) for name, issue, actor, why in (one, other)]  # fmt: skip
    assert (texts[0] == texts[1]) == (one == other)


def test_no_issue_and_an_issue_without_a_name_are_not_the_same() -> None:
    assert text_of(order(issue_id=None)) != text_of(order(issue_id=""))


def test_an_order_is_let_in_once_and_a_forged_copy_before_it_does_not_use_its_id_up() -> None:
    verifier = OrderVerifier(OrderRules(RING))
    signed = RING.sign(order())
    faults = [verifier.fault(one, NOW) for one in (order(), signed, signed)]
    assert [fault.reason if fault else "" for fault in faults] == ["unsigned", "", "repeated"]


def test_ids_are_remembered_longer_than_an_order_is_fresh_and_are_bounded() -> None:
    verifier = OrderVerifier()
    for number in range(MOST_IDS + 50):
        assert verifier.fault(order(command_id=f"k-{number}"), NOW) is None
    assert len(verifier.known) == MOST_IDS
    assert verifier.fault(order(command_id="late"), NOW + REMEMBER_MS + 1) is None
    assert set(verifier.known) == {"late"}
    assert REMEMBER_MS > 2 * FRESH_MS


def test_a_keyring_shows_no_key() -> None:
    assert "aaaa" not in repr(RING) + repr(OrderRules(RING)) + repr(OrderVerifier(OrderRules(RING)))


def test_what_a_sender_says_that_it_obeyed_fits_beside_an_offset() -> None:
    names = [f"cmd-{number:032x}" for number in range(60)]
    assert heard_words(names).split("\n") == names
    wide = heard_words(["\u00fc" * 128] * 60 + ["newest"])
    assert len(wide.encode()) <= 4096
    assert wide.split("\n")[-1] == "newest"
