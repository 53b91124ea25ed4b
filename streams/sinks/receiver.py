"""A webhook receiver on loopback, as a company's own would be: verifies signatures, accepts each webhook-id once.

For demonstrations and tests. It keeps what it accepted in memory and knows how to misbehave on request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted message: its id and its payload (type, timestamp, data)."""

    id: str
    payload: dict[str, Any]


Misbehave = Callable[[web.Request, int], Awaitable[web.StreamResponse | None]]
"""Called with the request and its number from 1; an answer replaces the proper one, None lets it happen."""


@dataclass
class Receiver:
    """``async with Receiver(secret) as receiver: receiver.url``; ``on_accept`` is called for each new message."""

    secret: str
    on_accept: Callable[[Accepted], None] | None = None
    misbehave: Misbehave | None = None
    port: int = 0
    url: str = ""
    accepted: list[Accepted] = field(default_factory=list)
    requests: int = 0
    duplicates: int = 0
    refused: int = 0
    _ids: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Receiver:
        """Listen on a free port of loopback."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post("/notices", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/notices"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.misbehave:
            answer = await self.misbehave(request, self.requests)
            if answer is not None:
                return answer
        return self.accept(dict(request.headers), await request.read())

    def accept(self, headers: dict[str, str], body: bytes) -> web.Response:
        """Verify and deduplicate one message: 204 (again for a known id), 401 for a wrong signature or an old stamp."""
        try:
            payload = Webhook(self.secret).verify(body, headers)
        except (WebhookVerificationError, ValueError, json.JSONDecodeError):
            self.refused += 1
            return web.Response(status=401)
        name = next(value for key, value in headers.items() if key.lower() == "webhook-id")
        if name in self._ids:
            self.duplicates += 1
            return web.Response(status=204)
        self._ids.add(name)
        accepted = Accepted(name, payload)
        self.accepted.append(accepted)
        if self.on_accept:
            self.on_accept(accepted)
        return web.Response(status=204)

    async def wait_for(self, count: int, timeout_s: float = 30.0) -> None:
        """Return once ``count`` messages were accepted; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while len(self.accepted) < count:
                await asyncio.sleep(0.02)
