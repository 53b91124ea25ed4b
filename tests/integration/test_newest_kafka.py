"""The newest record per key of a small topic: what commands read that show how things stand."""

from __future__ import annotations

import pytest

from streams.runtime.newest import newest

pytestmark = pytest.mark.kafka


async def test_a_topic_that_is_not_there_yet_holds_nothing_and_nobody_complains(
    kafka: str, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await newest(kafka, f"{topic_prefix}cx.channel.v1", "channel") == []
    assert caplog.text == ""
