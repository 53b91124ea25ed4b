"""The catalogue against a cluster: create what is missing, refuse what differs, change nothing silently."""

from __future__ import annotations

import dataclasses
import time

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from typer.testing import CliRunner

from schemas.errors import ConfigError, SinkUnavailable
from schemas.rooms import ROOMS, WORKER_ROOMS
from schemas.topics import BY_NOUN, DLQ_HEADROOM_BYTES, TOPICS
from streams.cli.main import build_app
from streams.settings import Settings
from streams.topics import Wanted, catalogue, compare, ensure_topics, need_topics, plan


def _settings(**changes: object) -> Settings:
    return Settings.model_validate(changes)


def _set(kafka: str, topic: str, setting: str, value: str) -> None:
    """Change a topic behind the catalogue's back, and wait until the broker shows it."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {setting: value})])
    for _ in range(200):
        shown = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        if shown["topic"][topic][setting]["value"] == value:
            break
        time.sleep(0.05)
    admin.close()


def _by_name(settings: Settings) -> dict[str, Wanted]:
    return {topic.name: topic for topic in catalogue(settings)}


def test_every_topic_its_dead_letters_and_every_rooms_state_are_in_the_catalogue() -> None:
    names = _by_name(_settings())
    assert {topic.name for topic in TOPICS} <= names.keys()
    assert {topic.dlq for topic in TOPICS if topic.dead_letters} <= names.keys()
    stateful = {room.name for room in ROOMS if room.state}
    assert {f"cx.{room}.state.v1" for room in stateful} <= names.keys()
    assert stateful == {*WORKER_ROOMS, "send"} - {"store"}


def test_the_prefix_and_the_number_of_partitions_come_from_the_settings() -> None:
    names = _by_name(_settings(topic_prefix="acme.", partitions=7))
    assert all(name.startswith("acme.cx.") for name in names)
    assert {topic.partitions for topic in names.values()} == {1, 7}
    for topic in TOPICS:
        assert names[f"acme.{topic.name}"].partitions == (7 if topic.partitioning == "customer" else 1)


def test_topics_that_meet_in_one_room_have_as_many_partitions_as_its_state() -> None:
    names = _by_name(_settings(partitions=5))
    for room in ROOMS:
        if room.state:
            assert names[f"cx.{room.name}.state.v1"].partitions == (5 if room.tasks == "customer" else 1)
            for noun in room.inputs:
                assert names[BY_NOUN[noun].name].partitions == (5 if room.tasks == "customer" else 1)


def test_a_dead_letter_has_room_for_its_source_and_the_headers() -> None:
    names = _by_name(_settings())
    for topic in TOPICS:
        if topic.dead_letters:
            source, dead = names[topic.name].configs, names[topic.dlq].configs
            assert int(dead["max.message.bytes"]) == int(source["max.message.bytes"]) + DLQ_HEADROOM_BYTES
            assert dead["cleanup.policy"] == "delete"


def test_retention_counts_from_ingest_on_every_topic() -> None:
    assert {topic.configs["message.timestamp.type"] for topic in catalogue(_settings())} == {"LogAppendTime"}


def test_compacted_topics_have_no_retention_and_the_others_have() -> None:
    for topic in catalogue(_settings()):
        assert ("retention.ms" in topic.configs) == (topic.configs["cleanup.policy"] == "delete")


def test_every_difference_of_an_existing_topic_is_named() -> None:
    wanted = catalogue(_settings())
    there = {topic.name: topic for topic in wanted}
    assert compare(wanted, there).differences == ()
    order = there["cx.order.v1"]
    there["cx.order.v1"] = dataclasses.replace(order, partitions=9, configs={**order.configs, "retention.ms": "1"})
    del there["cx.late.v1"]
    found = compare(wanted, there)
    assert [topic.name for topic in found.missing] == ["cx.late.v1"]
    assert list(map(str, found.differences)) == [
        "cx.order.v1: partitions is 9, the catalogue says 4",
        "cx.order.v1: retention.ms is 1, the catalogue says 604800000",
    ]
    assert [difference.alterable for difference in found.differences] == [False, True]


def test_the_catalogue_is_listed_without_kafka() -> None:
    result = CliRunner().invoke(build_app("topics"), ["topics", "list", "--json"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == len(catalogue(_settings()))


@pytest.mark.kafka
def test_topics_are_created_once_and_differ_from_nothing(kafka: str, topic_prefix: str) -> None:
    settings = _settings(topic_prefix=topic_prefix, partitions=2)
    names = sorted(topic.name for topic in catalogue(settings))
    assert [topic.name for topic in plan(kafka, settings).missing] == [topic.name for topic in catalogue(settings)]
    assert ensure_topics(kafka, settings) == names
    assert ensure_topics(kafka, settings) == []
    found = plan(kafka, settings)
    assert (found.missing, found.differences) == ((), ())


@pytest.mark.kafka
def test_topics_under_another_prefix_are_refused_at_once_with_those_there_are(kafka: str, topic_prefix: str) -> None:
    settings, admin = _settings(topic_prefix=topic_prefix, partitions=1), KafkaAdminClient(bootstrap_servers=kafka)
    ensure_topics(kafka, settings)
    need_topics(kafka, settings, ("command", "issue", "channel"))
    with pytest.raises(ConfigError, match=r"no topic 0nowhere\.cx\.command\.v1 .*CX_TOPIC_PREFIX chooses one of \w"):
        need_topics(kafka, _settings(topic_prefix="0nowhere."), ("command",))
    assert not [name for name in admin.list_topics() if name.startswith("0nowhere.")]
    admin.close()


@pytest.mark.kafka
def test_another_partition_count_is_refused_and_nothing_is_created(kafka: str, topic_prefix: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics({f"{topic_prefix}cx.order.v1": {"num_partitions": 3}}, wait_for_metadata=True)
    settings = _settings(topic_prefix=topic_prefix, partitions=2)
    with pytest.raises(ConfigError, match=r"cx\.order\.v1: partitions is 3, the catalogue says 2"):
        ensure_topics(kafka, settings)
    with pytest.raises(ConfigError, match=r"partitions is 3"):
        ensure_topics(kafka, settings, alter=True)
    assert [name for name in admin.list_topics() if name.startswith(topic_prefix)] == [f"{topic_prefix}cx.order.v1"]
    admin.close()


@pytest.mark.kafka
def test_a_changed_retention_is_refused_until_it_is_asked_for(kafka: str, topic_prefix: str) -> None:
    settings = _settings(topic_prefix=topic_prefix, partitions=1)
    ensure_topics(kafka, settings)
    _set(kafka, f"{topic_prefix}cx.order.v1", "retention.ms", "60000")
    with pytest.raises(ConfigError, match=r"cx\.order\.v1: retention\.ms is 60000, the catalogue says 604800000"):
        ensure_topics(kafka, settings)
    assert ensure_topics(kafka, settings, alter=True) == []
    assert plan(kafka, settings).differences == ()


@pytest.mark.kafka
def test_a_changed_clean_up_policy_is_refused_for_good(kafka: str, topic_prefix: str) -> None:
    settings = _settings(topic_prefix=topic_prefix, partitions=1)
    ensure_topics(kafka, settings)
    _set(kafka, f"{topic_prefix}cx.join.state.v1", "cleanup.policy", "delete")
    with pytest.raises(ConfigError, match=r"cleanup\.policy is delete, the catalogue says compact"):
        ensure_topics(kafka, settings, alter=True)


@pytest.mark.kafka
def test_the_commands_create_and_compare(kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_KAFKA_BOOTSTRAP", kafka)
    monkeypatch.setenv("CX_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("CX_CLICKHOUSE_URL", "clickhouse://127.0.0.1:1")
    app = build_app("topics")
    assert CliRunner().invoke(app, ["topics", "diff"]).exit_code == 1
    created = CliRunner().invoke(app, ["topics", "create"])
    assert created.exit_code == 0, created.output
    assert "0 were there" in created.stdout
    assert CliRunner().invoke(app, ["topics", "diff"]).exit_code == 0
    assert "0 topics created" in CliRunner().invoke(app, ["topics", "create"]).stdout


@pytest.mark.kafka
def test_a_kafka_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.topics._TIMEOUT_S", 0.5)
    with pytest.raises(SinkUnavailable, match=r"Kafka at .* is unavailable"):
        ensure_topics("127.0.0.1:1", _settings())
