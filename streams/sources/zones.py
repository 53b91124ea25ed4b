"""Time zones by name."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from schemas.zones import why_no_zone, zone
from streams.sources.node import Node


def zone_of(node: Node) -> ZoneInfo:
    """The IANA zone that a mapping names."""
    name = node.text()
    return zone(name) or node.refuse(why_no_zone(name))
