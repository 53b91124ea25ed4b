"""Applies the catalogue of topics to a Kafka cluster: creates what is missing, refuses what differs.

A topic that exists with another partition count, retention, compaction, size or kind of timestamp is never changed in
passing: a changed partition count moves customers to other partitions (their state stays behind), a shorter retention
deletes. Every difference is named, with the way out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import ConfigError, SinkUnavailable
from schemas.rooms import ROOMS
from schemas.topics import BY_NOUN, DAY_MS, DLQ_HEADROOM_BYTES, HOUR_MS, TOPICS, Topic, state_topic
from streams.security.brokers import connection
from streams.settings import Settings

STATE_MAX_BYTES = 4 * 1024 * 1024
"""Largest batch on a state topic."""
DLQ_RETENTION_MS = 30 * DAY_MS
"""Dead letters are kept at least this long."""
HEARD_WITHIN_MS = 7 * DAY_MS
"""Profiles are not compacted sooner: a room or sender that was away for less hears each opt-out, also one that lies
before a stale grant."""
_STATE_SEGMENT_BYTES = 32 * 1024 * 1024
_TIMEOUT_S = 10.0
_NAMED = 10
"""Prefixes that a refusal names."""
_ONE_AT_A_TIME = threading.Lock()
"""kafka-python writes the code that reads an answer when the first one comes, and shares it between threads."""


@dataclass(frozen=True)
class Wanted:
    """One topic as it has to be: full name, partitions, and every setting that the catalogue decides."""

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)
    meaning: str = ""


@dataclass(frozen=True)
class Difference:
    """One setting of an existing topic that is not what the catalogue says."""

    topic: str
    setting: str
    found: str
    wanted: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.topic}: {self.setting} is {self.found}, the catalogue says {self.wanted}"

    @property
    def alterable(self) -> bool:
        """True if ``--alter`` may change it; partitions and compaction need a new topic and a move."""
        return self.setting not in ("partitions", "cleanup.policy")


@dataclass(frozen=True)
class Plan:
    """What lies between a cluster and the catalogue."""

    missing: tuple[Wanted, ...]
    differences: tuple[Difference, ...]


def catalogue(settings: Settings) -> list[Wanted]:
    """Return every topic of this deployment: the line's topics, their dead letters, and the rooms' state topics."""
    wanted: list[Wanted] = []
    for topic in TOPICS:
        partitions = settings.partitions if topic.partitioning == "customer" else 1
        kinds = ", ".join(record.__name__ for record in topic.records)
        wanted.append(Wanted(settings.named(topic.name), partitions, _configs(topic), kinds))
        if topic.dead_letters:
            meaning = f"rejects of {topic.noun}"
            wanted.append(Wanted(settings.named(topic.dlq), partitions, _dlq_configs(topic), meaning))
    for room in ROOMS:
        if room.state:
            partitions = settings.partitions if room.tasks == "customer" else 1
            name = settings.named(state_topic(room.name))
            wanted.append(Wanted(name, partitions, _state_configs(), f"state of {room.name}"))
    return wanted


def compare(wanted: Iterable[Wanted], found: Mapping[str, Wanted]) -> Plan:
    """Return what is missing and what differs. ``found`` holds the existing topics by name."""
    missing = []
    differences = []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            missing.append(topic)
            continue
        if there.partitions != topic.partitions:
            differences.append(Difference(topic.name, "partitions", str(there.partitions), str(topic.partitions)))
        for name, value in topic.configs.items():
            if there.configs.get(name) != value:
                differences.append(Difference(topic.name, name, there.configs.get(name, "unset"), value))
    return Plan(tuple(missing), tuple(differences))


def plan(bootstrap: str, settings: Settings) -> Plan:
    """Compare the cluster at ``bootstrap`` with the catalogue. Raises SinkUnavailable if Kafka cannot be reached."""
    with admin_of(bootstrap) as admin:
        wanted = catalogue(settings)
        return compare(wanted, _read(admin, [topic.name for topic in wanted]))


def ensure_topics(bootstrap: str, settings: Settings, alter: bool = False) -> list[str]:
    """Create the missing topics and return their names; does nothing if all are there.

    Raises ConfigError naming every difference of a topic that exists (nothing is created then); with ``alter`` the
    differences that lose nothing by themselves (retention, sizes, timestamps) are applied instead. Raises
    SinkUnavailable if Kafka cannot be reached.
    """
    with admin_of(bootstrap) as admin:
        wanted = catalogue(settings)
        todo = compare(wanted, _read(admin, [topic.name for topic in wanted]))
        refused = [item for item in todo.differences if not (alter and item.alterable)]
        if refused:
            raise ConfigError(_refusal(refused))
        if todo.differences:
            _alter(admin, todo.differences)
        return _create(admin, todo.missing)


def topic_ids(bootstrap: str, names: Iterable[str]) -> dict[str, str]:
    """Full name -> the id that the broker gave the topic when it was made. Raises SinkUnavailable.

    Brokers older than 2.8 have no ids: their topics are left out. Safe to call from several threads.
    """
    with _ONE_AT_A_TIME, admin_of(bootstrap) as admin:
        found = {topic["name"]: str(topic.get("topic_id") or "") for topic in admin.describe_topics(sorted(names))}
    return {name: topic_id for name, topic_id in found.items() if topic_id.strip("0-")}


def partition_counts(bootstrap: str, names: Iterable[str]) -> dict[str, int]:
    """Full name -> partitions that the cluster has; names without a topic are left out. Raises SinkUnavailable.

    Safe to call from several threads.
    """
    with _ONE_AT_A_TIME, admin_of(bootstrap) as admin:
        there = sorted(set(admin.list_topics()) & set(names))
        return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(there)} if there else {}


def need_topics(bootstrap: str, settings: Settings, nouns: Iterable[str]) -> None:
    """Refuse at once if the topics of ``nouns`` are not there, before a client waits for what nobody will make.

    Raises ConfigError naming the prefixes that there are, SinkUnavailable. Safe to call from several threads.
    """
    with _ONE_AT_A_TIME, admin_of(bootstrap) as admin:
        there = set(admin.list_topics())
    missing = [name for noun in nouns if (name := settings.named(BY_NOUN[noun].name)) not in there]
    if missing:
        known = _prefixes(there)
        more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        hint = f"CX_TOPIC_PREFIX chooses one of {', '.join(known[:_NAMED])}{more}; " if known else ""
        raise ConfigError(f"there is no topic {missing[0]} on Kafka: {hint}`cxwatch topics create` makes it")


def _prefixes(there: Iterable[str]) -> list[str]:
    """Prefixes under which there are topics of ours."""
    end = BY_NOUN["command"].name
    return sorted(name.removesuffix(end) or "the empty one" for name in there if name.endswith(end))


def _configs(topic: Topic) -> dict[str, str]:
    configs = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "max.message.bytes": str(topic.max_bytes),
        "message.timestamp.type": "LogAppendTime",
    }
    if topic.compacted:
        configs["min.compaction.lag.ms"] = str(HEARD_WITHIN_MS)
    else:
        configs["retention.ms"] = str(topic.retention_ms)
    return configs


def _dlq_configs(topic: Topic) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "max.message.bytes": str(topic.max_bytes + DLQ_HEADROOM_BYTES),
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(max(topic.retention_ms, DLQ_RETENTION_MS)),
    }


def _state_configs() -> dict[str, str]:
    """Compacted early and in small segments, because recovery reads the whole topic.

    The segment that is being written is never compacted, so it ends at 32 MB or after an hour; what is compacted may be
    stale by a fifth. Tombstones stay for an hour, far longer than any recovery that could still need them.
    """
    return {
        "cleanup.policy": "compact",
        "max.message.bytes": str(STATE_MAX_BYTES),
        "message.timestamp.type": "LogAppendTime",
        "min.cleanable.dirty.ratio": "0.2",
        "segment.bytes": str(_STATE_SEGMENT_BYTES),
        "segment.ms": str(HOUR_MS),
        "delete.retention.ms": str(HOUR_MS),
    }


def _refusal(differences: Iterable[Difference]) -> str:
    lines = [str(difference) for difference in differences]
    way_out = (
        "Nothing was changed. Set the catalogue or CX_PARTITIONS to what is there, or run `cxwatch topics create "
        "--alter` (retention, sizes and timestamps only), or move to new topics under another CX_TOPIC_PREFIX."
    )
    return "\n".join([*lines, way_out])


@contextmanager
def admin_of(bootstrap: str) -> Iterator[KafkaAdminClient]:
    """An admin client; what Kafka refuses or leaves unanswered is SinkUnavailable."""
    try:
        admin = KafkaAdminClient(**connection(bootstrap), client_id="cxwatch-topics",
                                 bootstrap_timeout_ms=int(_TIMEOUT_S * 1000))
    except (KafkaError, OSError, ValueError) as error:
        raise SinkUnavailable(f"Kafka at {bootstrap}", _TIMEOUT_S) from error
    try:
        yield admin
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka at {bootstrap}", _TIMEOUT_S) from error
    finally:
        admin.close()


def _read(admin: KafkaAdminClient, names: list[str]) -> dict[str, Wanted]:
    """Partitions and effective settings of those of ``names`` that exist."""
    existing = sorted(set(admin.list_topics()) & set(names))
    if not existing:
        return {}
    partitions = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(existing)}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in existing]
    described = _topics_of(admin.describe_configs(resources, config_filter="all"))
    return {
        name: Wanted(name, partitions[name], {key: str(entry["value"]) for key, entry in described[name].items()})
        for name in existing
    }


def _topics_of(reply: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The part about topics of a reply about settings; kafka-python 3 names the kind of resource in lower case."""
    return reply["topic"]


