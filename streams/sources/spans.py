"""The asked span of a file's rows, and where reading may end: a file in order of time is not read past its end.

A file counts as sorted as long as no row is more than an hour older than the newest row before it. Reading ends after a
thousand rows in a row that are later than the end by more than that hour, once a row before the end was seen: neither a
wrong clock nor a file whose newest rows come first ends it early. A file that is not sorted is read as a whole.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from schemas.errors import ConfigError

MAX_TIME_MS = 1 << 62
TOLERANCE_MS = 3_600_000
"""Rows may be so much older than the newest row before them, and the file is still sorted."""
ROWS_PAST = 1_000
"""So many rows in a row have to lie past the end."""


class Span(NamedTuple):
    """Rows whose earliest event lies in [start, end), ms UTC."""

    start_ms: int = 0
    end_ms: int = MAX_TIME_MS


def moment_ms(text: str | None, default_ms: int) -> int:
    """A bound that was asked for, ISO 8601 (UTC if it has no zone), as ms since 1970 UTC. Raises ConfigError."""
    if text is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text} is not a time: allowed is ISO 8601, as in 2013-04-01T00:00:00-04:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


class SpanReading:
    """Takes the times of a file's rows in file order: which are asked for, and whether more can come."""

    def __init__(self, span: Span) -> None:
        """Nothing was read yet."""
        self._span = span
        self._newest_ms = self._newest_line = 0
        self._unsorted: tuple[int, int] | None = None
        self._reached = False
        self._past = 0
        self._outside_after = 0
        self.stopped_at = 0
        """Line after which reading may end; 0: it has to go on."""

    def takes(self, line: int, at_ms: int) -> bool:
        """True if the row at this line, whose earliest event is at this time, was asked for."""
        if self._span.end_ms != MAX_TIME_MS:
            self._watch(line, at_ms)
        return self._span.start_ms <= at_ms < self._span.end_ms

    def _watch(self, line: int, at_ms: int) -> None:
        if at_ms > self._newest_ms:
            self._newest_ms, self._newest_line = at_ms, line
        elif self._newest_ms - at_ms > TOLERANCE_MS and self._unsorted is None:
            self._unsorted = (line, self._newest_line)
        self._outside_after += at_ms >= self._span.end_ms
        self._reached = self._reached or at_ms < self._span.end_ms
        self._past = self._past + 1 if at_ms >= self._span.end_ms + TOLERANCE_MS else 0
        if self._past >= ROWS_PAST and self._reached and self._unsorted is None:
            self.stopped_at = self.stopped_at or line

    def notes(self) -> list[str]:
        """What to tell people about how far the file was read."""
        if self.stopped_at:
            text = (
                f"stopped reading at line {self.stopped_at:,}: sorted by time (no row was more than 1 h older than one "
                f"before it), and the last {ROWS_PAST:,} rows are later than --to; the rest was not read"
            )
        elif self._unsorted is not None and self._outside_after >= ROWS_PAST:
            line, newer = self._unsorted
            text = (
                "read to the end although --to was given: not sorted by time "
                f"(line {line:,} is more than 1 h older than line {newer:,})"
            )
        else:
            return []
        return [text]
