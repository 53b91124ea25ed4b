"""Removes the rows of erased customers. What replaces them is stored already; merging drops what is replaced."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from schemas.errors import SinkUnavailable
from streams.sinks.clickhouse import ClickHouse

log = logging.getLogger("cx.room")

CHUNK = 1_000
"""Customers asked for at a time."""
TRIES = 3
"""A merge leaves out parts that another merge works on."""
_LEFT = """SELECT count() FROM customer WHERE customer_id IN %(ids)s AND erased = 0
    AND toUnixTimestamp64Milli(updated_at) <= %(until)s[indexOf(%(names)s, customer_id)]"""


def erase(sink: ClickHouse, erased: Mapping[str, int]) -> None:
    """Remove the profiles of these customers up to a time each. Raises SinkUnavailable if some are still there.

    A user that may not merge tables is reported in the log: the rows are hidden, and go with some later merge.
    """
    for chunk in _chunks(erased):
        for _ in range(TRIES):
            if not _left(sink, chunk):
                break
            if not sink.remove_replaced("customer"):
                log.error("profiles of erased customers stay until ClickHouse merges them: GRANT OPTIMIZE to writer")
                return
        else:
            if _left(sink, chunk):
                raise SinkUnavailable("ClickHouse (a merge of erased customers is not done)", 1.0)


def _left(sink: ClickHouse, chunk: Mapping[str, int]) -> int:
    names = list(chunk)
    parameters = {"ids": tuple(names), "names": names, "until": [chunk[name] for name in names]}
    return int(sink.query(_LEFT, parameters).rows[0][0])


def _chunks(erased: Mapping[str, int]) -> Iterator[dict[str, int]]:
    items = list(erased.items())
    for start in range(0, len(items), CHUNK):
        yield dict(items[start : start + CHUNK])
