"""Where a webhook may go: no way of writing an address reaches the inside."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.sinks.addresses import ForbiddenAddress, GuardedResolver, check_url, guarded_socket, permitted
from streams.sinks.channels import RenderedNotice, WebhookChannel

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
INSIDE = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.5",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:a9fe:a9fe::",
    "2001:0:1:1:1:1:80ff:fffe",
    "fec0::1",
    "64:ff9b:1::7f00:1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "2001:10::1",
]
WRITTEN = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://0xA9FEA9FE/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://10.0.0.1:8443/",
    "https://[fd00::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://192.168.1.1/",
    "https://[::]/",
    "https://100.64.0.1/",
]
REFUSED = [
    "http://example.com/",
    "ftp://example.com/",
    "https:///x",
    "https://user@example.com/",
    "https://user:pw@example.com/",
    "https://:pw@example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "https://example.com/#x",
]


@pytest.mark.parametrize("address", INSIDE)
def test_no_inside_address_is_permitted(address: str) -> None:
    assert not permitted(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address, allow_loopback=False)


def test_allowing_loopback_allows_nothing_else() -> None:
    allowed = [address for address in INSIDE if permitted(address, allow_loopback=True)]
    assert all(any(part in address for part in ("127.", "7f00", "80ff:fffe", "::1")) for address in allowed)
    assert not any(part in address for address in allowed for part in ("10.0", "169.254", "a9fe", "a00:1"))
    assert not permitted("169.254.169.254", allow_loopback=True)


@pytest.mark.parametrize("url", REFUSED)
def test_urls_that_are_not_plain_https_are_refused_at_start(url: str) -> None:
    with pytest.raises(ConfigError):
        check_url(url, allow_loopback=False)


def test_loopback_needs_the_setting_and_is_told_apart() -> None:
    with pytest.raises(ConfigError, match="CX_WEBHOOK_ALLOW_LOOPBACK"):
        check_url("http://127.0.0.1:8080/", allow_loopback=False)
    assert check_url("http://127.0.0.1:8080/", allow_loopback=True)
    assert not check_url("https://example.com/hook", allow_loopback=True)


@pytest.mark.parametrize("url", WRITTEN)
async def test_no_way_of_writing_an_inside_address_is_ever_connected_to(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: Any) -> None:
        raise AssertionError("connected")

    async def numbers_as_libc_reads_them(host: str, port: int, **_: Any) -> list[Any]:
        address = socket.inet_ntoa(socket.inet_aton(host))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", numbers_as_libc_reads_them)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    try:
        channel = WebhookChannel(url, (SECRET,))
    except ConfigError:
        return
    sent = await channel.send(RenderedNotice("o-1", "notice", 1_767_225_600_000, {}))
    await channel.close()
    assert (sent.outcome, sent.reason) == ("refused", "address_forbidden")


async def _answer(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    queue = list(answers)

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        addresses = queue.pop(0) if len(queue) > 1 else queue[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_one_inside_address_among_the_answers_refuses_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    await _answer(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(ForbiddenAddress):
        await GuardedResolver(allow_loopback=False).resolve("example.com", 443)


async def test_a_name_server_that_changes_its_mind_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    await _answer(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    connected: list[Any] = []

    async def connect(_: Any, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    channel = WebhookChannel("https://rebind.example/hook", (SECRET,))
    notice = RenderedNotice("o-1", "notice", 1_767_225_600_000, {})
    first, second = await channel.send(notice), await channel.send(notice)
    await channel.close()
    assert [address[0] for address in connected] == ["93.184.216.34"]
    assert (first.outcome, first.reason) == ("retry", "unreachable")
    assert (second.outcome, second.reason) == ("refused", "address_forbidden")


async def test_no_answer_of_the_name_server_fails_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "nothing")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    channel = WebhookChannel("https://nowhere.example/", (SECRET,))
    sent = await channel.send(RenderedNotice("o-1", "notice", 1_767_225_600_000, {}))
    await channel.close()
    assert (sent.outcome, sent.maybe) == ("retry", False)


def test_the_last_check_is_on_the_very_address_of_the_socket() -> None:
    with pytest.raises(ForbiddenAddress):
        guarded_socket(False)((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443)))
