"""The blocks of docs/guide-sources.md: commands, mappings and parts of mappings, and what a command shows.

``python -m tests.docs.guide`` writes anew what the command above the block of text shows.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import Any, NamedTuple

from tests.docs.words import ROOT

GUIDE = ROOT / "docs" / "guide-sources.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
FIRST = "From two commands to own data"
OF_AN_EVENT = ("to", "each", "when", "id", "time", "arrival", "fields")


class Block(NamedTuple):
    """One block with its language, and the section (##) in which it stands."""

    section: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines of a shell, without comments."""
        return [line.partition(" #")[0].strip() for line in self.text.splitlines() if line.strip()]


def blocks() -> list[Block]:
    """Every block of the guide, in order."""
    text = GUIDE.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        before = _HEADING.findall(text[: match.start()])
        found.append(Block(before[-1] if before else "", match[1], match[2]))
    return found


def first_commands() -> list[str]:
    """The commands that lead from nothing to an issue, in order; one that ends with ``&`` is left running."""
    return [line for block in blocks() if (block.section, block.language) == (FIRST, "sh") for line in block.commands]


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """A mapping in which a part of one stands as the guide shows it."""
    if "events" in part:
        return part
    event: dict[str, Any] = {
        "to": "order", "time": {"field": "at"}, "fields": {"order_id": "{id}", "product": "shop", "status": "placed"}
    }  # fmt: skip
    top: dict[str, Any] = {"name": "part", "customer": "{who}"}
    for key, value in part.items():
        (event if key in OF_AN_EVENT else top)[key] = value
    return {**top, "events": [event]}


def screen() -> tuple[str, str]:
    """What the one command above a block of text shows, 100 columns wide, and the block."""
    found = blocks()
    ((command, block),) = [
        (found[at], one) for at, one in enumerate(found[1:]) if (found[at].language, one.language) == ("sh", "text")
    ]
    (line,) = command.commands
    words = shlex.split(line)
    at = words.index("cxwatch")
    main = "import sys; from streams.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", main, *words[at + 1 :]], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "100", **dict(word.split("=", 1) for word in words[:at])},
    )  # fmt: skip
    assert done.returncode == 65, done.stderr
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.rstrip().splitlines()), block.text


if __name__ == "__main__":
    shown, written = screen()
    GUIDE.write_text(GUIDE.read_text(encoding="utf-8").replace(written, shown), encoding="utf-8")
