"""docs/reliability.md names a test for every window and defect; all of them exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)


def test_every_row_names_a_test() -> None:
    rows = [row for row in TABLE.splitlines() if row.startswith("| ") and not row.startswith(("| what", "| defect"))]
    assert len(rows) == len(NAMED) > 35


def test_every_named_test_exists() -> None:
    for file, name in NAMED:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(|^{name} = ", source, re.MULTILINE), f"{file}::{name}"
