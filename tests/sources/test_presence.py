"""A broker that is gone ends the block; one that comes back, and a cancellation by others, do not count as that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from streams.sources import presence
from streams.sources.presence import BrokerGone, ended, started, while_present


class Client:
    """Answers as it is told, then for ever as at the end."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def force_metadata_update(self) -> asyncio.Future[bool]:
        """None: no answer at all."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if answer is not None:
            future.set_result(answer)
        return future


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, seconds in {"ASK_S": 0.001, "ANSWER_S": 0.01, "GONE_S": 0.02, "START_S": 0.01, "END_S": 0.01}.items():
            patch.setattr(presence, name, seconds)
        yield


@pytest.mark.parametrize("answer", [False, None])
async def test_a_broker_that_answers_no_more_ends_the_block_with_a_sentence(answer: bool | None) -> None:
    with pytest.raises(BrokerGone, match=r"Kafka at kafka\.invalid:1 is gone, there was no answer for .* run the same"):
        async with while_present(Client(True, True, answer), "kafka.invalid:1"):
            await asyncio.Event().wait()


async def test_a_broker_that_comes_back_ends_nothing() -> None:
    client = Client(*[False, True] * 20, True)
    async with while_present(client, "kafka.invalid:1"):
        while client.asked < 60:
            await asyncio.sleep(0.001)


async def test_one_failed_question_is_not_enough_however_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "GONE_S", 0.0)
    client = Client(False, True)
    async with while_present(client, "kafka.invalid:1"):
        while client.asked < 5:
            await asyncio.sleep(0.001)


async def test_a_cancellation_by_others_stays_one_and_errors_pass() -> None:
    async def body() -> None:
        async with while_present(Client(True), "kafka.invalid:1"):
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(KeyError):
        async with while_present(Client(True), "kafka.invalid:1"):
            raise KeyError


async def test_starts_and_ends_are_not_waited_for_for_ever() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(BrokerGone):
        await started(never(), "kafka.invalid:1")
    await ended(never())
