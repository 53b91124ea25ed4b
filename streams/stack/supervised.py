"""What the file of a supervisor (``stack.supervisor``) names, checked against what runs, for ``cxwatch status``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streams.stack.process import started_at

ANSWER_S = 2.0
"""A process that does not answer in time is shown as running, without more."""



@dataclass(frozen=True)
class ProcessIdentity:
    """A process as a file names it. A pid alone proves nothing: ``started`` tells it from another with the same."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """True if this very process still runs."""
        return self.pid > 0 and bool(self.started) and started_at(self.pid) == self.started


def known(entry: Mapping[str, Any]) -> ProcessIdentity:
    """The process that an entry of a file names."""
    return ProcessIdentity(int(entry.get("pid", 0)), str(entry.get("started", "")))


def read(file: Path) -> dict[str, Any]:
    """What a supervisor's file says; empty if there is none, or none that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("processes"), list) else {}


def left_behind(file: Path) -> Iterator[ProcessIdentity]:
    """Processes that outlived their supervisor."""
    yield from (one for one in map(known, read(file).get("processes", [])) if one.alive)


def files(state_dir: Path) -> list[Path]:
    """The files of all supervisors of a state folder."""
    return sorted(state_dir.glob("run-*.json"))


def shown(state_dir: Path) -> Iterator[dict[str, Any]]:
    """Every process that a supervisor of this folder keeps running; its ``state`` is checked, not believed."""
    addresses = _addresses(state_dir)
    for file in files(state_dir):
        found = read(file)
        if not found:
            continue
        supervised = known(found.get("keeper", {})).alive
        if not supervised and found.get("ends") and not any(left_behind(file)):
            continue  # a demo that was killed: nobody expects it to run
        for entry in found["processes"]:
            one = known(entry)
            row = {"run": file.stem.removeprefix("run-"), **entry, "note": found.get("note", "")}
            if not supervised:
                row["state"] = "not kept" if one.alive else "dead"
            elif entry.get("state") == "running":
                row["state"] = _ready(addresses.get(one.pid)) if one.alive else "just ended"
            yield row


def runs(row: Mapping[str, Any]) -> bool:
    """True if a process of :func:`shown` is there and supervised."""
    return row["state"] in ("running", "ready", "not ready")


def _addresses(state_dir: Path) -> dict[int, str]:
    """Process id -> address of its own web server, as workers and senders write it down."""
    found: dict[int, str] = {}
    for file in (*state_dir.glob("worker-*.json"), *state_dir.glob("sender-*.json")):
        try:
            written = json.loads(file.read_text(encoding="utf-8"))
            found[int(written["pid"])] = str(written["url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _ready(address: str | None) -> str:
    if address is None:
        return "running"
    parts = urlsplit(address)
    asked = HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        asked.request("GET", "/readyz")
        return "ready" if asked.getresponse().status == 200 else "not ready"
    except (OSError, HTTPException):
        return "running"
    finally:
        asked.close()
