"""How a command ends: a sentence and an exit code, never a traceback; what is kept of an error names no value."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from schemas.errors import ConfigError, SinkUnavailable
from streams.cli import main as command_line
from streams.cli.ending import Ending, in_words
from streams.cli.main import KnownCommand, main

SECRET = "anna@example.org"


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[BaseException], int]:
    """Runs ``cxwatch break``, which raises what it is given, in a folder with a state folder."""
    (tmp_path / ".cxwatch").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CX_STATE_DIR", raising=False)

    def run(error: BaseException) -> int:
        def broken() -> None:
            error.__context__ = ValueError(f"row of {SECRET}")
            raise error

        module = ModuleType("tests_broken_command")
        vars(module)["register"] = lambda app: app.command("break")(broken)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(command_line.COMMANDS, "break", KnownCommand(module.__name__, "Breaks."))
        return main(["break"])

    return run


def test_an_unexpected_error_is_one_sentence_and_its_place_is_kept_without_any_value(
    breaking: Callable[[BaseException], int], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert breaking(KeyError(SECRET)) == 70
    shown, kept = capfd.readouterr().err, (tmp_path / ".cxwatch" / "logs" / "errors.log").read_text()
    assert shown.count("\n") == 1
    assert "KeyError at" in shown
    assert "errors.log" in shown
    assert "Traceback" not in shown
    assert "builtins.ValueError" in kept
    assert "builtins.KeyError" in kept
    assert "in broken: raise error" in kept
    assert "cxwatch break" in kept
    assert SECRET not in shown + kept
    assert (tmp_path / ".cxwatch" / "logs" / "errors.log").stat().st_mode & 0o777 == 0o600


def test_with_debug_the_traceback_is_shown(
    breaking: Callable[[BaseException], int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CX_DEBUG", "1")
    assert breaking(KeyError("x")) == 70
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("CX_X is wrong"), 78, "cxwatch: CX_X is wrong\n"),
        (SinkUnavailable("ClickHouse"), 1, "cxwatch: ClickHouse is unavailable, retry in 1 s\n"),
        (KeyboardInterrupt(), 130, ""),
        (ExceptionGroup("two", [KeyError("x"), ExceptionGroup("in", [ConfigError("CX_X")])]), 78, "cxwatch: CX_X\n"),
        (PermissionError(13, "Permission denied", "/x"), 70, "cxwatch: Permission denied (/x). Where: "),
        (typer.Exit(75), 75, ""),
    ],
)
def test_every_end_has_its_code_and_its_words(
    breaking: Callable[[BaseException], int], capfd: pytest.CaptureFixture[str],
    error: BaseException, code: int, words: str,
) -> None:  # fmt: skip
    assert breaking(error) == code
    assert capfd.readouterr().err.startswith(words)


def test_an_interrupt_while_modules_are_imported_is_no_traceback() -> None:
    with Ending("", debug=False) as ending:
        raise KeyboardInterrupt
    assert ending.code == 130


def test_the_traceback_that_a_library_logs_is_not_shown() -> None:
    program = (
        "import logging\nfrom streams.cli.ending import Ending\nwith Ending('x', False):\n    try:\n        1 / 0\n"
        "    except ZeroDivisionError:\n        logging.getLogger('asyncio').exception('a task went wrong')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "a task went wrong\n"


def test_nothing_is_made_where_there_is_no_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_STATE_DIR", str(tmp_path / "none"))
    with Ending("issues", debug=False) as ending:
        raise RuntimeError
    assert ending.code == 70
    assert not (tmp_path / "none").exists()


def test_a_reader_that_has_gone_ends_a_command_without_a_word() -> None:
    read, write = os.pipe()
    os.close(read)
    program = "import sys; from streams.cli.main import main; sys.exit(main(['settings', '--json']))"
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode in (1, 141)  # typer's own, or ours when the last of it is written
    assert done.stderr == b""


def test_what_happened_is_said_with_the_line_of_code() -> None:
    with pytest.raises(LookupError) as caught:
        raise LookupError(SECRET)
    assert "LookupError at tests/cli/test_ending.py, line " in in_words(caught.value)
    assert SECRET not in in_words(caught.value)
