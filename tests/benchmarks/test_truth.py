"""The truth of the benchmarks on a hand-made log, and the comparison that a figure depends on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.check import compare
from benchmarks.truth import Truth, truth_of_log

START_MS = 1_767_225_600_000


def telemetry(event_id: str, customer: str, after_ms: int = 0, **more: Any) -> bytes:
    """One event of the player in the west, from a phone."""
    event = {
        "event_id": event_id, "event_time_ms": START_MS + after_ms, "customer_id": customer, "product": "player",
        "component": "playback", "app_version": "1.0", "platform": "ios", "region": "west", "device_model": "phone",
        "event_name": "play", "outcome": "ok",
    }
    return json.dumps({**event, **more}).encode()


FAILED = {"outcome": "failed", "error_code": "E1"}
LEAF = ("1.0", "ios", "phone", "west", "playback")
COHORT = ("player", "app", START_MS, LEAF)


def test_records_count_twice_for_peers_and_once_for_cxwatch() -> None:
    log = [telemetry("a", "anna"), telemetry("b", "anna", 1, **FAILED), telemetry("b", "anna", 1, **FAILED)]
    found = truth_of_log("telemetry", log)
    window = START_MS // 1000
    assert found.windows == {(window, "player", "1.0", "west", ""): 1, (window, "player", "1.0", "west", "E1"): 2}
    assert found.exposed == {COHORT: 1}
    assert found.failed == {COHORT: 1}
    assert found.failures == {("anna", "player", "app", START_MS): 1}
    assert (found.accepted, found.duplicates) == ({"telemetry": 2}, {"telemetry": 1})


def test_customers_are_distinct_per_bin_and_cohort() -> None:
    log = [
        telemetry("a", "anna"), telemetry("b", "anna"), telemetry("c", "bert", 9_999),
        telemetry("d", "anna", 10_000),
        telemetry("e", "cleo", outcome="abandoned"),  # could not have failed
    ]
    found = truth_of_log("telemetry", log)
    assert found.exposed == {COHORT: 2, ("player", "app", START_MS + 10_000, LEAF): 1}
    assert found.customers[START_MS // 1000, "player", "1.0", "west", ""] == 3
    assert found.failed == {}


def test_orders_and_contacts_have_signals_of_their_own() -> None:
    order = {"event_id": "o", "event_time_ms": START_MS, "customer_id": "anna", "product": "cart", "region": "west",
             "payment_provider": "p", "payment_method": "card"}
    paid = [json.dumps({**order, "event_id": status, "status": status}).encode()
            for status in ("placed", "paid", "payment_failed")]
    found = truth_of_log("order", paid)
    assert found.exposed == {("cart", "payment", START_MS, ("p", "card", "west")): 1}
    assert found.failures == {("anna", "cart", "payment", START_MS): 1}
    assert found.windows == {}
    contact = {"event_id": "k", "event_time_ms": START_MS, "customer_id": "anna", "product": "cart", "region": "west",
               "channel": "chat"}
    called = [json.dumps({**contact, "event_id": reason or status, "status": status, "reason": reason}).encode()
              for status, reason in (("opened", "delivery"), ("opened", "question"), ("resolved", ""))]
    found = truth_of_log("contact", called)
    assert found.contacts == {"delivery", "question", "resolved"}
    assert found.exposed == {("cart", "contact", START_MS, ("chat", "west")): 1}
    assert found.failures == {("anna", "cart", "contact", START_MS): 1}


def test_a_log_with_an_event_that_may_be_called_late_is_refused() -> None:
    with pytest.raises(ValueError, match="behind"):
        truth_of_log("telemetry", [telemetry("a", "anna", 20_000), telemetry("b", "anna", 9_999)])


def test_logs_add_up_because_they_share_no_customer() -> None:
    both = Truth()
    for customer in ("anna", "bert"):
        both.add(truth_of_log("telemetry", [telemetry(customer, customer, 0, **FAILED)]))
    assert both.exposed == {COHORT: 2}
    assert both.failed == {COHORT: 2}
    assert both.accepted == {"telemetry": 2}


@pytest.mark.parametrize(
    ("found", "word"), [({"a": 1}, "missing"), ({"a": 1, "b": 3}, "wrong"), ({"a": 1, "b": 2, "c": 1}, "not in")]
)
def test_every_kind_of_difference_is_told(found: dict[str, int], word: str) -> None:
    assert compare("rows", {"a": 1, "b": 2}, {"a": 1, "b": 2}) == []
    (sentence,) = compare("rows", {"a": 1, "b": 2}, found)
    assert word in sentence
