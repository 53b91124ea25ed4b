"""State topics really are compacted: recovery reads what is alive, not what ever was written."""

from __future__ import annotations

import asyncio

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.runtime.recovery import StateReader
from streams.runtime.state import Meta, state_records
from streams.runtime.transaction import Transaction, Write
from streams.runtime.writer import TransactionWriter
from tests.integration.harness import Line
from tests.patience import Deadline

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KEYS, FLUSHES, VALUE_BYTES = 200, 80, 1_000
SEGMENT_BYTES = 1_048_576
MOST_RECORDS = KEYS + 2 * SEGMENT_BYTES // VALUE_BYTES + KEYS
"""Alive, the segment being written and one just closed, and a flush."""
STATE = "cx.join.state.v1"


def hurry(line: Line) -> None:
    """The catalogue's settings, but segments so small that the test need not write for an hour."""
    admin = KafkaAdminClient(bootstrap_servers=line.bootstrap)
    changes = {"segment.bytes": str(SEGMENT_BYTES), "segment.ms": "1000", "delete.retention.ms": "100"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, line.prefix + STATE, changes)])
    admin.close()


async def test_recovery_does_not_depend_on_how_often_the_same_keys_were_written(line: Line) -> None:
    await asyncio.to_thread(hurry, line)
    writer = TransactionWriter(line.bootstrap, line.prefix, "join", 0)
    await writer.open()

    async def flush(number: int) -> None:
        text = b"%d" % number
        gone = [(b"gone-%d" % (number - 1), None)] if number > 1 else []
        pairs = [(b"k%d" % key, text * (VALUE_BYTES // len(text))) for key in range(KEYS)]
        records = state_records([*pairs, (b"gone-%d" % number, b"x"), *gone], Meta(1, number, 4, {"order": number}))
        writes: dict[tuple[str, int], list[Write]] = {(STATE, 0): [(key, value, ()) for key, value in records]}
        await writer.write(Transaction("join", 0, 1, number, writes, {}))

    for number in range(1, FLUSHES + 1):
        await flush(number)
    written = FLUSHES * KEYS
    deadline, number, read = Deadline(120), FLUSHES, written
    while read > MOST_RECORDS and not deadline.over:
        await asyncio.sleep(2.0)  # the cleaner looks every 15 s; a flush rolls the segment that is older than a second
        number += 1
        await flush(number)
        read = len(await line.read(STATE))
    assert read <= MOST_RECORDS < written / 5
    found = (await StateReader(line.bootstrap, line.prefix + STATE, 20.0).read([0]))[0]
    assert len(found.items) == KEYS + 1
    assert found.items[b"k0"].startswith(b"%d" % number)
    assert found.meta == Meta(1, number, 4, {"order": number})
    await writer.close()
