"""docs/grafana.md and deploy/grafana hold: every command runs, and what they lead to is a board that is there."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.alerts import RUNBOOK, alerts, rules_file
from dashboards.boards import BOARDS
from dashboards.grafana import GENERATED
from schemas.signals import SIGNALS
from streams.cli.main import main
from tests.dashboards.grafana_docs import ALERTS, GUIDE, blocks, permissions_table, rules_table, with_table
from tests.dashboards.grafana_server import ADMIN, FakeGrafana, running
from tests.docs.words import ROOT

pytestmark = [pytest.mark.loopback, pytest.mark.clickhouse]
COMPOSE = ROOT / "deploy" / "grafana" / "compose.yaml"
UNTRIED = ["KEEP=1 make demo", "GRAFANA_ADMIN_PASSWORD=choose-one docker compose -f deploy/grafana/compose.yaml up"]
"""What needs Docker, or is a whole demo; what they use is tried below."""


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    """A running server."""
    with running() as made:
        yield made


@pytest.fixture
def folder(
    afternoon: str, stack_settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A reader's shell: an empty folder, the seeded database, no Grafana yet."""
    (tmp_path / "deploy" / "grafana").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CX_STATE_DIR", str(stack_settings.state_dir))
    if stack_settings.clickhouse_url:
        monkeypatch.setenv("CX_CLICKHOUSE_URL", stack_settings.clickhouse_url.get_secret_value())
    monkeypatch.setenv("CX_CLICKHOUSE_DATABASE", afternoon)
    return tmp_path


def _type(line: str, server: FakeGrafana, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a line of the guide; addresses and tokens are those of the test."""
    words = shlex.split(line)
    if words[0] == "export":
        name = words[1].partition("=")[0]
        monkeypatch.setenv(name, {"CX_GRAFANA_URL": server.url, "CX_GRAFANA_TOKEN": ADMIN}[name])
        return 0
    assert words[0] == "cxwatch", line
    return main(words[1:])


def environment_of(file: Path) -> dict[str, str]:
    """Name -> value of an environment file."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_every_block_is_run_here_or_named(
    folder: Path, server: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = []
    for language, lines in blocks():
        if language == "text":
            assert set(lines) <= set(UNTRIED)
            continue
        assert language == "sh"
        for line in lines:
            assert _type(line, server, monkeypatch) == 0, line
            typed.append(line.split("--")[0])
    assert len(typed) == 8
    assert set(server.boards) == {board.uid for board in BOARDS}


def test_the_files_lead_to_a_grafana_that_needs_nothing_more(
    folder: Path, server: FakeGrafana, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boards", "export", "files"]) == 0
    assert main(["boards", "environment", "files/grafana.env"]) == 0
    assert stat.S_IMODE((folder / "files" / "grafana.env").stat().st_mode) == 0o600
    environment = environment_of(folder / "files" / "grafana.env") | {"CX_BOARDS": str(folder / "files" / "dashboards")}
    server.provision(folder / "files" / "provisioning", environment)
    for line in ("export CX_GRAFANA_URL=x", "export CX_GRAFANA_TOKEN=x"):
        _type(line, server, monkeypatch)
    assert main(["boards", "check"]) == 0, capsys.readouterr().out
    assert main(["boards", "push"]) == 0
    assert server.writes() == []


def test_compose_mounts_what_the_provisioning_files_ask_for_and_sets_every_variable(folder: Path) -> None:
    (service,) = yaml.safe_load(COMPOSE.read_text())["services"].values()
    inside = {}
    for volume in service["volumes"][:2]:
        outside, target, how = volume.split(":")
        assert (COMPOSE.parent / outside).is_dir()
        assert how == "ro"
        inside[target] = (COMPOSE.parent / outside).resolve()
    assert inside["/etc/grafana/provisioning"] == (ROOT / "dashboards" / "provisioning").resolve()
    assert inside[service["environment"]["CX_BOARDS"]] == GENERATED.resolve()
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (inside[os.path.dirname(home)] / os.path.basename(home)).is_file()
    assert main(["boards", "environment", "deploy/grafana/grafana.env"]) == 0
    known = {*environment_of(folder / "deploy" / "grafana" / "grafana.env"), *service["environment"]}
    for file in sorted((ROOT / "dashboards" / "provisioning").rglob("*.yaml")):
        lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert set(re.findall(r"\$(\w+)", "\n".join(lines))) <= known, file


def test_templates_load_once_they_are_filled_in_and_hold_no_secret() -> None:
    folder = ROOT / "dashboards" / "provisioning" / "alerting"
    assert [file.name for file in sorted(folder.glob("*.yaml"))] == ["rules.yaml"]  # Grafana reads these
    points = yaml.safe_load((folder / "contact-points.yaml.template").read_text())["contactPoints"]
    policies = yaml.safe_load((folder / "policies.yaml.template").read_text())["policies"]
    (receiver,) = points[0]["receivers"]
    secrets = ("url", "authorization_credentials")
    assert all(receiver["settings"][name].startswith("$") for name in secrets)
    rules = yaml.safe_load(rules_file())["groups"][0]["rules"]
    for rule in rules:
        routes = [route for route in policies[0]["routes"]
                  if all(rule["labels"][name] == value for name, _, value in route["object_matchers"])]
        assert [route["receiver"] for route in routes] == [points[0]["name"]]


def test_the_tables_are_those_of_the_code() -> None:
    command = "python -m tests.dashboards.grafana_docs"
    assert GUIDE.read_text() == with_table(GUIDE, "permissions", permissions_table()), command
    assert ALERTS.read_text() == with_table(ALERTS, "rules", rules_table()), command


def test_every_rule_has_a_page_that_says_what_to_do() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", ALERTS.read_text(), re.M)}
    for alert in alerts():
        assert alert.title.lower().replace(" ", "-") in headings
        page, _, anchor = alert.runbook.partition("#")
        if alert.runbook == RUNBOOK:
            assert all((ROOT / "docs" / "runbooks" / f"{signal.name}.md").is_file() for signal in SIGNALS)
        else:
            assert page == ALERTS.name
            assert anchor in headings
