"""What became of one world, and of all of them; it can be written to a file and read again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from streams.replay.evaluate.matching import Matching, match
from streams.replay.evaluate.reports import DetectorReport
from streams.replay.evaluate.score import Figures, score, total
from streams.simulate.library.truth import WorldTruth

OURS = "cxwatch"
"""Name of our own detector in tables."""


class WorldResult(msgspec.Struct, frozen=True, kw_only=True):
    """One world: what is true, and what each detector reported. ``error``: why it could not be played to its end."""

    world: str
    key: str
    """Hash of the world, the configuration and the code; results with the same key need not be made again."""
    truth: WorldTruth | None = None
    reports: dict[str, tuple[DetectorReport, ...]] = {}
    """Detector -> its reports. Detectors that are not installed are missing."""
    events: int = 0
    seconds: float = 0.0
    """Wall time."""
    error: str = ""

    def matching(self, detector: str) -> Matching:
        """Which of a detector's reports are about what."""
        assert self.truth is not None, self.error
        return match(self.truth, self.reports.get(detector, ()))

    def score(self, detector: str) -> Figures:
        """The figures of one detector on this world."""
        assert self.truth is not None, self.error
        return score(self.truth, self.matching(detector), names_customers=detector == OURS)


def total_of(results: Iterable[WorldResult], detector: str) -> Figures:
    """The figures of a detector on all worlds that it was run on."""
    return total(one.score(detector) for one in results if detector in one.reports)


def kept(file: Path, key: str) -> WorldResult | None:
    """A result that was written before, if it has this key and no error."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=WorldResult)
    except (OSError, ValueError):
        return None
    return found if found.key == key and not found.error else None


def keep(file: Path, result: WorldResult) -> None:
    """Write a result."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(result))
