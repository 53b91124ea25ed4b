"""Channels: how a rendered notice leaves. One so far: a webhook, signed by the Standard Webhooks scheme.

A channel never raises for what the other side does: it answers with a :class:`Sent`, which says whether to try again
and whether the other side may have accepted. One attempt takes at most ``TOTAL_S`` seconds whatever the receiver does,
reads at most ``MOST_BYTES`` of the answer, undecoded, and follows no redirect.
"""

from __future__ import annotations

import asyncio
import json
import math
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

import aiohttp
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from schemas.errors import ConfigError
from schemas.events import Channel
from schemas.setting_values import LEAST_SECRET_BYTES
from streams.sinks.addresses import ForbiddenAddress, GuardedResolver, check_url, guarded_socket

TOTAL_S = 15.0
DRAIN_S = 1.0
MOST_BYTES = 64 * 1024
MOST_RETRY_AFTER_S = 3600.0
GONE = 410
UNAVAILABLE = 503
FORBIDDEN = "address_forbidden"
VERDICTS = frozenset({400, 413, 422})
"""What a receiver may say about one message: malformed, too large, cannot be processed."""

Outcome = Literal["accepted", "retry", "refused", "gone"]


@dataclass(frozen=True, slots=True)
class RenderedNotice:
    """A rendered notice. ``id`` is the idempotency key, equal for every attempt; ``data`` are the body's fields."""

    id: str
    kind: Literal["notice", "all_clear"]
    written_at_ms: int
    data: dict[str, str]

    def body(self) -> str:
        """The payload: type, time and data; the same bytes at every attempt."""
        written = datetime.fromtimestamp(self.written_at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
        payload = {"type": f"cx.{self.kind}", "timestamp": written, "data": self.data}
        return json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Sent:
    """What one attempt came to. ``maybe``: the other side may have accepted although we cannot know."""

    outcome: Outcome
    reason: str
    retry_after_s: float | None = None
    maybe: bool = False

    @property
    def verdict(self) -> bool:
        """True if the other side refused this very message; an address that we refuse is no fault of a message."""
        return self.outcome == "refused" and self.reason != FORBIDDEN


class ChannelPort(Protocol):
    """A way out."""

    name: Channel
    """The channel it serves."""
    loopback: bool
    """True if nothing leaves this machine; simulated time is allowed only then."""
    idempotent: bool
    """True if the other side knows a notice by its id, so that an attempt of unknown outcome may be repeated."""

    async def send(self, notice: RenderedNotice) -> Sent:
        """Offer the notice once."""

    async def close(self) -> None:
        """Let go of connections."""


class WebhookChannel:
    """Posts notices to one URL. ``secrets``: the first signs, further ones sign too while they are rotated out."""

    def __init__(
        self, url: str, secrets: tuple[str, ...], allow_loopback: bool = False, total_s: float = TOTAL_S
    ) -> None:
        """Check URL and secrets; raises ConfigError. Connections are made at the first send."""
        self.loopback = check_url(url, allow_loopback)
        self.idempotent = True
        self.name: Channel = "webhook"
        self._url, self._allow_loopback, self._total_s = url, allow_loopback, total_s
        try:
            self._keys = [Webhook(secret) for secret in secrets]
            shortest = min((len(b64decode(secret.removeprefix("whsec_"))) for secret in secrets), default=0)
        except (ValueError, EmptyWebhookSecretError, RuntimeError):
            raise ConfigError("CX_WEBHOOK_SECRET must be base64, with or without the prefix whsec_") from None
        if not self._keys:
            raise ConfigError("CX_WEBHOOK_SECRET is needed to sign notices")
        if shortest < LEAST_SECRET_BYTES:
            raise ConfigError(f"CX_WEBHOOK_SECRET (and ..._PREVIOUS) must have at least {LEAST_SECRET_BYTES} bytes")
        self._session: aiohttp.ClientSession | None = None

    def headers(self, notice: RenderedNotice, body: str, now: datetime) -> dict[str, str]:
        """Standard Webhooks headers of one attempt: same id, fresh time, one signature per secret."""
        signatures = [key.sign(notice.id, now, body) for key in self._keys]
        return {
            "webhook-id": notice.id,
            "webhook-timestamp": str(math.floor(now.timestamp())),
            "webhook-signature": " ".join(signatures),
            "content-type": "application/json; charset=utf-8",
            "accept-encoding": "identity",
            "user-agent": "cxwatch",
        }

    async def send(self, notice: RenderedNotice) -> Sent:
        """Post the notice once."""
        body = notice.body()
        headers = self.headers(notice, body, datetime.now(UTC))
        try:
            async with asyncio.timeout(self._total_s):
                return await self._post(body, headers)
        except (ForbiddenAddress, aiohttp.InvalidURL):
            return Sent("refused", FORBIDDEN)
        except TimeoutError:
            return Sent("retry", "timeout", maybe=True)
        except aiohttp.ClientConnectorError as error:
            forbidden = isinstance(error.__cause__ or error.os_error, ForbiddenAddress)
            return Sent("refused", FORBIDDEN) if forbidden else Sent("retry", "unreachable")
        except (aiohttp.ClientError, OSError):
            return Sent("retry", "connection_lost", maybe=True)

    async def _post(self, body: str, headers: dict[str, str]) -> Sent:
        session = self._session = self._session or self._open()
        answer = await session.post(self._url, data=body.encode(), headers=headers, allow_redirects=False)
        try:
            sent = judge(answer.status, answer.headers.get("retry-after"), datetime.now(UTC))
            if sent.outcome == "accepted":
                await _drain(answer)
            return sent
        finally:
            answer.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._allow_loopback), socket_factory=guarded_socket(self._allow_loopback),
            use_dns_cache=False, force_close=True,
        )  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=self._total_s)
        return aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )  # fmt: skip

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()
            self._session = None


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read what a polite receiver says, so that it sees a proper end; never more than the limit, never an error."""
    left = MOST_BYTES
    try:
        async with asyncio.timeout(DRAIN_S):
            while left > 0 and (chunk := await answer.content.read(min(left, 8192))):
                left -= len(chunk)
    except (TimeoutError, aiohttp.ClientError, OSError):
        return


def judge(status: int, retry_after: str | None, now: datetime) -> Sent:
    """What a status means: 2xx accepted, 410 gone for good, 400, 413 and 422 refused, everything else again later.

    Only what the receiver says about this one message may end it. A wrong secret (401, 403), a moved or missing address
    (3xx, 404, 405, ...), a conflict (409) or a receiver in trouble (408, 425, 429, 5xx) says nothing about a customer.
    Behind a gateway's 5xx somebody may have accepted; 503 is the one that says that nobody did.

    >>> judge(204, None, datetime.now(UTC)).outcome, judge(401, None, datetime.now(UTC)).outcome
    ('accepted', 'retry')
    """
    if 200 <= status < 300:
        return Sent("accepted", "accepted")
    if status == GONE:
        return Sent("gone", "gone")
    if status in VERDICTS:
        return Sent("refused", f"http_{status}")
    reason = "redirect" if 300 <= status < 400 else f"http_{status}"
    return Sent("retry", reason, seconds_of(retry_after, now), maybe=status >= 500 and status != UNAVAILABLE)


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """Retry-After as seconds (a number or a date), at most an hour; None if it is absent or makes no sense."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (date - now).total_seconds() if date.tzinfo else math.nan
    return min(seconds, MOST_RETRY_AFTER_S) if math.isfinite(seconds) and seconds >= 0 else None
