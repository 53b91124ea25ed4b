"""A recording gives back what was written into it, from any offset and any time on, and says so when it cannot."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.join import native
from streams.replay import recording
from streams.replay.recording import LogIndex, LogWriter, Recording, RecordingDamaged, RecordingWriter, read_log
from streams.runtime.batch import Headers, RawBatch, join_batches

Row = tuple[int, bytes | None, bytes | None, Headers, int]
"""Offset, key, value, headers, append time."""

ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.none() | st.binary(max_size=8),
        st.none() | st.binary(max_size=40),
        st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=4)), max_size=2),
        st.integers(0, 50),
    ),
    min_size=1,
    max_size=40,
)
"""Steps to the next offset and to the next append time, and what is between them."""


def rows_of(steps: list[tuple[int, bytes | None, bytes | None, Headers, int]]) -> list[Row]:
    rows: list[Row] = []
    offset, stamp_ms = -1, 1_000
    for step, key, value, headers, later_ms in steps:
        offset, stamp_ms = offset + step, stamp_ms + later_ms
        rows.append((offset, key, value, headers, stamp_ms))
    return rows


def written(folder: Path, rows: list[Row]) -> Recording:
    with RecordingWriter(folder, partitions=1) as writer:
        for offset, key, value, headers, stamp_ms in rows:
            writer.log("order", 0).append(key, value, headers, stamp_ms, offset)
    return Recording(folder)


def read(batches: list[RawBatch]) -> list[Row]:
    for before, after in itertools.pairwise(batches):
        assert before.next == after.start
    return [
        (offset, key, value, [(name, found) for name, found in headers], stamp)
        for batch in batches
        for offset, key, value, headers, stamp in zip(
            batch.offsets, batch.keys, batch.values, batch.headers, batch.timestamps, strict=True
        )
    ]


@pytest.fixture(params=["native", "aiokafka"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "aiokafka":
        monkeypatch.setattr(recording, "find", lambda: None)
    elif native.find() is None:
        pytest.skip("no native code here")


@pytest.mark.usefixtures("reader")
@settings(max_examples=40, deadline=None)
@given(steps=ROWS, frame=st.integers(1, 9), data=st.data())
def test_every_stretch_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Row], frame: int, data: st.DataObject
) -> None:
    rows = rows_of(steps)
    folder = tmp_path_factory.mktemp("recording")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "FRAME_RECORDS", frame)
        made = written(folder, rows)
    assert read(list(made.batches("order", 0))) == rows
    start = data.draw(st.integers(0, rows[-1][0] + 2))
    assert read(list(made.batches("order", 0, start))) == [row for row in rows if row[0] >= start]
    low, high = sorted(data.draw(st.tuples(st.integers(900, 3_000), st.integers(900, 3_000))))
    found = read(list(made.batches("order", 0, from_ms=low, to_ms=high)))
    assert found == [row for row in rows if low <= row[4] < high]


def test_a_log_is_continued_behind_what_its_index_knows(tmp_path: Path) -> None:
    log = LogIndex("issue", 0)
    writer = LogWriter(tmp_path, log)
    for number in range(3):
        writer.append(b"k", b"%d" % number, (), number)
    writer.cut()
    kept = list(log.frames)
    writer.append(b"k", b"lost", (), 9)
    writer.close()
    again = LogWriter(tmp_path, LogIndex("issue", 0, kept))
    again.append(b"k", b"3", (), 3)
    again.close()
    assert [row[2] for row in read(list(read_log(tmp_path, again.log)))] == [b"0", b"1", b"2", b"3"]


def test_the_range_of_a_fetched_batch_is_kept_with_offsets_that_hold_no_record(tmp_path: Path) -> None:
    batch = RawBatch("order", 0, 5, 12, [6, 8], [b"a", b"b"], [b"1", None], [(), ()], [70, 71])
    with RecordingWriter(tmp_path, 1) as writer:
        writer.log("order", 0).add(batch)
    found = join_batches(list(Recording(tmp_path).batches("order", 0)))
    assert (found.next, list(found.offsets), list(found.values)) == (12, [6, 8], [b"1", None])


@pytest.mark.usefixtures("reader")
def test_what_is_cut_off_or_altered_or_gone_is_named(tmp_path: Path) -> None:
    made = written(tmp_path, [(number, b"k", b"value" * 9, (), number) for number in range(50)])
    file = tmp_path / "order-0.log.zst"
    whole = file.read_bytes()
    for harm in (whole[:-3], whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:], None):
        if harm is None:
            file.unlink()
        else:
            file.write_bytes(harm)
        with pytest.raises(RecordingDamaged, match=r"order-0\.log\.zst .*: copy the recording again"):
            list(made.batches("order", 0))


def test_a_folder_without_a_manifest_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingDamaged, match=r"manifest\.json .* record it again"):
        Recording(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"{")
    with pytest.raises(RecordingDamaged, match="damaged"):
        Recording(tmp_path)
