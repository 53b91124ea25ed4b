"""The guide to own data holds: its mappings load, its commands run (the first ones in tests/walk)."""

from __future__ import annotations

import pytest

from streams.sources import parse_mapping
from streams.sources.plain_yaml import parse_yaml
from tests.docs.guide import FIRST, Block, blocks, first_commands, screen, whole

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


def test_the_screen_in_the_guide_is_what_its_command_shows() -> None:
    shown, written = screen()
    assert shown == written, "python -m tests.docs.guide writes it anew"
