"""Failures are put right while notices wait, are claimed, or are on their way."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.faults.harness import Result, size
from tests.faults.histories import History

SEEN = (
    "decided: eligible", "decided: put_right", "decided: quiet_hours", "decided: resolved", "sent: notice",
    "sent: all_clear", "stopped before the attempt: put_right", "stopped before the attempt: unrepaired",
)  # fmt: skip
"""What has to happen in the histories, or they show nothing."""


@pytest.mark.fault(65)
def test_in_random_histories_nobody_is_told_of_what_the_senders_partition_knew_to_be_put_right() -> None:
    number = size(600, 10_000)
    result = Result(
        65, "repairs race notices, in memory", f"{number:,} random histories of failures, repairs, nights, deaths",
        "0 notices after a repair that the sender's partition had passed; 0 all-clears before all is right",
    )  # fmt: skip
    figures, wrong = Counter[str](), []
    with result.measured():
        for seed in range(number):
            history = History(random.Random(seed)).run()
            figures.update(history.figures)
            wrong += [f"history {seed}: {each}" for each in history.wrong]
        result.lost, result.duplicate_accepts, result.diff = 0, 0, len(wrong)
        result.figures = dict(sorted(figures.items()))
    assert wrong == []
    assert [name for name in SEEN if not figures[name]] == []
