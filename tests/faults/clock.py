"""A wall clock that can be set for child processes, forwards and backwards, while they run.

A shim, not libfaketime: nothing has to be installed, the step can come at any moment, and only the wall clock moves.
That is what setting a host's clock does: ``CLOCK_MONOTONIC`` goes on undisturbed, and sleeps and timeouts with it.
Every Python child that gets :meth:`Clock.environment` reads its offset from a file, at most every 20 ms. What it
replaces: ``time.time``, ``time.time_ns``, ``datetime.now``, ``utcnow`` and ``today``. What it
does not reach: servers that are no Python (broker, ClickHouse) and file times.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

OFFSET_FILE = "CX_TEST_CLOCK_FILE"
"""Environment variable with the file that holds the offset in seconds."""

_SHIM = '''
import os as _os, time as _time

_FILE = _os.environ.get("CX_TEST_CLOCK_FILE")


def _install(path):
    import datetime

    real_s, real_ns, steady = _time.time, _time.time_ns, _time.monotonic
    held = [0, -1.0]

    def offset_ns():
        now = steady()
        if now - held[1] > 0.02:
            try:
                with open(path) as file:
                    held[0] = int(float(file.read() or 0) * 1e9)
            except (OSError, ValueError):
                pass
            held[1] = now
        return held[0]

    _time.time_ns = lambda: real_ns() + offset_ns()
    _time.time = lambda: real_s() + offset_ns() / 1e9
    plain = datetime.datetime

    class Meta(type):
        def __instancecheck__(cls, value):
            return isinstance(value, plain)

        def __subclasscheck__(cls, other):
            return issubclass(other, plain)

    class datetime_shifted(plain, metaclass=Meta):
        @classmethod
        def now(cls, tz=None):
            return plain.fromtimestamp(_time.time(), tz)

        @classmethod
        def utcnow(cls):
            return plain.fromtimestamp(_time.time(), datetime.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return plain.fromtimestamp(_time.time())

    datetime_shifted.__name__ = datetime_shifted.__qualname__ = "datetime"
    datetime.datetime = datetime_shifted


if _FILE:
    _install(_FILE)
'''


class Clock:
    """The clock of some child processes. Starts at the true time."""

    def __init__(self, folder: Path) -> None:
        """Keep the shim and the offset in ``folder``."""
        self._folder = folder / "clock"
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "sitecustomize.py").write_text(_SHIM, encoding="utf-8")
        self._file = self._folder / "offset"
        self.jump_to(0)

    def jump_to(self, offset_s: float) -> None:
        """Set the children's clock to the true time plus ``offset_s``."""
        half = self._file.with_suffix(".new")
        half.write_text(repr(float(offset_s)), encoding="utf-8")
        half.replace(self._file)

    def environment(self, outer: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a child needs in its environment, in addition to (and built on) ``outer``."""
        held = dict(os.environ if outer is None else outer)
        path = os.pathsep.join(filter(None, (str(self._folder), held.get("PYTHONPATH", ""))))
        return {"PYTHONPATH": path, OFFSET_FILE: str(self._file)}
