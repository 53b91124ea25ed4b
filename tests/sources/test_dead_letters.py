"""Dead letters are listed by emitter, rule and file line, shown without their content, mended and fed back once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.errors import ConfigError
from schemas.topics import REPLAYED_HEADER
from streams.cli.main import main
from streams.settings import Settings
from streams.sinks.rows import RowBuffer
from streams.sources.dead_letters import Letter, UnknownLetter, letter_topic
from streams.sources.mended import edited, exported
from streams.topics import ensure_topics
from tests.sinks.examples import batch

MAPPING = """
name: m
input: {format: csv, delimiter: ";"}
customer: "{who}"
events:
  - to: order
    time: {field: at}
    fields: {order_id: "{no}", product: shop, status: {field: what, table: TABLE}}
"""
OLD, NEW = MAPPING.replace("TABLE", "{new: placed}"), MAPPING.replace("TABLE", "{new: placed, gone: shipped}")
ROWS = "who;at;no;what\nanna;2026-03-01T10:00:00Z;1;new\nbert;2026-03-01T10:01:00Z;2;gone\nzoë;2026-03-01T10:02Z;3;?\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command on topics of this test's own: (exit code, output, errors)."""
    ensure_topics(kafka, Settings(kafka_bootstrap=kafka, topic_prefix=topic_prefix, partitions=2))
    for name, value in {
        "CX_KAFKA_BOOTSTRAP": kafka, "CX_TOPIC_PREFIX": topic_prefix, "CX_PARTITIONS": "2", "COLUMNS": "200",
        "CX_STATE_DIR": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


def _events(kafka: str, prefix: str) -> list[tuple[str, str, str]]:
    """(event id, status, origin) of every order on the topic, in any order."""

    async def read() -> list[bytes]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await consumer.start()
        tps = [TopicPartition(f"{prefix}cx.order.v1", number) for number in range(2)]
        consumer.assign(tps)
        ends, found = await consumer.end_offsets(tps), list[bytes]()
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for rows in (await consumer.getmany(timeout_ms=200)).values():
                found += [row.value for row in rows]
        await consumer.stop()
        return found

    bodies = [body for body in map(json.loads, asyncio.run(read())) if "order_id" in body]
    return sorted((body["event_id"], body["status"], body.get("origin", "live")) for body in bodies)


def _ids(run: Run, *words: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in map(json.loads, run("letters", "--json", *words)[1].splitlines())}


@pytest.mark.kafka
def test_rows_are_fed_back_once_their_mapping_or_they_are_mended(run: Run, kafka: str, topic_prefix: str) -> None:
    Path("old.yaml").write_text(OLD)
    Path("new.yaml").write_text(NEW)
    Path("shop.csv").write_text(ROWS)
    assert run("play", "old.yaml", "shop.csv", "--max-rejects", "100%")[0] == 0
    assert len(before := _events(kafka, topic_prefix)) == 1
    code, shown, _ = run("letters")
    assert code == 0
    assert "shop.csv:3" in shown
    assert "mapping m" in shown
    assert "bert" not in shown
    dead_letters = _ids(run, "--file", "shop.csv")
    by_line = {one["where"]: name for name, one in dead_letters.items()}
    assert set(by_line) == {"shop.csv:3", "shop.csv:4"}
    assert dead_letters[by_line["shop.csv:3"]]["columns"] == ["who", "at", "no", "what"]

    code, shown, errors = run("letters", "replay", "--rule", "status", "--mapping", "new.yaml")
    assert (code, "fed back 1 dead letters (1 messages), still wrong 1" in shown) == (1, True), errors
    assert f"{by_line['shop.csv:4']}: still wrong" in errors
    after = _events(kafka, topic_prefix)
    assert [(status, origin) for _, status, origin in set(after) - set(before)] == [("shipped", "replay")]
    assert {name: one["state"] for name, one in _ids(run).items()} == {
        by_line["shop.csv:3"]: "replayed", by_line["shop.csv:4"]: "open",
    }  # fmt: skip

    assert "fed back 0 dead letters" in run("letters", "replay", by_line["shop.csv:3"], "--mapping", "new.yaml")[1]
    assert _events(kafka, topic_prefix) == after
    assert run("letters", "replay", by_line["shop.csv:3"], "--mapping", "new.yaml", "--again")[0] == 0
    assert set(_events(kafka, topic_prefix)) == set(after)  # with the id it had: the join knows it as a duplicate

    assert "1 dead letters in mended" in run("letters", "export", "mended")[1]
    assert run("letters", "export", "mended")[0] == 78
    Path("mended").write_text(Path("mended").read_text().replace(";?", ";gone"))
    code, shown, errors = run("letters", "replay", "mended", "--mapping", "new.yaml")
    assert (code, "fed back 1 dead letters" in shown) == (0, True), errors
    assert len(set(_events(kafka, topic_prefix))) == 3


@pytest.mark.kafka
def test_a_message_is_fed_back_as_it_came_but_mended(run: Run, kafka: str, topic_prefix: str) -> None:
    body = {"event_id": "e1", "event_time_ms": 1_767_225_600_000, "customer_id": "c-7", "source": "shop",
            "order_id": "o1", "status": "plaiced", "product": "shop"}  # fmt: skip
    headers = [("trace", b"t"), ("dlq.topic", b"cx.order.v1"), ("dlq.partition", b"1"), ("dlq.offset", b"5"),
               ("dlq.reason", b"schema"), ("dlq.field", b"status"), ("dlq.rule", b"one of placed, ...")]  # fmt: skip

    async def reject() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        for _ in ("by one room", "by another"):
            await producer.send_and_wait(
                f"{topic_prefix}cx.order.v1.dlq", json.dumps(body).encode(), b"c-7", partition=1, headers=headers
            )
        await producer.stop()

    asyncio.run(reject())
    dead_letters = _ids(run)
    assert {name: (one["emitter"], one["where"]) for name, one in dead_letters.items()} == {
        "order-1-0": ("shop", "partition 1, offset 5")
    }
    assert "c-7" not in run("letters", "show", "order-1-0")[1]
    assert "c-7" in run("letters", "show", "order-1-0", "--bytes")[1]
    assert run("letters", "show", "order-1-7")[0] == 1
    assert run("letters", "replay", "order-1-7")[0] == 1
    assert run("letters", "replay")[0] == 78
    assert run("letters", "replay", "order-1-0")[0] == 1
    run("letters", "export", "mended")
    Path("mended").write_text(Path("mended").read_text().replace("plaiced", "placed"))
    code, shown, errors = run("letters", "replay", "mended")
    assert (code, "fed back 1 dead letters (1 messages)" in shown) == (0, True), errors
    assert _events(kafka, topic_prefix) == [("e1", "placed", "live")]
    assert "fed back 0 dead letters" in run("letters", "replay", "mended")[1]


def test_a_letter_keeps_its_bytes_through_a_file_whatever_they_are(tmp_path: Path) -> None:
    dead_letters = [
        Letter("order", 0, number, 0, None, value, (("dlq.rule", b"r"),))
        for number, value in enumerate([b'{"a": "\xc3\xab"}', b"\xff\xfe\x00", b"", None, b"two\nlines\r\n"])
    ]
    (tmp_path / "f").write_bytes(b"\n".join(map(exported, dead_letters)))
    assert edited(tmp_path / "f") == {letter.id: letter.value for letter in dead_letters}


@pytest.mark.parametrize("line", [b"x", b"[]", b'{"text": "x"}', b'{"letter": "order-0-0", "base64": "*"}'])
def test_a_line_that_is_none_of_an_export_is_refused_by_number(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "f").write_bytes(b"\n" + line)
    with pytest.raises(ConfigError, match="line 2"):
        edited(tmp_path / "f")


@pytest.mark.parametrize("name", ["order-0", "order", "", "command-0-1", "order-0-1-2", "ORDER-0-1"])
def test_what_is_no_id_of_a_letter_is_refused(name: str) -> None:
    with pytest.raises(UnknownLetter):
        letter_topic(name)


def test_the_mark_of_a_letter_that_was_fed_back_is_no_row_of_the_dead_letters() -> None:
    rows = RowBuffer()
    rows.add(batch("order.dlq", [b"{}", b""], headers=[[("dlq.rule", b"r")], [(REPLAYED_HEADER, b"order-0-0")]]))
    assert rows.pending == 1
