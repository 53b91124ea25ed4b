"""The file of keys is private or refused, and keys are shown once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigError
from streams.cli.main import build_app, main
from streams.orders.writing import actor_of
from streams.security.keyfile import keyring_of, listed, new_key, order_rules, put, remove
from streams.security.signing import FRESH_MS, Keyring
from streams.settings import Settings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the keys are to lie."""
    path = tmp_path / "keys.json"
    monkeypatch.setenv("CX_ORDER_KEYS", str(path))
    return path


def test_a_key_is_made_for_this_user_only_and_read_back(file: Path) -> None:
    key = new_key()
    mark = put(file, "alice", key, "2026-01-01")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [(one.actor, one.made_on, one.mark) for one in listed(file)] == [("alice", "2026-01-01", mark)]
    assert len(keyring_of(file).keys["alice"]) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_or_change_is_refused(file: Path, mode: int) -> None:
    put(file, "alice", new_key(), "")
    file.chmod(mode)
    for use in (keyring_of, listed, lambda path: put(path, "bob", new_key(), ""), lambda path: remove(path, "alice")):
        with pytest.raises(ConfigError, match="chmod 600"):
            use(file)


@pytest.mark.parametrize(
    "body", ["", "[]", '{"keys": 3}', '{"keys": {"a": "b"}}', '{"keys": {"a": {"key": "c2hvcnQ="}}}']
)
def test_a_file_that_is_none_of_keys_is_refused_without_showing_it(file: Path, body: str) -> None:
    file.write_text(body)
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        keyring_of(file)
    assert "c2hvcnQ" not in str(caught.value)


def test_a_file_without_a_key_or_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        keyring_of(file)
    put(file, "alice", new_key(), "")
    remove(file, "alice")
    with pytest.raises(ConfigError, match="holds no key"):
        keyring_of(file)


def test_without_a_file_nothing_is_signed_and_simulated_time_judges_no_freshness() -> None:
    assert order_rules(Settings()).keyring is None
    assert order_rules(Settings(sender_clock="event")).fresh_ms is None
    assert order_rules(Settings()).fresh_ms == FRESH_MS


def test_a_command_prints_a_key_once_and_never_again(file: Path) -> None:
    runner, app = CliRunner(), build_app("keys")
    made = runner.invoke(app, ["keys", "new", "alice"])
    key = made.stdout.strip()
    assert made.exit_code == 0
    assert key in file.read_text()
    shown = "".join(runner.invoke(app, ["keys", *words]).output for words in (["list"], ["remove", "alice"]))
    assert "alice" in shown
    assert key not in shown + made.stderr
    added = runner.invoke(app, ["keys", "add", "alice"], input=key + "\n")
    assert added.exit_code == 0, added.output
    assert key not in added.output
    assert main(["keys", "new", "alice"]) == 78
    assert keyring_of(file).keys["alice"]


def test_a_name_that_no_record_takes_is_no_actor(file: Path) -> None:
    for name in ("", "two\nlines", "x" * 129, "\u202eevil"):
        with pytest.raises(ConfigError, match="an actor is a name"):
            put(file, name, new_key(), "")


def test_who_orders_is_the_only_one_with_a_key_here_or_who_is_named() -> None:
    one, two = Keyring({"alice": b"a" * 32}), Keyring({"alice": b"a" * 32, "bob": b"b" * 32})
    assert actor_of(Settings(), one) == "alice"
    assert actor_of(Settings(order_actor="bob"), two) == "bob"
    with pytest.raises(ConfigError, match="nobody would obey"):
        actor_of(Settings(order_actor="eve"), one)
    assert actor_of(Settings(order_actor="on\ncall"), None) == "on call"


def test_a_user_without_a_name_still_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("streams.orders.writing.getpass.getuser", nameless)
    assert actor_of(Settings(), None) == "unknown"
    monkeypatch.setattr("streams.orders.writing.getpass.getuser", lambda: "\n\x1b\u202e")
    assert actor_of(Settings(), None) == "unknown"
    assert os.geteuid() >= 0
