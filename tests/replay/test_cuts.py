"""What the recorded cuts say about inputs that act on arrival, and what they leave to whoever asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from schemas.codec import encode
from schemas.findings import Cut
from streams.replay.acts import acts_of
from streams.replay.cuts import anchored
from streams.replay.recording import END_MS
from streams.replay.source import SourceKind
from streams.runtime.batch import RawBatch


@dataclass
class Logs:
    """Values by noun, at offsets from 0 on, in batches of two."""

    logs: dict[str, list[bytes]]
    name: str = "made"
    kind: SourceKind = "live"
    partitions: int = 1
    complete: bool = True

    def nouns(self) -> Collection[str]:
        return self.logs

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        values = self.logs.get(noun, [])
        for low in range(start, len(values), 2):
            high = min(low + 2, len(values))
            size = high - low
            yield RawBatch(
                noun, partition, low, high, range(low, high), [b"k"] * size, values[low:high], [()] * size, [0] * size
            )

    def records(self, noun: str, partition: int) -> int:
        return len(self.logs[noun])

    def describe(self) -> dict[str, object]:
        return {}


def cut(noun: str, first: int, steps: tuple[int, ...], at_ms: int, refused: tuple[int, ...] = ()) -> bytes:
    return encode(
        Cut(
            room="outreach", partition=0, topic=noun, steps=steps, clocks={"affected": at_ms + 1, "issue": at_ms},
            offsets={noun: first}, refused=refused,
        )
    )  # fmt: skip


def order(issued_at_ms: int) -> bytes:
    return b'{"issued_at_ms":%d}' % issued_at_ms


def test_slices_come_as_they_were_fed_without_what_was_refused() -> None:
    source = Logs({
        "customer": [b"%d" % number for number in range(5)], "command": [order(1), order(2)],
        "tick": [cut("customer", 0, (3,), 10), cut("command", 0, (2,), 10, (0,)), cut("customer", 3, (4, 5), 20)],
    })  # fmt: skip
    found = anchored(source, "outreach", 0)
    assert found is not None
    fed = [(one.batch.topic, one.batch.start, list(one.batch.offsets), one.clocks["issue"]) for one in found.slices]
    assert fed == [
        ("customer", 0, [0, 1, 2], 10), ("command", 0, [1], 10), ("customer", 3, [3], 20), ("customer", 4, [4], 20),
    ]  # fmt: skip
    assert anchored(source, "detect", 0) is None


def test_what_no_cut_tells_of_acts_before_the_first_or_after_everything() -> None:
    source = Logs({"command": [order(5), order(99), order(7), order(8)], "tick": [cut("command", 2, (3,), 50)]})
    fed = [(list(act.batch.values), act.clocks["issue"]) for act in acts_of(source, "outreach", 0, 0)]
    assert fed == [([order(5)], 5), ([order(99)], 50), ([order(7)], 50), ([order(8)], END_MS)]


def test_what_a_version_without_cuts_fed_in_between_goes_with_the_next_slice() -> None:
    source = Logs({
        "command": [order(1), order(2), order(3)], "tick": [cut("command", 0, (1,), 10), cut("command", 2, (3,), 30)],
    })  # fmt: skip
    found = anchored(source, "outreach", 0)
    assert found is not None
    assert [list(one.batch.offsets) for one in found.slices] == [[0], [1, 2]]
