"""Who has heard an order: the partitions that senders serve, and how far the owner of each has read the orders.

A sender commits how far it has read, and which of the newest orders it obeys, in the transaction of its ledger
(``KafkaLog.commit``), as offsets of the group ``cx.send.heard``: a fenced owner cannot commit, and what is committed is
in force. Which partitions are served is known by the broker: a sender is a member of ``cx.send``, which shares them
out, or of ``cx.send.fixed``, where its client id names them. A process that was killed stays a member until its
session ends (``CX_SESSION_TIMEOUT_MS``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError, GroupIdNotFoundError

from schemas.topics import BY_NOUN, FIXED_SENDERS, HEARD, SENDERS
from streams.settings import Settings
from streams.topics import admin_of

HEARD_WITHIN_S = 5.0
"""How long an order is waited for."""
_LOOK_S = 0.1


@dataclass(frozen=True)
class Senders:
    """What the groups of the senders show."""

    served: frozenset[int] = frozenset()
    """Partitions that a live sender serves."""
    sharing: bool = False
    """True while a group hands partitions out: who serves what is not decided."""


@dataclass(frozen=True)
class Acknowledgement:
    """What became of an order: who had to hear it and who has."""

    partitions: int
    """Of the cluster."""
    senders: Senders
    heard: frozenset[int] = field(default_factory=frozenset)
    refused: frozenset[int] = field(default_factory=frozenset)
    """Partitions whose sender has read the order and does not obey it."""

    @property
    def not_heard(self) -> list[int]:
        """Served partitions whose sender has not heard it."""
        return sorted(self.senders.served - self.heard - self.refused)

    @property
    def complete(self) -> bool:
        """True if every sender there is has heard it; also if there is none."""
        return not self.not_heard and not self.senders.sharing

    @property
    def words(self) -> str:
        """For example ``heard by 4 of 4 senders' partitions``."""
        served = self.senders.served
        if not served:
            return "the senders share their partitions out just now" if self.senders.sharing else "no sender runs"
        missing = sorted(set(range(self.partitions)) - served)
        without = f"; no sender serves partition{'s' * (len(missing) > 1)} {_listed(missing)}" if missing else ""
        return f"heard by {len(served & self.heard)} of {len(served)} senders' partitions{without}"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def await_heard(
    bootstrap: str, settings: Settings, name: str, placed: Mapping[int, int], within_s: float = HEARD_WITHIN_S
) -> Acknowledgement:
    """Wait until every sender has heard the order ``name`` at ``placed`` (partition -> offset), or time is up.

    Returns at once if no sender runs. Raises SinkUnavailable if Kafka does not answer.
    """
    deadline = time.monotonic() + within_s
    with admin_of(bootstrap) as admin:
        while True:
            found = _look(admin, settings, name, placed)
            if found.complete or time.monotonic() >= deadline:
                return found
            time.sleep(_LOOK_S)


def _look(admin: KafkaAdminClient, settings: Settings, name: str, placed: Mapping[int, int]) -> Acknowledgement:
    senders = senders_of(admin, settings)
    if not senders.served:
        return Acknowledgement(len(placed), senders)
    topic = settings.named(BY_NOUN["command"].name)
    tps = [TopicPartition(topic, number) for number in placed]
    group = settings.named(HEARD)
    try:
        committed = admin.list_group_offsets({group: tps})[group]
    except CoordinatorNotAvailableError:
        committed = {}
    read = {tp.partition: at.metadata for tp, at in committed.items() if at.offset > placed[tp.partition]}
    obeyed = frozenset(partition for partition, words in read.items() if name in words.split("\n"))
    return Acknowledgement(len(placed), senders, obeyed, frozenset(read) - obeyed)


def senders_of(admin: KafkaAdminClient, settings: Settings) -> Senders:
    """Which partitions live senders serve."""
    try:
        shared, fixed = (_group(admin, settings.named(name)) for name in (SENDERS, FIXED_SENDERS))
    except CoordinatorNotAvailableError:  # the topic of all groups is being made, or has no leader just now
        return Senders(sharing=True)
    served: set[int] = set()
    for member in shared["members"]:
        for part in _assigned(member):
            served.update(part["partitions"])
    for member in fixed["members"]:
        numbers = str(member["client_id"]).rpartition(":")[2]
        served.update(int(number) for number in numbers.split(",") if number.isdecimal())
    return Senders(frozenset(served), any(_undecided(group) for group in (shared, fixed)))


def _group(admin: KafkaAdminClient, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = admin.describe_groups([name])[name]
    except GroupIdNotFoundError:
        return {"members": [], "group_state": "Dead"}
    return found


def _assigned(member: Mapping[str, Any]) -> list[dict[str, Any]]:
    assignment = member["member_assignment"]
    return list(assignment["assigned_partitions"]) if isinstance(assignment, Mapping) else []


def _undecided(group: Mapping[str, Any]) -> bool:
    return bool(group["members"]) and group["group_state"] != "Stable"
