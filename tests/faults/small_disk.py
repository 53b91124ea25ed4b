"""A disk of a few megabytes for tests of full disks: a tmpfs that is always unmounted again.

Mounting needs root and a kernel that allows it (containers often do not); where it is refused the test is skipped and
says so, because filling the machine's real disk is no alternative.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BALLAST = "ballast"


@dataclass(frozen=True)
class SmallDisk:
    """A mounted disk."""

    path: Path
    size_mb: int

    @property
    def free_bytes(self) -> int:
        """What can still be written."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Write until only ``leave_bytes`` are free."""
        with (self.path / BALLAST).open("ab") as out, contextlib.suppress(OSError):
            while (room := self.free_bytes - leave_bytes) > 0:
                out.write(b"\0" * min(room, 1_048_576))
                out.flush()

    def relieve(self) -> None:
        """Take the ballast away."""
        (self.path / BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[SmallDisk]:
    """A disk of ``size_mb`` mounted at ``folder``; unmounted at the end. Skips the test where mounting is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    refused = _mount(folder, size_mb)
    if refused:
        pytest.skip(f"no small disk: {refused}")
    try:
        yield SmallDisk(folder, size_mb)
    finally:
        _unmount(folder)


def _mount(folder: Path, size_mb: int) -> str:
    """Empty if mounted, else why not."""
    if not sys.platform.startswith("linux"):
        return "tmpfs needs Linux"
    if os.geteuid() != 0:
        return "mounting a tmpfs needs root"
    if shutil.which("mount") is None:
        return "there is no mount command"
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "cx-small-disk", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"mount was refused ({done.stderr.strip()[:200] or done.returncode})"


def _unmount(folder: Path) -> None:
    """Unmount, waiting a little for the last process to let go; as a last resort detach it."""
    for _ in range(20):
        done = subprocess.run(["umount", str(folder)], capture_output=True, check=False)
        if done.returncode == 0 or not os.path.ismount(folder):
            return
        time.sleep(0.25)
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)
