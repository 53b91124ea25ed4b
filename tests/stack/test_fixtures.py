"""The session's servers and the guard around tests that have no marker."""

from __future__ import annotations

import socket
import urllib.request
from typing import Protocol

import pytest

from streams.stack import Endpoints
from streams.stack.kafka import probe_brokers
from tests.patience import patience


@pytest.mark.kafka
def test_the_kafka_fixture_is_a_broker_that_serves(kafka: str) -> None:
    assert probe_brokers(kafka) == 1


@pytest.mark.clickhouse
def test_the_clickhouse_fixture_answers_over_http(clickhouse: Endpoints) -> None:
    address = f"http://{clickhouse.clickhouse_host}:{clickhouse.clickhouse_http_port}/ping"
    with urllib.request.urlopen(address, timeout=patience(5)) as answer:
        assert answer.read() == b"Ok.\n"


class Guard(Protocol):
    """What the test looks at of the guard in the root conftest."""

    refused: list[str]


def test_a_test_without_a_marker_cannot_open_a_socket(guard: Guard) -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match="may not open a socket"):
        client.connect(("127.0.0.1", 9))
    assert len(guard.refused) == 1  # enough to fail the test, even if the refusal had been swallowed
    guard.refused.clear()


@pytest.mark.loopback
def test_a_marked_test_reaches_loopback_and_nothing_else(guard: Guard) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
    with socket.socket() as client, pytest.raises(RuntimeError, match="may not open a socket"):
        client.connect(("192.0.2.1", 9))
    guard.refused.clear()
