"""The environment is set up where pip asks for packages: pip's settings, in its files or its variables, reach uv."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.setup_venv import FROM_PIP, explain, registry_of_pip


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in FROM_PIP:
        monkeypatch.delenv("PIP_" + name.upper().replace("-", "_"), raising=False)
    for meant in FROM_PIP.values():
        monkeypatch.delenv(meant, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))


def test_a_mirror_in_a_file_of_pips_is_asked_by_uv(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.invalid/simple\nfind-links = /a /b\n")
    found = registry_of_pip()
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.invalid/simple"
    assert found["UV_FIND_LINKS"] == "/a,/b"


def test_a_variable_of_pips_comes_before_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.invalid/simple\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.invalid/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.invalid https://two.invalid")
    found = registry_of_pip()
    assert found["UV_DEFAULT_INDEX"] == "https://other.invalid/simple"
    assert found["UV_INDEX"] == "https://one.invalid https://two.invalid"


def test_what_is_set_for_uv_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.invalid/simple\n")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.invalid/simple")
    assert "UV_DEFAULT_INDEX" not in registry_of_pip()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("error: No space left on device (os error 28)", "the disk is full"),
        ("error: Hash mismatch for `numpy==2`", "other contents than the lock names"),
        ("Caused by: dns error: failed to lookup address", "cannot be reached"),
    ],
)
def test_a_failure_is_a_sentence(output: str, sentence: str) -> None:
    assert sentence in explain(output)
