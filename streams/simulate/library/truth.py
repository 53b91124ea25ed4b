"""What is true in a world of the library: the file beside its events, which only a judge reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from schemas.topics import DAY_MS

Evidence = Literal["failed", "overdue", "missing", "contact"]
"""What in the events shows it: failures; promises that pass without a word; events that do not come; contacts alone."""


class TrueIncident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong and ought to be reported. Times are event time, ms; ``ends_ms`` is exclusive.

    ``signals`` are those whose report counts (empty: any signal of the line). ``cohort`` is the cause, attribute to
    values; it is empty if the whole line is hit. ``also`` are other causes that say the same. ``customers`` are those
    hit, sorted by id, with the first failure of each. ``cost`` is what one more customer hit costs, in minor units of
    ``currency``.
    """

    id: str
    line: str
    signals: tuple[str, ...]
    starts_ms: int
    ends_ms: int
    cohort: dict[str, tuple[str, ...]]
    severe: bool
    customers: tuple[tuple[str, int], ...]
    cost: int
    currency: str
    evidence: Evidence = "failed"
    also: tuple[dict[str, tuple[str, ...]], ...] = ()
    regression_of: str = ""
    """Id of the incident that came back with this one, if it did."""

    def nth_ms(self, n: int) -> int | None:
        """When the ``n``-th customer (from 1) was hit, None if fewer were."""
        times = sorted(at_ms for _, at_ms in self.customers)
        return times[n - 1] if len(times) >= n else None


class WrongReport(msgspec.Struct, frozen=True, kw_only=True):
    """What would be wrong to report: an issue of the line that starts in the interval. ``signals`` empty: any."""

    line: str
    starts_ms: int
    ends_ms: int
    why: str
    signals: tuple[str, ...] = ()


class WorldTruth(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is true about one world as made from one seed."""

    world: str
    family: str
    seed: int
    starts_ms: int
    ends_ms: int
    incidents: tuple[TrueIncident, ...]
    wrong: tuple[WrongReport, ...]

    @property
    def quiet(self) -> bool:
        """True if there is no incident at all: whatever is reported is a false alarm."""
        return not self.incidents

    @property
    def days(self) -> float:
        """Length of the span, for the rate of false alarms."""
        return (self.ends_ms - self.starts_ms) / DAY_MS

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def read(cls, path: Path) -> WorldTruth:
        """Read what :meth:`write` wrote. Raises msgspec.DecodeError if the file is no truth."""
        return msgspec.json.decode(path.read_bytes(), type=cls)
