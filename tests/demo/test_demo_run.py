"""The demo itself, on real servers, as a user runs it; and what is left when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.stack import Endpoints
from tests.patience import Deadline, patience

MAIN = """
import signal, sys
from streams.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
"""What a shell starts in the background without job control is deaf to SIGINT, and so are its children."""
COMMAND = [sys.executable, "-c", MAIN + "sys.exit(main())", "demo"]


def environment(settings: Settings) -> dict[str, str]:
    """The session's servers, whether local or named."""
    url = settings.clickhouse_url
    named = {
        "CX_STATE_DIR": str(settings.state_dir),
        "CX_KAFKA_BOOTSTRAP": settings.kafka_bootstrap or "",
        "CX_CLICKHOUSE_URL": url.get_secret_value() if url else "",
        "CX_CLICKHOUSE_HTTP_PORT": str(settings.clickhouse_http_port),
    }
    return {**os.environ, **named}


def children_of(*variables: str) -> list[int]:
    """Processes with all of these (NAME=value, or the beginning of it) in their environment.

    Another checkout of this machine may keep a demo running: name what only the one in question has.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ = (entry / "environ").read_bytes().split(b"\0")
                if all(any(each.startswith(one.encode()) for each in environ) for one in variables):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_the_demo_finds_the_three_incidents_tells_the_customers_and_loses_nothing(
    kafka: str, clickhouse: Endpoints, stack_settings: Settings
) -> None:
    done = subprocess.run(
        [*COMMAND, "--speed", "1200"], env=environment(stack_settings), capture_output=True, text=True,
        timeout=patience(240), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    shown = json.loads((stack_settings.state_dir / "demo.json").read_text())
    assert (shown["injected"], shown["found"], shown["false_issues"], shown["events_lost"]) == (3, 3, 0, 0)
    assert shown["dead_letters"] == 24
    assert shown["silent_producer"] is not None
    assert len(shown["delay_s"]) == 3
    assert max(shown["delay_s"]) < 600
    assert shown["notices"]["sent"] > 50
    assert shown["notices"]["held_out"] > 10
    assert shown["notices"]["refused"] > 10
    assert {"put_right", "opted_out"} <= {each["reason"] for each in shown["not_sent_because"]}
    assert "live board: http://127.0.0.1:" in done.stdout
    assert "notice" in done.stdout
    whose = ("CX_TOPIC_PREFIX=demo-", f"CX_STATE_DIR={stack_settings.state_dir}")
    assert children_of(*whose) == []


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_behind(
    kafka: str, clickhouse: Endpoints, stack_settings: Settings, number: signal.Signals
) -> None:
    whose = ("CX_TOPIC_PREFIX=demo-", f"CX_STATE_DIR={stack_settings.state_dir}")
    demo = subprocess.Popen(COMMAND, env=environment(stack_settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = Deadline(60)
        while len(seen := children_of(*whose)) < 3 and not deadline.over:
            time.sleep(0.2)
        assert len(seen) == 3  # not looked at twice: a process has no environment in the moment of its exec
        demo.send_signal(number)
        assert demo.wait(patience(45)) != 0
    finally:
        demo.kill()
        demo.communicate()
    assert children_of(*whose) == []
