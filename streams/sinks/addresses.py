"""Where a channel may connect: public addresses by https, or loopback if the setting allows it.

Guards against server-side request forgery: the host is resolved once, every address it resolves to must be allowed,
the connection goes to an address that was checked (so a second answer of the name server cannot change it), and the
address is checked once more right before the socket is made (which also covers addresses written as a host).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from schemas.errors import ConfigError, CxError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_DOCUMENTATION = ipaddress.ip_network("3fff::/20")


class ForbiddenAddress(CxError):
    """The host is, or resolves to, an address we never connect to. The text names no address."""

    def __init__(self) -> None:
        """The sentence for the log."""
        super().__init__("the webhook's host is not a public address")


def permitted(text: str, allow_loopback: bool) -> bool:
    """True if we may connect to this address: public, or loopback if allowed; unreadable addresses are not.

    >>> permitted("93.184.216.34", False), permitted("169.254.169.254", False), permitted("127.0.0.1", True)
    (True, False, True)
    """
    try:
        address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return False
    if address.is_loopback:
        return allow_loopback
    refused = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not refused and not site_local and address not in _DOCUMENTATION


def _inner(address: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4, Teredo or NAT64 address: that is where the packet would go."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def check_url(url: str, allow_loopback: bool) -> bool:
    """True if the URL's host is loopback (by name or number). Raises ConfigError for a URL we never post to."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    loopback = host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise ConfigError("the webhook URL needs a host and must carry neither user, password nor fragment")
    if loopback and not allow_loopback:
        raise ConfigError("the webhook URL is on loopback: set CX_WEBHOOK_ALLOW_LOOPBACK=true to allow that")
    if not loopback and parts.scheme != "https":
        raise ConfigError("the webhook URL must be https://, unless it is on loopback")
    if _is_number(host) and not permitted(host, allow_loopback):
        raise ConfigError("the webhook URL must name a public address")
    return loopback


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves by the system's resolver; one forbidden address among the answers refuses the host."""

    def __init__(self, allow_loopback: bool) -> None:
        """Keep whether loopback is allowed."""
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of the host, each checked. Raises ForbiddenAddress, or OSError if there is no answer."""
        loop = asyncio.get_running_loop()
        answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        if not answers:
            raise OSError(f"no address for a host of {len(host)} characters")
        if not all(permitted(str(answer[4][0]), self._allow_loopback) for answer in answers):
            raise ForbiddenAddress
        return [
            ResolveResult(
                hostname=host, host=str(answer[4][0]), port=port, family=answer[0], proto=answer[2],
                flags=socket.AI_NUMERICHOST,
            )
            for answer in answers
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""


def guarded_socket(allow_loopback: bool) -> Any:
    """A socket factory that checks the very address that is about to be connected to."""

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not permitted(str(address[0]), allow_loopback):
            raise ForbiddenAddress
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make
