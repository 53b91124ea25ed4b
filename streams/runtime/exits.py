"""How a worker process ends. Nothing escapes a handler: what is not handled ends the process with nothing committed.

| code | name | when | what to do |
|---|---|---|---|
| 0 | CLEAN | SIGTERM or SIGINT: drained, flushed, left the group | nothing |
| 70 | UNKNOWN | an exception nobody expected; a state topic that is damaged; a full disk | see the reason; report it |
| 74 | KAFKA | Kafka refused or did not answer a transaction, or cannot be reached | restart; look at the broker |
| 75 | STALLED | no progress in recovery, group, reading or committing | restart |
| 76 | FENCED | a newer owner of a partition exists (takeover, or two workers of one instance name) | restart if alone |
| 78 | CONFIG | a setting is wrong, or state and topics do not fit it | change the setting |

Ending is ``os._exit`` after the logs are flushed: no ``finally`` block of a library may commit anything on the way
out. A restarted process recovers from the last committed transaction.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import NoReturn

from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from schemas.errors import ConfigError, CxError, Fenced

log = logging.getLogger("cx.worker")


class ExitCode(IntEnum):
    """Exit codes of ``cxwatch worker``."""

    CLEAN = 0
    UNKNOWN = 70
    KAFKA = 74
    STALLED = 75
    FENCED = 76
    CONFIG = 78


_WORDS = {
    ExitCode.CLEAN: "it was told to stop",
    ExitCode.UNKNOWN: "an error nobody expected",
    ExitCode.KAFKA: "Kafka refused or did not answer",
    ExitCode.STALLED: "it did not get on",
    ExitCode.FENCED: "another process has taken over its work",
    ExitCode.CONFIG: "a setting is wrong, or does not fit what is there",
}
_SIGNALS = {
    signal.SIGKILL: "killed (kill -9, or the machine had no memory left)",
    signal.SIGSEGV: "a crash in native code; its log says where each thread stood",
    signal.SIGTERM: "ended by SIGTERM before it could drain",
}


def in_words(code: int) -> str:
    """An exit code for people; negative: the signal that ended the process.

    >>> in_words(75), in_words(1)
    ('exit 75, it did not get on', 'exit 1, refused')
    """
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"{name}, {_SIGNALS.get(signal.Signals(-code), 'a signal')}" if name.startswith("SIG") else name
    known = code in set(ExitCode)
    return f"exit {code}, {_WORDS[ExitCode(code)] if known else 'refused'}"


class KafkaFailed(CxError):
    """Kafka refused a write or did not answer: whether the transaction is committed is unknown or it is not."""


class Stalled(CxError):
    """Something that should move has not moved for the time allowed."""


Die = Callable[[ExitCode, str], None]
"""Ends the process with a code and a reason of one line. Does not return."""


LOG_S = 5.0
"""Longest wait for the logs: a thread that is stuck in writing one holds their lock."""


def die(code: ExitCode, reason: str) -> NoReturn:
    """Log the reason, flush the logs, end the process without running anything else."""
    last_words = threading.Thread(target=_say, args=(code, reason), daemon=True)
    last_words.start()
    last_words.join(LOG_S)
    os._exit(code)


def _say(code: ExitCode, reason: str) -> None:
    log.critical("exit %d %s: %s", code, code.name, reason)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    sys.stdout.flush()


def code_of(error: BaseException) -> ExitCode:
    """The exit code of an exception."""
    if isinstance(error, Fenced | ProducerFenced | InvalidProducerEpoch):
        return ExitCode.FENCED
    if isinstance(error, ConfigError):
        return ExitCode.CONFIG
    if isinstance(error, Stalled):
        return ExitCode.STALLED
    return ExitCode.KAFKA if isinstance(error, KafkaFailed | KafkaError) else ExitCode.UNKNOWN


def reason_of(error: BaseException) -> str:
    """Why, without any value of a message: our own errors in words, others as type and line of code."""
    if isinstance(error, CxError):
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    lines = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {lines or 'an unknown place'}"


class Guard:
    """``with Guard(die, "flush"):`` ends the process on any exception but cancellation."""

    def __init__(self, end: Die, doing: str) -> None:
        """``doing`` names the work in the reason."""
        self._end = end
        self._doing = doing

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
            return False
        self._end(code_of(error), f"{self._doing}: {reason_of(error)}")
        return True