def _alter(admin: KafkaAdminClient, differences: Iterable[Difference]) -> None:
    """Apply the wanted values and wait until the broker shows them. Raises ConfigError if it refuses one."""
    changes: dict[str, dict[str, str]] = {}
    for difference in differences:
        changes.setdefault(difference.topic, {})[difference.setting] = difference.wanted
    reply = admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, new) for name, new in sorted(changes.items())]
    )
    refused = [f"{name}: {answer}" for name, answer in _topics_of(reply).items() if answer != "OK"]
    if refused:
        raise ConfigError("\n".join(refused))
    wanted = [Wanted(name, topic.partitions, changes[name]) for name, topic in _read(admin, list(changes)).items()]
    deadline = time.monotonic() + _TIMEOUT_S
    while compare(wanted, _read(admin, list(changes))).differences and time.monotonic() < deadline:
        time.sleep(0.05)


def _create(admin: KafkaAdminClient, missing: Iterable[Wanted]) -> list[str]:
    """Create topics and wait until each has a leader; one that somebody else created meanwhile is fine."""
    specs = {topic.name: {"num_partitions": topic.partitions, "configs": dict(topic.configs)} for topic in missing}
    if not specs:
        return []
    try:
        admin.create_topics(specs, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        admin.wait_for_topics(list(specs))
    return sorted(specs)
