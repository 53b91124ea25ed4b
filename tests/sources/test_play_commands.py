"""What ``play`` and ``simulate`` say of their events, on the command line, without Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import play as play_commands
from streams.cli.main import build_app
from streams.settings import Settings
from streams.sources.arrivals import Arrival, is_event
from streams.sources.producer import Played, PlaySpeed

ROWS = "who,at,no\nc-1,2026-03-10T12:00:00Z,1\nc-2,2026-03-10T12:05:00Z,2\nc-3,no time,3\n"
MAPPING = """
name: m
input: {format: csv}
customer: "{who}"
events:
  - to: order
    time: {field: at}
    fields: {order_id: "{no}", product: shop, status: placed}
"""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Arrival]:
    """What would have been written."""
    kept: list[Arrival] = []

    def run(arrivals: Iterable[Arrival], settings: Settings, pace: PlaySpeed) -> Played:
        kept.extend(arrivals)
        return Played()

    monkeypatch.setattr(play_commands, "run", run)
    return kept


def command(*words: str) -> str:
    done = CliRunner().invoke(build_app(words[0]), words)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def origins(written: list[Arrival]) -> set[str]:
    """What events say of themselves; what is no event says nothing."""
    assert not any(b'"origin"' in one.value for one in written if not is_event(one))
    return {json.loads(one.value).get("origin", "live") for one in written if is_event(one)}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "rows.csv").write_text(ROWS)
    return str(tmp_path / "m.yaml"), str(tmp_path / "rows.csv")


def test_a_played_file_is_a_replay_unless_it_is_said_to_be_live(
    files: tuple[str, str], written: list[Arrival]
) -> None:
    command("play", *files, "--max-rejects", "40%")
    assert len(written) > 3
    assert origins(written) == {"replay"}
    written.clear()
    command("play", *files, "--live", "--max-rejects", "40%")
    assert origins(written) == {"live"}


def test_a_check_writes_nothing_even_with_live(files: tuple[str, str], written: list[Arrival]) -> None:
    assert "events 2 (order 2), rejected rows 1" in command("play", *files, "--check", "--live", "--max-rejects", "40%")
    assert written == []


def test_the_made_up_company_is_a_drill(written: list[Arrival]) -> None:
    command("simulate")
    events = [one for one in written if is_event(one)]
    marked = sum(1 for one in events if b'"origin":"drill"' in one.value)
    assert 0 <= len(events) - marked <= 24  # what is broken on purpose stays as it is
    assert marked > 100_000


def test_the_help_says_who_is_told() -> None:
    assert "nobody is told of them" in command("play", "--help")
    assert "nobody is told of them" in command("simulate", "--help")
