"""What is measured and how rounds become one row: pure arithmetic, and the kernel's view of a process."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One run of one peer, from the first record handled to the end."""

    events: int
    wall_s: float
    cpu_s: float
    """User and system time of all threads."""
    rss_mb: float
    """Largest resident memory."""
    warm_cpu_s_per_million: float | None = None
    """CPU seconds per million events of the second half (just-in-time compilers done); None if not told."""

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds per million events."""
        return self.cpu_s / self.events * 1e6

    @property
    def events_per_s(self) -> float:
        """Events a second by the wall clock."""
        return self.events / self.wall_s


def row(name: str, about: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """Return the row of one peer: medians over its rounds, least and most beside them. Needs at least one figure."""
    cpu = [figure.cpu_s_per_million for figure in figures]
    rate = [figure.events_per_s for figure in figures]
    memory = [figure.rss_mb for figure in figures]
    warm = [figure.warm_cpu_s_per_million for figure in figures if figure.warm_cpu_s_per_million is not None]
    return {
        "name": name,
        "about": about,
        "cpu_s_per_million": round(median(cpu), 3),
        "events_per_s": round(median(rate)),
        "rss_mb": round(median(memory)),
        "warm_cpu_s_per_million": round(median(warm), 3) if warm else None,
        "rounds": len(figures),
        "events": figures[0].events,
        "spread": {
            "cpu_s_per_million": [round(min(cpu), 3), round(max(cpu), 3)],
            "events_per_s": [round(min(rate)), round(max(rate))],
            "rss_mb": [round(min(memory)), round(max(memory))],
        },
    }


def machine() -> str:
    """What kind of machine this is, without its name: system, processor family, number of cores."""
    return f"{platform.system()}-{platform.machine()}-{len(os.sched_getaffinity(0))}cores".lower()


def cpu_s_of(pid: int) -> float:
    """CPU seconds that a process has used so far, user and system, all threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss_mb_of(pid: int) -> float:
    """Largest resident memory of a process so far, MB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def own_cpu_s() -> float:
    """CPU seconds of this process, user and system, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def own_peak_rss_mb() -> float:
    """Largest resident memory of this process, MB. (``getrusage`` would count the parent's before the exec.)"""
    return peak_rss_mb_of(os.getpid())
