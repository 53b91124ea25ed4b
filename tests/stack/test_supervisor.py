"""``cxwatch run``: what ends is started again, later and later, with its reason; no stale file is believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from schemas.errors import ConfigError, StackError
from streams.cli.main import build_app
from streams.cli.run import UNSENT, alone, keep, programs_of, run_file, workers_of
from streams.runtime.exits import ExitCode, in_words
from streams.settings import Settings
from streams.stack import supervised as files
from streams.stack import supervisor as module
from streams.stack.process import exit_code, started_at, stop
from streams.stack.supervisor import Program, SupervisedProcess, Supervisor
from tests.patience import Deadline

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
DRAINS = """
import pathlib, signal, sys, time
def drain(*_):
    with pathlib.Path(sys.argv[2]).open("a") as order:
        order.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""


def ends(code: int, words: str = "exit 70 UNKNOWN: because") -> str:
    return f"import sys; print({words!r}, flush=True); sys.exit({code})"


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Keeps little programs in the place of ``cxwatch``; their first argument is their text. Ends them all."""
    monkeypatch.setattr(module, "COMMAND", "import sys; exec(sys.argv[1], {'__name__': '__main__'})")
    kept: list[SupervisedProcess] = []

    def begin(supervisor: Supervisor, name: str, text: str, *more: str) -> SupervisedProcess:
        text = f"import sys; sys.argv[1:2] = []\n{text}"
        kept.append(supervisor.begin(Program(name, [text, *more], tmp_path / f"{name}.log", dict(os.environ))))
        return kept[-1]

    yield begin
    for one in kept:
        stop(one.pid, 0.0)


def wait(what: Any) -> None:
    deadline = Deadline(30)
    while not what():
        assert not deadline.over, "waited in vain"
        time.sleep(0.02)


class Now:
    """A clock of its own: waits between starts are not waited for."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def sentences(supervisor: Supervisor) -> list[str]:
    """What there is to tell once there is something."""
    found: list[str] = []

    def look() -> list[str]:
        found.extend(supervisor.look())
        return found

    wait(look)
    return found


def test_what_ends_is_started_again_with_its_reason_and_the_file_tells(tmp_path: Path, begun: Any) -> None:
    now = Now()
    supervisor = Supervisor(tmp_path / "run-a.json", clock=now)
    one = begun(supervisor, "worker", ends(74, "t CRITICAL cx.worker exit 74 KAFKA: no answer"))
    assert sentences(supervisor) == [
        "worker ended: exit 74, Kafka refused or did not answer (74 KAFKA: no answer); it is started again in 0.5 s"
    ]
    assert one.state == "waiting"
    assert supervisor.look() == []
    now.s += 0.5
    assert supervisor.look() == []
    (entry,) = files.read(supervisor.file)["processes"]
    assert (entry["restarts"], entry["last_code"], entry["state"]) == (1, 74, "running")
    assert entry["last_why"] == "74 KAFKA: no answer"


def test_a_crash_loop_is_told_and_waits_longer_each_time_up_to_a_minute(tmp_path: Path, begun: Any) -> None:
    now = Now()
    supervisor = Supervisor(tmp_path / "run-a.json", clock=now)
    one = begun(supervisor, "worker", ends(70))
    waits = []
    for _ in range(9):
        (sentence,) = sentences(supervisor)
        assert one.due is not None
        waits.append(one.due - now.s)
        now.s = one.due
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert "9 ends in a row" in sentence
    assert one.state == "crash loop"


def test_who_stayed_up_begins_with_short_waits_again(tmp_path: Path, begun: Any) -> None:
    now = Now()
    supervisor = Supervisor(tmp_path / "run-a.json", clock=now)
    one = begun(supervisor, "worker", SLEEPER)
    one.in_a_row = 6
    now.s += 61.0
    os.kill(one.pid, signal.SIGKILL)
    assert "SIGKILL" in sentences(supervisor)[0]
    assert one.due == now.s + 0.5


