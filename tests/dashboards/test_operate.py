"""The operator's commands on a real ClickHouse, through the command line's own entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboards.boards import BOARDS
from schemas.tables import TABLES
from streams.cli.main import main
from streams.settings import Settings
from streams.stack import Endpoints

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def here(clickhouse: Endpoints, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of an operator on this session's servers."""
    monkeypatch.setenv("CX_STATE_DIR", str(stack_settings.state_dir))
    monkeypatch.setenv("COLUMNS", "160")
    if stack_settings.clickhouse_url:
        monkeypatch.setenv("CX_CLICKHOUSE_URL", stack_settings.clickhouse_url.get_secret_value())
    return monkeypatch


@pytest.fixture
def on_afternoon(here: pytest.MonkeyPatch, afternoon: str) -> None:
    """The same, looking at the seeded afternoon."""
    here.setenv("CX_CLICKHOUSE_DATABASE", afternoon)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Standard output of a command that succeeds."""
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("on_afternoon")
def test_issues_as_json_are_one_object_a_line_with_what_a_script_needs(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in output_of(capsys, "issues", "--json").splitlines()]
    assert [row["id"] for row in rows] == ["i-app", "i-depot", "i-pay"]
    needed = {"id", "state", "title", "cause", "opened_at", "detected_at", "affected", "contacted", "silent", "money"}
    assert all(needed <= row.keys() and row["affected"] == row["contacted"] + row["silent"] for row in rows)
    assert rows[0]["cause"] == {"app_version": "5.2.0", "platform": "android"}
    assert {"amounts", "at_risk", "per_minute"} <= rows[0]["money"].keys()


@pytest.mark.usefixtures("on_afternoon")
def test_one_issue_is_shown_with_its_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    text = output_of(capsys, "issues", "show", "i-app")
    assert "app_version = 5.2.0, platform = android" in text
    assert "assumed churn_lift = 0.02 ratio" in text
    assert json.loads(output_of(capsys, "issues", "show", "i-app", "--json"))["id"] == "i-app"


@pytest.mark.usefixtures("on_afternoon")
def test_affected_lists_every_customer_once(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in output_of(capsys, "affected", "i-pay", "--json").splitlines()]
    assert len({row["customer_id"] for row in rows}) == len(rows) == 133
    assert "133 customers" in output_of(capsys, "affected", "i-pay")


@pytest.mark.usefixtures("on_afternoon")
def test_sources_say_who_is_silent_and_who_was(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["source"]: row for row in map(json.loads, output_of(capsys, "sources", "--json").splitlines())}
    assert rows["carrier"]["state"] == "no data"
    assert rows["app-ios"]["no_data"][0]["silent_s"] == 120
    assert "no data" in output_of(capsys, "sources")


@pytest.mark.usefixtures("on_afternoon")
@pytest.mark.parametrize("command", [("issues", "show"), ("affected",)])
def test_an_unknown_issue_is_a_clear_error(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    assert main([*command, "i-nothing"]) == 1
    assert "issue 'i-nothing': no issue has it" in capsys.readouterr().err


@pytest.mark.usefixtures("on_afternoon")
def test_the_list_for_people_names_state_title_and_event_time(capsys: pytest.CaptureFixture[str]) -> None:
    text = output_of(capsys, "issues")
    assert "escalating" in text
    assert "Promises break at depot HAM-2" in text
    assert "event time 2026-01-02T12:00:00.000Z" in text


def test_tables_are_migrated_and_their_state_is_told(
    here: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    here.setenv("CX_CLICKHOUSE_DATABASE", f"{database}_new")
    assert main(["tables", "status"]) == 1
    assert "pending" in capsys.readouterr().out
    assert "applied 001_counts.sql" in output_of(capsys, "tables", "migrate")
    assert "applied 0" not in output_of(capsys, "tables", "migrate")
    states = [json.loads(line)["state"] for line in output_of(capsys, "tables", "status", "--json").splitlines()]
    assert set(states) == {"applied"}
    assert len(output_of(capsys, "tables", "list", "--json").splitlines()) == len(TABLES)


def test_an_empty_database_is_told_in_words(
    here: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    here.setenv("CX_CLICKHOUSE_DATABASE", database)
    assert output_of(capsys, "issues") == "No issue.\n"
    assert output_of(capsys, "issues", "--json") == ""
    assert output_of(capsys, "sources") == "No event has arrived yet.\n"


def test_boards_are_written_where_one_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_of(capsys, "boards", "export", str(tmp_path))
    assert {file.stem for file in (tmp_path / "dashboards").glob("*.json")} == {board.uid for board in BOARDS}


def test_pushing_without_an_address_names_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "push"]) == 78
    assert "CX_GRAFANA_URL" in capsys.readouterr().err
