"""Findings of version 1 in today's form: topics and state keep for weeks what an earlier version wrote.

Findings carry no version of their own. A record of version 1 is known by the field ``family``, which ``signal``
replaced; every record that has changed since then had it. Readers call :func:`present` before they validate.
"""

from __future__ import annotations

from typing import Any


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields in today's form; ``fields`` itself, unchanged, if they are in it already."""
    if "family" not in fields or "signal" in fields or "kind" not in fields:
        return fields
    return {"signal" if name == "family" else name: value for name, value in fields.items()}
