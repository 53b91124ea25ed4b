"""The folder that a replay leaves: what was found, from what, and by which configuration.

    DIR/manifest.json                 what went in, what came out, with hashes (:class:`Manifest`)
    DIR/findings/<noun>.ndjson.zst    the canonical findings of one kind, one JSON object a line, sorted
    DIR/history/issue.ndjson.zst      every revision of every issue, in the order in which they were written
    DIR/report.html                   the same for people
    DIR/.work/                        what a replay that has not ended needs to go on

The hash of a kind is the SHA-256 of its uncompressed lines, so `zstdcat findings/issue.ndjson.zst | sha256sum` shows
it. Two runs with equal hashes found the same, byte for byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from schemas.errors import ConfigError
from streams.replay.canonical import NOUNS, Row, canonical, fingerprint
from streams.sources.zstandard import zstd

MANIFEST = "manifest.json"
WORK = ".work"
REPORT = "report.html"
_VERSION = 1


class Kind(msgspec.Struct, frozen=True):
    """Findings of one kind: how many, and the SHA-256 of their lines in hexadecimal."""

    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a run folder says of itself. It holds no secret and nothing about a person."""

    v: int = _VERSION
    source: dict[str, Any]
    """Kind and name of the source; per noun and partition the offsets read, and hashes (``Source.describe``)."""
    from_ms: int | None = None
    """Event time or append time from which on was read, as the source understands it; None: from its beginning."""
    until_ms: int | None = None
    configuration: dict[str, Any]
    """Every setting that can change a finding, by its name; no secrets, addresses or paths."""
    rooms: tuple[str, ...]
    partitions: int
    native: bool
    """True if the native implementation of the join did the work. It changes no finding."""
    start: Literal["cold", "snapshot"] = "cold"
    """cold: from nothing; findings of a line that had a past differ until its windows have filled."""
    cuts: int = 0
    """Recorded moments at which something acted when it arrived, and which were kept to."""
    notes: tuple[str, ...] = ()
    """What a reader has to know before comparing: for example that orders could not be checked."""
    counts: dict[str, int] = {}
    """Events read, late, doubled, dead letters and so on."""
    findings: dict[str, Kind]
    versions: dict[str, str] = {}
    """cxwatch, Python and libraries that work on events."""
    seconds: float = 0.0
    """Wall time that the run took."""
    cpu_seconds: float = 0.0


def write_findings(folder: Path, records: Mapping[str, Iterable[Row]]) -> dict[str, Kind]:
    """Write the canonical findings of each noun, given its records in log order per partition, and return the hashes.

    The revisions of issues are written as well.
    """
    kinds = {}
    for noun, found in records.items():
        if noun not in NOUNS:
            raise ConfigError(f"{noun} is no kind of finding; allowed are {', '.join(NOUNS)}")
        rows = found
        if noun == "issue":
            rows = list(found)
            revisions = (json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() for row in rows)
            _write(folder / "history" / "issue.ndjson.zst", revisions)
        lines = canonical(noun, rows)
        _write(folder / "findings" / f"{noun}.ndjson.zst", lines)
        kinds[noun] = Kind(len(lines), fingerprint(lines))
    return kinds


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it last and at once: a folder with a manifest is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f"{MANIFEST}.new"
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    os.replace(scratch, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Raises ConfigError if the folder holds no finished run, or one of another version."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        unfinished = (folder / WORK).is_dir()
        advice = f"go on with `cxwatch replay --resume {folder}`" if unfinished else "name a folder that a replay wrote"
        raise ConfigError(f"{folder} holds no finished run (no {MANIFEST}): {advice}") from None
    except (msgspec.DecodeError, OSError) as error:
        raise ConfigError(f"{folder / MANIFEST} is unreadable ({type(error).__name__}): run it again") from None
    if manifest.v != _VERSION:
        raise ConfigError(f"{folder} was written in format {manifest.v}, this version reads {_VERSION}: run it again")
    return manifest


def read_findings(folder: Path, noun: str) -> Iterator[Row]:
    """The canonical findings of a kind, nothing if the run had none of it. Raises ConfigError if they are damaged."""
    return _read(folder / "findings" / f"{noun}.ndjson.zst")


def read_revisions(folder: Path) -> Iterator[Row]:
    """Every revision of every issue, in the order in which they were written."""
    return _read(folder / "history" / "issue.ndjson.zst")


def verify(folder: Path) -> None:
    """Raise ConfigError naming the kind whose lines are not those of the manifest."""
    for noun, kind in read_manifest(folder).findings.items():
        lines = list(_lines(folder / "findings" / f"{noun}.ndjson.zst"))
        if Kind(len(lines), fingerprint(lines)) != kind:
            raise ConfigError(f"{folder}: findings/{noun}.ndjson.zst was changed after the run; run the replay again")


def _write(file: Path, lines: Iterable[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zstd.open(file, "wb") as sink:
        sink.write(b"")  # else a file without lines would have no frame, and be taken for a damaged one
        for line in lines:
            sink.write(line + b"\n")


def _read(file: Path) -> Iterator[Row]:
    for line in _lines(file):
        try:
            row: Row = json.loads(line)
        except ValueError:
            raise ConfigError(f"{file} is damaged: run the replay again") from None
        yield row


def _lines(file: Path) -> Iterator[bytes]:
    if not file.exists():
        return
    try:
        with zstd.open(file, "rb") as source:
            for line in source:
                yield line.rstrip(b"\n")
    except (zstd.ZstdError, EOFError):
        raise ConfigError(f"{file} is damaged: run the replay again") from None
