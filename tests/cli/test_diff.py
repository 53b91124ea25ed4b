"""``cxwatch diff``: exit codes a script can rely on, text that fits a terminal, no customer by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from streams.cli.main import main
from streams.sources.zstandard import zstd
from tests.replay.made_run import MadeIssue, write_run

HOSTILE = MadeIssue("i-bad", cause={"payment_provider": "[blink]Acme"}, customers=("c-secret-1",))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    a = write_run(tmp_path / "a", [MadeIssue("i-1"), MadeIssue("i-2", "delivery", {"warehouse": "HAM-2"})])
    b = write_run(tmp_path / "b", [replace(MadeIssue("i-1"), seen=12, decision="hold", reason="budget"),
                                   MadeIssue("i-3", "app", {"app_version": "5.2.0"})],
                  configuration={"approval_above": 3})  # fmt: skip
    return str(a), str(b)


def test_exit_codes(folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folders
    assert main(["diff", a, a]) == 0
    assert "byte for byte" in capsys.readouterr().out
    assert main(["diff", a, b]) == 1
    assert main(["diff", a, str(tmp_path / "nothing")]) == 2
    assert "name a folder that a replay wrote" in capsys.readouterr().err


def test_runs_of_different_inputs_are_compared_only_by_force(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(write_run(tmp_path / "c", [MadeIssue("i-1")], source={"kind": "recording", "sha256": "99"}))
    assert main(["diff", folders[0], other]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "different inputs" in printed.err
    assert "--force" in printed.err
    assert main(["diff", folders[0], other, "--force"]) == 1
    assert capsys.readouterr().out.startswith("! Different inputs: the sources differ in their sha256")


def test_the_text_fits_eighty_columns(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["diff", *folders])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith(("A  ", "B  "))) <= 80
    text = "\n".join(lines)
    for part in ("Issues: 1 added, 1 lost, 1 seen 8 min earlier", "approval_above: 1000 -> 3", "8 min earlier",
                 "was told enough lately", "Money rests on assumed margin", "100.00 EUR"):  # fmt: skip
        assert part in text


def test_json_has_everything_but_customers(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *folders, "--json"]) == 1
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert [(one["change"], one["later_ms"]) for one in found["issues"]] == [
        ("changed", -480_000), ("lost", 0), ("added", 0)
    ]  # fmt: skip
    assert "c-1" not in printed


def test_labels_from_elsewhere_steer_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_run(tmp_path / "a", []), tmp_path / "b"
    write_run(b, [HOSTILE])
    issues = b / "findings" / "issue.ndjson.zst"
    issues.write_bytes(zstd.compress(zstd.decompress(issues.read_bytes()).replace(b"[blink]", b"[blink]\\u001b[2J")))
    assert main(["diff", str(a), str(b)]) == 1
    printed = capsys.readouterr().out
    assert "at payment provider [blink]\ufffd[2JAcme" in printed
    assert "\x1b" not in printed
    assert "c-secret-1" not in printed
