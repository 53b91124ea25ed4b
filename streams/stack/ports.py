"""Free loopback ports, chosen once and remembered in the state folder."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from schemas.errors import StackError
from streams.stack.folders import write_private

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True if a server could listen on ``port`` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def any_free(avoid: set[int]) -> int:
    """A port that nobody listens on and that is not in ``avoid``."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in avoid:
            return port


class Ports:
    """The remembered ports of one stack, by name (``kafka``, ``kafka_controller``, ``clickhouse``, ...)."""

    def __init__(self, path: Path) -> None:
        """Read what is remembered in ``path``; a damaged file counts as empty."""
        self.path = path
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            self._ports = {str(name): int(port) for name, port in before.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._ports = {}

    def get(self, name: str) -> int | None:
        """The remembered port, None before the first start."""
        return self._ports.get(name)

    def choose(self, name: str, wanted: int, setting: str) -> tuple[int, str]:
        """A port that is free now, and a sentence if it had to change.

        ``wanted`` other than 0 was asked for by ``setting`` and is not replaced: StackError if it is taken.
        """
        if wanted:
            if not is_free(wanted):
                raise StackError(
                    f"port {wanted} is in use by another program; stop that one, "
                    f"or set {setting} to another port (0: any free one)"
                )
            return self._remember(name, wanted), ""
        before = self._ports.get(name)
        if before and is_free(before):
            return before, ""
        port = self._remember(name, any_free(set(self._ports.values())))
        note = f"port {before} of {name} is in use by another program, {port} is used from now on" if before else ""
        return port, note

    def _remember(self, name: str, port: int) -> int:
        self._ports[name] = port
        write_private(self.path, json.dumps(self._ports, indent=1, sort_keys=True))
        return port
