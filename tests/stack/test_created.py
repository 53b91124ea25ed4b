"""Only what this state folder made is ever deleted: looked up by name and by the server's own id."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from streams.stack.created import Created, drop_topics
from streams.topics import topic_ids


def test_what_was_made_is_known_until_it_is_deleted(tmp_path: Path) -> None:
    created = Created(tmp_path)
    assert created.ids("topics") == {}
    created.add("topics", {"demo-1.cx.order.v1": "id-1", "demo-1.cx.late.v1": "id-2"})
    created.add("databases", {"cx_demo": "id-3"})
    created.forget("topics", ["id-1", "never heard of"])
    assert Created(tmp_path).ids("topics") == {"id-2": "demo-1.cx.late.v1"}
    assert Created(tmp_path).ids("databases") == {"id-3": "cx_demo"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"topics": {}}', '{"topics": 1, "databases": 2}'])
def test_a_damaged_record_proves_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "created.json").write_text(text)
    created = Created(tmp_path)
    assert created.ids("topics") == created.ids("databases") == {}
    created.add("topics", {"t": "id-1"})
    assert created.ids("topics") == {"id-1": "t"}


def _add(folder: Path, number: int) -> None:
    for count in range(10):
        Created(folder).add("topics", {f"t-{number}-{count}": f"id-{number}-{count}"})


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=_add, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(Created(tmp_path).ids("topics")) == 40


@pytest.mark.kafka
def test_topics_of_others_stay_whatever_their_name(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    kind = f"{topic_prefix}demo-"
    mine, again, foreign = (f"{kind}{name}" for name in ("abc123.cx.order.v1", "abc123.cx.late.v1", "invoices"))
    created, spec = Created(tmp_path), {"num_partitions": 1, "configs": {}}
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        admin.create_topics(dict.fromkeys((mine, again, foreign), spec), wait_for_metadata=True)
        created.add("topics", topic_ids(kafka, [mine, again]))
        admin.delete_topics([again])
        while again in admin.list_topics():
            pass
        admin.create_topics({again: spec}, wait_for_metadata=True)  # by somebody else
        assert drop_topics(kafka, created, kind) == ([mine], [again, foreign])
        left = {name for name in admin.list_topics() if name.startswith(kind)}
        assert drop_topics(kafka, created, kind) == ([], [again, foreign])
        assert {again, foreign} <= left
        assert mine not in created.ids("topics").values()
    finally:
        admin.close()
