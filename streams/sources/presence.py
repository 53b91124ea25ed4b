"""Is the broker still there? Some calls of the client retry for ever; whoever runs ``play`` wants to be told.

While a block runs, the client's own connection is asked for metadata now and then. A broker that is restarted within
20 seconds is waited for; one that is gone ends the block with :class:`BrokerGone`, within half a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

from schemas.errors import SinkUnavailable

ASK_S = 2.0
"""Pause between two questions."""
ANSWER_S = 10.0
"""A question without an answer for so long has failed."""
GONE_S = 20.0
"""The broker counts as gone when questions failed for so long, and at least two did: one may be our own pause."""
START_S = 25.0
END_S = 4.0
"""How long a client may take to close; without a broker it would wait until one is back."""


class Client(Protocol):
    """The part of aiokafka's client that is asked."""

    def force_metadata_update(self) -> asyncio.Future[bool]: ...


class BrokerGone(SinkUnavailable):
    """Kafka went away while a block ran; the text is one sentence for a person."""

    def __init__(self, bootstrap: str, silent_s: float) -> None:
        """Name where it was."""
        super().__init__(f"Kafka at {bootstrap}")
        self.sentence = (
            f"Kafka at {bootstrap} is gone, there was no answer for {silent_s:.0f} s: once it is back, run the same "
            "again (ids are stable, so nothing counts twice)"
        )

    def __str__(self) -> str:
        """The sentence."""
        return self.sentence


@asynccontextmanager
async def while_present(client: Client, bootstrap: str) -> AsyncIterator[None]:
    """Run the block; end it with BrokerGone if the broker does not come back."""
    body = asyncio.current_task()
    assert body is not None
    silent = [0.0]

    async def watch() -> None:
        silent[0] = await _until_gone(client)
        body.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not silent[0]:
            raise
        body.uncancel()
        raise BrokerGone(bootstrap, silent[0]) from None
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _until_gone(client: Client) -> float:
    """Return, when the broker is gone, for how many seconds it did not answer."""
    failed, since = 0, 0.0
    while failed < 2 or time.monotonic() - since < GONE_S:
        await asyncio.sleep(ASK_S)
        asked = time.monotonic()
        if await _answers(client):
            failed = 0
            continue
        failed += 1
        since = asked if failed == 1 else since
    return time.monotonic() - since


async def _answers(client: Client) -> bool:
    asked = client.force_metadata_update()
    await asyncio.wait([asked], timeout=ANSWER_S)
    return asked.done() and not asked.cancelled() and asked.exception() is None and asked.result()


async def started(starting: Awaitable[None], bootstrap: str) -> None:
    """Wait for a client's start. Raises BrokerGone if it takes too long."""
    try:
        async with asyncio.timeout(START_S):
            await starting
    except TimeoutError:
        raise BrokerGone(bootstrap, START_S) from None


async def ended(stopping: Coroutine[Any, Any, None]) -> None:
    """Wait for a client's stop, but not for a broker that is gone. Its errors are dropped."""
    task = asyncio.create_task(stopping)
    done, _ = await asyncio.wait([task], timeout=END_S)
    for one in done:
        if not one.cancelled():
            one.exception()  # looked at, or asyncio would print it
    task.cancel()
