"""Runs the complete ClickHouse server inside chDB's library as this process: ``... --config-file=config.xml``.

Run by path in a process of its own, never imported: the library is 860 MB and takes over signals. It ends on SIGTERM.
Importing the ``chdb`` package itself is avoided, because that would pull in pandas and pyarrow.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path

ENTRY = "_Z25mainEntryClickHouseServeriPPc"
"""C++ name of ``int mainEntryClickHouseServer(int, char **)``; exported by chdb 3.7.2, no longer by later versions."""


def library() -> Path | None:
    """Path of chDB's library, None if the package is not installed."""
    found = importlib.util.find_spec("chdb")
    folders = list(found.submodule_search_locations or []) if found else []
    path = Path(folders[0]) / "_chdb.abi3.so" if folders else None
    return path if path and path.is_file() else None


def main() -> int:
    """Run the server until it is told to stop; returns its exit code."""
    path = library()
    if path is None:
        print("the Python package chdb==3.7.2 is not installed: run `make setup`", file=sys.stderr)
        return 1
    serve = getattr(ctypes.CDLL(str(path)), ENTRY)
    arguments = ["clickhouse-server", *sys.argv[1:]]
    return int(serve(len(arguments), (ctypes.c_char_p * (len(arguments) + 1))(*(a.encode() for a in arguments), None)))


if __name__ == "__main__":
    sys.exit(main())
