"""A world small enough to work its figures out by hand."""

from __future__ import annotations

from typing import Any

from streams.replay.evaluate.reports import DetectorReport
from streams.simulate.library.truth import TrueIncident, WorldTruth, WrongReport

T0 = 1_775_001_600_000
MINUTE = 60_000
HOUR = 60 * MINUTE


def at(minutes: float) -> int:
    return T0 + round(minutes * MINUTE)


def incident(name: str = "depot", starts: float = 60, ends: float = 120, **more: Any) -> TrueIncident:
    """Ten customers, one every two minutes from the third minute on; 500 cents each."""
    given: dict[str, Any] = {
        "id": name, "line": "shop", "signals": ("delivery",), "starts_ms": at(starts), "ends_ms": at(ends),
        "cohort": {"warehouse": ("HAM-2",)}, "severe": True, "cost": 500, "currency": "EUR",
        "customers": tuple((f"c-{n}", at(starts + 3 + 2 * n)) for n in range(10)),
    }  # fmt: skip
    return TrueIncident(**(given | more))


def truth(*incidents: TrueIncident, wrong: tuple[WrongReport, ...] = (), days: float = 1) -> WorldTruth:
    return WorldTruth(world="worked", family="tests", seed=1, starts_ms=T0, ends_ms=at(days * 1440),
                      incidents=incidents, wrong=wrong)  # fmt: skip


def report(shown: float, until: float | None = None, **more: Any) -> DetectorReport:
    given: dict[str, Any] = {
        "line": "shop", "signal": "delivery", "at_ms": at(shown), "since_ms": at(shown - 2),
        "until_ms": None if until is None else at(until), "cause": {"warehouse": "HAM-2"},
    }  # fmt: skip
    return DetectorReport(**(given | more))
