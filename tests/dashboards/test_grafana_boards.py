"""What is pushed, compared and left alone, and what the commands say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dashboards.alerts import alerts, rule_group, rules_file
from dashboards.boards import BOARDS, OPERATIONS
from dashboards.grafana import GENERATED, dashboard
from schemas.errors import ConfigError
from streams.cli.boards import check_database, limits
from streams.cli.main import main
from streams.sinks.clickhouse import ClickHouse, Login, login
from streams.sinks.grafana import Grafana, GrafanaError
from streams.sinks.grafana_boards import conditions, differences, items, push, unequal
from streams.stack import Endpoints
from tests.dashboards.grafana_server import ADMIN, EDITOR, PLUGIN, FakeGrafana, running

pytestmark = pytest.mark.loopback
LOGIN = Login("127.0.0.1", 9000, "reader", SecretStr("hush"), "cx")
PROVISIONING = GENERATED.parent / "provisioning"
ENVIRONMENT = {"CLICKHOUSE_HOST": "clickhouse", "CLICKHOUSE_PORT": "9000", "CLICKHOUSE_DATABASE": "cx",
               "CLICKHOUSE_READER": "reader", "CLICKHOUSE_READER_PASSWORD": "hush", "CX_BOARDS": str(GENERATED)}
UIDS = [board.uid for board in BOARDS]
GROUP = rule_group()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[FakeGrafana]:
    """A running server."""
    with running(getattr(request, "param", "12.4.0")) as made:
        yield made


BOTH = pytest.mark.parametrize("server", ["11.6.3", "12.4.0"], indirect=True)
"""The oldest version and the newest that is known."""


@pytest.fixture
def grafana(server: FakeGrafana) -> Grafana:
    """Its administrator."""
    return Grafana(server.url, SecretStr(ADMIN))


@pytest.fixture
def provisioned(server: FakeGrafana) -> FakeGrafana:
    """The same server, started with our files."""
    server.provision(PROVISIONING, ENVIRONMENT)
    return server


@BOTH
def test_pushing_writes_everything_and_pushing_again_only_the_password(grafana: Grafana, server: FakeGrafana) -> None:
    written, others = push(grafana, LOGIN, GROUP)
    assert written == ["folder Customer trouble", "data source cxwatch", *UIDS, "folder Customer trouble alerts",
                       "alert rules"]
    assert others == []
    assert push(grafana, LOGIN, GROUP) == (["data source cxwatch"], [])
    assert push(grafana, None, GROUP) == ([], [])
    held = server.boards["cx-operations"]
    assert held["meta"]["folderUid"] == "cxwatch"
    assert len(held["dashboard"]["panels"]) == len(OPERATIONS.panels)
    assert server.sources["cx-clickhouse"]["secureJsonData"] == {"password": "hush"}
    assert isinstance(server.sources["cx-clickhouse"]["jsonData"]["port"], int)
    assert set(server.rules) == {alert.uid for alert in alerts()}


@BOTH
def test_what_was_changed_by_hand_is_found_said_and_written_again(grafana: Grafana, server: FakeGrafana) -> None:
    push(grafana, LOGIN, GROUP)
    panels = server.boards["cx-operations"]["dashboard"]["panels"]
    title = panels[0]["title"]
    panels[0]["title"] = "mine"
    gone = panels.pop()
    panels.append({"id": 999, "title": "a panel of mine"})
    server.rules["cx-stream-silent"]["isPaused"] = True
    del server.rules["cx-room-behind"]
    server.sources["cx-clickhouse"]["jsonData"]["port"] = 9440
    found = {item.name: item.lines for item in unequal(items(grafana, LOGIN, GROUP))}
    assert found == {
        "data source cxwatch": ("jsonData.port: 9440 -> 9000",),
        "cx-operations": (f"panel {panels[0]['id']} {title!r}: title: 'mine' -> {title!r}",
                          f"panel {gone['id']} {gone['title']!r}: not in Grafana",
                          "panel 999 'a panel of mine': only in Grafana"),
        "alert rules": ("Stream silent: isPaused: True -> False", "Room behind: not in Grafana"),
    }
    assert push(grafana, LOGIN, GROUP)[0] == ["data source cxwatch", "cx-operations", "alert rules"]
    assert unequal(items(grafana, LOGIN, GROUP)) == []


def test_a_board_that_was_moved_is_moved_back(grafana: Grafana, server: FakeGrafana) -> None:
    push(grafana, None, GROUP)
    server.boards["cx-operations"]["meta"]["folderUid"] = "elsewhere"
    assert push(grafana, None, GROUP)[0] == ["cx-operations"]
    assert server.boards["cx-operations"]["meta"]["folderUid"] == "cxwatch"


def test_what_comes_from_files_is_known_and_never_written(grafana: Grafana, provisioned: FakeGrafana) -> None:
    reader = Login("clickhouse", 9000, "reader", SecretStr("hush"), "cx")
    assert unequal(items(grafana, reader, GROUP)) == []
    assert push(grafana, reader, GROUP) == ([], [])
    provisioned.boards["cx-operations"]["dashboard"]["title"] = "an older one"
    provisioned.rules["cx-room-behind"]["for"] = "5m"
    written, others = push(grafana, LOGIN, GROUP)
    assert written == []
    assert {item.name: item.owner for item in others} == {
        "cx-operations": "file cx-operations.json of the Grafana server",
        "data source cxwatch": "a file below provisioning/datasources of the Grafana server",
        "alert rules": "a file below provisioning/alerting of the Grafana server",
    }
    assert provisioned.writes() == []


def test_an_editor_writes_all_but_the_data_source_and_the_rules_and_is_told_who_may(
    server: FakeGrafana, grafana: Grafana
) -> None:
    editor = Grafana(server.url, SecretStr(EDITOR))
    with pytest.raises(GrafanaError, match=r"needs datasources:read \(role Admin"):
        push(editor, LOGIN, GROUP)
    with pytest.raises(GrafanaError, match=r"alert.provisioning:write \(role Admin"):
        push(editor, None, GROUP)
    assert set(server.boards) == set(UIDS)
    server.boards.clear()
    assert push(editor, None, None) == (UIDS, [])
    push(grafana, LOGIN, GROUP)
    assert push(editor, None, GROUP) == ([], [])
    assert [item.state for item in conditions(editor)] == ["same", "unknown", "same"]


def test_another_data_source_of_the_same_name_is_said(grafana: Grafana, server: FakeGrafana) -> None:
    server.sources["other"] = {"uid": "other", "name": "cxwatch"}
    with pytest.raises(GrafanaError, match="same name already exists"):
        push(grafana, LOGIN, GROUP)


def test_old_servers_lacking_plugins_and_sick_sources_are_found(grafana: Grafana, server: FakeGrafana) -> None:
    push(grafana, LOGIN, GROUP)
    assert unequal(conditions(grafana)) == []
    server.version, server.plugins = "11.5.9", {PLUGIN: "4.13.0"}
    server.health = (400, {"status": "ERROR", "message": "authentication failed"})
    old, plugin, health = conditions(grafana)
    assert [item.state for item in (old, plugin, health)] == ["different"] * 3
    assert "11.6 or later" in old.lines[0]
    assert "4.14 or later" in plugin.lines[0]
    assert "authentication failed" in health.lines[0]
    server.version, server.plugins, server.sources = "", {}, {}
    assert [item.state for item in conditions(grafana)] == ["unknown", "missing", "missing"]


@pytest.mark.parametrize(
    ("theirs", "ours", "lines"),
    [
        ({"a": 1, "id": 4, "preload": False, "links": []}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["a: 1 -> True"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a: [1, 2] -> [1]"]),
        ({"a": {"mine": 3}}, {"a": {}}, ["a.mine: only in Grafana (3)"]),
        ({"a": {}}, {"a": {"b": "x", "empty": None}}, ["a.b: not in Grafana ('x')"]),
        ({"sql": "x" * 99}, {"sql": "y"}, ["sql: '" + "x" * 56 + "... -> 'y'"]),
    ],
)
def test_differences_are_said_by_place(theirs: Any, ours: Any, lines: list[str]) -> None:
    assert differences(theirs, ours) == lines


def test_the_rules_in_the_shipped_file_are_those_of_the_api() -> None:
    assert (PROVISIONING / "alerting" / "rules.yaml").read_text() == rules_file(), "run `cxwatch boards export`"
    assert "$" not in rules_file("https://docs.example.com", limits(["JPY=20000"]))


@pytest.mark.parametrize("text", ["EUR", "EUR=", "EUR=x", "eur=1", "ABC=1", "=1", "EUR=-1"])
def test_a_limit_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--limit"):
        limits([text])


@pytest.fixture
def commands(
    server: FakeGrafana, clickhouse: Endpoints, afternoon: str, stack_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Commands look at that server and at the seeded afternoon."""
    monkeypatch.setenv("CX_STATE_DIR", str(stack_settings.state_dir))
    if stack_settings.clickhouse_url:
        monkeypatch.setenv("CX_CLICKHOUSE_URL", stack_settings.clickhouse_url.get_secret_value())
    monkeypatch.setenv("CX_CLICKHOUSE_DATABASE", afternoon)
    monkeypatch.setenv("CX_GRAFANA_URL", server.url)
    monkeypatch.setenv("CX_GRAFANA_TOKEN", ADMIN)
    return monkeypatch


