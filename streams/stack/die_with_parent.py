"""Become another program that the kernel kills when our parent ends (Linux).

``python die_with_parent.py PROGRAM ARGUMENT...``

A file of its own, run by path: setting this between fork and exec inside a threaded parent would not be safe.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the program named on the command line."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        sys.exit(1)  # the parent ended before we could be tied to it
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
