"""``cxwatch worker``: which rooms, which servers, what is logged."""

from __future__ import annotations

import errno
import importlib
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import ConfigError
from schemas.rooms import WORKER_ROOMS
from schemas.topics import TOPICS
from streams.cli.worker import Once, load_room, run, with_servers
from streams.core.join import native
from streams.runtime.exits import ExitCode
from streams.runtime.room import Room, SinkRoom, wire_name
from streams.runtime.serve import announce, context_of
from streams.settings import Settings


@pytest.mark.parametrize("name", WORKER_ROOMS)
def test_every_room_of_the_settings_can_be_loaded(name: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, kafka_bootstrap="k:1", clickhouse_url="clickhouse://u:p@127.0.0.1:1")
    room = load_room(name, settings)
    assert room.name == name
    assert isinstance(room, SinkRoom if name == "store" else Room)
    assert all(wire_name(noun).startswith("cx.") for noun in room.inputs)


def test_the_store_copies_the_chosen_topics_with_their_dead_letters(tmp_path: Path) -> None:
    def store(**chosen: Any) -> SinkRoom:
        settings = Settings(state_dir=tmp_path, clickhouse_url="clickhouse://u:p@127.0.0.1:1", **chosen)
        found = load_room("store", settings)
        assert isinstance(found, SinkRoom)
        return found

    assert {topic.noun for topic in TOPICS} <= set(store().inputs)
    assert store(store_topics="episode,late").inputs == ("episode", "late", "episode.dlq")
    assert store(store_topics="episode").pace.patience_s > store(store_topics="telemetry").pace.patience_s


def test_an_unknown_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="allowed: join, experience, detect"):
        load_room("nothing", Settings())


def test_a_worker_without_the_store_needs_no_clickhouse(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, kafka_bootstrap="k:1", rooms=("join",))
    assert with_servers(settings).kafka_bootstrap == "k:1"


def test_the_context_needs_a_broker_and_takes_over_every_knob() -> None:
    with pytest.raises(ConfigError, match="CX_KAFKA_BOOTSTRAP"):
        context_of(Settings(), "1")
    settings = Settings(kafka_bootstrap="k:1", bulk_fetch=False, idle_ms=7, future_events="quarantine", stall_s=33)
    context = context_of(settings, "1")
    assert (context.bulk, context.idle_ms, context.rules.quarantine_future, context.stall_s) == (False, 7, True, 33)


def installed(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    """Let Python find this in place of the native module; None: nothing; an error: it cannot be loaded."""

    def load(name: str) -> object:
        assert name == "cxwatch_native"
        if isinstance(module, Exception):
            raise module
        return module

    monkeypatch.setattr(importlib, "import_module", load)


FALLBACKS = {
    "missing": (ModuleNotFoundError("no"), "none is installed"),
    "another contract": (SimpleNamespace(CONTRACT="0"), "built for another version of cxwatch (contract 0, here"),
    "no contract": (SimpleNamespace(), "built for another version of cxwatch (contract None, here"),
    "another machine": (ImportError("wrong ELF class"), "Python cannot load it (wrong ELF class)"),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_a_worker_that_falls_back_to_python_says_why_once(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module, reason = FALLBACKS[name]
    installed(monkeypatch, module)
    settings = Settings(kafka_bootstrap="k:1")
    with caplog.at_level(logging.INFO, "cx.worker"):
        context = context_of(settings, "1")
        announce(settings, ["join"], "http://x")
    assert not context.native
    assert context.metrics.registry.get_sample_value("cx_runtime_native") == 0
    assert "in Python only, health on http://x" in caplog.text
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [reason in one and "make native" in one for one in warnings] == [True]
    with pytest.raises(ConfigError, match="CX_NATIVE=off") as refused:
        context_of(settings.model_copy(update={"native": "on"}), "1")
    assert reason in str(refused.value)


def test_a_worker_says_that_native_code_runs_and_nothing_of_a_fallback_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed(monkeypatch, SimpleNamespace(CONTRACT=native.contract()))
    for setting, words, value in (("auto", "in native code", 1), ("off", "in Python only", 0)):
        caplog.clear()
        settings = Settings(kafka_bootstrap="k:1", native=setting)
        with caplog.at_level(logging.INFO, "cx.worker"):
            context = context_of(settings, "1")
            announce(settings, ["join"], "http://x")
        assert context.metrics.registry.get_sample_value("cx_runtime_native") == value
        assert [words in one.getMessage() for one in caplog.records] == [True]


def test_a_worker_that_cannot_write_to_its_folder_says_that_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        """Stands for the end of the process."""

    def end(code: ExitCode, reason: str) -> None:
        raise Ended(code, reason)

    async def serve(*_: Any) -> ExitCode:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "worker-a.tmp"))

    monkeypatch.setattr("streams.cli.worker.die", end)
    monkeypatch.setattr("streams.cli.worker.serve", serve)
    with pytest.raises(Ended) as ended:
        run([], Settings(kafka_bootstrap="127.0.0.1:1", state_dir=tmp_path))
    code, reason = ended.value.args
    assert code == ExitCode.UNKNOWN
    assert "is full" in reason
    assert "CX_STATE_DIR" in reason


def test_a_library_says_the_same_thing_once_and_we_say_everything() -> None:
    once = Once(every_s=5.0)

    def passes(name: str, text: str, at: float) -> bool:
        record = logging.LogRecord(name, logging.ERROR, "f", 1, text, (), None)
        record.created = at
        return once.filter(record)

    assert [passes("aiokafka", "down", at) for at in (100.0, 101.0, 106.0)] == [True, False, True]
    assert [passes("cx.room", "down", at) for at in (100.0, 101.0)] == [True, True]
