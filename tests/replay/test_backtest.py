"""``cxwatch backtest``: the same history twice, what differs, and what the words of an operator change."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.cli.main import main
from streams.replay.compare import compare
from streams.replay.configuration import FINDING_SETTINGS
from streams.replay.findings import RunFindings, read_run
from streams.replay.folder import read_manifest
from streams.replay.plan import ROOMS
from streams.replay.report.page import run_page
from streams.replay.run import ReplayRequest, run
from streams.replay.unit import Stopped
from streams.replay.variants import WORDS, BacktestRequest, as_settings, asked_before, backtest
from tests.replay.small_company import source


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CX_") and not name.startswith("CX_TEST_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "tuesday"
    source(1).write(folder)
    return folder


BASE = ("outreach_replayed=true", "quiet_hours=0-0", "outreach_zones=Europe/Berlin")


@pytest.fixture(scope="module")
def usual(recording: Path) -> RunFindings:
    """What the settings find that the variants below are compared with."""
    return replayed(recording, recording.parent / "usual")


def replayed(recording: Path, folder: Path, *given: str, rooms: tuple[str, ...] = ROOMS) -> RunFindings:
    run(ReplayRequest(str(recording), given=(*BASE, *as_settings(given)), rooms=rooms), folder)
    return read_run(folder)


def test_two_configurations_side_by_side(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text("detect_customers: 5\noutreach_replayed: true\n")
    (tmp_path / "b.env").write_text("CX_DETECT_CUSTOMERS=12\nCX_OUTREACH_REPLAYED=true\n")
    out = tmp_path / "out"
    given = [str(recording), "--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.env"), "--b",
             "approval=3", "--out", str(out), "--processes", "1", "--json"]  # fmt: skip
    assert main(["backtest", *given]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["a"], one["b"]) for one in found["settings"]] == [
        ("approval_above", 1_000, 3), ("detect_customers", 5, 12)
    ]  # fmt: skip
    assert [issue["change"] for issue in found["issues"]] == ["changed"]
    assert found["issues"][0]["later_ms"] > 0
    assert "seen in B" in (out / "report.html").read_text(encoding="utf-8")
    assert "Settings that are not the default" in (out / "b" / "report.html").read_text(encoding="utf-8")
    assert not (out / "a" / ".work").exists()


def test_the_same_variant_twice_is_equal_and_the_same_given_twice_refused(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms = ["--rooms", "join", "--processes", "1"]
    asked = ["backtest", str(recording), "--out", str(tmp_path / "out"), *rooms]
    assert main([*asked, "--b", "approval=3"]) == 0
    assert "byte for byte" in capsys.readouterr().out
    assert main(["backtest", str(recording)]) == 78
    assert "A and B are the same" in capsys.readouterr().err


def test_a_wrong_variant_is_refused_before_anything_is_replayed(recording: Path, tmp_path: Path) -> None:
    for wrong in ("contact-budget=often", "weather=fine", "attributes=payment:app_version"):
        assert main(["backtest", str(recording), "--b", wrong, "--out", str(tmp_path / "out")]) == 78
    assert not (tmp_path / "out").exists()


def test_a_backtest_that_was_left_goes_on(recording: Path, tmp_path: Path) -> None:
    a = ReplayRequest(str(recording), given=("holdout_ratio=0",), rooms=("join",))
    request, out = BacktestRequest(a, replace(a, given=("holdout_ratio=0.5",))), tmp_path / "out"
    with pytest.raises(Stopped):
        backtest(request, out, lambda name, now: None, partial(next, iter([False] * 3), True))
    assert asked_before(out) == request
    found = backtest(asked_before(out), out, lambda name, now: None, lambda: False)
    assert found.equal
    with pytest.raises(ConfigError, match="holds no backtest"):
        asked_before(tmp_path)


def test_every_word_is_a_setting_that_can_change_a_finding() -> None:
    assert set(WORDS.values()) <= set(FINDING_SETTINGS)


def test_a_signal_that_is_off_has_no_issue(recording: Path, tmp_path: Path, usual: RunFindings) -> None:
    found = compare(usual, replayed(recording, tmp_path / "b", "signals-off=app", rooms=("join", "detect")))
    assert [change.kind for change in found.issues if change.issue.signal == "app"] == ["lost"]


def test_other_attributes_give_another_cause(recording: Path, tmp_path: Path, usual: RunFindings) -> None:
    others = replayed(recording, tmp_path / "b", "attributes=app:platform+region", rooms=("join", "detect"))
    causes = [set(issue.cause) for issue in others.issues if issue.signal == "app"]
    assert all(names <= {"platform", "region"} for names in causes)
    assert "app_version" in {name for issue in usual.issues for name in issue.cause}


def test_notices_change_by_their_reason(recording: Path, tmp_path: Path, usual: RunFindings) -> None:
    found = compare(usual, replayed(recording, tmp_path / "b", "approval=2", "hold-out=0.5"))
    assert found.different == ("outreach",)
    assert found.notices_removed > 0
    assert {("hold", "approval"), ("hold_out", "hold_out")} <= {tuple(change.b) for change in found.decisions}


def test_the_report_of_a_replay_says_what_is_not_the_default(recording: Path, usual: RunFindings) -> None:
    page = run_page(usual)
    manifest: Any = read_manifest(usual.folder)
    assert "Settings that are not the default" in page
    assert "quiet_hours" in page.split("Settings that are not the default")[-1]
    assert f"{manifest.counts['join accepted']:,}" in page
