"""Rights on a cluster that lets nobody in unasked: every right that is needed works, every other one is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from schemas.codec import encode, partition_of
from schemas.rooms import ROOMS, WORKER_ROOMS
from schemas.topics import BY_NOUN
from streams.security.access import FOLLOWERS, LOOKERS, ROLES, Role, grants, principal
from streams.security.brokers import connection
from streams.settings import Settings
from streams.sinks.receiver import Receiver
from streams.stack import Endpoints
from streams.topics import catalogue, ensure_topics
from tests.access.secured import Secured, allow, secured_kafka
from tests.core.match.world import MINUTE, customer, issue, mark
from tests.faults.harness import COMMAND, PATIENCE_S, SECRET, Deployment, until
from tests.faults.result import Result
from tests.patience import patience
from tests.sender.world import NOON, send

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
MATRIX = Settings(topic_prefix="m.", partitions=1)
WITHOUT_STORE = ",".join(room for room in WORKER_ROOMS if room != "store")
LINE = Settings(topic_prefix="l.", partitions=2, sender_clock="event")


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """A secured Kafka with two deployments: one to try every right on, one that works."""
    with secured_kafka([MATRIX, LINE]) as made:
        for settings in (MATRIX, LINE):
            ensure_topics(made.brokers(), settings)
            allow(made, settings)
        yield made


def may(role: Role, kind: str, operation: str) -> set[str]:
    """Names, or beginnings of names ending in ``*``, on which a role has a right."""
    found = [grant for grant in grants() if (grant.role, grant.kind) == (role, kind) and operation in grant.operations]
    return {grant.name + "*" * grant.prefixed for grant in found}


def covered(name: str, names: set[str]) -> bool:
    """True if a right on one of ``names`` is one on ``name``."""
    return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in names)


@asynccontextmanager
async def producer(secured: Secured, role: Role, **more: Any) -> AsyncIterator[Any]:
    """A producer of a role."""
    made = AIOKafkaProducer(**connection(secured.brokers(principal(MATRIX, role))), **more)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def writes(secured: Secured, role: Role, topics: list[str]) -> set[str]:
    """Topics that a role could write one record to."""
    done = set()
    async with producer(secured, role, enable_idempotence=False) as made:
        for topic in topics:
            try:
                await made.send_and_wait(MATRIX.named(topic), b"{}", key=b"k", partition=0)
                done.add(topic)
            except TopicAuthorizationFailedError:
                continue
    return done


async def reads(secured: Secured, role: Role, topics: list[str]) -> set[str]:
    """Topics of which a role could read a record (every topic holds one)."""
    done = set()
    for topic in topics:
        consumer = AIOKafkaConsumer(
            **connection(secured.brokers(principal(MATRIX, role))), auto_offset_reset="earliest",
            enable_auto_commit=False,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.assign([TopicPartition(MATRIX.named(topic), 0)])
            if await asyncio.wait_for(consumer.getone(), patience(30)):
                done.add(topic)
        except TopicAuthorizationFailedError:
            continue
        finally:
            await consumer.stop()
    return done


async def transacts(secured: Secured, role: Role, names: list[str]) -> set[str]:
    """Transactional ids that a role could take over."""
    done = set()
    for name in names:
        try:
            async with producer(secured, role, transactional_id=MATRIX.named(name)):
                done.add(name)
        except TransactionalIdAuthorizationFailed:
            continue
    return done


async def joins(secured: Secured, role: Role, groups: list[str], topic: str) -> set[str]:
    """Groups in whose name a role could commit (a topic it may read is named)."""
    done = set()
    for group in groups:
        consumer = AIOKafkaConsumer(
            **connection(secured.brokers(principal(MATRIX, role))), group_id=MATRIX.named(group),
            enable_auto_commit=False,
        )  # fmt: skip
        tp = TopicPartition(MATRIX.named(topic), 0)
        try:
            await consumer.start()
            consumer.assign([tp])
            await consumer.commit({tp: 1})
            done.add(group)
        except GroupAuthorizationFailedError:
            continue
        except TopicAuthorizationFailedError:
            done.add(group)  # let in by the group; the topic is another right
        finally:
            await consumer.stop()
    return done


@pytest.mark.fault(71)
async def test_every_right_that_is_printed_works_and_every_other_write_is_refused(secured: Secured) -> None:
    topics = [wanted.name.removeprefix(MATRIX.topic_prefix) for wanted in catalogue(MATRIX)]
    groups = [*(f"cx.{room}" for room in (*WORKER_ROOMS, "send", "send.fixed", "send.heard")),
              f"{FOLLOWERS}shop", f"{LOOKERS}board", "someone.elses"]  # fmt: skip
    stateful = [room.name for room in ROOMS if room.state]
    ids = [*(f"cx.{room}.0" for room in stateful), "cx.order.cmd-1.0", "someone.elses"]
    result = Result(
        71, "every principal tries every right on a broker with SASL_SSL, SCRAM-SHA-512 and rights per principal",
        f"{len(ROLES)} principals x {len(topics)} topics (write, read), {len(groups)} groups, {len(ids)} transactions",
        "exactly what `cxwatch topics acls` prints works, everything else is refused",
    )  # fmt: skip
    with result.measured():
        everything = AIOKafkaProducer(**connection(secured.brokers()))
        await everything.start()
        for topic in topics:
            await everything.send_and_wait(MATRIX.named(topic), b"{}", key=b"k", partition=0)
        await everything.stop()
        allowed = refused = 0
        for role in ROLES:
            tried = {
                "Write": (topics, await writes(secured, role, topics), may(role, "topic", "Write")),
                "Read": (topics, await reads(secured, role, topics), may(role, "topic", "Read")),
                "group": (groups, await joins(secured, role, groups, "cx.issue.v1"), may(role, "group", "Read")),
                "id": (ids, await transacts(secured, role, ids), may(role, "transactional-id", "Write")),
            }
            for what, (asked, worked, granted) in tried.items():
                assert worked == {name for name in asked if covered(name, granted)}, f"{role}: {what}"
                allowed, refused = allowed + len(worked), refused + len(asked) - len(worked)
        result.lost, result.diff = 0, 0
        result.figures = {"worked": allowed, "refused": refused}
        assert refused > allowed


async def test_nobody_is_let_in_without_login_or_with_a_wrong_password(secured: Secured) -> None:
    right = connection(secured.brokers())
    for wrong in (
        {**right, "sasl_plain_password": "guessed"},
        {"bootstrap_servers": right["bootstrap_servers"]},
        {**right, "security_protocol": "SASL_PLAINTEXT"},
    ):
        made = AIOKafkaProducer(**wrong, request_timeout_ms=5_000)
        with pytest.raises(KafkaError):
            await made.start()
        await made.stop()


def cxwatch(line: Deployment, secured: Secured, role: Role, *words: str, **more: str) -> tuple[int, str]:
    """Run a command as a role; exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        env=os.environ | line.environment() | secured.environment(principal(LINE, role)) | more, check=False,
        timeout=patience(60),
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def write_rows(path: Path) -> None:
    """Orders of a shop whose payments fail, a minute apart, as the shipped mapping reads them."""
    columns = ("email", "order_no", "total", "psp", "carrier", "depot", "country", "ordered_at", "paid_at",
               "payment_error", "delivered_at", "cancelled_by", "cancelled_at", "promise_hours")  # fmt: skip
    rows = [
        (f"{number}@example.org", f"o-{number}", "49,90", "paynow", "post", "HAM", "Deutschland",
         f"02.03.2026 10:{number:02}", "", "E_PAY", "", "", "", "")
        for number in range(30)
    ]  # fmt: skip
    path.write_text("\n".join(";".join(row) for row in (columns, *rows)) + "\n", encoding="utf-8")


