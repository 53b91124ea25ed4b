"""What libraries make at first use is made before a thread starts, and a crash in native code leaves words behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from streams.runtime.ready import below

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter: what was made in this one would hide everything."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_nothing_is_made_in_a_thread_that_another_may_need() -> None:
    ended = run("-m", "tests.runtime.first_use", "made")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_threads_that_decode_at_the_same_moment_right_after_the_start_all_live() -> None:
    ended = run("-m", "tests.runtime.first_use", "race", "10")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr[-2_000:]


def test_a_crash_in_native_code_tells_where_each_thread_stood() -> None:
    body = "import os, signal, sys; from streams.cli.main import main; main(['settings', '--json']); "
    ended = run("-c", body + "os.kill(os.getpid(), signal.SIGSEGV)")
    assert ended.returncode < 0
    assert "Fatal Python error: Segmentation fault" in ended.stderr
    assert 'File "<string>", line 1' in ended.stderr


def test_classes_are_found_however_deep_they_are_derived() -> None:
    class Parent(msgspec.Struct):
        one: int

    class Child(Parent):
        two: int

    assert {Parent, Child} <= set(below(msgspec.Struct))
