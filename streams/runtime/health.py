"""``/livez``, ``/readyz`` and ``/metrics`` of a worker or sender, on loopback. Nothing else is served.

livez: the event loop and its watchdog are alive (503 is a reason to restart). readyz: every room is assigned, recovered
and commits (503 is a reason to wait). Bodies name rooms and phases, never data. Requests that name another host than a
loopback one are refused (403), so that no web site reads them through a browser of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from prometheus_client import Gauge

from streams.metrics import CONTENT_TYPE
from streams.runtime.status import Status
from streams.runtime.watchdog import Watchdog
from streams.security.hosts import only_for


class Exported(Protocol):
    """The metrics of a process."""

    ready: Gauge
    """By room, 1 if it is ready."""

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""


@dataclass
class Health:
    """The web server of a worker or sender."""

    statuses: Sequence[Status]
    watchdog: Watchdog
    metrics: Exported
    host: str
    port: int
    hosts: Collection[str] = ()
    """Names besides loopback's by which it may be asked."""
    _runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; returns the base URL (port 0: any free one)."""
        app = web.Application(middlewares=[only_for(self.hosts)])
        app.add_routes([web.get("/livez", self.live), web.get("/readyz", self.ready), web.get("/metrics", self.scrape)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def live(self, _request: web.Request) -> web.Response:
        """Is the process worth keeping?"""
        reason = self.watchdog.look()
        return web.json_response({"alive": reason is None, "reason": reason or ""}, status=503 if reason else 200)

    async def ready(self, _request: web.Request) -> web.Response:
        """Is the worker doing its work?"""
        rooms = {status.room: {"phase": status.phase, "ready": status.ready} for status in self.statuses}
        ready = all(status.ready for status in self.statuses)
        body = json.dumps({"ready": ready, "rooms": rooms}, sort_keys=True)
        return web.Response(text=body, content_type="application/json", status=200 if ready else 503)

    async def scrape(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        for status in self.statuses:
            self.metrics.ready.labels(status.room).set(int(status.ready))
        return web.Response(body=self.metrics.render(), headers={"Content-Type": CONTENT_TYPE})
