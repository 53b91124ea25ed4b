"""A command that is told of no database and no topics takes those of what runs, or ran last, with the state folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.errors import StackError
from streams.cli.chosen import settings_here
from streams.demo.session import claimed
from streams.replay.configuration import configured
from streams.settings import Settings
from streams.stack import Reporter
from streams.stack.last_run import recalled, remember
from streams.stack.supervisor import environment_of


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    """Settings that name nothing but a state folder."""
    return Settings(state_dir=tmp_path)


def _of(bare: Settings, prefix: str, database: str, **more: Any) -> Settings:
    return bare.model_copy(update={"topic_prefix": prefix, "clickhouse_database": database, **more})


def _ended(bare: Settings, kind: str, at: float) -> None:
    file = bare.state_dir / f"last-{kind}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pid": 0, "at": at}))


def _names(settings: Settings) -> tuple[str, str]:
    return settings.topic_prefix, settings.clickhouse_database


def test_nothing_is_recalled_where_nothing_ran(bare: Settings) -> None:
    assert recalled(bare) == (bare, None)


def test_the_last_run_counts_and_is_told(bare: Settings) -> None:
    remember(_of(bare, "example-1.", "cx_example"), "example")
    remember(_of(bare, "demo-2.", "cx_demo"), "demo")
    _ended(bare, "example", 1_000.0)
    _ended(bare, "demo", 2_000.0)
    found, last = recalled(bare)
    assert _names(found) == ("demo-2.", "cx_demo")
    assert last is not None
    assert last.words.startswith("the demo (of 1970-01-01 00:33 UTC): database cx_demo, topic prefix demo-2.;")


def test_what_is_alive_comes_first_and_a_run_before_a_demo(bare: Settings) -> None:
    remember(_of(bare, "shop.", "cx_shop"), "run")
    remember(_of(bare, "demo-2.", "cx_demo"), "demo")
    assert _names(recalled(bare)[0]) == ("shop.", "cx_shop")
    _ended(bare, "run", 9e9)
    assert _names(recalled(bare)[0]) == ("demo-2.", "cx_demo")


def test_an_order_goes_to_nothing_that_has_ended(bare: Settings) -> None:
    remember(_of(bare, "demo-2.", "cx_demo"), "demo")
    assert _names(recalled(bare, running=True)[0]) == ("demo-2.", "cx_demo")
    _ended(bare, "demo", 2_000.0)
    assert recalled(bare, running=True) == (bare, None)


@pytest.mark.parametrize("name", ["topic_prefix", "clickhouse_database"])
def test_a_setting_of_either_name_says_enough(bare: Settings, name: str) -> None:
    remember(_of(bare, "demo-2.", "cx_demo"), "demo")
    chosen = Settings(state_dir=bare.state_dir, **{name: getattr(bare, name)})
    assert recalled(chosen) == (chosen, None)


def test_a_run_on_other_servers_is_not_meant(bare: Settings) -> None:
    url = SecretStr("clickhouse://u:secret@ch.example")
    remember(_of(bare, "demo-2.", "cx_demo", kafka_bootstrap="k:1", clickhouse_url=url), "demo")
    assert recalled(bare)[1] is None
    there = Settings(state_dir=bare.state_dir, kafka_bootstrap="k:1", clickhouse_url=url)
    assert recalled(there)[1] is not None
    assert "secret" not in (bare.state_dir / "last-demo.json").read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"topic_prefix": 1, "at": "x"}'])
def test_a_damaged_record_is_passed_over(bare: Settings, text: str) -> None:
    (bare.state_dir / "last-demo.json").write_text(text)
    assert recalled(bare) == (bare, None)


def test_a_run_with_the_names_of_the_settings_is_not_worth_a_word(bare: Settings) -> None:
    remember(bare, "run")
    assert recalled(bare) == (bare, None)


def test_a_child_is_told_its_names_even_if_they_are_the_defaults(bare: Settings) -> None:
    assert environment_of(bare)["CX_CLICKHOUSE_DATABASE"] == "cx"


def test_commands_say_whose_names_they_take_apart_from_what_they_print(
    bare: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CX_STATE_DIR", str(bare.state_dir))
    remember(_of(bare, "demo-2.", "cx_demo"), "demo")
    assert settings_here().clickhouse_database == "cx_demo"
    shown = capsys.readouterr()
    assert (shown.out, shown.err.startswith("of the demo (running): database cx_demo")) == ("", True)


def test_a_second_demo_is_refused_with_who_runs_the_first(bare: Settings) -> None:
    with claimed(bare, "demo", Reporter()):
        with pytest.raises(StackError, match=r"running already in .* \(pid \d+\): end it first .*CX_STATE_DIR"):
            claimed(bare, "demo", Reporter()).__enter__()
        with claimed(bare, "example", Reporter()):
            pass
    with claimed(bare, "demo", Reporter()):
        pass


def test_the_lock_of_a_demo_that_was_killed_holds_nobody_up(bare: Settings) -> None:
    (bare.state_dir / "demo.lock").write_text("12345")
    with claimed(bare, "demo", Reporter()):
        assert (bare.state_dir / "demo.lock").read_text() == str(os.getpid())


def test_a_replay_of_live_topics_reads_those_of_the_last_run(bare: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(_of(bare, "demo-2.", "cx_demo"), "demo")
    monkeypatch.setenv("CX_STATE_DIR", str(bare.state_dir))
    assert configured().topic_prefix == "demo-2."
    monkeypatch.setenv("CX_TOPIC_PREFIX", "shop.")
    assert configured().topic_prefix == "shop."