def test_a_wrong_setting_is_not_tried_again(tmp_path: Path, begun: Any) -> None:
    supervisor = Supervisor(tmp_path / "run-a.json")
    begun(supervisor, "sender", ends(78, "cxwatch: CX_WEBHOOK_SECRET is too short"))
    with pytest.raises(ConfigError, match="CX_WEBHOOK_SECRET is too short"):
        sentences(supervisor)


def test_a_run_that_ends_by_itself_gives_up_who_does_not_stay(tmp_path: Path, begun: Any) -> None:
    now = Now()
    supervisor = Supervisor(tmp_path / "run-a.json", most_in_a_row=2, clock=now)
    one = begun(supervisor, "worker", ends(70, "the last line"))
    for _ in range(2):
        sentences(supervisor)
        assert one.due is not None
        now.s = one.due
    with pytest.raises(StackError, match="the last line"):
        sentences(supervisor)


def test_all_drain_in_the_order_of_the_stream_and_the_file_goes(tmp_path: Path, begun: Any) -> None:
    supervisor, order = Supervisor(tmp_path / "run-a.json"), tmp_path / "order"
    for name in ("join", "rest", "sender"):
        one = begun(supervisor, name, DRAINS, name, str(order))
        wait(lambda one=one: "up" in one.program.log.read_text())
    pids = [one.pid for one in supervisor.processes]
    assert supervisor.stop(30.0) == []
    assert order.read_text().split() == ["join", "rest", "sender"]
    assert [exit_code(pid) for pid in pids] == [0, 0, 0]
    assert not supervisor.file.exists()


