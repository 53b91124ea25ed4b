"""Counts, distinct customers and latency sketches of cohorts per window: numpy over whole batches."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from contract import WINDOW_MS
from xxhash import xxh3_64_intdigest

PRECISION = 10
REGISTERS = 1 << PRECISION
BUCKETS = 64
LOG_BASE = np.log(1.25)
LATE_WINDOWS = 6
"""Windows that stay open behind the newest one: a minute, twenty times the disorder of the sources."""
POWERS = np.exp2(-np.arange(65.0))
ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)

Row = tuple[int, str, str, str, str]
"""Window number, product, app_version, region, error code or ""."""


class Telemetry(msgspec.Struct, gc=False):
    """The fields of one telemetry event that job J needs; the others are skipped while decoding."""

    event_id: str
    event_time_ms: int
    customer_id: str
    product: str
    event_name: str
    outcome: str
    app_version: str = ""
    region: str = ""
    error_code: str | None = None
    latency_ms: float | None = None


class _Index(dict[Row, int]):
    """Number of each row, given at its first use."""

    def __missing__(self, row: Row) -> int:
        number = self[row] = len(self)
        return number


class Cohorts:
    """Everything counted in one partition: ``count`` (rows,), ``registers`` (rows, 1024), ``buckets`` (rows, 64)."""

    def __init__(self) -> None:
        """Start empty."""
        self._index = _Index()
        self._newest = 0
        self._allocate(1024)

    def _allocate(self, rows: int) -> None:
        self._count = np.zeros(rows, np.int64)
        self._registers = np.zeros((rows, REGISTERS), np.uint8)
        self._buckets = np.zeros((rows, BUCKETS), np.uint32)
        self._dirty = np.zeros(rows, np.bool_)

    def add(self, events: Sequence[Telemetry], keys: Sequence[bytes]) -> None:
        """Count events; ``keys`` are their record keys, that is the customers."""
        windows = np.fromiter((event.event_time_ms for event in events), np.int64, len(events)) // WINDOW_MS
        self._newest = max(self._newest, int(windows.max()))
        if (late := windows < self._newest - LATE_WINDOWS).any():
            kept = np.flatnonzero(~late).tolist()
            events, keys, windows = [events[i] for i in kept], [keys[i] for i in kept], windows[kept]
        if not events:
            return
        index, count = self._index, len(events)
        rows = np.fromiter(
            (
                index[window, event.product, event.app_version, event.region, event.error_code or ""]
                for window, event in zip(windows.tolist(), events, strict=True)
            ),
            np.int64,
            count,
        )
        if len(index) > len(self._count):
            self._keep(np.arange(len(self._count)), 2 * len(index))
        self._count += np.bincount(rows, minlength=len(self._count))
        self._dirty[rows] = True
        self._add_customers(rows, np.fromiter(map(xxh3_64_intdigest, keys), np.uint64, count))
        nan = float("nan")
        latencies = (nan if event.latency_ms is None else event.latency_ms for event in events)
        self._add_latencies(rows, np.fromiter(latencies, np.float64, count))

    def _add_customers(self, rows: np.ndarray[Any, Any], hashes: np.ndarray[Any, Any]) -> None:
        """HyperLogLog: 10 bits choose the register, it keeps the longest run of leading zeros of the others + 1."""
        register = (hashes >> np.uint64(64 - PRECISION)).astype(np.int64)
        # The marker below the last used bit ends the run. A float's exponent tells the leading zeros; its 53 bits of
        # mantissa would round up only a hash that begins with 53 ones.
        rest = (hashes << np.uint64(PRECISION)) | np.uint64(REGISTERS >> 1)
        rank = (65 - np.frexp(rest.astype(np.float64))[1]).astype(np.uint8)
        np.maximum.at(self._registers.reshape(-1), rows * REGISTERS + register, rank)

    def _add_latencies(self, rows: np.ndarray[Any, Any], latencies: np.ndarray[Any, Any]) -> None:
        known = ~np.isnan(latencies)
        bucket = np.log(np.maximum(latencies[known], 1.0)) / LOG_BASE
        where = rows[known] * BUCKETS + np.minimum(bucket, BUCKETS - 1).astype(np.int64)
        np.add.at(self._buckets.reshape(-1), where, np.uint32(1))

    def take(self) -> list[list[Any]]:
        """Columns win, product, app_version, region, error_code, n, uniq, sketch of rows changed since last time."""
        changed = np.flatnonzero(self._dirty[: len(self._index)])
        names = list(self._index)
        rows = [names[i] for i in changed.tolist()]
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        if columns:
            columns[0] = [window * WINDOW_MS // 1000 for window in columns[0]]
            columns.append(self._count[changed].tolist())
            columns.append(estimates(self._registers[changed]).tolist())
            columns.append([base64.b64encode(row).decode() for row in self._buckets[changed]])
        self._dirty[:] = False
        self._close()
        return columns

    def _close(self) -> None:
        """Forget closed windows once they are most of the rows."""
        horizon = self._newest - LATE_WINDOWS
        open_rows = [number for row, number in self._index.items() if row[0] >= horizon]
        if len(open_rows) * 2 < len(self._index):
            names = list(self._index)
            self._index = _Index((names[number], new) for new, number in enumerate(open_rows))
            self._keep(np.array(open_rows, np.int64), max(1024, 2 * len(open_rows)))

    def _keep(self, kept: np.ndarray[Any, Any], size: int) -> None:
        """Move the rows ``kept`` to the front of arrays of ``size`` rows."""
        old = self._count, self._registers, self._buckets, self._dirty
        self._allocate(size)
        for new, source in zip((self._count, self._registers, self._buckets, self._dirty), old, strict=True):
            new[: len(kept)] = source[kept]


def estimates(registers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Distinct customers of each row: HyperLogLog's estimate, linear counting while it is small."""
    raw = ALPHA * REGISTERS * REGISTERS / POWERS[registers].sum(axis=1)
    empty = (registers == 0).sum(axis=1)
    linear = REGISTERS * np.log(REGISTERS / np.maximum(empty, 1))
    return np.where((raw <= 2.5 * REGISTERS) & (empty > 0), linear, raw)
