"""Orders at every consumer: what is none becomes a dead letter, what comes twice changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.events import Command
from streams.agents import detect, outreach
from streams.core.outreach.cases import OperatorOrder, Orders, OutreachRules
from streams.core.outreach.ledger import Ledger
from streams.core.outreach.policy import DAY_MS
from streams.runtime.limits import TaskRules
from streams.runtime.memory import MemoryLine
from streams.security.signing import Keyring, OrderRules
from streams.settings import Settings

NOW = 1_767_225_600_000
RING = Keyring({"alice": b"a" * 32})


def order(name: str, action: str, **other: Any) -> Command:
    fields = {"command_id": name, "issued_at_ms": NOW, "action": action, "actor": "alice"}
    return Command.model_validate(fields | other)


def line(*rooms: Any, keys: Keyring | None = RING) -> MemoryLine:
    return MemoryLine(rooms, partitions=2, rules=TaskRules(orders=OrderRules(keys)))


@pytest.mark.parametrize(("room", "noun"), [(detect, "control"), (outreach, "command")])
def test_unsigned_wrongly_signed_repeated_and_stale_orders_are_dead_letters(room: Any, noun: str) -> None:
    built = line(room.room(Settings(partitions=2)))
    good = RING.sign(order("k-1", "mute", issue_id="i-1"))
    forged = good.model_copy(update={"action": "unmute"})
    old = RING.sign(order("k-2", "unmute", issue_id="i-1", issued_at_ms=NOW - DAY_MS))
    for record in (order("k-0", "unmute"), good, forged):
        built.produce(noun, record, timestamp_ms=NOW)
        built.run()
    task = "detect" if noun == "control" else "outreach"
    built.crash(task, 0)
    for record in (good, old):
        built.produce(noun, record, timestamp_ms=NOW + 1_000)
    built.run()
    dead_letters = [dead_letter for dead_letter in built.raw(f"{noun}.dlq") if dead_letter.partition == 0]
    reasons = [dict(dead_letter.headers)["dlq.reason"] for dead_letter in dead_letters]
    assert reasons == [b"unsigned", b"wrong_signature", b"repeated", b"stale"]
    assert built.task(task, 0).counts[noun].accepted == 0, "since the crash: nothing"
    if noun == "command":
        assert set(built.task("outreach", 1).state.orders.by_id) == {"k-1"}


@pytest.mark.parametrize(("room", "noun"), [(detect, "control"), (outreach, "command")])
def test_without_keys_a_copy_changes_nothing_and_is_no_dead_letter(room: Any, noun: str) -> None:
    built = line(room.room(Settings(partitions=2)), keys=None)
    task = "detect" if noun == "control" else "outreach"
    built.produce(noun, order("k-1", "stop"), timestamp_ms=NOW)
    built.run()
    built.crash(task, 0)
    built.produce(noun, order("k-1", "stop"), timestamp_ms=NOW)
    built.run()
    assert built.raw(f"{noun}.dlq") == []
    assert (built.task(task, 0).counts[noun].accepted, built.task(task, 0).counts[noun].skipped) == (0, 1)


def restarted(ledger: Ledger, durable: dict[bytes, bytes]) -> Ledger:
    """The next owner's ledger."""
    for key, value in ledger.drain().changes:
        if value is None:
            durable.pop(key, None)
        else:
            durable[key] = value
    new = Ledger(ledger.rules, 0, 1)
    new.load(list(durable.items()))
    return new


def test_the_ledger_obeys_an_order_once_also_after_restarts_and_without_the_topic() -> None:
    durable: dict[bytes, bytes] = {}
    ledger = Ledger(OutreachRules(), 0, 1)
    stop, resume = order("k-1", "stop"), order("k-2", "resume")
    for given in (stop, resume, order("k-3", "mute", issue_id="i-1"), order("k-4", "approve", issue_id="i-2")):
        ledger.learn(given)
    ledger.learn(order("k-5", "resolve", issue_id="i-3"))
    ledger = restarted(ledger, durable)
    known = ledger.knowledge
    assert (known.stopped, known.muted, known.approved, known.resolved) == (False, {"i-1"}, {"i-2"}, {"i-3": 0})
    ledger.learn(stop)
    assert not ledger.knowledge.stopped, "a copy of the old stop"
    ledger.learn(order("k-6", "stop"))
    ledger.learn(resume)
    ledger.learn(order("k-7", "unmute", issue_id="i-1"))
    ledger = restarted(ledger, durable)
    for given in (stop, resume, order("k-3", "mute", issue_id="i-1")):
        ledger.learn(given)
    assert (ledger.knowledge.stopped, ledger.knowledge.muted) == (True, set())


def test_a_ledger_of_before_there_was_a_book_of_orders_reads_them_from_the_topic() -> None:
    ledger = Ledger(OutreachRules(), 0, 1)
    ledger.load([(b'["w"]', b"[1767225600000,true]")])
    assert ledger.knowledge.stopped
    for given in (order("k-1", "stop"), order("k-2", "mute", issue_id="i-1")):
        ledger.learn(given)
    assert (ledger.knowledge.stopped, ledger.knowledge.muted) == (True, {"i-1"})


def test_books_of_orders_are_bounded_but_never_forget_a_stop_or_a_mute() -> None:
    durable: dict[bytes, bytes] = {}
    ledger = Ledger(OutreachRules(), 0, 1)
    for number in range(500):
        ledger.learn(order(f"s-{number}", "stop" if number % 2 else "resume"))
        ledger.learn(order(f"m-{number}", "mute", issue_id=f"i-{number % 3}"))
        ledger.learn(order(f"a-{number}", "approve", issue_id=f"i-{number}"))
    ledger.plan(NOW + 3 * ledger.rules.retention_ms, 1)
    ledger = restarted(ledger, durable)
    assert set(ledger.knowledge.orders.by_id) == {"s-499", "m-499", "m-498", "m-497"}
    assert (ledger.knowledge.stopped, ledger.knowledge.muted) == (True, {"i-0", "i-1", "i-2"})


def test_outreach_forgets_only_orders_that_decide_nothing_any_more() -> None:
    orders = Orders()
    rows = [
        (1, "stop", None), (2, "resume", None), (3, "stop", None), (4, "mute", "i-1"), (5, "unmute", "i-1"),
        (6, "mute", "i-2"), (7, "approve", "i-3"), (100, "resume", None),
    ]  # fmt: skip
    for at, action, issue in rows:
        fields = {"issued_ms": at, "id": f"k-{at}", "action": action, "issue": issue}
        one = msgspec.convert(fields, OperatorOrder)
        orders.by_id[one.id] = one
    before = [(orders.stopped(at), orders.last(("mute", "unmute"), at, ("i-2",))) for at in range(50, 120)]
    assert sorted(orders.forget(50)) == ["k-1", "k-2", "k-4", "k-5", "k-7"]
    assert [(orders.stopped(at), orders.last(("mute", "unmute"), at, ("i-2",))) for at in range(50, 120)] == before
