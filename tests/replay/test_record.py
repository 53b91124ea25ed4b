"""A recording to hand on holds nothing about a person, and a replay of it finds the same issues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.partition import partition_of
from schemas.topics import BY_NOUN
from streams.cli.main import main
from streams.replay.engine import ReplayOutcome, replay
from streams.replay.pseudonyms import RARE, record
from streams.replay.recording import MANIFEST, Recording, read_log
from streams.replay.source import MemorySource, RecordingSource, from_arrivals
from streams.settings import Settings
from streams.sources.arrivals import Arrival
from tests.replay.small_company import source

CANARY = "zz-canary"
AT_MS = 1_767_225_600_000
KEY = b"k" * 32


def personal() -> MemorySource:
    """Records of every topic with a canary wherever something about a person may stand."""
    who = f"{CANARY}-customer"
    event = {"event_id": f"{CANARY}-event", "event_time_ms": AT_MS, "customer_id": who, "hidden": CANARY,
             "attributes": {"plan": "family", "nick": CANARY}}  # fmt: skip
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("telemetry", {**event, "product": "shop", "event_name": "open", "outcome": "ok", "session_id": CANARY,
                       "device_model": f"{CANARY}'s phone"}),
        ("order", {**event, "order_id": f"{CANARY}-order", "status": "placed", "product": "shop", "sku": CANARY}),
        ("contact", {**event, "contact_id": f"{CANARY}-1", "channel": "chat", "text": f"call me, {CANARY}",
                     "order_id": f"{CANARY}-order", "subject_ids": [CANARY], "reason": CANARY}),
        ("customer", {"customer_id": who, "updated_at_ms": AT_MS, "segment": CANARY,
                      "addresses": [{"channel": "webhook", "token": CANARY}]}),
        ("change", {"change_id": CANARY, "changed_at_ms": AT_MS, "change_kind": "other", "title": CANARY,
                    "attributes": {"nick": CANARY}}),
        *((noun, {"command_id": CANARY, "issued_at_ms": AT_MS, "action": "stop", "actor": CANARY, "reason": CANARY,
                  "signature": CANARY}) for noun in ("command", "control")),
    ]  # fmt: skip
    whole = [Arrival(AT_MS, noun, who.encode(), None, json.dumps(body).encode()) for noun, body in bodies]
    broken = [Arrival(AT_MS, noun, CANARY.encode(), None, json.dumps({"oops": CANARY}).encode()) for noun, _ in bodies]
    return from_arrivals("personal", "simulation", [*whole, *broken], 2)


def test_no_canary_is_in_a_recording(tmp_path: Path) -> None:
    given = personal()
    record(given, tmp_path, KEY, BY_NOUN)
    made = Recording(tmp_path)
    logs = made.contents.logs
    found = b"".join(
        part or b""
        for log in logs
        for batch in read_log(tmp_path, log)
        for column in (batch.keys, batch.values)
        for part in column
    )
    assert sum(log.records for log in logs) == sum(given.records(log.noun, log.partition) for log in logs) > 14
    assert CANARY.encode() not in found + (tmp_path / MANIFEST).read_bytes()
    assert made.contents.pseudonymised


def test_ids_that_name_the_same_have_the_same_pseudonym_on_the_same_partition(tmp_path: Path) -> None:
    record(personal(), tmp_path, KEY, BY_NOUN)
    found = RecordingSource(tmp_path)
    bodies = {
        noun: json.loads(batch.values[0] or b"") | {"partition": partition, "key": batch.keys[0]}
        for noun in ("telemetry", "order", "contact", "customer")
        for partition in range(2)
        for batch in found.batches(noun, partition)
        if (batch.values[0] or b"{}") != b"{}"
    }
    (who,) = {body["customer_id"] for body in bodies.values()}
    assert {body["key"] for body in bodies.values()} == {who.encode()}
    assert {body["partition"] for body in bodies.values()} == {partition_of(who.encode(), 2)}
    assert bodies["contact"]["order_id"] == bodies["order"]["order_id"]
    assert bodies["order"]["event_time_ms"] == AT_MS
    assert bodies["contact"]["text"] == ""


def test_a_replay_finds_the_same_issues_up_to_names(tmp_path: Path) -> None:
    given = source(2)
    given.write(tmp_path / "whole")
    (tmp_path / "key").write_bytes(KEY)
    command = ["record", str(tmp_path / "whole"), "--out", str(tmp_path / "out"), "--key", str(tmp_path / "key")]
    assert main(command) == 0
    before, after = replay(given, Settings()), replay(RecordingSource(tmp_path / "out"), Settings())
    assert issues(after) == issues(before) != []
    for noun in ("affected", "episode", "order_outcome", "contact_case"):
        assert len(after.canonical(noun)) == len(before.canonical(noun)) > 0
    assert main(command) == 78


def issues(outcome: ReplayOutcome) -> list[tuple[Any, ...]]:
    found = [json.loads(line) for line in outcome.canonical("issue")]
    named = ("line", "signal", "opened_at_ms", "detected_at_ms")
    return [(*(row[name] for name in named), row["cause"]["attributes"]) for row in found]


def test_a_value_that_many_have_stays(tmp_path: Path) -> None:
    people = [f"c-{number}" for number in range(RARE)]
    body = {"event_time_ms": AT_MS, "product": "shop", "event_name": "open", "outcome": "ok"}
    arrivals = [
        Arrival(AT_MS, "telemetry", who.encode(), None, json.dumps(
            {**body, "customer_id": who, "event_id": who, "region": "DE", "platform": "web" if who == "c-0" else "ios"}
        ).encode())
        for who in people
    ]  # fmt: skip
    record(from_arrivals("many", "simulation", arrivals, 1), tmp_path, KEY, ("telemetry",))
    (batch,) = RecordingSource(tmp_path).batches("telemetry", 0)
    rows = [json.loads(value or b"") for value in batch.values]
    assert {row["region"] for row in rows} == {"DE"}
    assert not {row["platform"] for row in rows} & {"web", "ios"}


def test_a_drill_stays_one(tmp_path: Path) -> None:
    """Its customers are nobody, and by its names every stage tells it from what happens."""
    who = "cx.drill.a1.0001"
    body = {"event_time_ms": AT_MS, "event_id": "e", "customer_id": who, "source": "cx.drill",
            "product": "cx.drill.app", "origin": "drill", "event_name": "open", "outcome": "ok"}  # fmt: skip
    arrival = Arrival(AT_MS, "telemetry", who.encode(), None, json.dumps(body).encode())
    record(from_arrivals("drill", "simulation", [arrival], 1), tmp_path, KEY, ("telemetry",))
    (batch,) = RecordingSource(tmp_path).batches("telemetry", 0)
    found = json.loads(batch.values[0] or b"")
    assert {name: found[name] for name in ("customer_id", "source", "product")} == {
        name: body[name] for name in ("customer_id", "source", "product")
    }


@pytest.mark.parametrize(("more", "problem"), [(["--topics", "issue"], "allowed are telemetry"),
                                               (["--key", "/nowhere"], "--key /nowhere cannot be read")])  # fmt: skip
def test_a_wrong_option_is_named(
    more: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source(1).write(tmp_path / "whole")
    assert main(["record", str(tmp_path / "whole"), "--out", str(tmp_path / "out"), *more]) == 78
    assert problem in " ".join(capsys.readouterr().err.split())
