"""The live board: the boards' model in a browser, without Grafana. Loopback only, read-only, user reader.

``GET /<board>`` is the page (``GET /`` leads to the first one), ``GET /static/...`` its files,
``GET /api/board/<board>`` all that is in a view, ``GET /api/stream/<board>`` the same as a stream of events that goes
on with what changes. The page may load nothing from elsewhere (content security policy), and only requests that name a
loopback host (or one of ``CX_WEB_HOSTS``) are answered, so that no web site can read the board through the visitor's
browser.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

import dashboards
from dashboards.boards import BOARDS
from dashboards.model import Board
from streams.board.feed import Feed
from streams.board.viewers import TooMany, Viewers
from streams.board.views import BadView, View, find_board, read_view
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
RETRY_MS = 1_000
"""How soon a page whose stream broke off tries again."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class BoardServer:
    """A board that is being served."""

    address: str
    runner: web.AppRunner

    async def close(self) -> None:
        """Stop serving."""
        await self.runner.cleanup()


async def _closed(_request: web.Request, answer: web.StreamResponse) -> None:
    """The same headers on every answer, errors included."""
    answer.headers.update(HEADERS)


def _file(name: str) -> Handler:
    file = FILES[name]

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=file.read_bytes(), content_type=_TYPES[file.suffix], charset="utf-8")

    return answer


class _Api:
    """What the page asks for."""

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self._streams: set[asyncio.Task[None]] = set()

    async def board(self, request: web.Request) -> web.StreamResponse:
        """Everything in a view, as JSON."""
        view = _view(request)
        try:
            body = await self._viewers.snapshot(view)
        except TooMany as error:
            raise _busy(error) from None
        return web.Response(body=body, content_type="application/json")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Everything in a view, then what changes, until the viewer or the server goes."""
        try:
            news = self._viewers.follow(_view(request))
        except TooMany as error:
            raise _busy(error) from None
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)

        async def send() -> None:
            await answer.write(f"retry: {RETRY_MS}\n\n".encode())
            async with aclosing(news):
                async for body in news:
                    await answer.write(b"data: " + body + b"\n\n")

        sending = asyncio.create_task(send())
        self._streams.add(sending)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await sending
        finally:
            self._streams.discard(sending)
            sending.cancel()
        return answer

    async def end_streams(self, _app: web.Application) -> None:
        """Let every viewer go: a server that ends does not wait for them."""
        for sending in self._streams:
            sending.cancel()

    async def close(self, _app: web.Application) -> None:
        """End what is running."""
        await self._viewers.close()


def _busy(error: TooMany) -> web.HTTPException:
    return web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": "10"})


def _board(request: web.Request) -> Board:
    board = find_board(request.match_info["board"])
    if board is None:
        raise web.HTTPNotFound(text=f"there is no such board; there are {', '.join(one.name for one in BOARDS)}\n")
    return board


def _view(request: web.Request) -> View:
    try:
        return read_view(_board(request), request.query.items())
    except BadView as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


async def _first(request: web.Request) -> web.StreamResponse:
    """To the first board; what else the address says is kept."""
    raise web.HTTPFound(request.rel_url.with_path(f"/{BOARDS[0].name}", keep_query=True))


async def _page(request: web.Request) -> web.StreamResponse:
    _board(request)
    return await _file("index.html")(request)


def build_app(
    client: ClickHouse, refresh_s: float, simulated: bool = False, hosts: Collection[str] = ()
) -> web.Application:
    """The web application; needs a running event loop. ``simulated``: see :class:`streams.board.feed.Feed`."""
    api = _Api(Viewers(Feed(client, time.monotonic, time.time, refresh_s=refresh_s, simulated=simulated)))
    app = web.Application(middlewares=[only_for(hosts)])
    app.router.add_get("/", _first)
    app.router.add_get("/api/board/{board}", api.board)
    app.router.add_get("/api/stream/{board}", api.stream, allow_head=False)
    for name in FILES:
        app.router.add_get(f"/static/{name}", _file(name))
    app.router.add_get("/{board}", _page)
    app.on_response_prepare.append(_closed)
    app.on_shutdown.append(api.end_streams)
    app.on_cleanup.append(api.close)
    return app


async def start(
    client: ClickHouse, port: int = 0, host: str = "127.0.0.1", refresh_s: float = 1.0, simulated: bool = False,
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
