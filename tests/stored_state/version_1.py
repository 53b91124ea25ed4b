"""What version 1 of the findings said, in the words of today: written by hand, apart from the code that reads it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

ELEMENTS = {"app": "facility", "payment": "process", "delivery": "process", "contact": None}
SEVERITIES = {"app": "high", "payment": "critical", "delivery": "medium", "contact": "medium"}


FIGURES = ("at_risk", "at_risk_low", "at_risk_high", "per_minute", "service")


def as_record(value: bytes | None) -> Any:
    """A message as the object it holds; a dead letter, which may hold anything, as its bytes."""
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        return value


def comparable(value: bytes | None) -> Any:
    """A message of this version without what version 1 could not know: which amounts were euros, when one was drawn."""
    fields = as_record(value)
    if isinstance(fields, dict) and fields.get("kind") == "episode":
        fields["amounts"] = _euros(max((one["minor"] for one in fields["amounts"]), default=0))
    if isinstance(fields, dict) and fields.get("kind") == "impact":
        del fields["amounts"]
    if isinstance(fields, dict) and fields.get("kind") == "outreach":
        del fields["drawn_at_ms"]
    return fields


def standing(messages: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The messages of a topic, but of decisions only the last about each case, and no cuts.

    Version 1 wrote a hold again, unchanged, when it became known that the failure was put right after it. It did not
    record where orders and profiles were fed.
    """
    messages = [pair for pair in messages if not (isinstance(pair[1], dict) and pair[1].get("kind") == "cut")]
    last = {_case(message, number): number for number, (_, message) in enumerate(messages)}
    return [messages[number] for number in sorted(last.values())]


def _case(message: Any, number: int) -> object:
    decided = isinstance(message, dict) and message.get("kind") == "outreach"
    return message["outreach_id"] if decided else number


def as_stored(room: str, key: bytes, value: bytes) -> bytes:
    """A row of a room's state as version 1 wrote it, with one number in place of amounts of euros."""
    if room == "join":
        kind, *_ = msgspec.msgpack.decode(key)
        return msgspec.msgpack.encode(_join_row(kind, msgspec.msgpack.decode(value))) if kind in "cpq" else value
    if room == "outreach" and key.startswith(b'["d"'):
        fields = {name: one for name, one in json.loads(value).items() if name != "drawn_ms"}
        for onset in fields["onsets"].values():
            onset.pop("again", None)
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    if room in ("match", "impact") and b'"amounts":' in value:
        fields = {name: one for name, one in json.loads(value).items() if room == "match" or name != "amounts"}
        plain = {("amount_cents" if name == "amounts" else name): (_largest(one) if name == "amounts" else one)
                 for name, one in fields.items()}  # fmt: skip
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()
    return value


def _join_row(kind: str, row: Any) -> Any:
    if kind == "c":
        for episode in row[0]:
            episode[6] = episode[6] if isinstance(episode[6], int) else _largest(episode[6])
        return row
    return row[:8] if kind == "p" else [fact[:11] for fact in row]


def _largest(amounts: list[list[Any]]) -> int:
    assert {currency for currency, _ in amounts} <= {"", "EUR"}, "the company of the story sells in euros only"
    return max((minor for _, minor in amounts), default=0)


def _euros(minor: int) -> list[dict[str, Any]]:
    return [{"currency": "EUR", "minor": minor}] if minor else []


def _money(fields: dict[str, Any]) -> None:
    if "amount_cents" in fields:
        fields["amounts"] = _euros(fields.pop("amount_cents"))
    if fields["kind"] == "impact":
        currency = fields.pop("currency")
        fields |= {name: [{"currency": currency, "minor": fields.pop(f"{name}_cents")}] for name in FIGURES}


def today(value: bytes | None) -> Any:
    """The record that this version emits where version 1 emitted ``value``; what is no finding stays as it is."""
    fields = as_record(value)
    if not isinstance(fields, dict) or "family" not in fields:
        return fields
    _money(fields)
    name = fields.pop("family")
    fields["signal"] = name
    if fields["kind"] == "issue":
        fields |= {"element": ELEMENTS[name], "severity": SEVERITIES[name], "evidence": []}
    return fields
