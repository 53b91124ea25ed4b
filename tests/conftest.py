"""Fixtures for real servers, and the guard that keeps every other test off the network.

One temporary Kafka and one temporary ClickHouse per test session, started by the first test that asks, on free ports,
in a folder of their own, stopped at the end; the kernel kills them if the session is killed, and the next session
sweeps what is left. If ``CX_TEST_KAFKA_BOOTSTRAP`` or ``CX_TEST_CLICKHOUSE_URL`` name servers, those are used instead.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from streams.settings import PREFIX, TEST_PREFIX, Settings
from streams.stack import Endpoints, UpOptions, down, up
from streams.stack.process import PidFile

SWEEP = "cxwatch-test-"
NETWORK_MARKERS = ("kafka", "clickhouse", "browser", "loopback")

settings.register_profile("cxwatch", deadline=None)  # a busy machine is no defect of what is tested
settings.load_profile("cxwatch")


class _Guard:
    """Refuses sockets while a test runs that has no marker for them; elsewhere only loopback is reachable."""

    def __init__(self) -> None:
        self.mode = "off"
        self.refused: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook: called by the interpreter before a socket is used, whatever library asks for it."""
        if self.mode == "off" or event not in {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}:
            return
        target = arguments[1] if event != "socket.getaddrinfo" else (arguments[0], arguments[1])
        if self.mode == "loopback" and _is_loopback(target):
            return
        if isinstance(target, str | bytes) and self.mode == "loopback":
            return  # a Unix socket
        self.refused.append(f"{event} {target!r}")
        raise RuntimeError(f"this test may not open a socket ({event} {target!r}): mark it or use a fake")


def _is_loopback(target: object) -> bool:
    host = target[0] if isinstance(target, tuple) and target else None
    if host in ("localhost", "", None, b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback or ipaddress.ip_address(str(host)).is_unspecified
    except ValueError:
        return False


# It tries once, when it is imported, whether IPv6 works: better now than inside a test that may not open a socket.
importlib.import_module("urllib3.util.connection")

_guard = _Guard()
sys.addaudithook(_guard.hook)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Arm the guard around the body of the test; a refusal that the code under test swallowed fails it all the same."""
    marked = any(item.get_closest_marker(name) for name in NETWORK_MARKERS)
    outside = any(name.startswith(TEST_PREFIX) for name in os.environ)
    _guard.refused.clear()
    _guard.mode = "off" if marked and outside else "loopback" if marked else "none"
    try:
        result = yield
    finally:
        _guard.mode = "off"
    if _guard.refused:
        pytest.fail(f"opened a socket without a marker for it: {_guard.refused[0]}", pytrace=False)
    return result


@pytest.fixture
def guard() -> _Guard:
    """The guard around tests without a marker, for the test of the guard itself."""
    return _guard


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see the defaults, whatever the developer has exported."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX):
                patch.delenv(name)
        yield


def _sweep() -> None:
    """Stop servers of sessions that are gone, and remove their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SWEEP}*"):
        # Without the file the folder is just being made by another session.
        if PidFile(folder / "owner").read()[0] in ("dead", "foreign"):
            down(Settings(state_dir=folder / "state"))
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack_settings() -> Iterator[Settings]:
    """Settings of this session's servers: a temporary state folder, or the servers that CX_TEST_* name."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=SWEEP))
    PidFile(folder / "owner").write(os.getpid())
    named: dict[str, Any] = {
        "kafka_bootstrap": os.environ.get("CX_TEST_KAFKA_BOOTSTRAP"),
        "clickhouse_url": os.environ.get("CX_TEST_CLICKHOUSE_URL"),
        "clickhouse_http_port": os.environ.get("CX_TEST_CLICKHOUSE_HTTP_PORT"),
    }
    settings = Settings(state_dir=folder / "state", **{name: value for name, value in named.items() if value})
    try:
        yield settings
    finally:
        down(settings, patience_s=1.0)  # nobody wants the data any more
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(stack_settings: Settings) -> str:
    """Bootstrap address of a real Kafka for this session."""
    return up(stack_settings, options=UpOptions(only=("kafka",), die_with_parent=True)).kafka_bootstrap


@pytest.fixture(scope="session")
def clickhouse(stack_settings: Settings) -> Endpoints:
    """Endpoints of a real ClickHouse for this session; databases of a test's own must start with ``cx``."""
    return up(stack_settings, options=UpOptions(only=("clickhouse",), die_with_parent=True))


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}."
