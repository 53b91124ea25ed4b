"""One `up` at a time, room on the disk, ports that are free."""

from __future__ import annotations

import errno
import json
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schemas.errors import StackError
from streams.settings import Settings
from streams.stack import UpOptions, up
from streams.stack.clickhouse import passwords, statements
from streams.stack.folders import Machine, StateFolder, write_private
from streams.stack.guard import full_disk_in_words, need_disk_space, only_one
from streams.stack.ports import Ports, any_free, is_free
from tests.patience import patience

HOLDER = """
import pathlib, sys, time
from streams.stack.guard import only_one
with only_one(pathlib.Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_up_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    lock, heard, announced, done = tmp_path / "lock", list[str](), threading.Event(), threading.Event()

    def hear(sentence: str) -> None:
        heard.append(sentence)
        announced.set()

    def second() -> None:
        with only_one(lock, hear, patience_s=30):
            done.set()

    with only_one(lock, hear):
        waiter = threading.Thread(target=second)
        waiter.start()
        assert announced.wait(patience(20))
        assert not done.is_set()
    waiter.join()
    assert done.is_set()
    assert "is working on" in heard[0]


def test_a_second_up_gives_up_with_a_sentence_and_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StackError, match=rf"another .*pid {holder.pid}.* wait for it or end it"):
            up(Settings(state_dir=tmp_path), options=UpOptions(lock_patience_s=0.1))
        holder.kill()
    with only_one(lock, print, patience_s=5):
        pass


def test_a_nearly_full_disk_refuses_the_start(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, local_min_free_mb=10**9)
    with pytest.raises(StackError, match=r"only \d+ MB are free .* CX_STATE_DIR"):
        up(settings)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="is full; make room"), full_disk_in_words(tmp_path):
        Path("/dev/full").write_text("x")


def test_other_errors_of_the_disk_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd"), full_disk_in_words(tmp_path):
        raise OSError(errno.EIO, "odd")


def test_room_is_measured_on_the_disk_of_the_folder(tmp_path: Path) -> None:
    need_disk_space(tmp_path, 0)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="CX_STATE_DIR"):
        up(Settings(state_dir=tmp_path / "file" / "state"))


@pytest.mark.loopback
def test_a_port_is_remembered(tmp_path: Path) -> None:
    port, note = Ports(tmp_path / "ports.json").choose("kafka", 0, "CX_LOCAL_KAFKA_PORT")
    assert note == ""
    again = Ports(tmp_path / "ports.json")
    assert again.get("kafka") == port
    assert again.choose("kafka", 0, "CX_LOCAL_KAFKA_PORT") == (port, "")


@pytest.mark.loopback
def test_a_remembered_port_in_use_is_exchanged_with_a_sentence(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    port, _ = ports.choose("kafka", 0, "CX_LOCAL_KAFKA_PORT")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not is_free(port)
        changed, note = ports.choose("kafka", 0, "CX_LOCAL_KAFKA_PORT")
    assert changed != port
    assert note == f"port {port} of kafka is in use by another program, {changed} is used from now on"


@pytest.mark.loopback
def test_a_port_that_was_asked_for_and_is_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is in use by another program.*CX_LOCAL_KAFKA_PORT"):
            Ports(tmp_path / "ports.json").choose("kafka", port, "CX_LOCAL_KAFKA_PORT")


@pytest.mark.loopback
def test_chosen_ports_differ(tmp_path: Path) -> None:
    first = any_free(set())
    assert any_free({first}) != first


@pytest.mark.parametrize("content", ["", "[1]", '{"kafka": "x"}', "null"])
def test_damaged_memory_of_ports_counts_as_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    assert Ports(tmp_path / "ports.json").get("kafka") is None


def test_private_files_are_private_and_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "x", "one")
    write_private(tmp_path / "x", "two")
    assert (tmp_path / "x").read_text() == "two"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_passwords_are_generated_once_and_private(tmp_path: Path) -> None:
    state_folder = StateFolder(tmp_path)
    made = passwords(state_folder)
    assert passwords(state_folder) == made
    assert len(set(made.values())) == len(made) == 5
    assert stat.S_IMODE(state_folder.passwords.stat().st_mode) == 0o600


def test_damaged_passwords_are_made_anew(tmp_path: Path) -> None:
    state_folder = StateFolder(tmp_path)
    state_folder.passwords.write_text(json.dumps({"writer": ""}))
    assert all(passwords(state_folder).values())


def test_a_script_is_cut_into_statements() -> None:
    assert statements("-- about;\nSELECT 1;\nSELECT\n ';x';\n\n") == ["SELECT 1", "SELECT\n ';x'"]


def test_the_cache_is_shared_by_all_checkouts_of_a_user() -> None:
    assert Machine.here({"XDG_CACHE_HOME": "/cache", "PATH": ""}).cache == Path("/cache/cxwatch")
    assert Machine.here({"PATH": ""}).cache == Path.home() / ".cache" / "cxwatch"
