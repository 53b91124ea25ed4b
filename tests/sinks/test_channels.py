"""The webhook channel against real receivers on loopback, and the signature against the scheme's own example."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from schemas.errors import ConfigError
from streams.sinks.channels import RenderedNotice, Sent, WebhookChannel, judge, seconds_of
from streams.sinks.receiver import Accepted, Receiver
from tests.patience import patience

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LETTER = RenderedNotice("o-1", "notice", 1_767_225_600_000, {"text": "Es tut uns leid.", "subject": 'Störung "5"'})


def channel(url: str, *secrets: str, total_s: float = 15.0) -> WebhookChannel:
    """A channel to loopback."""
    return WebhookChannel(url, secrets or (SECRET,), allow_loopback=True, total_s=total_s)


def signed(secret: str = SECRET, at: datetime | None = None, body: str | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of LETTER, signed at ``at``."""
    body = body or LETTER.body()
    return channel("http://localhost:1/", secret).headers(LETTER, body, at or datetime.now(UTC)), body.encode()


def test_the_signature_equals_the_published_example() -> None:
    key = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1_614_265_330, UTC)
    made = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_our_headers_verify_with_the_reference_library() -> None:
    headers, body = signed()
    assert Webhook(SECRET).verify(body, headers)["type"] == "cx.notice"


def test_a_flipped_byte_an_old_stamp_and_a_foreign_secret_are_refused() -> None:
    headers, body = signed()
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"leid", b"laid"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers | {"webhook-id": "o-2"})
    for minutes in (-6, 6):
        stale, body = signed(at=datetime.now(UTC) + timedelta(minutes=minutes))
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body, stale)


def test_while_secrets_rotate_both_verify_and_afterwards_the_old_one_does_not() -> None:
    both = channel("http://localhost:1/", OTHER, SECRET).headers(LETTER, LETTER.body(), datetime.now(UTC))
    assert Webhook(SECRET).verify(LETTER.body(), both)
    assert Webhook(OTHER).verify(LETTER.body(), both)
    headers, body = signed(OTHER)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers)


def test_every_attempt_has_the_same_body_and_id_and_a_fresh_time() -> None:
    first, second = signed(at=NOW), signed(at=NOW + timedelta(minutes=1))
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[0]["webhook-timestamp"] != second[0]["webhook-timestamp"]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_?", "whsec_aGVsbG8=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa=="])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="CX_WEBHOOK_SECRET"):
        channel("http://localhost:1/", secret)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "accepted"), (204, "accepted"), (301, "retry"), (302, "retry"), (307, "retry"), (400, "refused"),
     (401, "retry"), (403, "retry"), (404, "retry"), (405, "retry"), (408, "retry"), (409, "retry"), (410, "gone"),
     (413, "refused"), (415, "retry"), (422, "refused"), (425, "retry"), (429, "retry"), (451, "retry"),
     (500, "retry"), (503, "retry"), (599, "retry")],
)  # fmt: skip
def test_a_status_decides_what_happens_next(status: int, outcome: str) -> None:
    assert judge(status, None, NOW).outcome == outcome


