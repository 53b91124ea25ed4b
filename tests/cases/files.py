"""What a mapping makes of a small file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from schemas.errors import ConfigError
from streams.sources import RowCounts, parse_mapping, read
from streams.sources.zstandard import zstd

__all__ = ["KEY", "FileOutcome", "outcome", "refused", "zstd"]

KEY = b"0123456789abcdef"


class FileOutcome(NamedTuple):
    """Events, dead dead_letters as (location, rule, bytes), counts, and where the file breaks off."""

    events: list[dict[str, Any]]
    dead_letters: list[tuple[str, str, bytes]]
    counts: RowCounts
    broken: list[str]


def outcome(mapping: str, content: str | bytes, folder: Path, name: str = "rows") -> FileOutcome:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    reading = read(parse_mapping(yaml.safe_load(mapping), "m.yaml", KEY), file)
    arrivals = list(reading.arrivals())
    headers = [(dict(one.headers), one.value) for one in arrivals if one.headers]
    dead_letters = [(found["dlq.origin"].decode(), found["dlq.rule"].decode(), value) for found, value in headers]
    events = [json.loads(one.value) for one in arrivals if not one.headers]
    return FileOutcome(events, dead_letters, reading.tally, [str(error) for error in reading.broken])


def refused(mapping: str, content: str | bytes, folder: Path, name: str = "rows") -> str:
    with pytest.raises(ConfigError) as error:
        outcome(mapping, content, folder, name)
    return str(error.value)