def test_who_does_not_drain_is_named(tmp_path: Path, begun: Any) -> None:
    supervisor = Supervisor(tmp_path / "run-a.json")
    text = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
    one = begun(supervisor, "stubborn", text)
    wait(lambda: "up" in one.program.log.read_text())
    assert supervisor.stop(0.2) == ["stubborn"]
    assert started_at(one.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process together with its parent")
def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    text = f"""
import os, pathlib, time
from streams.stack import supervisor
supervisor.COMMAND = {SLEEPER!r}
folder = pathlib.Path({str(tmp_path)!r})
program = supervisor.Program("w", [], folder / "w.log", dict(os.environ))
supervisor.Supervisor(folder / "run-a.json").begin(program)
time.sleep(600)
"""
    file = tmp_path / "run-a.json"
    with subprocess.Popen([sys.executable, "-c", text], cwd=Path(__file__).parents[2]) as parent:
        wait(lambda: (tmp_path / "w.log").exists() and "up" in (tmp_path / "w.log").read_text())
        (orphan,) = files.left_behind(file)
        (row,) = files.shown(tmp_path)
        assert row["state"] == "running"
        parent.kill()
    wait(lambda: not orphan.alive)
    (row,) = files.shown(tmp_path)
    assert row["state"] == "dead"
    assert not files.runs(row)


def test_an_orphan_of_a_killed_run_is_ended_before_the_next_one_begins(
    tmp_path: Path, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state_dir=tmp_path, instance="a")
    before = Supervisor(run_file(settings))
    orphan = begun(before, "worker", SLEEPER)
    sentences: list[str] = []
    stopping = threading.Event()
    stopping.set()
    assert keep(settings, [], stopping, sentences.append) == ExitCode.CLEAN
    assert started_at(orphan.pid) is None
    assert any(str(orphan.pid) in sentence for sentence in sentences)
    assert UNSENT in sentences


def test_a_file_that_names_pids_of_other_programs_is_not_believed(tmp_path: Path) -> None:
    entry = {"name": "worker-1", "state": "running", "pid": os.getpid(), "started": "another moment", "since_ms": 1,
             "restarts": 0, "last": "", "last_why": "", "last_end_ms": 0}  # fmt: skip
    file = tmp_path / "run-a.json"
    file.write_text(json.dumps({"keeper": {"pid": os.getpid(), "started": "x"}, "note": "", "processes": [entry]}))
    assert list(files.left_behind(file)) == []
    assert [row["state"] for row in files.shown(tmp_path)] == ["dead"]
    file.write_text("{")
    assert list(files.shown(tmp_path)) == []


def test_status_tells_what_runs_how_often_it_was_started_again_and_why(
    tmp_path: Path, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CX_STATE_DIR", str(tmp_path))
    now = Now()
    supervisor = Supervisor(tmp_path / "run-a.json", UNSENT, clock=now)
    ended = begun(supervisor, "worker-1", ends(75, "x exit 75 STALLED: room join cannot commit"))
    up = begun(supervisor, "worker-2", SLEEPER)
    sentences(supervisor)
    shown = CliRunner().invoke(build_app("status"), ["status"], terminal_width=200)
    assert shown.exit_code == 1
    assert "worker-1" in shown.output
    assert "exit 75, it did not get on: 75 STALLED: room join cannot commit" in " ".join(shown.output.split())
    assert UNSENT in " ".join(shown.output.split())
    plain = CliRunner().invoke(build_app("status"), ["status", "--json"]).output
    lines = [json.loads(line) for line in plain.splitlines() if line.startswith("{")]
    states = {line["process"]: (line["state"], line["restarts"]) for line in lines if "process" in line}
    assert states == {"worker-1": ("waiting", 0), "worker-2": ("running", 0)}
    os.kill(up.pid, signal.SIGKILL)
    wait(lambda: started_at(up.pid) is None)
    assert {row["name"]: row["state"] for row in files.shown(tmp_path)}["worker-2"] == "just ended"
    assert ended.last_code == 75


def test_a_demo_that_was_killed_is_not_shown_as_something_that_should_run(tmp_path: Path) -> None:
    entry = {"name": "worker-1", "state": "running", "pid": 1, "started": "long ago", "since_ms": 1, "restarts": 0}
    body = {"keeper": {"pid": 1, "started": "long ago"}, "note": "", "ends": True, "processes": [entry]}
    (tmp_path / "run-demo.json").write_text(json.dumps(body))
    assert list(files.shown(tmp_path)) == []
    (tmp_path / "run-demo.json").write_text(json.dumps({**body, "ends": False}))
    assert [row["state"] for row in files.shown(tmp_path)] == ["dead"]


def test_a_second_run_of_the_same_name_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, instance="a")
    with alone(settings):
        with pytest.raises(StackError, match=f"pid {os.getpid()}"), alone(settings):
            pass
        with alone(settings.model_copy(update={"instance": "b"})):
            pass
    with alone(settings):
        pass


def test_the_sender_runs_only_with_a_webhook_and_workers_never_share_a_port(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, web_port=9_000)
    programs = programs_of(settings, ("join", "detect,store"), board=True)
    assert [one.name for one in programs] == ["worker-1", "worker-2", "board"]
    assert [one.environment["CX_WEB_PORT"] for one in programs[:2]] == ["9000", "9001"]
    secret = SecretStr("whsec_" + "Y3h3YXRjaC10ZXN0LXNlY3JldC0zMi1ieXRlcyEhISE=")
    with_webhook = settings.model_copy(update={"webhook_url": "https://example.com/", "webhook_secret": secret})
    assert [one.name for one in programs_of(with_webhook, ("join",), board=False)] == ["worker-1", "sender"]


def test_rooms_are_shared_out_without_doubles(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    assert workers_of(settings, ()) == ("join", "experience,detect,match,impact,outreach,store")
    assert workers_of(settings.model_copy(update={"rooms": ("join", "detect")}), ()) == ("join,detect",)
    for wrong in (["join", "join,detect"], ["kitchen"]):
        with pytest.raises(ConfigError, match="--worker"):
            workers_of(settings, wrong)


@pytest.mark.parametrize("code", [*ExitCode, 1, 2, -9, -11, -15, -6, -34])
def test_every_end_has_words(code: int) -> None:
    assert len(in_words(code).split()) > 1


