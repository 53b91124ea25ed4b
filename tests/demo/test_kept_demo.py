"""A demo that is kept outlives its servers, and can be gone on with when it did not survive itself (a reboot)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.demo.session import session
from streams.settings import Settings
from streams.stack import Reporter, down
from tests.demo.test_demo_run import COMMAND, children_of
from tests.faults.harness import Servers, until
from tests.patience import patience

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


@contextmanager
def going_on(settings: Settings, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``cxwatch demo --again``, ended with the block."""
    environment = {**os.environ, "CX_STATE_DIR": str(settings.state_dir)}
    with out.open("wb") as log:
        demo = subprocess.Popen([*COMMAND, "--again"], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield demo
        demo.send_signal(signal.SIGINT)
        assert demo.wait(patience(45)) != 0
    finally:
        demo.kill()
        demo.wait()


def board(out: Path) -> str:
    """What the live board says now; empty if it does not answer."""
    found = re.search(r"board (http://127\.0\.0\.1:\d+/?\S*?);", " ".join(out.read_text().split()))
    assert found is not None
    try:
        with urllib.request.urlopen(found[1], timeout=patience(5)) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def ready(settings: Settings) -> bool:
    """True if both workers of the demo have all their rooms."""
    files = [settings.state_dir / f"worker-demo-{number}.json" for number in (1, 2)]
    try:
        for file in files:
            with urllib.request.urlopen(json.loads(file.read_text())["url"] + "/readyz", timeout=patience(5)) as answer:
                if answer.status != 200:
                    return False
    except (OSError, ValueError):
        return False
    return True


async def test_a_kept_demo_waits_for_its_servers_and_works_on_board_and_all(tmp_path: Path) -> None:
    out = tmp_path / "demo.log"
    with Servers.own() as servers:
        with session(servers.settings, "demo", Reporter()) as run:
            prefix = run.settings.topic_prefix
        with going_on(servers.settings, out):
            await until(lambda: "still running" in out.read_text() and ready(servers.settings))
            assert len(children_of(f"CX_TOPIC_PREFIX={prefix}")) == 3
            assert "<html" in board(out)
            down(servers.settings)
            await until(lambda: "after `cxwatch up` the demo goes on" in " ".join(out.read_text().split()))
            servers.up()
            await until(lambda: "the servers are back" in out.read_text())
            await until(lambda: ready(servers.settings) and "<html" in board(out))
            assert len(children_of(f"CX_TOPIC_PREFIX={prefix}")) == 3
        assert children_of(f"CX_TOPIC_PREFIX={prefix}") == []


def test_without_a_demo_there_is_nothing_to_go_on_with(
    kafka: str, clickhouse: object, stack_settings: Settings, tmp_path: Path
) -> None:
    url = stack_settings.clickhouse_url
    named = {
        "CX_STATE_DIR": str(tmp_path), "CX_KAFKA_BOOTSTRAP": kafka,
        "CX_CLICKHOUSE_URL": url.get_secret_value() if url else "clickhouse://nobody@127.0.0.1:1",
    }  # fmt: skip
    done = subprocess.run([*COMMAND, "--again"], env={**os.environ, **named}, capture_output=True, text=True,
                          timeout=patience(60), check=False)  # fmt: skip
    assert done.returncode == 1
    assert "there is no demo in" in done.stderr
