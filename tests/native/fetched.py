"""Batches as a fetch brings them with the accelerator: columns over the fetched bytes instead of lists."""

from __future__ import annotations

from dataclasses import replace

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.core.join.native import require
from streams.runtime.batch import RawBatch
from tests.runtime.record_batch import as_sent


def as_fetched(batch: RawBatch) -> RawBatch:
    """The same messages as columns; an empty batch as it is."""
    if not len(batch):
        return batch
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    parts = zip(batch.keys, batch.values, batch.timestamps, batch.headers, strict=True)
    for index, (key, value, stamp, headers) in enumerate(parts):
        builder.append(index, stamp, key, value, list(headers))
    data = as_sent(builder, batch.start)
    _, offsets, keys, values, headers, stamps = require().unpack_records(data, batch.start, None, True)
    assert list(offsets) == list(batch.offsets)
    return replace(batch, keys=keys, values=values, headers=headers, timestamps=stamps)
