"""Who reads in a group of followers: one member everything, the others stand by and take over."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class OneReads:
    """Partition assignor in aiokafka's protocol: the member that has run longest gets everything.

    Member ids begin with the client's name, and that with the time of its start (:func:`client_name`).
    """

    name = "cx-one-reads"
    version = 0

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Everything to the first member, by sorted member id."""
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        everything = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        first = min(members)
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, everything if member == first else [], b"")
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> Any:
        """What a member tells the leader."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: Any) -> None:
        """Nothing is remembered between assignments."""


def client_name() -> str:
    """A client's name that sorts by the time of its start."""
    return f"cx-follow-{time.time_ns() // 1_000_000:015}"
