"""Time zones by name."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.sources.node import Node


def zone_of(node: Node) -> ZoneInfo:
    """The IANA zone that a mapping names."""
    name = node.text()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        node.refuse(f"{name!r} is no time zone; an IANA name is needed, as in Europe/Berlin.")
