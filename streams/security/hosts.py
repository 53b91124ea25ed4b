"""Which host a request was meant for: the defence against web sites that let their own name point to this machine.

A browser sends the name in the address bar as ``Host``. A page of ``evil.example`` whose name was made to resolve to
127.0.0.1 may read what this machine serves, but it cannot make the browser name a loopback host.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Middleware

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")


def is_meant(host: str, more: Collection[str] = ()) -> bool:
    """True if the header ``Host`` names this machine's loopback, or one of ``more``, with any port or none.

    >>> [is_meant(host) for host in ("localhost:8080", "127.0.0.1", "[::1]:80", "evil.example", "[::1", "")]
    [True, True, True, False, False, False]
    """
    found = _HOST.fullmatch(host.strip())
    return found is not None and found["name"].lower().rstrip(".") in LOOPBACK.union(name.lower() for name in more)


def only_for(more: Collection[str] = ()) -> Middleware:
    """Answers 403 to requests that name another host than loopback or one of ``more`` (``CX_WEB_HOSTS``)."""

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not is_meant(request.headers.get("Host", ""), more):
            raise web.HTTPForbidden(text="only loopback addresses and names in CX_WEB_HOSTS are answered\n")
        return await handler(request)

    return guard
