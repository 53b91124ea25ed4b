"""The pages of docs/reference are as the catalogues say."""

from __future__ import annotations

import pytest

from deploy.reference import DOCS, pages
from schemas.definitions import DEFINITIONS
from schemas.metrics import METRICS
from schemas.rooms import ROOMS
from schemas.tables import TABLES
from schemas.topics import TOPICS
from schemas.views import VIEWS
from streams.cli.main import COMMANDS
from streams.settings import Settings
from streams.simulate.library.world import COUNT_WORLDS, WORLDS

MADE = pages()


@pytest.mark.parametrize("name", MADE)
def test_a_page_is_current(name: str) -> None:
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == MADE[name], "run `make reference`"


def test_nothing_else_lies_beside_the_pages() -> None:
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(MADE)


def test_everything_of_the_catalogues_has_a_line() -> None:
    wanted = {
        "topics.md": [*(f"| `{topic.name}` |" for topic in TOPICS), *(f"| `{room.name}` |" for room in ROOMS)],
        "tables.md": [*(f"## {table.name}\n" for table in TABLES), *(f"| `{name}` |" for name in VIEWS)],
        "metrics.md": [f"| `{metric.name}` |" for metric in METRICS],
        "definitions.md": [f"### {one.name}: {one.title}\n" for one in DEFINITIONS],
        "settings.md": [f"| `CX_{name.upper()}` |" for name in Settings.model_fields],
        "commands.md": [f"## cxwatch {name}" for name in COMMANDS],
        "worlds.md": [f"| `{name}` " for name in (*WORLDS, *COUNT_WORLDS)],
    }
    assert {name: [line for line in lines if line not in MADE[name]] for name, lines in wanted.items()} == {
        name: [] for name in wanted
    }