@pytest.mark.clickhouse
def test_check_diff_and_push_say_what_is_there_and_what_is_not(
    commands: pytest.MonkeyPatch, server: FakeGrafana, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boards", "check"]) == 1
    assert "missing   cx-operations" in capsys.readouterr().out
    assert main(["boards", "diff"]) == 1
    assert server.writes() == []
    assert main(["boards", "push"]) == 0
    assert "cx-operations" in capsys.readouterr().out
    assert main(["boards", "check"]) == 0
    assert main(["boards", "diff"]) == 0
    assert capsys.readouterr().out.endswith("no differences\n")
    assert main(["boards", "diff", "--limit", "EUR=7"]) == 1
    assert "Money per minute over the limit: data[0].model.rawSql" in capsys.readouterr().out
    server.failures = [(200, b"<html>log in</html>")]
    assert main(["boards", "check"]) == 1
    assert "login page" in capsys.readouterr().err


@pytest.mark.clickhouse
def test_a_board_from_a_file_is_said_with_what_to_do(
    commands: pytest.MonkeyPatch, provisioned: FakeGrafana, capsys: pytest.CaptureFixture[str]
) -> None:
    provisioned.boards["cx-operations"]["dashboard"]["title"] = "an older one"
    assert main(["boards", "push", "--no-datasource"]) == 1
    stated = capsys.readouterr().err
    assert "left alone: cx-operations differs, and is kept in file cx-operations.json" in stated
    assert "boards export" in stated
    assert provisioned.writes() == []


@pytest.mark.clickhouse
def test_nothing_is_written_while_the_database_lacks_what_the_boards_read(
    commands: pytest.MonkeyPatch, server: FakeGrafana, clickhouse: Endpoints, database: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ClickHouse(login(clickhouse, "migrator", database)).query("DROP VIEW room_status")
    commands.setenv("CX_CLICKHOUSE_DATABASE", database)
    assert main(["boards", "push"]) == 78
    assert "room_status" in capsys.readouterr().err
    assert server.writes() == []


@pytest.mark.clickhouse
def test_a_view_with_older_columns_is_found(clickhouse: Endpoints, database: str) -> None:
    migrator = ClickHouse(login(clickhouse, "migrator", database))
    migrator.query("CREATE OR REPLACE VIEW channel_status AS SELECT 'webhook' AS channel")
    with pytest.raises(ConfigError, match="tables migrate"):
        check_database(ClickHouse(login(clickhouse, "reader", database)))


def test_export_writes_boards_and_provisioning_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "export", str(tmp_path), "--limit", "EUR=7", "--docs", "https://docs.example.com/"]) == 0
    for board in BOARDS:
        assert json.loads((tmp_path / "dashboards" / f"{board.uid}.json").read_text()) == dashboard(board)
    rules = (tmp_path / "provisioning" / "alerting" / "rules.yaml").read_text()
    assert rules == rules_file("https://docs.example.com/", limits(["EUR=7"]))
    assert "https://docs.example.com/alerts.md#sender-down" in rules
    assert (tmp_path / "provisioning" / "alerting" / "contact-points.yaml.template").exists()
    assert str(tmp_path / "dashboards" / "cx-operations.json") in capsys.readouterr().out
