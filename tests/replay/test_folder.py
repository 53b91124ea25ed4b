"""A run folder gives back what was written, says when it is not whole, and its hashes can be checked by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.replay.folder import (
    WORK,
    Manifest,
    read_findings,
    read_manifest,
    read_revisions,
    verify,
    write_findings,
    write_manifest,
)
from streams.sources.zstandard import zstd


def impact(issue: str, affected: int) -> dict[str, Any]:
    return {"kind": "impact", "issue_id": issue, "affected": affected}


def issue(name: str, state: str, updated_at_ms: int) -> dict[str, Any]:
    return {"kind": "issue", "issue_id": name, "state": state, "updated_at_ms": updated_at_ms}


def run(folder: Path) -> Manifest:
    records = {
        "impact": [impact("i-b", 1), impact("i-a", 2), impact("i-b", 3)],
        "issue": [issue("i-a", "suspected", 1), issue("i-a", "open", 2), {"kind": "watermark", "through_ms": 3}],
    }
    kinds = write_findings(folder, records)
    manifest = Manifest(
        source={"kind": "recording"}, configuration={"partitions": 4}, rooms=("join",), partitions=4, native=False,
        findings=kinds,
    )  # fmt: skip
    write_manifest(folder, manifest)
    return manifest


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = run(tmp_path)
    assert read_manifest(tmp_path) == written
    assert list(read_findings(tmp_path, "impact")) == [impact("i-a", 2), impact("i-b", 3)]
    assert [row.get("state") for row in read_revisions(tmp_path)] == ["suspected", "open", None]
    assert list(read_findings(tmp_path, "outreach")) == []
    verify(tmp_path)


def test_a_hash_is_that_of_the_uncompressed_lines(tmp_path: Path) -> None:
    kind = run(tmp_path).findings["impact"]
    lines = zstd.decompress((tmp_path / "findings" / "impact.ndjson.zst").read_bytes())
    assert (kind.rows, kind.sha256) == (2, hashlib.sha256(lines).hexdigest())


def test_a_run_that_found_nothing_is_whole(tmp_path: Path) -> None:
    assert write_findings(tmp_path, {"impact": []})["impact"].rows == 0
    assert list(read_findings(tmp_path, "impact")) == []


def test_a_folder_without_a_finished_run_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a folder"):
        read_manifest(tmp_path)
    (tmp_path / WORK).mkdir()
    with pytest.raises(ConfigError, match="--resume"):
        read_manifest(tmp_path)


def test_changed_and_damaged_findings_are_noticed(tmp_path: Path) -> None:
    run(tmp_path)
    file = tmp_path / "findings" / "impact.ndjson.zst"
    whole = file.read_bytes()
    file.write_bytes(zstd.compress(b'{"issue_id":"i-a"}\n'))
    with pytest.raises(ConfigError, match="changed after the run"):
        verify(tmp_path)
    file.write_bytes(whole[:-5])
    with pytest.raises(ConfigError, match="damaged"):
        list(read_findings(tmp_path, "impact"))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="unreadable"):
        read_manifest(tmp_path)


def test_only_findings_are_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="telemetry is no kind of finding"):
        write_findings(tmp_path, {"telemetry": []})
