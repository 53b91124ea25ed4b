"""The example messages and their golden form. Run as a module to write the golden files anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.codec import Decoded, canonical, decode
from schemas.topics import TOPICS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "schemas" / "examples"
GOLDEN = ROOT / "tests" / "golden" / "examples"


@dataclass(frozen=True)
class Examples:
    """All messages of one topic, as they lie on the wire."""

    about: list[str]
    values: list[bytes]
    keys: list[bytes | None]
    headers: list[list[tuple[str, bytes]]]


def load(noun: str) -> Examples:
    """Read the examples of a topic."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in (EXAMPLES / f"{noun}.jsonl").read_text().splitlines()]
    return Examples(
        [line["about"] for line in lines],
        [json.dumps(line["value"], ensure_ascii=False).encode() for line in lines],
        [line["key"].encode() if "key" in line else None for line in lines],
        [[(name, value.encode()) for name, value in line.get("headers", {}).items()] for line in lines],
    )


def decoded(noun: str) -> Decoded:
    """Decode the examples of a topic as one slice."""
    examples = load(noun)
    return decode(noun, examples.values, examples.keys, examples.headers)


def golden(noun: str) -> str:
    """The golden form: canonical JSON, a message a line."""
    return "".join(canonical(record).decode() + "\n" for record in decoded(noun).records)


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for topic in TOPICS:
        (GOLDEN / f"{topic.noun}.jsonl").write_text(golden(topic.noun))
