"""Hash the canonical findings of one deployment, per topic and per table: a process of its own, none of the line's code
but the definition of what is canonical. Reads one JSON object with the addresses from standard input, prints one."""

from __future__ import annotations

import json
import sys
from typing import Any

from clickhouse_driver import Client
from kafka import KafkaConsumer, TopicPartition

from streams.replay.canonical import NATURAL_KEYS, SENDER_CLOCK, canonical, fingerprint

TABLES = ("cohort_count", "source_count", "episode", "issue", "affected", "impact", "outreach", "delivery", "late")
NOT_FINDINGS = {"ver", "ingest_time", *SENDER_CLOCK, *(name.removesuffix("_ms") for name in SENDER_CLOCK)}
ONLY = {"cohort_count": "closed", "issue": "state != 'suspected'"}


def topic_rows(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    """All committed records of a topic, partition by partition, as plain JSON."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest", group_id=None
    )
    try:
        tps = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends = consumer.end_offsets(tps)
        found: dict[int, list[dict[str, Any]]] = {tp.partition: [] for tp in tps}
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for tp, records in consumer.poll(timeout_ms=200, max_records=5_000).items():
                found[tp.partition] += [json.loads(record.value) for record in records if record.value]
        return [row for number in sorted(found) for row in found[number]]
    finally:
        consumer.close()


def table_hash(client: Client, database: str, table: str) -> str:
    """Hash of a findings table's newest rows without version and wall time."""
    columns = [name for name, *_ in client.execute(f"DESCRIBE TABLE {database}.{table}") if name not in NOT_FINDINGS]
    names = ", ".join(f"`{name}`" for name in columns)
    where = ONLY.get(table, "1")
    rows = client.execute(f"SELECT {names} FROM {database}.{table} FINAL WHERE {where} ORDER BY ALL")
    return fingerprint(repr(row).encode() for row in rows)


def main() -> None:
    """Read where to look, print the hashes and how many lines went into each topic's."""
    where = json.load(sys.stdin)
    client = Client(where["host"], port=where["port"], user=where["user"], password=where["password"])
    answer: dict[str, dict[str, Any]] = {"topics": {}, "tables": {}, "lines": {}}
    for noun in NATURAL_KEYS:
        lines = canonical(noun, topic_rows(where["bootstrap"], f"{where['prefix']}cx.{noun}.v1"))
        answer["topics"][noun], answer["lines"][noun] = fingerprint(lines), len(lines)
    for table in TABLES:
        answer["tables"][table] = table_hash(client, where["database"], table)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
