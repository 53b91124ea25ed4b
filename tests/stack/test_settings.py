"""Settings: one frozen object, wrong ones refuse the start with the name and the allowed values."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from pydantic import SecretStr, ValidationError

from schemas.errors import ConfigError
from schemas.setting_values import Noun
from schemas.topics import TOPICS
from streams.cli.main import main
from streams.cli.settings import rows
from streams.settings import EXIT_CONFIG, PREFIX, Settings, load_settings


def test_every_setting_has_a_default_and_a_meaning() -> None:
    for row in rows():
        assert row["meaning"], row
        assert row["default"], row
        assert row["allowed"], row


def test_numbers_with_a_unit_in_the_name_show_it() -> None:
    units = {row["name"]: row["unit"] for row in rows()}
    assert units["CX_FLUSH_MS"] == "ms"
    assert units["CX_HOLDOUT_RATIO"] == "0 to 1"
    assert units["CX_FETCH_MIN_BYTES"] == "bytes"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("CX_PARTITIONS", "0", "a whole number from 1 to 1000"),
        ("CX_PARTITIONS", "many", "a whole number from 1 to 1000"),
        ("CX_HOLDOUT_RATIO", "0.9", "a number from 0.0 to 0.5"),
        ("CX_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("CX_ROOMS", "join,kitchen", "one or more of join, experience, detect, match, impact, outreach, store"),
        ("CX_WEB_HOST", "0.0.0.0", "one of 127.0.0.1, ::1, localhost"),
    ],
)
def test_a_wrong_value_is_refused_with_the_allowed_ones(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert name in str(refused.value)
    assert allowed in str(refused.value)


def test_a_misspelt_setting_names_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_FLUSH_SM", "100")
    with pytest.raises(ConfigError, match="CX_FLUSH_SM is not a setting; did you mean CX_FLUSH_MS"):
        load_settings()


def test_settings_of_the_test_suite_are_not_taken_for_misspelt_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_TEST_ANYTHING", "1")
    assert load_settings().partitions == 4


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_PARTITIONS", "")
    assert load_settings().partitions == 4


def test_rooms_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_ROOMS", "join, match")
    assert load_settings().rooms == ("join", "match")


def test_the_topics_to_store_are_nouns_of_the_catalogue_and_empty_means_every_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert get_args(Noun)[1].choices == tuple(topic.noun for topic in TOPICS)
    assert load_settings().store_topics == ()
    monkeypatch.setenv("CX_STORE_TOPICS", "episode, cohort_count")
    assert load_settings().store_topics == ("episode", "cohort_count")
    monkeypatch.setenv("CX_STORE_TOPICS", "episode,orders")
    with pytest.raises(ConfigError, match=r"CX_STORE_TOPICS is wrong.*Allowed: one or more of telemetry, order,"):
        load_settings()


@pytest.mark.parametrize("name", ["partitions", "webhook_secret"])
def test_settings_cannot_be_changed_later(name: str) -> None:
    with pytest.raises(ValidationError):
        setattr(Settings(), name, 5)


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_WEBHOOK_SECRET", "whsec_hush")
    settings = load_settings()
    assert "hush" not in repr(settings)
    assert isinstance(settings.webhook_secret, SecretStr)


def test_every_setting_that_holds_a_secret_is_typed_as_one() -> None:
    for name, info in Settings.model_fields.items():
        if any(word in name for word in ("secret", "password", "_key")):
            assert "SecretStr" in str(info.annotation) or "Path" in str(info.annotation), name  # a file holds it


def test_a_wrong_setting_ends_any_command_with_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CX_PARTITIONS", "-1")
    assert main(["status"]) == EXIT_CONFIG
    assert "CX_PARTITIONS" in capsys.readouterr().err


def test_the_table_is_printed_and_readable_by_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"] for row in printed} == {PREFIX + name.upper() for name in Settings.model_fields}
    assert main(["settings"]) == 0
    assert "CX_STATE_DIR" in capsys.readouterr().out


def test_names_on_the_wire_carry_the_prefix() -> None:
    assert Settings(topic_prefix="t1.").named("cx.telemetry.v1") == "t1.cx.telemetry.v1"
