"""The live board: the boards' model in a browser, without Grafana. Loopback only, read-only, user reader.

``GET /`` the page, ``GET /static/...`` its files, ``GET /api/board?hours=6`` the content. One snapshot is shared by all
viewers. The page may load nothing from elsewhere (content security policy), and only requests that name a loopback host
(or one of ``CX_WEB_HOSTS``) are answered, so that no web site can read the board through the visitor's browser.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

import dashboards
from streams.board.feed import HOURS, Feed
from streams.security.hosts import only_for
from streams.sinks.clickhouse import ClickHouse

PAGE = Path(dashboards.__file__).parent / "page"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FILES = {
    file.relative_to(PAGE).as_posix(): file
    for file in sorted(PAGE.rglob("*"))
    if file.suffix in (".css", ".html", ".js", ".svg")
}
"""Everything that is served, by its path; nothing else on disk can be reached."""
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class BoardServer:
    """A board that is being served."""

    address: str
    runner: web.AppRunner

    async def close(self) -> None:
        """Stop serving."""
        await self.runner.cleanup()


class _Snapshots:
    """The newest snapshot per time range, taken in one thread, at most once per refresh."""

    def __init__(self, client: ClickHouse, refresh_s: float, simulated: bool) -> None:
        self._feed = Feed(client, time.monotonic, time.time, refresh_s=refresh_s, simulated=simulated)
        self._refresh_s = refresh_s
        self._thread = ThreadPoolExecutor(1, "cx-board")
        self._lock = asyncio.Lock()
        self._newest: dict[int, tuple[float, bytes]] = {}

    async def get(self, hours: int) -> bytes:
        """JSON of the board; viewers that ask at the same time share one answer."""
        async with self._lock:
            taken_at, body = self._newest.get(hours, (0.0, b""))
            if not body or time.monotonic() - taken_at >= self._refresh_s * 0.9:
                body = await asyncio.get_running_loop().run_in_executor(self._thread, self._take, hours)
                self._newest[hours] = (time.monotonic(), body)
            return body

    def _take(self, hours: int) -> bytes:
        return json.dumps(self._feed.collect(hours), ensure_ascii=False, allow_nan=False).encode()

    async def close(self, _app: web.Application) -> None:
        """End the thread and its connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._feed.client.close)
        self._thread.shutdown(wait=False)


@web.middleware
async def _closed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The same headers on every answer, errors included."""
    try:
        answer = await handler(request)
    except web.HTTPException as refused:
        refused.headers.update(HEADERS)
        raise
    answer.headers.update(HEADERS)
    return answer


def _file(name: str) -> Handler:
    file = FILES[name]

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=file.read_bytes(), content_type=_TYPES[file.suffix], charset="utf-8")

    return answer


def build_app(
    client: ClickHouse, refresh_s: float, simulated: bool = False, hosts: Collection[str] = ()
) -> web.Application:
    """The web application; needs a running event loop. ``simulated``: see :class:`streams.board.feed.Feed`."""
    snapshots = _Snapshots(client, refresh_s, simulated)

    async def board(request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("hours", "6")
        if wanted not in map(str, HOURS):
            raise web.HTTPBadRequest(text=f"hours is one of {', '.join(map(str, HOURS))}\n")
        return web.Response(body=await snapshots.get(int(wanted)), content_type="application/json")

    app = web.Application(middlewares=[_closed, only_for(hosts)])
    app.router.add_get("/", _file("index.html"))
    app.router.add_get("/api/board", board)
    for name in FILES:
        app.router.add_get(f"/static/{name}", _file(name))
    app.on_cleanup.append(snapshots.close)
    return app


async def start(
    client: ClickHouse, port: int = 0, host: str = "127.0.0.1", refresh_s: float = 2.0, simulated: bool = False,
    hosts: Collection[str] = (),
) -> BoardServer:  # fmt: skip
    """Serve the board in this event loop; port 0 takes a free one. Raises OSError if the port is taken.

    ``hosts``: names besides loopback's by which it may be asked.
    """
    runner = web.AppRunner(build_app(client, refresh_s, simulated, hosts), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return BoardServer(f"http://{shown}:{bound}/", runner)
