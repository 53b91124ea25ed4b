"""Time zones by name: those that mean the same on every machine."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

OF_THE_MACHINE = ("localtime", "posixrules", "factory")
"""Names of the time zone database for whatever a machine is set to: the same data would give other times elsewhere."""
VARIANTS = ("posix", "right")
"""Folders with the same zones once more, on some machines only; those in ``right`` count leap seconds."""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The IANA zone, or None if there is no such zone (also for names that are not zone names at all).

    >>> zone("Europe/Berlin").key, zone("localtime"), zone("right/Europe/Berlin")
    ('Europe/Berlin', None, None)
    """
    parts = name.casefold().split("/")
    if not name or parts[-1] in OF_THE_MACHINE or parts[0] in VARIANTS:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def why_no_zone(name: str) -> str:
    """Why :func:`zone` knows no such zone, for whoever wrote the name."""
    last = name.casefold().split("/")[-1]
    if last in OF_THE_MACHINE:
        return f"{name!r} means whatever the machine is set to; name the zone itself, as in Europe/Berlin."
    return f"{name!r} is no time zone; an IANA name is needed, as in Europe/Berlin."
