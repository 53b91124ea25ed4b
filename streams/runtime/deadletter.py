"""Dead letters: exact bytes and key of a bad message, why, and where it came from; and when a bad run is worth a page.

Headers of a dead letter are those of the original plus ``dlq.*``: ``topic`` (wire name without prefix),
``partition``, ``offset``, ``reason``, ``field``, ``rule``, ``value_class`` (JSON type seen, never the value),
``version`` (of cxwatch), ``first_failed_at_ms`` (kept if the message was put back and failed again) and, for
quarantined events, ``not_before_ms``. The value is not wrapped: a dead letter is its source plus these headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from schemas.errors import MalformedEvent
from streams.runtime.batch import Headers, RawBatch

PREFIX = "dlq."
FIRST_FAILED = "dlq.first_failed_at_ms"
_SOURCE_HEADERS = ("ce_source", "source")
_MAX_TEXT = 512


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that broke its contract."""

    noun: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    error: MalformedEvent
    not_before_ms: int | None = None
    """Set for quarantined events: when to put it back."""

    def written_headers(self, topic: str, build: str, now_ms: int) -> list[tuple[str, bytes | None]]:
        """Original headers and ``dlq.*`` headers, ``now_ms`` being the time of the flush."""
        original = [
            (name, value) for name, value in self.headers if not name.startswith(PREFIX) or name == FIRST_FAILED
        ]
        added = {
            "topic": topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
            "reason": self.error.reason,
            "field": self.error.field[:_MAX_TEXT],
            "rule": self.error.rule[:_MAX_TEXT],
            "value_class": self.error.value_class[:_MAX_TEXT],
            "version": build,
        }
        if not any(name == FIRST_FAILED for name, _ in original):
            added["first_failed_at_ms"] = str(now_ms)
        if self.not_before_ms is not None:
            added["not_before_ms"] = str(self.not_before_ms)
        return original + [(PREFIX + name, text.encode()) for name, text in added.items()]


SOURCE_FIELD = re.compile(rb'"source"\s*:\s*"([^"\\]{1,128})"')


def emitter(batch: RawBatch, index: int) -> bytes:
    """Who sent a message that may not decode: its source header, else its source field, else its key."""
    return source_of(batch.headers[index], batch.values[index]) or batch.keys[index] or b""


def source_of(headers: Headers, value: bytes | None) -> bytes:
    """The source that a message names in a header, else in its field; empty if in neither."""
    for name, found in headers:
        if name in _SOURCE_HEADERS and found:
            return found
    field = SOURCE_FIELD.search(value or b"")
    return field[1] if field else b""


@dataclass
class BadRun:
    """Counts dead letters in a row on one topic partition. A page is due at ``limit`` from at least two emitters.

    It never stops the stream: a bad stretch must not blind the system.
    """

    limit: int = 100
    length: int = 0
    emitters: set[bytes] = field(default_factory=set)

    def bad(self, sender: bytes) -> None:
        """One more message failed."""
        self.length += 1
        if len(self.emitters) < 2:
            self.emitters.add(sender)

    def good(self) -> None:
        """A message was accepted: the run is over."""
        if self.length:
            self.length = 0
            self.emitters.clear()

    @property
    def degraded(self) -> bool:
        """True while a page is due."""
        return self.length >= self.limit and len(self.emitters) >= 2