async def put(brokers: str, noun: str, records: list[Any], partition: int | None = None) -> None:
    """Append records as whoever the brokers know."""
    made = AIOKafkaProducer(**connection(brokers), enable_idempotence=False)
    try:
        await made.start()
        for record in records:
            key = getattr(record, "customer_id", "watermark").encode()
            number = partition_of(key, LINE.partitions) if partition is None else partition
            await made.send_and_wait(LINE.named(BY_NOUN[noun].name), encode(record), key=key, partition=number)
    finally:
        await made.stop()


async def held(brokers: str, noun: str) -> int:
    """Offsets that the partitions of a noun's topic have come to, together."""
    consumer = AIOKafkaConsumer(**connection(brokers), isolation_level="read_committed")
    try:
        await consumer.start()
        tps = [TopicPartition(LINE.named(BY_NOUN[noun].name), number) for number in range(LINE.partitions)]
        return sum((await consumer.end_offsets(tps)).values())
    finally:
        await consumer.stop()


async def test_a_whole_line_runs_where_everybody_logs_in_and_has_only_the_rights_that_are_printed(
    secured: Secured, tmp_path: Path
) -> None:
    servers = Endpoints(secured.brokers(), "", 0, 0, {})
    line = Deployment(LINE.model_copy(update={"state_dir": tmp_path / "state"}), servers, servers, tmp_path, False)
    line.settings.state_dir.mkdir(parents=True)
    as_role = {role: secured.brokers(principal(LINE, role)) for role in ROLES}
    names = [f"c-{number}" for number in range(6)]
    printed: list[str] = []

    async def run(role: Role, *words: str, **more: str) -> int:
        code, text = await asyncio.to_thread(cxwatch, line, secured, role, *words, **more)
        printed.append(text)
        return code

    try:
        async with Receiver(SECRET) as receiver:
            worker = line.worker("w", WITHOUT_STORE, **secured.environment(principal(LINE, "worker")))
            sender = line.sender("s", receiver.url, **secured.environment(principal(LINE, "sender")))
            write_rows(tmp_path / "rows.csv")
            key = {"CX_PSEUDONYM_KEY": "0123456789abcdef0123456789abcdef"}
            assert await run("events", "play", "shop", str(tmp_path / "rows.csv"), **key) == 0, printed
            await until(lambda: held(as_role["reader"], "episode"), PATIENCE_S)
            await put(as_role["events"], "customer", [customer(name) for name in names])
            await put(as_role["worker"], "outreach", [send(name) for name in names])
            for number in range(LINE.partitions):
                await put(as_role["worker"], "outreach", [mark(NOON + MINUTE, number)], number)
            await receiver.wait_for(len(names), patience(60))
            for number in range(LINE.partitions):
                await put(as_role["worker"], "issue", [issue("i-77aa10")], number)
            assert await run("operator", "stop", "--wait", "600") == 0, printed
            assert "heard by 2 of 2 senders' partitions" in printed[-1]
            assert await run("operator", "mute", "i-77", "--wait", "600") == 0, printed
            assert await run("reader", "stop") == 1, printed
            assert "the brokers do not let this user order" in printed[-1]
            assert await run("reader", "topics", "diff") == 0, printed
            assert (worker.alive(), sender.alive()) == (True, True)
            assert (worker.terminate(patience(20)), sender.terminate(patience(20))) == (0, 0)
            logs = worker.log.read_text() + sender.log.read_text() + "".join(printed)
            assert not any(password in logs for password in secured.passwords.values())
    finally:
        line.stop()
