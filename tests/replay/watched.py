"""What a stretch of a test connects to, and whether it reads a secret: seen by an audit hook, whatever library asks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from pydantic import SecretStr


@dataclass
class Connections:
    """Addresses that were connected to, as host and port."""

    seen: set[tuple[str, int]] = field(default_factory=set)
    watching: bool = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by the interpreter before a socket is used."""
        if self.watching and event in {"socket.connect", "socket.sendto"}:
            target = arguments[1]
            self.seen.add((str(target[0]), int(target[1])) if isinstance(target, tuple) else (str(target), 0))


_connections = Connections()
sys.addaudithook(_connections.hook)


@contextmanager
def watched() -> Iterator[set[tuple[str, int]]]:
    """Collect what is connected to; reading a secret raises AssertionError."""

    def refuse(_secret: SecretStr) -> NoReturn:
        raise AssertionError("a secret was read")

    _connections.seen.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SecretStr, "get_secret_value", refuse)
        _connections.watching = True
        try:
            yield _connections.seen
        finally:
            _connections.watching = False
