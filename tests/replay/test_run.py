"""`cxwatch replay` leaves a folder that says what was found, from what and how; one that was left is gone on with."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from streams.cli.main import main
from streams.replay.configuration import FINDING_SETTINGS, configuration, configured
from streams.replay.folder import read_findings, read_manifest, read_revisions, verify
from streams.replay.opening import SourceRequest, open_source
from streams.replay.recording import Recording
from streams.replay.run import ReplayRequest, left, run
from streams.replay.unit import Stopped
from streams.settings import Settings
from streams.sources.project import write_project
from streams.sources.shipped import shipped
from tests.replay.small_company import source

SECRET = "whsec_" + "c2VjcmV0" * 4


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CX_") and not name.startswith("CX_TEST_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "tuesday"
    source(2).write(folder)
    return folder


def test_the_command_leaves_findings_with_hashes_and_a_manifest(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    given = ["replay", str(recording), "--out", str(out), "--processes", "1", "--set", "holdout_ratio=0.5"]
    assert main(given) == 0
    shown = capsys.readouterr().out
    manifest = read_manifest(out)
    verify(out)
    assert manifest.findings["issue"].sha256 in shown
    assert "a replay sends nothing" in shown
    assert manifest.configuration["holdout_ratio"] == 0.5
    assert manifest.source["name"] == "tuesday"
    assert manifest.source["offsets"]["telemetry-0"][1] == Recording(recording).contents.logs[-2].next
    assert not (out / ".work").exists()
    assert len(list(read_revisions(out))) > len(list(read_findings(out, "issue"))) > 0
    assert main(given) == 78
    assert "holds a run already" in capsys.readouterr().err


def test_a_run_that_was_left_is_taken_up_by_its_folder_alone(recording: Path, tmp_path: Path) -> None:
    whole, _ = run(ReplayRequest(str(recording)), tmp_path / "whole")
    out = tmp_path / "left"
    with pytest.raises(Stopped):
        run(ReplayRequest(str(recording)), out, stop=partial(next, iter([False] * 9), True))
    with pytest.raises(ConfigError, match="--resume"):
        read_manifest(out)
    assert main(["replay", "--resume", str(out)]) == 0
    assert read_manifest(out).findings == whole.findings
    with pytest.raises(ConfigError, match="is a finished run"):
        left(out)


def test_issues_are_told_at_a_speed(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["replay", str(recording), "--out", str(tmp_path / "run"), "--rooms", "join,detect", "--speed", "1e9"]
    assert main([*given, "--processes", "1"]) == 0
    assert "open        shop app  app_version 5.2.0" in capsys.readouterr().out


def test_the_file_of_a_project_configures_and_its_secrets_are_not_read(tmp_path: Path) -> None:
    write_project(tmp_path / "cx", shipped("shop"))
    file = tmp_path / "cx" / "settings.env"
    file.write_text(file.read_text() + f"CX_APPROVAL_ABOVE=7\nexport CX_WEBHOOK_SECRET={SECRET}\nCX_PARTITIONS=9\n")
    settings = configured(file, ["detect_customers=3"])
    assert (settings.approval_above, settings.detect_customers, settings.partitions) == (7, 3, 4)
    assert settings.webhook_secret is settings.pseudonym_key is None
    shown = configuration(settings)
    assert shown.keys() == set(FINDING_SETTINGS)
    assert len(shown["outreach_names"]) == 64
    yaml = tmp_path / "b.yaml"
    yaml.write_text("approval_above: 5\nholdout_ratio: 0\n")
    assert (configured(yaml).approval_above, configured(yaml).holdout_ratio) == (5, 0.0)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["holdout_ratio=2"], "CX_HOLDOUT_RATIO is wrong: .* Allowed: "),
        (["holdout=0.1"], "holdout is not a setting"),
        (["kafka_user=me"], "allowed is NAME=VALUE of a setting that can change a finding: .*approval_above"),
        (["holdout_ratio"], "allowed is NAME=VALUE"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(given: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        configured(None, given)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (SourceRequest("nowhere"), "allowed are live, simulation"),
        (SourceRequest("simulation:sead=9"), ":seed=NUMBER"),
        (SourceRequest("simulation", start="yesterday"), "allowed is ISO 8601"),
        (SourceRequest("world:nothing"), "there is no such world; there are "),
    ],
)
def test_a_source_that_is_none_is_refused(wanted: SourceRequest, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        open_source(wanted, Settings())


def test_a_stretch_of_a_recording_needs_append_times(recording: Path) -> None:
    with pytest.raises(ConfigError, match="nobody knows when"):
        open_source(SourceRequest(str(recording), start="2026-03-10T08:00:00Z"), Settings())
