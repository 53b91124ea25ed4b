"""The injection's own record of what is true. It is written to a file for the judge; the pipeline never sees it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from streams.simulate.rules import Incident

TENTH = 10
"""Delay of detection is counted from the tenth affected customer."""
_IN_FILE = {"outage": "silence"}
"""Field -> its name in the file, where it differs: judges read that name already."""


@dataclass(frozen=True, slots=True)
class Injected:
    """One incident and whom it really hit. Times are event time, ms."""

    name: str
    line: str
    signal: str
    attributes: dict[str, str]
    start_ms: int
    end_ms: int
    tenth_affected_ms: int | None
    affected: tuple[str, ...]
    contacted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything the judge needs."""

    seed: int
    start_ms: int
    live_ms: int
    end_ms: int
    incidents: tuple[Injected, ...]
    campaign: dict[str, Any]
    outage: dict[str, Any]
    events: dict[str, int] = field(default_factory=dict)
    """Messages per topic, without heartbeats."""
    duplicates: int = 0
    stragglers: int = 0
    too_late: int = 0
    malformed: int = 0

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {_IN_FILE.get(name, name): value for name, value in asdict(self).items()}
        path.write_text(json.dumps(body, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Read what :meth:`write` wrote."""
        body = json.loads(path.read_text())
        incidents = [
            Injected(**{**one, "affected": tuple(one["affected"]), "contacted": tuple(one["contacted"])})
            for one in body.pop("incidents")
        ]
        outage = body.pop(_IN_FILE["outage"])
        return cls(incidents=tuple(incidents), outage=outage, **body)


class Witness:
    """Notes whom an incident hits, while the events are made."""

    def __init__(self, incident: Incident) -> None:
        """Nobody hit yet."""
        self.incident = incident
        self._first: dict[str, int] = {}
        self._contacted: set[str] = set()

    def hit(self, customer_id: str, at_ms: int) -> bool:
        """Note a failure that this incident caused; True if it is the customer's first."""
        known = self._first.get(customer_id)
        self._first[customer_id] = at_ms if known is None else min(known, at_ms)
        return known is None

    def contact(self, customer_id: str) -> None:
        """Note that the customer called about it."""
        self._contacted.add(customer_id)

    def injected(self) -> Injected:
        """What is true, once all events are made."""
        times = sorted(self._first.values())
        return Injected(
            self.incident.name,
            self.incident.line,
            self.incident.signal,
            dict(self.incident.attributes),
            self.incident.start_ms,
            self.incident.end_ms,
            times[TENTH - 1] if len(times) >= TENTH else None,
            tuple(sorted(self._first)),
            tuple(sorted(self._contacted)),
        )
