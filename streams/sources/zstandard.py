"""Zstandard: the standard library's module where Python has it (3.14), else its backport, which has the same names."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
