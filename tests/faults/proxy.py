"""A TCP proxy that breaks connections on purpose, in a thread of its own with its own event loop.

    client -> Proxy (one of the modes) -> server

Modes, changed at any moment from any thread: ``flow`` (the default), ``refuse`` (what is open is reset, nothing new is
accepted for long), ``black hole`` (accept, forward nothing, say nothing). On top of a mode: a delay per chunk, the
half-closing of all connections, and a *thief*: the server's answer is read, never forwarded, and the connection reset,
so that the server has done the work and the client cannot know.

In front of Kafka a proxy only works if the broker tells clients the proxy's address: see ``proxied_kafka``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from streams.settings import Settings
from streams.stack import down
from streams.stack.folders import Machine
from streams.stack.manage import Stack
from streams.stack.ports import LOOPBACK, any_free
from streams.stack.process import PidFile, start
from tests.patience import patience

Mode = Literal["flow", "refuse", "black hole"]
Thief = Callable[[bytes], bool]
"""Told every chunk that the server sends; True: keep it and reset the connection."""

CHUNK = 65_536
END_OF_STREAM = b"\x05"
"""ClickHouse, native protocol: the packet that ends the answer to an insert, sent after the rows are stored."""


def insert_applied(chunk: bytes) -> bool:
    """Thief for ClickHouse: the answer that says that an insert was stored (its last byte ends the answer)."""
    return chunk.endswith(END_OF_STREAM)


@dataclass(eq=False)
class _Link:
    """One client connection and the one to the server behind it."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None

    def reset(self) -> None:
        """End both sides with RST: no goodbye, whatever is under way is lost."""
        for side in (self.near, self.far):
            if side is not None:
                raw = side.get_extra_info("socket")
                if raw is not None:
                    with contextlib.suppress(OSError):
                        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.transport.abort()


class Proxy:
    """See the module. Use as a context manager, or :meth:`start` and :meth:`close`."""

    def __init__(self, host: str, port: int, listen: int = 0) -> None:
        """Forward to ``host:port``; listen on loopback, on any free port unless ``listen`` names one."""
        self.target = (host, port)
        self.port = listen
        self.accepted = 0
        """Connections taken since the start."""
        self.resets = 0
        """Connections ended with RST."""
        self.stolen = 0
        """Answers kept from the client."""
        self.forwarded = 0
        """Bytes of the server that reached clients."""
        self._mode: Mode = "flow"
        self._delay_s = 0.0
        self._thief: Thief | None = None
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="cx-proxy", daemon=True)
        self._listening = threading.Event()

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._links)

    def start(self) -> Proxy:
        """Listen; returns once clients can connect."""
        self._thread.start()
        if not self._listening.wait(patience(10)):
            raise TimeoutError("the proxy does not listen")
        return self

    def cut(self) -> None:
        """Reset every connection and every one that comes, until :meth:`heal`."""
        self._set("refuse")
        self._call(self._reset_all)

    def reset(self) -> None:
        """Reset every connection once; new ones flow."""
        self._call(self._reset_all)

    def steal(self, thief: Thief | None) -> None:
        """From now on keep the answers that ``thief`` picks and reset their connections; None: no more."""
        self._thief = thief

    def delay(self, seconds: float) -> None:
        """Hold every chunk of either side this long before it is forwarded; 0: no longer."""
        self._delay_s = seconds

    def half_close(self) -> None:
        """Tell every server that the client sends no more, and leave the other direction open."""
        self._call(self._half_close_all)

    def black_hole(self) -> None:
        """Accept and forward nothing in either direction; open connections stay open and silent."""
        self._set("black hole")

    def heal(self) -> None:
        """Back to forwarding; what a black hole held back is delivered."""
        self._delay_s, self._thief = 0.0, None
        self._set("flow")

    def close(self) -> None:
        """End every connection and the thread."""
        if self._thread.is_alive():
            self._call(self._reset_all)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def __enter__(self) -> Proxy:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set(self, mode: Mode) -> None:
        def change() -> None:
            self._mode = mode
            if mode == "black hole":
                self._flowing.clear()
            else:
                self._flowing.set()

        self._call(change)

    def _call(self, work: Callable[[], None]) -> None:
        """Do something in the proxy's thread and wait until it is done."""
        done = threading.Event()

        def run() -> None:
            try:
                work()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(patience(10))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flowing.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, LOOPBACK, self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _reset_all(self) -> None:
        self.resets += len(self._links)
        for link in self._links:
            link.reset()

    def _half_close_all(self) -> None:
        for link in self._links:
            if link.far is not None and link.far.can_write_eof():
                link.far.write_eof()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._flowing.wait()
            if self._mode == "refuse":
                self.resets += 1
                link.reset()
                return
            far_reader, link.far = await asyncio.open_connection(*self.target)
            await asyncio.gather(
                self._pump(reader, link.far, link, None), self._pump(far_reader, writer, link, self._stolen)
            )
        except OSError:
            link.reset()  # the server is away: so is the proxy
        finally:
            self._links.discard(link)
            for side in (link.near, link.far):
                if side is not None:
                    side.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link, steal: Thief | None
    ) -> None:
        """Forward one direction to its end."""
        try:
            while chunk := await source.read(CHUNK):
                if steal is not None and steal(chunk):
                    link.reset()
                    return
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flowing.wait()
                if steal is not None:
                    self.forwarded += len(chunk)  # before the client can see it
                sink.write(chunk)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
        except OSError:
            link.reset()

    def _stolen(self, chunk: bytes) -> bool:
        if self._thief is None or not self._thief(chunk):
            return False
        self.stolen += 1
        self.resets += 1
        return True