@pytest.mark.parametrize(("status", "maybe"), [(500, True), (502, True), (503, False), (504, True), (429, False)])
def test_behind_a_gateway_somebody_may_have_accepted(status: int, maybe: bool) -> None:
    assert judge(status, "7", NOW).maybe == maybe
    assert judge(status, "7", NOW).retry_after_s == 7.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("7", 7.0), ("0", 0.0), ("-3", None), ("nan", None), ("inf", None), ("1e9", 3600.0),
     ("soon", None), ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0), ("Thu, 01 Jan 2026 11:00:00 GMT", None),
     ("Thu, 32 Foo 2026 11:00:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date_within_reason(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, NOW) == seconds


@pytest.mark.loopback
async def test_a_real_receiver_accepts_once_and_sees_what_was_written() -> None:
    seen: list[Accepted] = []
    async with Receiver(SECRET, on_accept=seen.append) as receiver:
        out = channel(receiver.url)
        assert [(await out.send(LETTER)).outcome for _ in range(3)] == ["accepted"] * 3
        await out.close()
    assert (receiver.requests, receiver.duplicates, len(receiver.accepted)) == (3, 2, 1)
    assert seen == receiver.accepted
    assert seen[0].payload == json.loads(LETTER.body())
    assert seen[0].payload["data"]["subject"] == 'Störung "5"'


@pytest.mark.loopback
async def test_a_receiver_with_another_secret_accepts_nothing() -> None:
    async with Receiver(OTHER) as receiver:
        out = channel(receiver.url)
        sent = await out.send(LETTER)
        await out.close()
    assert (sent.outcome, sent.reason, receiver.accepted) == ("retry", "http_401", [])


async def answer(request: web.Request, kind: str) -> web.StreamResponse | None:
    """Ways in which receivers misbehave."""
    match kind:
        case "busy":
            return web.Response(status=503, headers={"Retry-After": "2"})
        case "redirect":
            return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})
        case "gone":
            return web.Response(status=410)
        case "drop":
            assert request.transport
            request.transport.abort()
            return web.Response()
        case "silent":
            await asyncio.sleep(30)
        case "endless" | "drip":
            stream = web.StreamResponse()
            await stream.prepare(request)
            for _ in range(10_000_000):
                await stream.write(b"x" * (1 if kind == "drip" else 65_536))
                await asyncio.sleep(0.2 if kind == "drip" else 0)
        case "bomb":
            body = gzip.compress(b"0" * 50_000_000)
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
    return None


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("busy", Sent("retry", "http_503", 2.0)),
        ("redirect", Sent("retry", "redirect")),
        ("gone", Sent("gone", "gone")),
        ("drop", Sent("retry", "connection_lost", maybe=True)),
        ("silent", Sent("retry", "timeout", maybe=True)),
        ("endless", Sent("accepted", "accepted")),
        ("drip", Sent("accepted", "accepted")),
        ("bomb", Sent("accepted", "accepted")),
    ],
)
async def test_whatever_a_receiver_does_there_is_an_answer_in_time(kind: str, expected: Sent) -> None:
    async def misbehave(request: web.Request, _: int) -> web.StreamResponse | None:
        return await answer(request, kind)

    async with Receiver(SECRET, misbehave=misbehave) as receiver:
        out = channel(receiver.url, total_s=2.0)
        sent = await asyncio.wait_for(out.send(LETTER), patience(10))
        await out.close()
    assert sent == expected


@pytest.mark.loopback
async def test_nobody_listening_is_an_attempt_that_surely_did_not_arrive() -> None:
    async with Receiver(SECRET) as receiver:
        url = receiver.url
    out = channel(url)
    sent = await out.send(LETTER)
    await out.close()
    assert sent == Sent("retry", "unreachable")


@pytest.mark.loopback
async def test_an_answer_lost_on_the_way_is_asked_again_under_the_same_id_and_accepted_once() -> None:
    async def accept_then_drop(request: web.Request, number: int) -> web.StreamResponse | None:
        if number > 1:
            return None
        receiver.accept(dict(request.headers), await request.read())
        return await answer(request, "drop")

    async with Receiver(SECRET, misbehave=accept_then_drop) as receiver:
        out = channel(receiver.url)
        first, second = await out.send(LETTER), await out.send(LETTER)
        await out.close()
    assert (first.maybe, second.outcome) == (True, "accepted")
    assert (len(receiver.accepted), receiver.duplicates) == (1, 1)


def test_a_notice_with_hostile_text_is_one_json_object_and_adds_no_header() -> None:
    nasty = {"text": 'x"}\r\nSet-Cookie: a=b\r\n\r\n{"type":"evil"}', "address": "\x00\u202e"}
    notice = RenderedNotice("o-1", "notice", 1_767_225_600_000, nasty)
    headers = channel("http://localhost:1/").headers(notice, notice.body(), NOW)
    assert json.loads(notice.body())["data"] == nasty
    assert not any("\r" in value or "\n" in value for value in headers.values())
    assert "\n" not in notice.body()


def test_the_receiver_refuses_what_is_not_signed() -> None:
    receiver = Receiver(SECRET)
    headers, body = signed()
    broken: list[dict[str, Any]] = [{}, headers | {"webhook-signature": "v1"}, headers | {"webhook-timestamp": "x"}]
    assert [receiver.accept(bad, body).status for bad in broken] == [401, 401, 401]
    assert receiver.accept(headers, body).status == 204
