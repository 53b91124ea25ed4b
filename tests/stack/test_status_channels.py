"""``cxwatch status`` says how the channels to customers stand, and is no worse off where nobody can tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import SinkUnavailable
from streams.cli import status as commands
from streams.cli.main import main
from streams.orders.channel_status import ChannelStatus
from streams.stack.manage import ServerStatus

GONE = ChannelStatus("webhook", "gone", "gone", "2026-01-01T00:03:00Z", 2, "cxwatch channels resume webhook")


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Kafka that answers."""
    monkeypatch.setenv("CX_STATE_DIR", str(tmp_path))
    kafka = ServerStatus("kafka", "named", "4.2", "127.0.0.1:1", "healthy")
    monkeypatch.setattr(commands, "status", lambda _: [kafka])


def test_a_channel_that_is_gone_is_shown_with_the_order_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "read_channel_statuses", lambda *_: [GONE])
    assert main(["status"]) == 0
    assert GONE.words() in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["state"] for line in shown if "channel" in line] == ["gone"]


def test_it_says_whether_native_code_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "read_channel_statuses", lambda *_: [])
    monkeypatch.setattr(commands, "unused", lambda setting: f"{setting} and none is installed")
    assert main(["status"]) == 0
    assert "native implementation: not used: auto and none is installed" in capsys.readouterr().out
    monkeypatch.setattr(commands, "unused", lambda _: "")
    assert main(["status"]) == 0
    assert "native implementation: used" in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    assert {"native": True, "reason": ""} in map(json.loads, capsys.readouterr().out.splitlines())


def test_where_channels_cannot_be_read_the_servers_are_shown_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unread(*_: object) -> list[ChannelStatus]:
        raise SinkUnavailable("Kafka (test)")

    monkeypatch.setattr(commands, "read_channel_statuses", unread)
    assert main(["status"]) == 0
    assert "kafka" in capsys.readouterr().out
