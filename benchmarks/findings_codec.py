"""What one finding costs: ``python benchmarks/findings_codec.py [records]``. Prints microseconds of CPU per record.

Each finding of the hot path is made, written and read in two ways: as the pydantic model that defines it, and as the
struct that is generated from the model (``schemas.hotfindings``). A cohort count has one leaf with one failed customer,
as in sparse history. CPU time, best of five runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from schemas import findings, hotfindings
from schemas.codec import decode, encode
from schemas.reference import ModelDecoder

START_MS = 1_767_225_600_000
SLICE = 300
RUNS = 5
VALUES = ("5.2.0", "android", "Nova 8", "DE", "checkout")
NAMES = ("app_version", "platform", "device_model", "region", "component")
FAILED = (12_379_813_738_877_118_345,)

Make = Callable[[int], Any]


def cohort_count_model(number: int) -> Any:
    """A validated count."""
    leaf = findings.LeafCount(values=VALUES, exposed=3, failed=FAILED)
    return findings.CohortCount(line="shop", signal="app", bin_ms=START_MS + number, width_ms=10_000, partition=1,
                                attributes=NAMES, leaves=(leaf,), closed=True)  # fmt: skip


def cohort_count_struct(number: int) -> Any:
    """The same as a struct."""
    leaf = hotfindings.leaf_count(VALUES, 3, FAILED)
    return hotfindings.cohort_count("shop", "app", START_MS + number, 10_000, 1, NAMES, (leaf,), True)


def source_count_model(number: int) -> Any:
    """A validated count."""
    return findings.SourceCount(topic="telemetry", source="app-android", partition=1, bin_ms=START_MS + number,
                                width_ms=10_000, events=12, late=0, duplicates=1)  # fmt: skip


def source_count_struct(number: int) -> Any:
    """The same as a struct."""
    return hotfindings.source_count("telemetry", "app-android", 1, START_MS + number, 10_000, 12, 0, 1)


def episode_model(number: int) -> Any:
    """A validated episode."""
    leaf = findings.LeafEvidence(values=VALUES, first_ms=START_MS, last_ms=START_MS + 9, failures=2)
    return findings.Episode(customer_id=f"c-{number:06d}", line="shop", signal="app", window_ms=START_MS,
                            attributes=NAMES, leaves=(leaf,), first_failed_ms=START_MS, last_failed_ms=START_MS + 9,
                            failures=2, evidence=("t-1", "t-2"), contacts=0)  # fmt: skip


def episode_struct(number: int) -> Any:
    """The same as a struct."""
    leaf = hotfindings.leaf_evidence(VALUES, START_MS, START_MS + 9, 2)
    return hotfindings.episode(f"c-{number:06d}", "shop", "app", START_MS, NAMES, (leaf,), START_MS, START_MS + 9, 2,
                               ("t-1", "t-2"), 0, None, 0)  # fmt: skip


CASES: dict[str, tuple[Make, Make]] = {
    "cohort_count": (cohort_count_model, cohort_count_struct),
    "source_count": (source_count_model, source_count_struct),
    "episode": (episode_model, episode_struct),
}


def best(work: Callable[[], Any], count: int) -> float:
    """Least CPU per record in microseconds."""
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        found.append((time.process_time() - start) / count * 1e6)
    return min(found)


def make_all(make: Make, count: int) -> None:
    """Make ``count`` records."""
    for number in range(count):
        make(number)


def write_all(records: list[Any]) -> None:
    """Encode every record."""
    for record in records:
        encode(record)


def read_structs(noun: str, values: list[bytes]) -> None:
    """Decode as the rooms and the store do."""
    for at in range(0, len(values), SLICE):
        decode(noun, values[at : at + SLICE])


def measure(noun: str, count: int) -> None:
    """Print one line per way."""
    model, struct = CASES[noun]
    as_model, as_struct = [model(n) for n in range(count)], [struct(n) for n in range(count)]
    values = [encode(record) for record in as_struct]
    if values != [encode(record) for record in as_model]:
        raise SystemExit(f"{noun}: the two ways do not write the same bytes")
    ways: tuple[tuple[str, Make, list[Any], Callable[[], object]], ...] = (
        ("model", model, as_model, partial(ModelDecoder(noun).decode_some, values)),
        ("struct", struct, as_struct, partial(read_structs, noun, values)),
    )
    for way, make, records, read in ways:
        work = (partial(make_all, make, count), partial(write_all, records), read)
        made, written, back = costs = [best(one, count) for one in work]
        total = sum(costs)
        print(f"{noun:12} {way:6} make {made:5.2f}   write {written:5.2f}   read {back:5.2f}   all {total:5.2f} us")


if __name__ == "__main__":
    for each in CASES:
        measure(each, int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
