"""What one fault gave, as a JSON file, and how large a fault is.

``python -m tests.faults.table`` renders the table of the docs from these files.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

RESULTS = "CX_TEST_FAULT_RESULTS"
"""Environment: the folder that results are written to; unset: nothing is written."""
FULL = "CX_TEST_FAULTS"
"""Environment: ``full`` runs the sizes of the documentation, anything else the small ones of ``make test``."""

N = TypeVar("N", int, float, tuple[float, float])


def size(small: N, full: N) -> N:
    """``full`` under ``make faults``, else ``small``."""
    return full if os.environ.get(FULL) == "full" else small


@dataclass
class Result:
    """What one fault gave; written as ``fault-<number>[-<variant>].json``."""

    number: int
    fault: str
    done: str
    """What was done to the system."""
    expected: str
    variant: str = ""
    lost: int | None = None
    diff: int | None = None
    duplicate_accepts: int | None = None
    seconds: float | None = None
    """Time of the run, or the time that is the point of the fault."""
    events: int | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    """Further figures: name -> value."""
    machine: str = field(default_factory=lambda: f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}")

    def take(self, verdict: Mapping[str, Any]) -> None:
        """Take over what the oracle said."""
        self.lost, self.diff = verdict["lost"], verdict["diff"]
        self.duplicate_accepts = verdict["duplicate_accepts"]
        self.events = verdict["accepted"]

    def write(self) -> None:
        """Write it, if a folder for results is named."""
        folder = os.environ.get(RESULTS)
        if not folder:
            return
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        name = f"fault-{self.number:02d}{'-' + self.variant if self.variant else ''}.json"
        (path / name).write_text(json.dumps(self.__dict__, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @contextmanager
    def measured(self) -> Iterator[Result]:
        """Measure the block and write the result whatever happens; what failed names its error.

        ``seconds`` is the length of the block unless the block says what it is.
        """
        begun = time.monotonic()
        try:
            yield self
        except BaseException as error:
            self.figures["error"] = type(error).__name__
            raise
        finally:
            if self.seconds is None:
                self.seconds = round(time.monotonic() - begun, 1)
            self.write()
