"""The second checkout of a user downloads nothing: set-up and servers come up in an empty network namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streams.stack.doctor import lock_file
from streams.stack.folders import Machine
from streams.stack.jars import folder_for, missing, read_lock
from tests.patience import patience

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execvp(sys.argv[1], sys.argv[1:])
"""
NAMESPACE = ["unshare", "--map-root-user", "--net"]


def _run(folder: Path, *command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    inside = [*NAMESPACE, sys.executable, "-c", LOOPBACK_UP, *command]
    return subprocess.run(
        inside, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=patience(600)
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout, without its environment."""
    lock = lock_file()
    assert lock is not None
    root = lock.parents[1]
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode != 0:
        pytest.skip("this machine does not permit network namespaces")
    if not list(Machine.here().cache.glob("uv-*")):
        pytest.skip("this environment was not made by `make setup`, so the cache holds no packages")
    jars = read_lock()
    if missing(jars, folder_for(jars, Machine.here())):
        pytest.skip("Kafka's jars are not in the cache yet")
    for name in ("deploy", "streams", "schemas", "dashboards", "Makefile", "pyproject.toml", "README.md"):
        source = root / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def test_the_namespace_of_these_tests_reaches_nothing(checkout: Path) -> None:
    probe = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"
    failed = _run(checkout, sys.executable, "-c", probe)
    assert failed.returncode != 0
    assert "unreachable" in failed.stderr


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.timeout(patience(900))
def test_a_second_checkout_sets_up_and_starts_both_servers_without_a_network(checkout: Path) -> None:
    made = _run(checkout, "make", "setup", f"PYTHON={sys.executable}")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "downloading" not in made.stdout
    again = _run(checkout, "make", "setup", f"PYTHON={sys.executable}")
    assert "environment ready" not in again.stdout
    command = str(checkout / ".venv" / "bin" / "cxwatch")
    script = f"{command} up && {command} status --json; {command} down"
    environment = {**os.environ, "CX_LOCAL_KAFKA_HEAP_MB": "384"}
    shown = _run(checkout, "sh", "-c", script, env=environment)
    lines = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    servers = [line for line in lines if "health" in line]  # status shows other things than servers, too
    assert [server["health"] for server in servers] == ["healthy", "healthy"], shown.stderr
    assert "downloading" not in shown.stderr
    doctor = _run(checkout, command, "doctor", "--json")
    packages = [json.loads(line) for line in doctor.stdout.splitlines() if "locked Python packages" in line]
    assert packages[0]["ok"], packages
