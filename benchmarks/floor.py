"""The bare ceiling: read everything with aiokafka, decode it with msgspec, do nothing. No group, no commit, no sink.

Started as a peer is: reads the BENCH_* environment, prints one RESULT line. It uses the runtime's reader of whole
record batches and the structs of the contract, so the distance to ``cxwatch`` is what everything else costs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.events import PARTITIONS, TOPICS
from benchmarks.load import topic_name
from benchmarks.measure import own_cpu_s, own_peak_rss_mb
from schemas.events import HEARTBEAT_KEY
from schemas.hot import struct_of
from schemas.topics import BY_NOUN
from streams.runtime.bulk import bulk_values, install
from streams.runtime.limits import GC_THRESHOLDS
from streams.settings import Settings

SLICE = 300


async def read(bootstrap: str, prefix: str, events: int) -> dict[str, Any]:
    """Read and decode ``events`` records; returns the RESULT object."""
    install()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)  # as the worker does: a ceiling must not be dearer by the collector
    settings = Settings()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        value_deserializer=bulk_values,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        fetch_min_bytes=settings.fetch_min_bytes,
        fetch_max_bytes=settings.fetch_max_bytes,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic_name(prefix, noun), n) for noun in TOPICS for n in range(PARTITIONS)])
        return await _count(consumer, prefix, events)
    finally:
        await consumer.stop()


async def _count(consumer: Any, prefix: str, events: int) -> dict[str, Any]:
    decoders = {topic_name(prefix, noun): _decoder(noun) for noun in TOPICS}
    handled, started, cpu_s = 0, 0.0, 0.0
    while handled < events:
        fetched = await consumer.getmany(timeout_ms=1_000)
        if fetched and not started:
            started, cpu_s = time.monotonic(), own_cpu_s()
        for tp, batches in fetched.items():
            decode = decoders[tp.topic]
            for batch in batches:
                for piece in batch.slices(SLICE):
                    if HEARTBEAT_KEY not in piece.keys:
                        handled += len(list(map(decode, piece.values)))
    return {
        "events": handled,
        "wall_s": time.monotonic() - started,
        "cpu_s": own_cpu_s() - cpu_s,
        "rss_mb": own_peak_rss_mb(),
    }


def _decoder(noun: str) -> Any:
    return msgspec.json.Decoder(struct_of(BY_NOUN[noun].records[0])).decode


if __name__ == "__main__":
    env = os.environ
    figures = asyncio.run(read(env["BENCH_BOOTSTRAP"], env["BENCH_PREFIX"], int(env["BENCH_EVENTS"])))
    print("RESULT", json.dumps(figures))
