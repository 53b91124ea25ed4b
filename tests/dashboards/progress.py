"""Progress marks of every room, as the store writes them: what makes a board say that it is up to date."""

from __future__ import annotations

from collections.abc import Mapping

from schemas import findings
from streams.runtime.batch import RawBatch
from tests.sinks.examples import batch

MARKED = {"join": "cohort_count", "detection": "issue", "match": "affected", "outreach": "outreach",
          "experience": "contact_case", "sender": "delivery"}
"""Room as a board calls it -> the topic whose watermark tells of it."""


def marks(
    through_ms: int, behind_ms: Mapping[str, int] | None = None, partitions: int = 2, ver: int = 1
) -> list[RawBatch]:
    """Marks of all rooms at ``through_ms``, those in ``behind_ms`` so far behind it."""
    made = []
    for room, topic in MARKED.items():
        at_ms = through_ms - (behind_ms or {}).get(room, 0)
        numbers = [0] if room == "detection" else range(partitions)
        records = [findings.BinClosed(partition=number, partitions=partitions, through_ms=at_ms) if room == "join"
                   else findings.Watermark(partition=number, through_ms=at_ms) for number in numbers]
        made.append(batch(topic, records, ver=ver))
    return made
