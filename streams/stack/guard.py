"""One `up` or `down` at a time per state folder, and enough free space on its disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.errors import StackError

Say = Callable[[str], None]


@contextlib.contextmanager
def locked(lock: Path, busy: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file; while another process does, call ``busy`` with its pid again and again (it may raise)."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _take(descriptor):
            busy(os.pread(descriptor, 20, 0).decode() or "unknown")
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # releases the lock; the kernel does the same when the process is killed


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def only_one(lock: Path, say: Say, patience_s: float = 120.0) -> Iterator[None]:
    """Hold the lock of a state folder; wait for another holder, saying so. Raises StackError after ``patience_s``."""
    end, announced = time.monotonic() + patience_s, False

    def busy(holder: str) -> None:
        nonlocal announced
        if time.monotonic() >= end:
            raise StackError(
                f"another `cxwatch up` or `down` (pid {holder}) has been working on {lock.parent} "
                f"for {patience_s:g} s; wait for it or end it, then try again"
            )
        if not announced:
            say(f"another `cxwatch up` or `down` (pid {holder}) is working on {lock.parent}; waiting for it")
            announced = True

    with locked(lock, busy):
        yield


def need_disk_space(folder: Path, least_mb: int) -> None:
    """Refuse to start servers on a disk that is nearly full."""
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < least_mb:
        raise StackError(
            f"only {free_mb} MB are free on the disk of {folder}, {least_mb} MB are needed; "
            "make room, or set CX_STATE_DIR to a folder on another disk"
        )


@contextlib.contextmanager
def full_disk_in_words(folder: Path) -> Iterator[None]:
    """Turn "no space left" from any write inside into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StackError(
            f"the disk of {error.filename or folder} is full; make room, or set CX_STATE_DIR to another disk"
        ) from error
