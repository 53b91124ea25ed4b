"""The state folder is found from any folder below the one that holds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings import load_settings, state_folder
from streams.stack.folders import StateFolder


def test_the_nearest_one_upwards_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    assert state_folder({}, inner) == inner / ".cxwatch"
    (tmp_path / ".cxwatch").mkdir()
    assert state_folder({}, inner) == tmp_path / ".cxwatch"
    (tmp_path / "a" / ".cxwatch").mkdir()
    assert state_folder({}, inner) == tmp_path / "a" / ".cxwatch"


def test_a_file_of_that_name_is_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".cxwatch").touch()
    (tmp_path / ".cxwatch").mkdir()
    assert state_folder({}, tmp_path / "a") == tmp_path / ".cxwatch"


def test_a_folder_of_another_user_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".cxwatch").mkdir()
    (tmp_path / "a").mkdir()
    monkeypatch.setattr("os.getuid", lambda: (tmp_path / ".cxwatch").stat().st_uid + 1)
    assert state_folder({}, tmp_path / "a") == tmp_path / "a" / ".cxwatch"


def test_a_named_one_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".cxwatch").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CX_STATE_DIR", "elsewhere")
    assert load_settings().state_dir == tmp_path / "elsewhere"
    monkeypatch.delenv("CX_STATE_DIR")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert load_settings().state_dir == tmp_path / ".cxwatch"


def test_making_one_is_told_once(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / ".cxwatch")
    assert folder.prepare("kafka")
    assert not folder.prepare("kafka")
