"""How a command ends: one sentence for whatever went wrong, and never a traceback.

| code | when |
|---|---|
| 0 | done |
| 1 | refused, with a sentence |
| 2 | wrong usage |
| 65 | a file of which no row, or too few, could be mapped (``cxwatch play``) |
| 70 | an error nobody expected: its place is kept in ``logs/errors.log`` of the state folder |
| 78 | a setting is wrong |
| 130 | Ctrl-C |
| 141 | who reads the output is gone (as after ``| head``) |

What is kept of an unexpected error is its type and the lines of code it came through, never its text: that may quote a
row, an address or a password. ``--debug`` or ``CX_DEBUG=1`` shows all of it on the terminal instead.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import typer

from schemas.errors import ConfigError, CxError

REFUSED, UNEXPECTED, WRONG_SETTING, INTERRUPTED, NOBODY_READS = 1, 70, 78, 130, 141
_TRUE = ("1", "true", "yes", "on", "y", "t")


def debugging(arguments: Sequence[str], command: str | None) -> bool:
    """True if ``--debug`` stands before the command, or CX_DEBUG says so."""
    before = arguments[: arguments.index(command)] if command is not None else arguments
    return "--debug" in before or os.environ.get("CX_DEBUG", "").lower() in _TRUE


class Ending:
    """``with Ending("issues", False) as ending:`` whatever leaves the block, ``ending.code`` is the exit code."""

    def __init__(self, command: str, debug: bool) -> None:
        """``command``: its name, for the record of an unexpected error. ``debug``: show that error."""
        self.code = 0
        self._command = command
        self._debug = debug

    def __enter__(self) -> Ending:
        if logging.lastResort is not None and not self._debug:
            logging.lastResort.setFormatter(_Sentence())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.code = self._code_of(first_of(error))
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            self.code = _nobody_reads()
        return True

    def _code_of(self, error: BaseException) -> int:
        """Say what is to be said of ``error``; the exit code."""
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error, KeyboardInterrupt):
            return INTERRUPTED
        if isinstance(error, BrokenPipeError):
            return _nobody_reads()
        if isinstance(error, CxError):
            say(str(error))
            return WRONG_SETTING if isinstance(error, ConfigError) else REFUSED
        say(f"{in_words(error)}. {self._keep(error)}")
        return UNEXPECTED

    def _keep(self, error: BaseException) -> str:
        """Show or keep where ``error`` came from; a sentence that says where."""
        if self._debug:
            traceback.print_exception(error)
            return "The traceback is above"
        more = "`cxwatch --debug ...` shows it"
        try:
            folder = importlib.import_module("streams.settings").state_folder(os.environ, Path.cwd())
            file = keep(error, self._command, folder)
        except (OSError, ImportError):
            return more
        return f"Where: {file}; {more}" if file else more


class _Sentence(logging.Formatter):
    """What libraries log in a command that has set up no logs: their sentence, without the traceback behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return record.getMessage()


def first_of(error: BaseException) -> BaseException:
    """The error itself, or of a group the first one, preferring those that were raised on purpose."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [first_of(one) for one in error.exceptions]
    return next((one for one in inner if isinstance(one, CxError)), inner[0])


def say(sentence: str) -> None:
    """One line of ours on standard error."""
    typer.echo(f"{typer.style('cxwatch:', fg='red', bold=True)} {sentence}", err=True)


def in_words(error: BaseException) -> str:
    """What happened, without any value: type and line of code; of the operating system's errors, its words too."""
    if isinstance(error, OSError) and error.strerror:
        name = f" ({error.filename})" if isinstance(error.filename, str) else ""
        return f"{error.strerror}{name}"
    frames = traceback.extract_tb(error.__traceback__)
    line = f" at {_short(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""
    return f"an error nobody expected ({type(error).__name__}{line})"


def keep(error: BaseException, command: str, state_folder: Path) -> Path | None:
    """Add the record of an error to ``logs/errors.log``; returns the file, None if there is no state folder."""
    if not state_folder.is_dir():
        return None
    file = state_folder / "logs" / "errors.log"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
        stream.write("\n".join([f"{when} cxwatch {command} (pid {os.getpid()})", *_record(error), "", ""]))
    return file


def _record(error: BaseException) -> Iterator[str]:
    """Type and lines of code of an error and of those it came from, the first one first; never their texts."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _record(cause)
        yield "  then:"
    kind = type(error)
    yield f"  {kind.__module__}.{kind.__qualname__}"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield "  one of the group:"
        yield from _record(inner)


def _short(filename: str) -> str:
    """The last three parts of a path."""
    return "/".join(Path(filename).parts[-3:])


def _nobody_reads() -> int:
    """Let the interpreter's own last flush go nowhere, so that it does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS
