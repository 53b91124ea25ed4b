"""The bare ceiling of librdkafka: read everything with confluent-kafka, decode it with msgspec, do nothing."""

from __future__ import annotations

import json
import os
import resource
import time

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

TOPICS = ("telemetry", "order", "contact")
PARTITIONS = 4
HEARTBEAT_KEY = b"cx.heartbeat"
MOST = 10_000
"""Messages per call, the way of reading that librdkafka's Python client does fastest."""


class Seen(msgspec.Struct, gc=False):
    """Every field of the three topics that a job may need."""

    event_id: str
    event_time_ms: int
    customer_id: str
    source: str = ""
    product: str = ""
    component: str = ""
    app_version: str = ""
    platform: str = ""
    region: str = ""
    device_model: str = ""
    event_name: str = ""
    outcome: str = ""
    error_code: str | None = None
    latency_ms: float | None = None
    session_id: str = ""
    order_id: str | None = None
    status: str = ""
    amount_cents: int = 0
    currency: str = ""
    payment_provider: str = ""
    payment_method: str = ""
    carrier: str = ""
    warehouse: str = ""
    promised_at_ms: int | None = None
    contact_id: str = ""
    channel: str = ""
    reason: str = ""
    text: str = ""
    language: str = ""


def own_cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read and decode until all events are handled; print the RESULT line."""
    wanted = int(os.environ["BENCH_EVENTS"])
    consumer = Consumer({
        "bootstrap.servers": os.environ["BENCH_BOOTSTRAP"],
        "group.id": os.environ["BENCH_NAME"],
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 50,
        "queued.max.messages.kbytes": 65_536,
    })
    names = [f"{os.environ['BENCH_PREFIX']}cx.{noun}.v1" for noun in TOPICS]
    consumer.assign([TopicPartition(name, part, OFFSET_BEGINNING) for name in names for part in range(PARTITIONS)])
    decode = msgspec.json.Decoder(Seen).decode
    handled, started, cpu_s = 0, 0.0, 0.0
    while handled < wanted:
        messages = consumer.consume(MOST, timeout=0.05)
        if messages and not started:
            started, cpu_s = time.monotonic(), own_cpu_s()
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            if message.key() != HEARTBEAT_KEY:
                decode(message.value())
                handled += 1
    wall_s, used_s = time.monotonic() - started, own_cpu_s() - cpu_s
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("RESULT", json.dumps({"events": handled, "wall_s": wall_s, "cpu_s": used_s, "rss_mb": rss_mb}))
    consumer.close()


if __name__ == "__main__":
    main()
