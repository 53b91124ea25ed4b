"""The guide to own data holds: its mappings load, its commands run (the first ones in tests/walk)."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from streams.sources import parse_mapping
from streams.sources.plain_yaml import parse_yaml
from tests.docs.guide import FIRST, Block, blocks, first_commands, whole
from tests.docs.words import ROOT

KEY = b"a key for tests only"
MAPPINGS = [block for block in blocks() if block.language == "yaml"]


@pytest.mark.parametrize("block", MAPPINGS, ids=[f"{at}-{one.section}" for at, one in enumerate(MAPPINGS)])
def test_each_mapping_and_part_of_one_loads(block: Block) -> None:
    assert parse_mapping(whole(parse_yaml(block.text)), "guide.yaml", KEY).events


def test_every_block_is_executed_by_some_test() -> None:
    found = blocks()
    assert {block.language for block in found} == {"sh", "text", "yaml"}
    assert len(first_commands()) <= 12
    others = [line for block in found if block.language == "sh" and block.section != FIRST for line in block.commands]
    assert all(" --check" in line for line in others), others  # what needs servers belongs into the walk


def test_commands_show_what_the_guide_shows() -> None:
    found = blocks()
    shown = [(block, found[at + 1]) for at, block in enumerate(found[:-1])
             if block.language == "sh" and found[at + 1].language == "text"]  # fmt: skip
    assert len(shown) == 1
    for block, screen in shown:
        (line,) = block.commands
        *settings, program = [word for word in shlex.split(line) if "=" in word or word == "cxwatch"]
        assert program == "cxwatch"
        words = shlex.split(line)[len(settings) + 1 :]
        main = "import sys; from streams.cli.main import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", main, *words], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "COLUMNS": "100", **dict(one.split("=", 1) for one in settings)},
        )  # fmt: skip
        assert done.returncode == 65, done.stderr
        assert [line.rstrip() for line in done.stdout.rstrip().splitlines()] == screen.text.splitlines()
