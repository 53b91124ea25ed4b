"""What version 1 of the findings said, in the words of today: written by hand, apart from the code that reads it."""

from __future__ import annotations

import json
from typing import Any

ELEMENTS = {"app": "facility", "payment": "process", "delivery": "process", "contact": None}
SEVERITIES = {"app": "high", "payment": "critical", "delivery": "medium", "contact": "medium"}


def as_record(value: bytes | None) -> Any:
    """A message as the object it holds; a dead letter, which may hold anything, as its bytes."""
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        return value


def today(value: bytes | None) -> Any:
    """The record that this version emits where version 1 emitted ``value``; what is no finding stays as it is."""
    fields = as_record(value)
    if not isinstance(fields, dict) or "family" not in fields:
        return fields
    name = fields.pop("family")
    fields["signal"] = name
    if fields["kind"] == "issue":
        fields |= {"element": ELEMENTS[name], "severity": SEVERITIES[name], "evidence": []}
    return fields
