"""What a low rate costs, and how old events get: ``python -m benchmarks.linger [--rate 5000] [--store] BYTES:MS...``

Starts a Kafka (and, with ``--store``, a ClickHouse) of its own, sends events of the three topics at an even rate, and
runs ``cxwatch worker`` on them once per setting of the broker's own linger (``CX_FETCH_MIN_BYTES``:
``CX_FETCH_MAX_WAIT_MS``). Prints CPU seconds per million events (user and system, all threads, without start-up) and
the age of events when they are folded into the state (``cx_runtime_age_seconds``: append to folded).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from schemas.partition import partitions_of
from streams.settings import Settings
from streams.sinks.clickhouse import migrate
from streams.stack import Endpoints, UpOptions, down, up
from streams.stack.process import PidFile
from streams.topics import ensure_topics

PARTITIONS = 4
CUSTOMERS = 200_000
TICK_S = 0.01
WARM_S = 4.0
SETTINGS = ("16384:50", "65536:50", "262144:50", "1048576:50", "1048576:40", "1048576:30")
Buckets = Mapping[tuple[str, str], float]
"""(room, upper edge in s) -> cumulated records over all topics."""


def message(number: int, now_ms: int, customer: str) -> tuple[str, bytes]:
    """Noun and value of one event: 85 % telemetry (6 % of it failed), 10 % orders, 5 % contacts; about 325 bytes."""
    base = {"event_id": f"01J9-{number:012x}-{now_ms:x}", "event_time_ms": now_ms, "customer_id": customer,
            "product": "shop", "region": ("DE", "FR", "AT", "CH", "NL")[number % 5]}  # fmt: skip
    kind = number % 20
    if kind < 17:
        more = {"source": "app-ios", "component": "checkout", "app_version": ("5.1.0", "5.2.0")[number % 2],
                "platform": ("ios", "android")[number % 2], "device_model": "Nova 8", "event_name": "checkout_submit",
                "outcome": "failed" if number % 17 == 0 else "ok", "session_id": f"s-{number:012x}"}  # fmt: skip
        return "telemetry", json.dumps(base | more).encode()
    if kind < 19:
        more = {"source": "erp", "order_id": f"o-{number:012x}", "status": "placed", "carrier": "swiftpost",
                "warehouse": "HAM-2", "payment_provider": "paynow", "payment_method": "card"}  # fmt: skip
        return "order", json.dumps(base | more | {"amount_cents": 4_990, "promised_at_ms": now_ms + 3_600_000}).encode()
    more = {"source": "crm", "contact_id": f"k-{number:012x}", "channel": "phone", "reason": "app"}
    return "contact", json.dumps(base | more).encode()


async def send(bootstrap: str, prefix: str, rate: int) -> None:
    """Send at an even rate until the process is ended."""
    names = [f"c-{number:06d}" for number in range(CUSTOMERS)]
    homes = partitions_of([name.encode() for name in names], PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, acks=1)
    await producer.start()
    started, number = time.monotonic(), 0
    while True:
        due, stamp = int((time.monotonic() - started) * rate), int(time.time() * 1_000)
        while number < due:
            who = number * 7_919_993 % CUSTOMERS
            noun, value = message(number, stamp, names[who])
            await producer.send(f"{prefix}cx.{noun}.v1", value, names[who].encode(), int(homes[who]))
            number += 1
        await asyncio.sleep(TICK_S)


def sender(bootstrap: str, prefix: str, rate: int) -> None:
    """Process entry of :func:`send`."""
    asyncio.run(send(bootstrap, prefix, rate))


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scrape(file: Path) -> tuple[Buckets, float]:
    """Ages by room, and the event records that the join room accepted."""
    url = json.loads(file.read_text(encoding="utf-8"))["url"] + "/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    ages: Counter[tuple[str, str]] = Counter()
    accepted = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "cx_runtime_age_seconds_bucket" and labels["topic"] in ("telemetry", "order", "contact"):
                ages[labels["room"], labels["le"]] += int(sample.value)
            elif sample.name == "cx_runtime_records_total" and labels.get("room") == "join":
                accepted += sample.value if labels["outcome"] == "accepted" else 0
    return ages, accepted


def quantile_ms(before: Buckets, after: Buckets, room: str, share: float) -> float:
    """Upper edge of the bucket that holds a quantile, in ms."""
    edges = sorted((float(edge), edge) for found, edge in after if found == room)
    grown = [(value, after[room, edge] - before.get((room, edge), 0)) for value, edge in edges]
    total = grown[-1][1] if grown else 0
    return next((value * 1_000 for value, count in grown if count >= share * total), float("nan"))


def run(places: Endpoints, folder: Path, choice: argparse.Namespace, linger: str) -> str:
    """Run one setting; return its line."""
    prefix = f"b{uuid.uuid4().hex[:8]}."
    rooms = "join,store" if choice.store else "join"
    name = f"cx_{prefix[:-1]}"
    settings = Settings(kafka_bootstrap=places.kafka_bootstrap, topic_prefix=prefix, state_dir=folder / "state")
    ensure_topics(places.kafka_bootstrap, settings)
    if choice.store:
        migrate(places, name)
    smallest, wait = linger.split(":")
    more = {"CX_TOPIC_PREFIX": prefix, "CX_STATE_DIR": str(folder / "state"), "CX_CLICKHOUSE_DATABASE": name,
            "CX_FETCH_MIN_BYTES": smallest, "CX_FETCH_MAX_WAIT_MS": wait, "CX_FLUSH_MS": str(choice.flush)}  # fmt: skip
    context = multiprocessing.get_context("spawn")
    feed = context.Process(target=sender, args=(places.kafka_bootstrap, prefix, choice.rate))
    command = [sys.executable, "-c", "from streams.cli import main; main()", "worker", "--rooms", rooms]
    worker = subprocess.Popen(command, env=os.environ | more)
    try:
        file = folder / "state" / "worker-a.json"
        feed.start()
        while not (file.exists() and scrape(file)[1] > choice.rate):
            time.sleep(0.2)
        time.sleep(WARM_S)
        cpu, (ages, records) = cpu_s(worker.pid), scrape(file)
        time.sleep(choice.seconds)
        spent, (later, reached) = cpu_s(worker.pid) - cpu, scrape(file)
    finally:
        feed.terminate()
        worker.send_signal(signal.SIGTERM)
        worker.wait(40)
    shown = [
        f"{room} p50 {quantile_ms(ages, later, room, 0.5):.0f} p99 {quantile_ms(ages, later, room, 0.99):.0f} ms"
        for room in rooms.split(",")
    ]
    events = reached - records
    return (f"{linger:>12}  {rooms}  flush {choice.flush} ms  {events / choice.seconds:6,.0f} events/s  "
            f"CPU {spent / events * 1e6:6.1f} s per million  {'  '.join(shown)}")  # fmt: skip


def main(arguments: Iterable[str]) -> None:
    """Run every setting named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", default=SETTINGS, metavar="BYTES:MS")
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--flush", type=int, default=500)
    parser.add_argument("--store", action="store_true", help="the store room too, on a real ClickHouse")
    choice = parser.parse_args(list(arguments))
    folder = Path(tempfile.mkdtemp(prefix="cxwatch-bench-"))
    PidFile(folder / "owner").write(os.getpid())
    settings = Settings(state_dir=folder / "state")
    only: Any = ("kafka", "clickhouse") if choice.store else ("kafka",)
    try:
        places = up(settings, options=UpOptions(only=only, die_with_parent=True))
        for linger in choice.settings:
            print(run(places, folder, choice, linger), flush=True)
    finally:
        down(settings, patience_s=1.0)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
