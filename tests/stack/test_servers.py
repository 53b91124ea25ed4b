"""The real servers through everything that goes wrong on a developer's machine.

One stack of its own for this file, in a folder of its own; each test leaves it running or stopped, the next one calls
`up`. Data written by the first test must still be there after the last.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from pydantic import SecretStr

from schemas.errors import StackError
from streams.settings import Settings
from streams.stack import Endpoints, Reporter, ServerStatus, UpOptions, down, endpoints, status, up
from streams.stack.kafka import forgets
from streams.stack.process import PidFile, started_at, stop
from tests.patience import patience

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

TIED = UpOptions(die_with_parent=True, answer_patience_s=1.0)


class Heard(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, sentence: str) -> None:
        """Keep one sentence."""
        self.text += sentence + "\n"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """A stack of this file's own."""
    with tempfile.TemporaryDirectory(prefix="cxwatch-servers-") as folder:
        made = Settings(state_dir=Path(folder), local_kafka_heap_mb=384)
        try:
            yield made
        finally:
            down(made)


@pytest.fixture
def start(settings: Settings) -> Callable[[], tuple[Endpoints, str]]:
    """Runs `up`; gives the endpoints and what it said."""

    def run() -> tuple[Endpoints, str]:
        heard = Heard()
        return up(settings, heard, TIED), heard.text

    return run


Start = Callable[[], tuple[Endpoints, str]]


def _client(where: Endpoints, role: str, database: str = "") -> Client:
    user, password = where.account(role)
    return Client(
        where.clickhouse_host,
        port=where.clickhouse_port,
        user=user,
        password=password.get_secret_value(),
        database=database,
    )


def _read_topic(bootstrap: str) -> list[bytes]:
    consumer = KafkaConsumer(
        "kept", bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000, group_id=None
    )
    try:
        return [next(consumer).value for _ in range(3)]
    finally:
        consumer.close()


def _assert_data_are_there(where: Endpoints) -> None:
    assert sorted(_read_topic(where.kafka_bootstrap)) == [b"0", b"1", b"2"]
    assert _client(where, "operator").execute("SELECT sum(x) FROM cx_kept.t") == [(3,)]


def _pids(settings: Settings) -> dict[str, int]:
    return {server.name: server.pid for server in status(settings) if server.pid is not None}


