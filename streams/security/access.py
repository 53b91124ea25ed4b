"""Who may do what on the cluster: one principal per kind of process, worked out from the catalogue of topics.

``cxwatch topics acls`` prints it as ``kafka-acls`` commands, docs/security.md as a table. Everybody may see that topics
exist and how they are set (``Describe``, ``DescribeConfigs``: names, never a record), because every command checks the
catalogue before it does anything. Making topics and giving rights is up to an administrator, who is none of these.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.rooms import BY_ROOM, ROOMS, WORKER_ROOMS
from schemas.topics import (
    ABOUT_PROCESSES,
    BY_NOUN,
    EVENT_NOUNS,
    FIXED_SENDERS,
    FROM_COMPANIES,
    HEARD,
    ORDERS,
    SENDERS,
    TOPICS,
    Topic,
    state_topic,
)
from streams.settings import Settings

Role = Literal["events", "worker", "sender", "operator", "replay", "reader"]
Kind = Literal["topic", "group", "transactional-id"]

ROLES: dict[Role, str] = {
    "events": "whatever writes events, profiles and changes: your producers, `play`, `follow`",
    "worker": "`cxwatch worker`: every room and the store",
    "sender": "`cxwatch sender`: the only one that tells customers",
    "operator": "`cxwatch stop`, `resume`, `approve`, `mute`, `unmute`, `resolve`",
    "replay": "`cxwatch letters`: reads what was rejected, and feeds it back once it is mended",
    "reader": "whoever looks on: reads findings and events, writes nothing",
}
"""Role -> what runs under it."""

SENDER = BY_ROOM["send"]
REKEYED = (*EVENT_NOUNS, *(noun for room in ROOMS for noun in room.brings))
"""What a room writes again to the partition where it belongs."""
FOLLOWERS = "cx.source."
"""Beginning of the groups of ``cxwatch follow``."""
LOOKERS = "cx.read."
"""Beginning of the groups that a reader may use."""


@dataclass(frozen=True, order=True)
class Grant:
    """One right. ``prefixed``: for every name that begins so."""

    role: Role
    kind: Kind
    name: str
    """Wire name, without the deployment's prefix."""
    operations: tuple[str, ...]
    prefixed: bool = False


def grants() -> list[Grant]:
    """Every right that every principal needs, and no other."""
    found = [Grant(role, "topic", "cx.", ("Describe", "DescribeConfigs"), True) for role in ROLES]
    return [*found, *_events(), *_worker(), *_sender(), *_operator(), *_replay(), *_reader()]


def derived() -> list[Topic]:
    """What the rooms of a worker write."""
    written = {noun for name in WORKER_ROOMS for noun in BY_ROOM[name].outputs}
    return [topic for topic in TOPICS if topic.noun in written]


def _events() -> Iterator[Grant]:
    for noun in FROM_COMPANIES:
        yield Grant("events", "topic", BY_NOUN[noun].name, ("Write",))
        yield Grant("events", "topic", BY_NOUN[noun].dlq, ("Write",))
    yield Grant("events", "group", FOLLOWERS, ("Read",), True)


def _worker() -> Iterator[Grant]:
    written = {topic.name for topic in derived()} | {BY_NOUN[noun].name for noun in (*REKEYED, *ABOUT_PROCESSES)}
    for topic in TOPICS:
        yield Grant("worker", "topic", topic.name, ("Read", "Write") if topic.name in written else ("Read",))
        if topic.dead_letters:
            yield Grant("worker", "topic", topic.dlq, ("Read", "Write"))
    stateful = [name for name in WORKER_ROOMS if BY_ROOM[name].state]
    for name in stateful:
        yield Grant("worker", "topic", state_topic(name), ("Read", "Write"))
    for name in WORKER_ROOMS:
        yield Grant("worker", "group", f"cx.{name}", ("Read",))
    for name in stateful:
        yield Grant("worker", "transactional-id", f"cx.{name}.", ("Describe", "Write"), True)


def _sender() -> Iterator[Grant]:
    for noun in SENDER.inputs:
        yield Grant("sender", "topic", BY_NOUN[noun].name, ("Read",))
    for noun in (*SENDER.outputs, *ABOUT_PROCESSES):
        yield Grant("sender", "topic", BY_NOUN[noun].name, ("Write",))
    yield Grant("sender", "topic", state_topic("send"), ("Read", "Write"))
    for group in (SENDERS, FIXED_SENDERS, HEARD):
        yield Grant("sender", "group", group, ("Read",))
    yield Grant("sender", "group", "cx.outreach", ("Describe",))
    yield Grant("sender", "transactional-id", "cx.send.", ("Describe", "Write"), True)


def _operator() -> Iterator[Grant]:
    for noun in ORDERS:
        yield Grant("operator", "topic", BY_NOUN[noun].name, ("Write",))
    for noun in ("issue", "outreach", "channel"):
        yield Grant("operator", "topic", BY_NOUN[noun].name, ("Read",))
    for group in (SENDERS, FIXED_SENDERS, HEARD):
        yield Grant("operator", "group", group, ("Describe",))
    yield Grant("operator", "transactional-id", "cx.order.", ("Describe", "Write"), True)


def _replay() -> Iterator[Grant]:
    for noun in FROM_COMPANIES:
        yield Grant("replay", "topic", BY_NOUN[noun].name, ("Write",))
        yield Grant("replay", "topic", BY_NOUN[noun].dlq, ("Read", "Write"))
    yield Grant("replay", "transactional-id", "cx.replay.", ("Describe", "Write"), True)


def _reader() -> Iterator[Grant]:
    for topic in TOPICS:
        yield Grant("reader", "topic", topic.name, ("Read",))
        if topic.dead_letters:
            yield Grant("reader", "topic", topic.dlq, ("Read",))
    yield Grant("reader", "group", LOOKERS, ("Read",), True)


def acl_commands(settings: Settings, brokers: str = "BROKERS", config: str = "ADMIN.properties") -> Iterator[str]:
    """``kafka-acls`` commands that give every principal its rights; what is given alike is in one command."""
    alike: dict[tuple[Role, Kind, tuple[str, ...], bool], list[str]] = {}
    for grant in grants():
        alike.setdefault((grant.role, grant.kind, grant.operations, grant.prefixed), []).append(grant.name)
    for (role, kind, operations, prefixed), names in alike.items():
        words = [
            "kafka-acls", "--bootstrap-server", brokers, "--command-config", config, "--add", "--force",
            "--allow-principal", f"User:{principal(settings, role)}",
            *(word for operation in operations for word in ("--operation", operation)),
            *(word for name in names for word in (f"--{kind}", settings.named(name))),
            *(("--resource-pattern-type", "prefixed") if prefixed else ()),
        ]  # fmt: skip
        yield shlex.join(words)


def principal(settings: Settings, role: Role) -> str:
    """User name of a role: deployments on one cluster have users of their own."""
    return f"{settings.topic_prefix.replace('.', '-')}cx-{role}"


def table() -> list[tuple[str, str, str]]:
    """Rows for a person: principal, rights, on what; names that have the same right in one row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for grant in grants():
        right = ", ".join(grant.operations)
        shown = f"{'' if grant.kind == 'topic' else f'{grant.kind} '}`{grant.name}{'*' * grant.prefixed}`"
        rows.setdefault((grant.role, right), []).append(shown)
    return [(role, right, ", ".join(names)) for (role, right), names in rows.items()]
