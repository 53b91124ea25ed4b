"""Started as a process of its own by test_ready: several threads decode everything at once, right after the start.

``python -m tests.runtime.first_use made`` prints what was made in a thread, one line each; ``race ROUNDS`` only
decodes, in fresh children, with threads that take turns as often as they can, and prints the signal that ended one.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic

made: list[str] = []


def watched(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    """``make``, noting each call outside the main thread."""

    def call(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            made.append(f"{name}{arguments!r}")
        return make(*arguments, **named)

    return call


def decode_everything(start: threading.Barrier) -> None:
    """Every example message of every topic, a whole one of those that come in numbers first."""
    from schemas.codec import decode
    from schemas.topics import TOPICS
    from tests.schemas.golden import ROOT, load

    whole = (ROOT / "tests" / "golden" / "examples" / "cohort_count.jsonl").read_bytes().splitlines()[:1]
    examples = [(topic.noun, load(topic.noun)) for topic in TOPICS]
    start.wait()
    for _ in range(3):
        assert len(decode("cohort_count", whole).records) == 1
    for noun, found in examples:
        decode(noun, found.values, found.keys, found.headers)


def four_at_once() -> None:
    """Four threads that begin at the same moment."""
    sys.setswitchinterval(1e-6)
    start = threading.Barrier(4)
    threads = [threading.Thread(target=decode_everything, args=(start,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def race(rounds: int) -> None:
    """In fresh children: they inherit libraries, nothing of ours."""
    importlib.import_module("numpy")
    for _ in range(rounds):
        child = os.fork()
        if not child:
            importlib.import_module("schemas.codec")
            four_at_once()
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended:
            sys.stdout.write(f"ended with {ended}\n")


def main(what: str, rounds: int = 1) -> None:
    """See the module's text."""
    if what == "race":
        race(rounds)
        return
    makers: list[tuple[Any, str]] = [(msgspec.json, "Decoder"), (msgspec, "defstruct"), (pydantic, "TypeAdapter")]
    for library, name in makers:
        setattr(library, name, watched(name, getattr(library, name)))
    importlib.import_module("streams.cli.main").build_app()  # imports the modules of every command
    importlib.import_module("streams.runtime.ready").warm()
    four_at_once()
    for line in made:
        sys.stdout.write(f"made in a thread: {line}\n")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
