"""Migrations, catalogue and inserts on a real ClickHouse server."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from schemas.errors import ConfigError, SinkUnavailable
from schemas.table import INGEST_TIME
from schemas.tables import BY_NAME, TABLES
from schemas.topics import TOPICS
from schemas.views import VIEWS
from streams.agents.store import Store, room
from streams.runtime.batch import RawBatch
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, check_columns, login, login_of
from streams.sinks.migrations import DDL, migrate, migrations
from streams.stack import Endpoints
from tests.sinks.conftest import migrated
from tests.sinks.examples import DAY, EVIDENCE, EXAMPLES, batch, cohort, issue, outreach, profile

pytestmark = pytest.mark.clickhouse


def everything() -> list[RawBatch]:
    """One batch per topic, and one of dead letters."""
    batches = [batch(noun, records) for noun, records in EXAMPLES.items()]
    return [*batches, batch("order.dlq", [b"{"], headers=[[("dlq.reason", b"json")]])]


def test_the_catalogue_and_the_migrated_tables_agree(reader: ClickHouse, database: str) -> None:
    found: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in reader.query(
        "SELECT table, name, type FROM system.columns WHERE database = %(db)s ORDER BY table, position",
        {"db": database},
    ).rows:
        found.setdefault(table, []).append((name, kind))
    for table in TABLES:
        declared = [(column.name, column.type) for column in table.columns]
        assert found.pop(table.name) == [*declared, (INGEST_TIME, "DateTime64(3, 'UTC')")], table.name
    assert set(found) - {"db_migrations", "schema_versions"} == set(VIEWS)


def test_keys_versions_and_retention_are_those_of_the_catalogue(reader: ClickHouse, database: str) -> None:
    for table in TABLES:
        made = str(reader.query(f"SHOW CREATE TABLE `{table.name}`").rows[0][0])
        keys = ", ".join(f"`{key}`" if f"`{key}`" in made.split("ORDER BY")[1] else key for key in table.key)
        order = f"ORDER BY ({keys})" if len(table.key) > 1 else f"ORDER BY {keys}"
        assert order in made, (table.name, made)
        arguments = ", ".join(filter(None, (table.version, table.deleted)))
        assert f"ReplacingMergeTree({arguments})" in made if arguments else "ReplacingMergeTree\n" in made
        assert f"TTL toDateTime({INGEST_TIME}) + toIntervalDay({table.retention_days})" in made
        assert "PARTITION BY" not in made


def test_migrating_again_applies_nothing(clickhouse: Endpoints, database: str) -> None:
    assert migrate(clickhouse, database) == []
    assert {migration.state for migration in migrations(clickhouse, database)} == {"applied"}


def test_raw_copies_outlive_the_change_of_their_order(
    clickhouse: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def contents(reader: ClickHouse) -> list[list[tuple[str]]]:
        rows = "SELECT toString(tuple(*)) AS row FROM {}_raw FINAL ORDER BY row"
        return [reader.query(rows.format(noun)).rows for noun in ("telemetry", "order", "contact")]

    for file in DDL.glob("*.sql"):
        if file.name != "005_raw_by_hour.sql":
            shutil.copy(file, tmp_path)
    monkeypatch.setattr("streams.sinks.migrations.DDL", tmp_path)
    with migrated(clickhouse) as database:
        Store(ClickHouse(login(clickhouse, "writer", database))).write(everything())
        reader = ClickHouse(login(clickhouse, "operator", database))
        before = contents(reader)
        monkeypatch.undo()
        assert migrate(clickhouse, database) == ["005_raw_by_hour.sql"]
        assert all(before)
        assert contents(reader) == before


def test_one_record_of_every_kind_is_stored_and_storing_it_again_changes_nothing(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    def contents() -> dict[str, list[tuple[str]]]:
        newest = "SELECT toString(tuple(* EXCEPT (ingest_time))) AS row FROM `{}` FINAL ORDER BY row"
        return {table.name: reader.query(newest.format(table.name)).rows for table in TABLES
                if table.kind != "register"}  # fmt: skip

    store = Store(writer)
    store.write(everything())
    once = contents()
    assert all(once.values())
    store.write(everything())
    assert contents() == once


def test_what_each_stream_says_about_an_issue_is_stored_as_it_was_said(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([batch("issue", [issue(evidence=EVIDENCE, signal="returns", element=None, severity="low")])])
    reported = "arrayZip(evidence_topics, evidence_signals, evidence_since, evidence_expected, evidence_observed)"
    found = reader.query(f"SELECT signal, element, CAST(severity, 'String'), {reported} FROM issue FINAL").rows
    listed = [(one.topic, one.signal, datetime.fromtimestamp(one.since_ms / 1000, UTC), one.expected, one.observed)
              for one in EVIDENCE]  # fmt: skip
    assert found == [("returns", "", "low", listed)]


def test_the_newest_row_tells_that_it_was_put_right_and_an_issue_why_it_ended(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    (hit,) = EXAMPLES["affected"]
    right = hit.model_copy(update={"put_right_ms": DAY + 90_000, "origin": "replay"})
    over = {"state": "resolved", "resolved_at_ms": DAY + 99_000, "shown_at_ms": DAY + 70_000}
    store = Store(writer)
    store.write([batch("affected", [hit], ver=1), batch("affected", [right], ver=2)])
    store.write([batch("issue", [issue()], ver=1), batch("issue", [issue(**over, end_reason="recovered")], ver=2)])
    rows = reader.query("SELECT toUnixTimestamp64Milli(put_right_at), origin FROM affected_latest").rows
    assert rows == [(DAY + 90_000, "replay")]
    rows = reader.query("SELECT toUnixTimestamp64Milli(shown_at), end_reason FROM issue_latest").rows
    assert rows == [(DAY + 70_000, "recovered")]


def test_an_episode_and_a_raw_copy_tell_where_they_come_from(writer: ClickHouse, reader: ClickHouse) -> None:
    episode = EXAMPLES["episode"][0].model_copy(update={"put_right_ms": DAY + 90_000, "origin": "drill"})
    ordered = EXAMPLES["order"][0].model_copy(update={"origin": "replay"})
    store = Store(writer)
    store.write([batch("episode", [episode]), batch("order", [ordered])])
    rows = reader.query("SELECT toUnixTimestamp64Milli(put_right_at), origin FROM episode_latest").rows
    assert rows == [(DAY + 90_000, "drill")]
    assert reader.query("SELECT origin FROM order_raw").rows == [("replay",)]


def deleted(name: str, appended_ms: int) -> RawBatch:
    """A key of the customer topic without a value."""
    return replace(batch("customer", [b""]), keys=[name.encode()], values=[None], timestamps=[appended_ms])


def later(*updated: int) -> RawBatch:
    """Profiles of c-1, appended much later."""
    return replace(batch("customer", [profile(at) for at in updated]), timestamps=[2 * DAY] * len(updated))


PROFILES = "SELECT customer_id, erased, value_cents FROM customer{} ORDER BY customer_id, updated_at"


def test_an_erased_customer_has_no_profile_left_and_a_replayed_one_does_not_come_back(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    store, others = Store(writer), [profile(DAY + 5), profile(DAY).model_copy(update={"customer_id": "c-2"})]
    for one in (profile(DAY), *others):
        store.write([batch("customer", [one])])
    store.write([deleted("c-1", DAY + 60_000)])
    assert reader.query(PROFILES.format("")).rows == [("c-1", 1, 0), ("c-2", 0, 12_000)]
    store.write([later(DAY, DAY + 360_000)])
    assert reader.query(PROFILES.format(" FINAL")).rows == [("c-2", 0, 12_000)]
    store.write([deleted("c-1", DAY + 60_000)])
    assert reader.query(PROFILES.format("")).rows == [("c-1", 1, 0), ("c-2", 0, 12_000)]
    store.write([later(DAY + 360_002)])
    assert reader.query(PROFILES.format(" FINAL")).rows == [("c-1", 0, 12_000), ("c-2", 0, 12_000)], "a new customer"


def test_profiles_orders_and_changes_from_the_future_are_no_rows(writer: ClickHouse, reader: ClickHouse) -> None:
    store = Store(writer)
    for noun in ("customer", "change", "command"):
        early = replace(batch(noun, EXAMPLES[noun]), timestamps=[DAY - 300_001] * len(EXAMPLES[noun]))
        store.write([early])
        assert reader.query(f"SELECT count() FROM `{noun}`").rows == [(0,)]
        store.write([replace(early, timestamps=[DAY - 300_000] * len(EXAMPLES[noun]))])
        assert reader.query(f"SELECT count() FROM `{noun}`").rows == [(len(EXAMPLES[noun]),)]


def test_a_writer_that_may_not_merge_hides_the_erased_and_says_what_to_grant(
    clickhouse: Endpoints, database: str, reader: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    class Bound(ClickHouse):
        def remove_replaced(self, table: str) -> bool:
            return False

    store = Store(Bound(login(clickhouse, "writer", database)))
    store.write([batch("customer", [profile(DAY)])])
    store.write([deleted("c-1", DAY + 60_000)])
    assert reader.query(PROFILES.format(" FINAL")).rows == []
    assert "GRANT OPTIMIZE" in caplog.text
    assert "c-1" not in caplog.text


def test_the_reader_may_not_merge(reader: ClickHouse) -> None:
    assert not reader.remove_replaced("customer")


def test_profiles_from_the_future_are_left_behind_when_the_table_is_made_anew(
    clickhouse: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in DDL.glob("*.sql"):
        if file.name != "013_erasure.sql":
            shutil.copy(file, tmp_path)
    monkeypatch.setattr("streams.sinks.migrations.DDL", tmp_path)
    with migrated(clickhouse) as database:
        old = ClickHouse(login(clickhouse, "migrator", database))
        for name, updated in (("c-1", "2026-01-02 03:04:05"), ("c-1", "2099-01-01 00:00:00"), ("c-2", "2026-01-01")):
            old.query(f"INSERT INTO customer (customer_id, updated_at, segment) SELECT '{name}', '{updated}', 'gold'")
        monkeypatch.undo()
        assert migrate(clickhouse, database) == ["013_erasure.sql"]
        rows = "SELECT customer_id, toYear(updated_at), segment, erased FROM customer FINAL ORDER BY customer_id"
        assert old.query(rows).rows == [("c-1", 2026, "gold", 0), ("c-2", 2026, "gold", 0)]


def test_raw_copies_of_the_schema_before_attributes_are_kept(
    clickhouse: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in DDL.glob("*.sql"):
        if file.name != "014_event_labels.sql":
            shutil.copy(file, tmp_path)
    monkeypatch.setattr("streams.sinks.migrations.DDL", tmp_path)
    nouns = ("telemetry", "order", "contact")
    with migrated(clickhouse) as database:
        old = ClickHouse(login(clickhouse, "migrator", database))
        for noun in nouns:
            old.query(f"INSERT INTO {noun}_raw (product, event_time, event_id, customer_id, topic, offset) "
                      f"SELECT 'shop', '2026-01-01', 'e-1', 'c-1', '{noun}', 1000")
        kept = [old.query(f"SELECT * FROM {noun}_raw").rows for noun in nouns]
        monkeypatch.undo()
        assert migrate(clickhouse, database) == ["014_event_labels.sql"]
        for noun, rows in zip(nouns, kept, strict=True):
            new = "attributes, subject_ids" if noun == "contact" else "attributes"
            assert old.query(f"SELECT * EXCEPT ({new}) FROM {noun}_raw").rows == rows
        assert old.query("SELECT attributes, subject_ids FROM contact_raw").rows == [({}, [])]
        Store(ClickHouse(login(clickhouse, "writer", database))).write(everything())
        stored = "SELECT attributes['plan'], subject_ids FROM contact_raw WHERE event_id = 'k-1'"
        assert old.query(stored).rows == [("family", ["o-1", "t-9"])]


def test_a_lower_version_loses_even_when_it_arrives_later(writer: ClickHouse, reader: ClickHouse) -> None:
    store = Store(writer)
    store.write([batch("issue", [issue(state="resolved")], ver=9)])
    store.write([batch("issue", [issue(state="open")], ver=8)])
    assert reader.query("SELECT state, ver FROM issue_latest").rows == [("resolved", 9)]


def test_a_condition_asked_before_does_not_bring_a_replaced_row_back(writer: ClickHouse, reader: ClickHouse) -> None:
    # The server's cache of conditions leaves out rows that did not meet one, and FINAL then keeps what they replaced.
    store = Store(writer)
    store.write([batch("issue", [issue(state="open")], ver=8)])
    store.write([batch("issue", [issue(state="resolved")], ver=9)])
    assert reader.query("SELECT count() FROM issue WHERE state = 'open'").rows == [(1,)]
    assert reader.query("SELECT count() FROM issue FINAL WHERE state = 'open'").rows == [(0,)]


def test_a_closed_bin_replaces_the_open_one_leaf_by_leaf(writer: ClickHouse, reader: ClickHouse) -> None:
    store = Store(writer)
    store.write([batch("cohort_count", [cohort(failed=(1,), closed=False, leaves=3)], ver=1)])
    store.write([batch("cohort_count", [cohort(failed=(1, 2), closed=True, leaves=3)], ver=2)])
    answer = reader.query("SELECT count(), sum(failed), min(closed) FROM cohort_count_latest")
    assert answer.rows == [(3, 6, True)]


def test_a_message_copied_twice_is_one_raw_row(writer: ClickHouse, reader: ClickHouse) -> None:
    store = Store(writer)
    orders = batch("order", list(EXAMPLES["order"]) * 3)
    store.write([orders])
    store.write([orders.cut(1, 3)])
    assert reader.query("SELECT count(), uniqExact(offset) FROM order_raw FINAL").rows == [(3, 3)]


def test_times_arrive_as_they_were_told(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([batch("issue", EXAMPLES["issue"])])
    answer = reader.query("SELECT toUnixTimestamp64Milli(opened_at), resolved_at FROM issue_latest")
    assert answer.rows == [(DAY, None)]


def test_rows_beyond_the_bound_are_stored_in_several_rounds(writer: ClickHouse, reader: ClickHouse) -> None:
    records = [outreach(outreach_id=f"o-{number}") for number in range(25)]
    store = Store(writer, max_rows=10)
    store.write([batch("outreach", records)])
    assert store.stored == 25
    assert reader.query("SELECT count() FROM outreach_latest").rows == [(25,)]


def test_extreme_but_valid_times_do_not_block_the_insert(writer: ClickHouse, reader: ClickHouse) -> None:
    base = EXAMPLES["order"][0]
    far = [base.model_copy(update={"event_time_ms": 946_684_800_000 + month * 2_700_000_000}) for month in range(1100)]
    Store(writer).write([batch("order", far)])
    assert reader.query("SELECT count() FROM order_raw").rows == [(1100,)]


def test_the_reader_may_not_write(reader: ClickHouse) -> None:
    with pytest.raises(SinkUnavailable, match=r"not allowed|read only"):
        reader.insert("late", [[column] for column in ("order", 0, 1, "s", DAY, DAY, 1)])


def test_a_missing_table_is_told_with_the_command_that_mends_it(clickhouse: Endpoints) -> None:
    empty = ClickHouse(login(clickhouse, "writer", "cx_never_migrated"))
    with pytest.raises(SinkUnavailable, match="cxwatch tables migrate"):
        Store(empty).write([batch("issue", EXAMPLES["issue"])])


def test_a_table_that_drifted_is_refused_and_further_columns_are_not(
    clickhouse: Endpoints, database: str, writer: ClickHouse
) -> None:
    migrator = ClickHouse(login(clickhouse, "migrator", database))
    migrator.query("ALTER TABLE late ADD COLUMN note String")
    check_columns(writer)
    migrator.query("ALTER TABLE late DROP COLUMN watermark")
    migrator.query("ALTER TABLE episode MODIFY COLUMN contacts UInt64")
    with pytest.raises(ConfigError) as caught:
        check_columns(writer)
    assert "table late: column watermark is missing" in str(caught.value)
    assert "table episode: column contacts is UInt64, the catalogue says UInt32" in str(caught.value)


def test_a_wrong_password_is_told_without_the_password(clickhouse: Endpoints) -> None:
    wrong = replace(login(clickhouse, "writer"), password=clickhouse.account("operator")[1])
    with pytest.raises(SinkUnavailable, match="wrong user or password") as caught:
        ClickHouse(wrong).query("SELECT 1")
    assert wrong.password.get_secret_value() not in str(caught.value)


def test_a_value_of_the_wrong_type_is_a_defect_of_ours_and_not_a_sink_that_is_down(writer: ClickHouse) -> None:
    columns = [["x"] if column.type == "UInt64" else [None] for column in BY_NAME["late"].columns]
    with pytest.raises(Exception, match=r".+") as caught:
        writer.insert("late", columns)
    assert not isinstance(caught.value, SinkUnavailable)


class Proxy:
    """A TCP proxy that can be cut: a small real program in front of the real server."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        self.cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.cut:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.open += [near, far]
            for left, right in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(left, right), daemon=True).start()

    @staticmethod
    def _pump(left: socket.socket, right: socket.socket) -> None:
        try:
            while chunk := left.recv(65536):
                right.sendall(chunk)
        except OSError:
            return

    def drop(self) -> None:
        """Cut every connection and refuse new ones."""
        self.cut = True
        for one in self.open:
            one.close()

    def close(self) -> None:
        """End."""
        self.drop()
        self.listener.close()


