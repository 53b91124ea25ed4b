"""Who reads what in a group: partition p of every topic goes to one and the same member.

aiokafka's round-robin deals topic partitions like cards, so with three topics and two workers one customer's telemetry
and orders may land on different workers. Ranges and stickiness are not needed: state comes from the state topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class CoPartitioned:
    """Partition assignor in aiokafka's protocol (all class methods, as aiokafka calls them)."""

    name = "cx-copartitioned"
    version = 0

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Partition p of every subscribed topic -> the (p modulo members)-th member, by sorted member id."""
        order = sorted(members)
        shares: dict[str, dict[str, list[int]]] = {member: {} for member in order}
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        for topic in topics:
            for partition in sorted(cluster.partitions_for_topic(topic) or ()):
                owner = order[partition % len(order)]
                shares[owner].setdefault(topic, []).append(partition)
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, sorted(share.items()), b"")
            for member, share in shares.items()
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> Any:
        """What a member tells the leader."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: Any) -> None:
        """Nothing is remembered between assignments."""
