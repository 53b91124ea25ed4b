"""Marks in Grafana where an issue was opened, escalated or resolved, and where the company changed something.

They belong to the organisation, not to a board: every board there, also one of other people, can show what is tagged
``cxwatch``. One mark has one pair of tags (whose, which state); it is looked up before it is written, so that restarts,
lost answers and other writers make no second one.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from streams.sinks.clickhouse import ClickHouse
from streams.sinks.grafana import Grafana, GrafanaError, Json

TAG = "cxwatch"
DAYS, MOST, A_ROUND = 7, 1_000, 50
"""So far back before the newest event, so many of the newest at most, and so many written in one round."""
TAG_LENGTH = 100
"""Characters of a tag that Grafana keeps."""

MARKS = """
WITH (SELECT now FROM event_clock) - INTERVAL %(days)s DAY AS since
SELECT *
FROM
(
    SELECT 'issue' AS kind, i.issue_id AS id, 'opened' AS mark, ifNull(i.shown_at, i.detected_at) AS at,
        i.readable_title AS words, i.affected AS affected
    FROM issue_overview AS i WHERE i.state != 'suspected' AND i.end_reason != 'withdrawn'
    UNION ALL
    SELECT 'issue', m.issue_id, 'escalated', min(m.minute) AS at, any(i.readable_title), any(i.affected)
    FROM issue_1m_latest AS m INNER JOIN issue_overview AS i ON i.issue_id = m.issue_id
    WHERE m.state = 'escalating'
    GROUP BY m.issue_id
    UNION ALL
    SELECT 'issue', issue_id, 'resolved', assumeNotNull(resolved_at) AS at, readable_title, affected
    FROM issue_overview
    WHERE state = 'resolved' AND resolved_at IS NOT NULL AND end_reason != 'withdrawn'
    UNION ALL
    SELECT 'change', change_id, 'made', changed_at AS at, concat(title, ' (', toString(change_kind), ')'), 0
    FROM change_latest
)
WHERE at >= since
ORDER BY at DESC, kind, id, mark
LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """One annotation: the pair of tags that makes it the only one, when (ms UTC) and what it says, as HTML."""

    whose: str
    state: str
    at_ms: int
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """The pair of tags."""
        return self.whose, self.state

    def body(self) -> Json:
        """As the API takes it."""
        return {"time": self.at_ms, "tags": [TAG, self.whose, self.state], "text": self.text}


class Annotator:
    """Brings Grafana's annotations up to what ClickHouse knows, a bounded number at a time."""

    def __init__(self, grafana: Grafana, client: ClickHouse, stopping: Callable[[], bool] = lambda: False) -> None:
        """Nothing is asked yet. ``client`` is a reader; ``stopping``: True once a round is to be left half done."""
        self._grafana = grafana
        self._client = client
        self._stopping = stopping
        self._there: set[tuple[str, str]] = set()

    def write_missing(self) -> int:
        """Write what is missing, at most ``A_ROUND``; the number written.

        Raises GrafanaError or SinkUnavailable; the same again is harmless.
        """
        written = 0
        for mark in marks(self._client):
            if mark.key in self._there:
                continue
            if written == A_ROUND or self._stopping():
                break
            if not self._is_there(mark):
                self._grafana.call("post", "annotations", json=mark.body())
                written += 1
            self._there.add(mark.key)
        return written

    def _is_there(self, mark: Mark) -> bool:
        query = {"tags": [TAG, *mark.key], "type": "annotation", "limit": 1}
        found = self._grafana.call("get", "annotations", query=query)
        if not isinstance(found, list):
            raise GrafanaError(0, "no readable answer")
        return bool(found)


def marks(client: ClickHouse) -> list[Mark]:
    """What should be marked, oldest first. Raises SinkUnavailable."""
    return [_mark(row) for row in reversed(client.query(MARKS, {"days": DAYS, "most": MOST}).rows)]


def _mark(row: Sequence[Any]) -> Mark:
    kind, name, state, at, words, affected = row
    title = html.escape(words)
    text = f"Change: {title}" if kind == "change" else f"Issue {state}: {title}" + (
        f", {affected:,} customers affected" if affected else "")
    return Mark(_tag(f"{kind}:{name}"), f"state:{state}", round(at.timestamp() * 1000), text)


def _tag(text: str) -> str:
    """A tag that Grafana keeps whole: a long one ends in a hash of all of it."""
    if len(text) <= TAG_LENGTH:
        return text
    return f"{text[:TAG_LENGTH - 17]}~{xxhash.xxh3_64_hexdigest(text.encode())}"
