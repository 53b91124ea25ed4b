"""What every process does before its first thread starts.

Libraries make things when they are first asked for, and not all of them expect two threads to ask at once: msgspec
fills in what it knows of a struct bit by bit, and a second thread that needs it meanwhile reads the half, which ends
the process with a segmentation fault and without a word. So all of it is made here, by one thread, and a crash in
native code says where each thread stood.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import sys
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from pydantic import BaseModel

T = TypeVar("T")


def tell_crashes() -> None:
    """Let a crash in native code write every thread's line of code to standard error."""
    with contextlib.suppress(AttributeError, io.UnsupportedOperation, ValueError):  # standard error is no file
        faulthandler.enable(sys.stderr)


def warm() -> None:
    """Make what threads would make at first use: call it with all modules imported, before the first thread starts.

    What modules make when they are imported needs nothing: Python lets one thread do that.
    """
    for kind in below(msgspec.Struct):
        with contextlib.suppress(TypeError, NameError):  # a type that no decoder can be made for
            msgspec.json.Decoder(kind)
            msgspec.msgpack.Decoder(kind)
    for model in below(BaseModel):
        if not model.__pydantic_complete__:
            model.model_rebuild(raise_errors=False)


def below(root: type[T]) -> Iterator[type[T]]:
    """Every class that is loaded and derived from ``root``."""
    for kind in root.__subclasses__():
        yield kind
        yield from below(kind)