@pytest.fixture
def proxy(clickhouse: Endpoints) -> Iterator[Proxy]:
    """A proxy in front of the session's server."""
    made = Proxy((clickhouse.clickhouse_host, clickhouse.clickhouse_port))
    yield made
    made.close()


def test_after_a_cut_connection_the_same_rows_are_stored_by_a_fresh_client(
    clickhouse: Endpoints, database: str, reader: ClickHouse, proxy: Proxy
) -> None:
    behind = replace(login(clickhouse, "writer", database), host="127.0.0.1", port=proxy.port)
    store = Store(ClickHouse(behind, timeout_s=5))
    rows = [batch("issue", EXAMPLES["issue"])]
    store.write(rows)
    proxy.drop()
    for _ in range(2):
        with pytest.raises(SinkUnavailable):
            store.write(rows)
    proxy.cut = False
    store.write(rows)
    assert reader.query("SELECT count() FROM issue_latest").rows == [(1,)]


@pytest.mark.parametrize(
    ("url", "user", "password"),
    [("clickhouse://wri%40ter:p%2Fw%3A@db:9001", "wri@ter", "p/w:"), ("clickhouse://db:9001", "writer", "own")],
)
def test_the_workers_login_is_read_from_its_settings(url: str, user: str, password: str) -> None:
    settings = Settings(clickhouse_url=SecretStr(url), clickhouse_writer_password=SecretStr("own"))
    found = login_of(settings)
    assert (found.host, found.port, found.user, found.database) == ("db", 9001, user, "cx")
    assert found.password.get_secret_value() == password


def test_a_worker_without_clickhouse_refuses_to_start() -> None:
    with pytest.raises(ConfigError, match="cxwatch up"):
        room(Settings())


async def test_the_room_stores_what_the_runtime_hands_it(
    clickhouse: Endpoints, database: str, reader: ClickHouse
) -> None:
    user, password = clickhouse.account("writer")
    url = f"clickhouse://{user}:{password.get_secret_value()}@{clickhouse.clickhouse_host}:{clickhouse.clickhouse_port}"
    made = room(Settings(clickhouse_url=SecretStr(url), clickhouse_database=database))
    assert {topic.noun for topic in TOPICS} <= set(made.inputs)
    await made.write(everything())
    await made.close()
    assert reader.query("SELECT count() FROM issue_latest").rows == [(1,)]