def test_up_starts_both_real_servers_and_prints_their_versions(settings: Settings, start: Start) -> None:
    where, heard = start()
    assert "kafka 4.2.2 serves on 127.0.0.1:" in heard
    assert "clickhouse 2" in heard
    admin = KafkaAdminClient(bootstrap_servers=where.kafka_bootstrap)
    admin.create_topics([NewTopic("kept", num_partitions=2, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=where.kafka_bootstrap, acks="all")
    for number in range(3):
        producer.send("kept", str(number).encode()).get(timeout=patience(20))
    producer.close()
    migrator = _client(where, "migrator")
    migrator.execute("CREATE DATABASE cx_kept")
    migrator.execute("CREATE TABLE cx_kept.t (x UInt8) ENGINE = MergeTree ORDER BY x")
    _client(where, "writer").execute("INSERT INTO cx_kept.t VALUES", [(1,), (2,)])
    _assert_data_are_there(where)
    assert endpoints(settings) == where


def test_status_shows_kind_version_address_and_health(settings: Settings, start: Start) -> None:
    where, _ = start()
    by_name = {server.name: server for server in status(settings)}
    kafka = by_name["kafka"]
    assert kafka == ServerStatus("kafka", "local", "4.2.2", where.kafka_bootstrap, "healthy", kafka.pid)
    assert by_name["clickhouse"].health == "healthy"
    assert json.loads(kafka.as_json())["version"] == "4.2.2"


def test_a_second_up_changes_nothing(settings: Settings, start: Start) -> None:
    start()
    before = _pids(settings)
    _, heard = start()
    assert heard.count("is already running") == 2
    assert _pids(settings) == before


def test_only_loopback_is_listened_on(settings: Settings, start: Start) -> None:
    start()
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    ports = {int(port) for port in json.loads((settings.state_dir / "ports.json").read_text()).values()}
    listening = [line.split()[1] for table in tables for line in table if line.split()[3] == "0A"]
    ours = [address for address in listening if int(address.rpartition(":")[2], 16) in ports]
    assert len(ours) == 4
    # Java listens on an IPv6 socket that carries the IPv4 loopback address.
    assert {address.rpartition(":")[0] for address in ours} <= {"0100007F", "0000000000000000FFFF00000100007F"}


def test_no_topic_comes_into_being_by_asking_for_it(start: Start) -> None:
    where, _ = start()
    producer = KafkaProducer(bootstrap_servers=where.kafka_bootstrap, max_block_ms=1500)
    with pytest.raises(Exception, match=r"(?i)timeout|unknown|metadata"):
        producer.send("misspelt", b"x").get(timeout=patience(5))
    producer.close()
    admin = KafkaAdminClient(bootstrap_servers=where.kafka_bootstrap)
    assert "misspelt" not in admin.list_topics()
    admin.close()


def test_a_message_of_five_megabytes_is_taken(start: Start) -> None:
    where, _ = start()
    admin = KafkaAdminClient(bootstrap_servers=where.kafka_bootstrap)
    admin.create_topics([NewTopic("large", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=where.kafka_bootstrap, max_request_size=6_000_000)
    assert producer.send("large", b"x" * 5_000_000).get(timeout=patience(20)).offset == 0
    producer.close()


@pytest.mark.parametrize(
    ("role", "statement", "code"),
    [
        ("operator", "INSERT INTO cx_kept.t VALUES (9)", 497),
        ("operator", "SELECT 1 SETTINGS readonly = 0", 164),
        ("reader", "INSERT INTO cx_kept.t VALUES (9)", 497),
        ("reader", "CREATE TABLE cx_kept.u (x UInt8) ENGINE = Memory", 497),
        ("reader", "SELECT * FROM system.query_log", 497),
        ("reader", "SELECT * FROM system.users", 497),
        ("reader", "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", 497),
        ("reader", "SELECT * FROM file('/etc/passwd', 'LineAsString')", 497),
        ("reader", "SELECT * FROM remote('127.0.0.1', 'cx_kept.t')", 497),
        ("reader", "SELECT 1 SETTINGS readonly = 0", 164),
        ("reader", "SELECT 1 SETTINGS max_execution_time = 0", 452),
        ("reader", "SELECT 1 SETTINGS max_memory_usage = 0", 452),
        ("reader", "SELECT count() FROM numbers(600000000)", 158),
        ("writer", "DROP TABLE cx_kept.t", 497),
        ("writer", "ALTER TABLE cx_kept.t DELETE WHERE 1", 497),
        ("writer", "CREATE TABLE cx_kept.u (x UInt8) ENGINE = Memory", 497),
        ("migrator", "CREATE USER intruder", 497),
        ("migrator", "CREATE TABLE default.u (x UInt8) ENGINE = Memory", 497),
    ],
)
def test_each_clickhouse_user_can_do_its_own_work_only(start: Start, role: str, statement: str, code: int) -> None:
    where, _ = start()
    with pytest.raises(ClickHouseError) as refused:
        _client(where, role).execute(statement)
    assert refused.value.code in (code, 60)  # 60: a system table that is not there yet


def test_passwords_and_configuration_are_private(settings: Settings, start: Start) -> None:
    start()
    for name in ("passwords.json", "clickhouse/users.xml", "clickhouse/config.xml", "kafka/server.properties"):
        assert stat.S_IMODE((settings.state_dir / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((settings.state_dir / "clickhouse").stat().st_mode) == 0o700


def test_new_passwords_replace_lost_ones(settings: Settings, start: Start) -> None:
    before, _ = start()
    assert stop(_pids(settings)["clickhouse"], 20)
    (settings.state_dir / "passwords.json").unlink()
    after, _ = start()
    assert after.users["reader"] != before.users["reader"]
    _assert_data_are_there(after)
    with pytest.raises(ClickHouseError):
        _client(before, "reader").execute("SELECT 1")


def test_data_are_kept_over_kill_9_of_both_and_the_death_is_reported(settings: Settings, start: Start) -> None:
    before, _ = start()
    for pid in _pids(settings).values():
        os.kill(pid, signal.SIGKILL)
        while started_at(pid):
            os.sched_yield()
    dead = status(settings)
    assert [server.health for server in dead] == ["dead", "dead"]
    assert all(server.last_log_lines for server in dead)
    with pytest.raises(StackError, match=r"is not running .*: run `cxwatch up`"):
        endpoints(settings)
    after, heard = start()
    assert heard.count("died; last lines:") == 2
    assert after == before
    _assert_data_are_there(after)


def test_remembered_ports_that_others_took_are_exchanged_and_data_stay(settings: Settings, start: Start) -> None:
    before, _ = start()
    down(settings)
    assert {server.health for server in status(settings)} == {"stopped"}
    ports = json.loads((settings.state_dir / "ports.json").read_text())
    taken = []
    for port in ports.values():
        other = socket.socket()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        taken.append(other)
    try:
        after, heard = start()
    finally:
        for other in taken:
            other.close()
    assert heard.count("is in use by another program") == len(ports) == 4
    assert after.kafka_bootstrap != before.kafka_bootstrap
    _assert_data_are_there(after)


def test_a_pid_file_of_another_program_is_stale_and_that_program_lives(settings: Settings, start: Start) -> None:
    start()
    assert stop(_pids(settings)["clickhouse"], 20)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        stale = json.dumps({"pid": other.pid, "started": "of an earlier boot"})
        (settings.state_dir / "clickhouse" / "pid").write_text(stale)
        _, heard = start()
        assert f"stale pid file, pid {other.pid} is another program now" in heard
        assert other.poll() is None
        other.kill()


def test_a_server_whose_pid_file_was_lost_is_taken_over(settings: Settings, start: Start) -> None:
    start()
    before = _pids(settings)
    for name in before:
        (settings.state_dir / name / "pid").unlink()
    _, heard = start()
    assert heard.count("found running without a pid file") == 2
    assert _pids(settings) == before


def test_a_server_that_hangs_is_started_again(settings: Settings, start: Start) -> None:
    start()
    hung = _pids(settings)["clickhouse"]
    os.kill(hung, signal.SIGSTOP)
    where, heard = start()
    assert "does not answer" in heard
    assert _pids(settings)["clickhouse"] != hung
    _assert_data_are_there(where)


def test_two_ups_at_once_start_one_server_each(settings: Settings, start: Start) -> None:
    start()
    down(settings)
    environment = {**os.environ, "CX_STATE_DIR": str(settings.state_dir), "CX_LOCAL_KAFKA_HEAP_MB": "384"}
    command = [sys.executable, "-c", "import sys; from streams.cli.main import main; sys.exit(main(['up']))"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=patience(120)) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("is already running" in errors for _, errors in outputs) == 1
    assert sum("waiting for it" in errors for _, errors in outputs) == 1
    _assert_data_are_there(endpoints(settings))
    down(settings)


def test_a_server_that_cannot_start_is_reported_with_its_last_lines(settings: Settings) -> None:
    down(settings)
    identity = settings.state_dir / "kafka" / "data" / "meta.properties"
    good = identity.read_text()
    identity.write_text(good.replace("node.id=1", "node.id=7"))
    try:
        with pytest.raises(StackError, match=r"(?s)kafka ended while starting.*last lines:\n.*7"):
            up(settings, options=UpOptions(only=("kafka",), die_with_parent=True))
    finally:
        identity.write_text(good)
    assert PidFile(settings.state_dir / "kafka" / "pid").read() == ("none", 0)


@pytest.mark.parametrize(
    ("version", "warned"), [("4.2.2", False), ("4.3.0", True), ("4.10.1", True), ("unknown", False)]
)
def test_a_kafka_that_forgets_marks_is_warned_of(version: str, warned: bool) -> None:
    assert ("docs/reliability.md" in forgets(version)) == warned


@pytest.mark.parametrize("made_by", ["4.10.0", None])
def test_data_of_a_newer_kafka_are_refused_with_the_way_out(
    settings: Settings, start: Start, made_by: str | None
) -> None:
    start()
    down(settings)
    record = settings.state_dir / "kafka" / "made-by"
    good = record.read_text()
    if made_by is None:
        record.unlink()  # as before there was such a file: Kafka 4.3.0 was locked then
    else:
        record.write_text(made_by)
    try:
        with pytest.raises(StackError, match=rf"made by Kafka {made_by or '4.3.0'}.*remove .*data "):
            up(settings, options=UpOptions(only=("kafka",), die_with_parent=True))
    finally:
        record.write_text(good)


def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence(settings: Settings) -> None:
    down(settings)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} is in use .*CX_LOCAL_CLICKHOUSE_PORT"):
            up(settings.model_copy(update={"local_clickhouse_port": port}), options=UpOptions(only=("clickhouse",)))


def test_only_what_is_not_named_is_started(settings: Settings, start: Start, tmp_path: Path) -> None:
    where, _ = start()
    user, password = where.account("reader")
    url = f"clickhouse://{user}:{password.get_secret_value()}@127.0.0.1:{where.clickhouse_port}"
    mine = Settings(state_dir=tmp_path, kafka_bootstrap=where.kafka_bootstrap, clickhouse_url=SecretStr(url))
    heard = Heard()
    named = up(mine, heard)
    assert heard.text == ""
    assert named.kafka_bootstrap == where.kafka_bootstrap
    assert named.account("writer") == (user, password)
    shown = {server.name: server for server in status(mine)}
    assert {(server.kind, server.health) for server in shown.values()} == {("named", "healthy")}
    assert shown["kafka"].version == "4.2"
    assert shown["clickhouse"].version.startswith("2")
    assert not (tmp_path / "kafka" / "pid").exists()


def test_named_servers_that_cannot_be_reached_are_unhealthy_not_started(tmp_path: Path) -> None:
    url = SecretStr("clickhouse://someone:hush@127.0.0.1:9")
    settings = Settings(state_dir=tmp_path, kafka_bootstrap="127.0.0.1:9", clickhouse_url=url)
    shown = status(settings)
    assert [server.health for server in shown] == ["unreachable", "unreachable"]
    assert "hush" not in "".join(server.as_json() for server in shown)


def test_down_twice_is_no_error_and_after_all_this_the_data_are_still_there(settings: Settings, start: Start) -> None:
    where, _ = start()
    _assert_data_are_there(where)
    pids = _pids(settings)
    down(settings)
    assert not any(started_at(pid) for pid in pids.values())
    heard = Heard()
    down(settings, heard)
    assert heard.text == "nothing is running\n"


def test_a_format_clears_no_folder_that_was_not_begun_by_one(settings: Settings, tmp_path: Path) -> None:
    foreign = tmp_path / "kafka" / "data" / "invoices.log"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("not ours")
    with pytest.raises(StackError, match=r"holds files that no local Kafka of ours has made"):
        up(Settings(state_dir=tmp_path), options=UpOptions(only=("kafka",), die_with_parent=True))
    assert foreign.read_text() == "not ours"
