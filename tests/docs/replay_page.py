"""The commands of docs/replay.md and what they show: ``python -m tests.docs.replay_page`` writes the screens anew.

Each block of ``sh`` runs in one shell in a folder of its own, after the blocks before it; the block of ``text`` behind
it holds what the last of its commands prints, 100 columns wide. Figures that depend on the machine are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.docs.words import ROOT

PAGE = ROOT / "docs" / "replay.md"
_STEP = re.compile(r"^```sh\n(?P<commands>.*?)^```\n\n```text\n(?P<screen>.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"\w+=")
"""A line that names a value for the lines after it."""
_SECONDS = re.compile(r"in [\d,.]+ s;")
DIFFERENT = 1
"""Exit code of a comparison that found differences."""


class Step(NamedTuple):
    """Commands of a shell, one a line, and the screen that the page shows behind them."""

    commands: tuple[str, ...]
    screen: str


def steps() -> list[Step]:
    """The blocks of the page that run, in order."""
    found = _STEP.finditer(PAGE.read_text(encoding="utf-8"))
    return [Step(tuple(step["commands"].splitlines()), step["screen"]) for step in found]


def play(folder: Path) -> list[str]:
    """Run the page in a folder; return the screen of each step. Raises AssertionError if a command fails."""
    (folder / ".venv").symlink_to(Path(sys.prefix))
    lines = []
    for number, step in enumerate(steps()):
        *first, last = step.commands
        lines += [line if _NAMED.match(line) else f"{line} >/dev/null || exit 3" for line in first]
        lines.append(f"{last} >screen-{number} || [ $? = {DIFFERENT} ] || exit 3")
    environment = {**os.environ, "COLUMNS": "100", "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"}
    shell = ["bash", "-uc", "\n".join(lines)]
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    screens = [(folder / f"screen-{number}").read_text(encoding="utf-8") for number in range(len(steps()))]
    return ["".join(f"{line.rstrip()}\n" for line in screen.strip().splitlines()) for screen in screens]


def steady(screen: str) -> str:
    """A screen without what depends on the machine."""
    return _SECONDS.sub("in ... s;", screen)


def main() -> None:
    """Write what the commands show into the page."""
    with tempfile.TemporaryDirectory() as folder:
        screens = iter(play(Path(folder)))

    def written(found: re.Match[str]) -> str:
        return f"```sh\n{found['commands']}```\n\n```text\n{steady(next(screens))}```"

    PAGE.write_text(_STEP.sub(written, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
