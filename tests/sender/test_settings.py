"""A sender that is not set up as it must be does not start, and says why."""

from __future__ import annotations

import pytest

from schemas.errors import ConfigError
from streams.cli.main import main
from streams.rules import outreach_rules
from streams.settings import EXIT_CONFIG, Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GOOD = {
    "CX_KAFKA_BOOTSTRAP": "127.0.0.1:1", "CX_WEBHOOK_URL": "http://127.0.0.1:1/", "CX_WEBHOOK_SECRET": SECRET,
    "CX_WEBHOOK_ALLOW_LOOPBACK": "true",
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "shown_text"),
    [
        ({"CX_WEBHOOK_URL": ""}, "CX_WEBHOOK_URL"),
        ({"CX_WEBHOOK_SECRET": ""}, "CX_WEBHOOK_SECRET"),
        ({"CX_WEBHOOK_SECRET": "whsec_?"}, "CX_WEBHOOK_SECRET is wrong: it is not base64"),
        ({"CX_WEBHOOK_SECRET": "whsec_aGVsbG8="}, "Allowed: base64 of at least 24 random bytes"),
        ({"CX_WEBHOOK_SECRET_PREVIOUS": "whsec_aGVsbG8="}, "CX_WEBHOOK_SECRET_PREVIOUS is wrong: it has 5 bytes"),
        ({"CX_WEBHOOK_ALLOW_LOOPBACK": "false"}, "CX_WEBHOOK_ALLOW_LOOPBACK"),
        ({"CX_WEBHOOK_URL": "http://example.com/"}, "https"),
        ({"CX_WEBHOOK_URL": "https://10.0.0.1/"}, "public address"),
        ({"CX_WEBHOOK_URL": "https://example.com/", "CX_SENDER_CLOCK": "event"}, "loopback"),
        ({"CX_WEBHOOK_URL": "https://example.com/", "CX_OUTREACH_REPLAYED": "true"}, "CX_OUTREACH_REPLAYED"),
        ({"CX_SENDER_PARTITIONS": "7"}, "CX_SENDER_PARTITIONS"),
        ({"CX_SENDER_PARTITIONS": "one"}, "CX_SENDER_PARTITIONS"),
        ({"CX_OUTREACH_ZONES": "Mars/Base"}, "Mars/Base"),
    ],
)
def test_a_wrong_setting_refuses_the_start_and_is_named(
    wrong: dict[str, str], shown_text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (GOOD | wrong).items():
        monkeypatch.setenv(name, value)
    assert main(["sender"]) == EXIT_CONFIG
    shown = capsys.readouterr().err
    assert shown_text in shown
    assert SECRET not in shown


def test_outreach_tells_of_what_was_played_only_where_receivers_on_this_machine_are_allowed() -> None:
    assert not outreach_rules(Settings()).replayed
    with pytest.raises(ConfigError, match="CX_OUTREACH_REPLAYED"):
        outreach_rules(Settings(outreach_replayed=True))
    assert outreach_rules(Settings(outreach_replayed=True, webhook_allow_loopback=True)).replayed