@dataclass(frozen=True)
class ProxiedKafka:
    """A broker of a test's own that can be reached directly and through a proxy."""

    settings: Settings
    proxy: Proxy
    direct: str
    """host:port past the proxy, for the oracle and for producers that shall not suffer."""
    pid: int

    @property
    def proxied(self) -> str:
        """host:port through the proxy: clients that start here are told the proxy's address only."""
        return self.proxy.address


@contextlib.contextmanager
def proxied_kafka(**settings: Any) -> Iterator[ProxiedKafka]:
    """A broker with a second listener whose advertised address is a proxy; gone afterwards.

    Two listeners, because the broker itself (transaction markers, coordinators) talks over the first one: a proxy there
    would cut the broker from itself. ``settings`` are those of the local stack (heap, state folder, ...).
    """
    folder = Path(tempfile.mkdtemp(prefix="cxwatch-test-"))
    PidFile(folder / "owner").write(os.getpid())
    mine = Settings(state_dir=folder / "state", **settings)
    stack = Stack(mine)
    try:
        stack.state_folder.prepare("kafka")
        server = stack.kafka
        launch = server.prepare(Machine.here(), lambda _: None, lambda _done, _all: None)
        held = {port for name in ("kafka", "kafka_controller") if (port := stack.ports.get(name))}
        behind = any_free(held)
        with Proxy(LOOPBACK, behind) as proxy:
            _second_listener(server.config, behind, proxy.port)
            pid = start(replace(launch, die_with_parent=True))
            stack.pid_file(server).write(pid)
            _wait_until_served(server.probe)
            yield ProxiedKafka(mine, proxy, server.address, pid)
    finally:
        down(mine, patience_s=1.0)
        shutil.rmtree(folder, ignore_errors=True)


def _second_listener(config: Path, port: int, advertised: int) -> None:
    """Add listener OUTSIDE on ``port``, advertised as ``advertised``."""
    lines = []
    for line in config.read_text(encoding="utf-8").splitlines():
        name = line.partition("=")[0]
        extra = {
            "listeners": f",OUTSIDE://{LOOPBACK}:{port}",
            "advertised.listeners": f",OUTSIDE://{LOOPBACK}:{advertised}",
            "listener.security.protocol.map": ",OUTSIDE:PLAINTEXT",
        }.get(name, "")
        lines.append(line + extra)
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _wait_until_served(probe: Callable[[], str | None], seconds: float = 60.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.1)):
        if probe():
            return
        pause.wait(0.1)
    raise TimeoutError("the broker does not serve")
