"""A replay sends nothing: it does not import the sender, reads no secret, and opens no socket of its own accord."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from pydantic import SecretStr

from streams.replay.engine import replay
from streams.replay.source import from_arrivals
from streams.settings import Settings
from tests.integration.test_same_findings import short_day
from tests.replay.watched import watched

SECRET = "whsec_" + "Y3h3YXRjaC10ZXN0LXNlY3JldC0zMi1ieXRlcyEhISE="
IMPORTS = """
import sys, pkgutil, importlib, streams.replay
for found in pkgutil.iter_modules(streams.replay.__path__):
    importlib.import_module(f"streams.replay.{found.name}")
for room in ("join", "experience", "detect", "match", "impact", "outreach"):
    importlib.import_module(f"streams.agents.{room}")
print(*(name for name in sys.modules if name.startswith(("streams.sender", "streams.sinks.channels"))))
"""


def test_no_module_of_a_replay_brings_the_sender_along() -> None:
    found = subprocess.run([sys.executable, "-P", "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.slow
def test_a_replay_with_every_secret_set_reads_none_and_connects_to_nothing() -> None:
    settings = Settings(
        webhook_secret=SecretStr(SECRET), kafka_password=SecretStr("p" * 20), clickhouse_url=SecretStr("clickhouse://h")
    )
    source = from_arrivals("short day", "simulation", short_day().arrivals(1), 1)
    with watched() as connected:
        outcome = replay(source, settings)
    assert connected == set()
    decisions = {row["decision"] for row in outcome.records("outreach") if row["kind"] == "outreach"}
    assert "send" in decisions, "it says what would have been sent"


@pytest.mark.loopback
def test_a_secret_that_is_read_and_a_connection_are_noticed() -> None:
    with watched(), pytest.raises(AssertionError, match="a secret was read"):
        SecretStr("x").get_secret_value()
    with socket.create_server(("127.0.0.1", 0)) as server, watched() as connected:
        socket.create_connection(server.getsockname()).close()
        assert connected == {server.getsockname()}
