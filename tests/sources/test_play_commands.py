"""What ``play`` and ``simulate`` say of their events, on the command line, without Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigError
from streams.cli import play as play_commands
from streams.cli.main import build_app
from streams.settings import Settings
from streams.sources import parse_mapping
from streams.sources.arrivals import Arrival, is_event
from streams.sources.beside import AskedBeside, shared_out
from streams.sources.joins import asked_join
from streams.sources.plain_yaml import parse_yaml
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


def test_files_that_belong_together_are_played_by_time_and_each_has_its_report(
    files: tuple[str, str], written: list[Arrival], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(
        "name: t\ninput: {format: ndjson}\ncustomer: '{who}'\nevents:\n"
        "  - {to: contact, time: {field: at}, fields: {contact_id: '{id}', channel: web}}\n"
    )
    rows = [{"who": "c-1", "at": f"2026-03-10T12:0{minute}:00Z", "id": minute} for minute in (3, 1)]
    (tmp_path / "t.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    also = f"{tmp_path / 't.yaml'}={tmp_path / 't.ndjson'}"
    shown = command("play", *files, "--max-rejects", "50%", "--and", also)
    events = [one for one in written if is_event(one) and not one.headers]
    assert [(one.noun, json.loads(one.value)["event_time_ms"] % 3_600_000 // 60_000) for one in events] == [
        ("order", 0), ("contact", 1), ("contact", 3), ("order", 5)
    ]  # fmt: skip
    assert "rows.csv: rows 3: events 2 (order 2), rejected rows 1" in shown
    assert "t.ndjson: rows 2: events 2 (contact 2), rejected rows 0" in shown


@pytest.mark.parametrize("text", ["t.yaml", "=t.ndjson", "t.yaml=", ""])
def test_a_further_file_is_named_by_its_mapping_and_itself(files: tuple[str, str], text: str) -> None:
    done = CliRunner().invoke(build_app("play"), ["play", *files, "--check", "--and", text])
    assert isinstance(done.exception, ConfigError)
    assert "MAPPING=FILE" in str(done.exception)


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


def test_each_of_several_mappings_gets_what_it_has_a_use_for() -> None:
    joined = parse_mapping(parse_yaml(f"{MAPPING}\njoins: {{items: {{on: no}}}}"))
    linked = MAPPING.replace('customer: "{who}"', 'customer: {identity: [{kind: a, value: "{who}"}]}')
    mappings = [parse_mapping(parse_yaml(text)) for text in (MAPPING, linked)] + [joined]
    files = [Path("a.csv"), Path("b.csv"), Path("c.csv")]
    asked = AskedBeside((asked_join("items=i.csv"), asked_join("others=o.csv")), Path("l.csv"))
    shared = [([join.name for join in one.joins], one.links) for one in shared_out(asked, mappings, files)]
    assert shared == [(["others"], None), ([], Path("l.csv")), (["items"], None)]
    assert shared_out(asked, mappings[:1], files[:1]) == [asked]
