"""What holds the house together: import names of our own, a command line that loads only what it needs."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from streams.cli.main import COMMANDS, build_app, main

ROOT = Path(__file__).resolve().parents[2]
OUR_NAMES = ("streams", "schemas", "dashboards")


def test_no_other_distribution_ships_one_of_our_import_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in OUR_NAMES:
        assert set(owners.get(name, [])) <= {"cxwatch"}, name


@pytest.mark.parametrize("module", sorted({command.module for command in COMMANDS.values()}))
def test_every_command_group_registers_itself(module: str) -> None:
    assert callable(importlib.import_module(module).register)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for command in COMMANDS:
        assert command in printed


def test_an_unknown_command_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from streams.cli.main import main; sys.exit(main(['cook']))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "No such command 'cook'" in done.stderr


def test_only_the_module_of_the_wanted_command_is_loaded() -> None:
    program = (
        "import sys; from streams.cli.main import build_app; build_app('status'); "
        "print([m for m in ('scipy', 'faust', 'clickhouse_driver', 'kafka', 'jgo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_app_without_a_wanted_command_has_them_all() -> None:
    names = {info.name for info in build_app().registered_commands} | {g.name for g in build_app().registered_groups}
    assert set(COMMANDS) <= names


def test_every_module_of_the_core_belongs_to_one_room_or_is_shared() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    [rooms] = [c["modules"] for c in contracts if c["name"] == "no room of the core imports another"]
    core = ROOT / "streams" / "core"
    present = {f"streams.core.{path.parent.name}" for path in core.glob("*/__init__.py")}
    assert sorted(rooms) == sorted(present)
    shared = {"__init__", "amounts", "context", "eventtime", "recovery", "stage"}
    assert {path.stem for path in core.glob("*.py")} == shared


def test_the_core_is_checked_for_clocks_and_dice() -> None:
    program = "import random\nimport time\n\nprint(random.random(), time.time())\n"
    command = [sys.executable, "-m", "ruff", "check", "--output-format=concise"]
    command += ["--stdin-filename", "streams/core/x.py", "-"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.count("TID251") == 2


def test_every_module_that_an_import_contract_names_exists() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lists = ("layers", "modules", "source_modules", "forbidden_modules")
    entries = [entry for contract in contracts for key in lists for entry in contract.get(key, [])]
    names = {name for entry in entries for name in re.findall(r"[\w.]+", entry.removesuffix(".*"))}
    paths = {name: ROOT / name.replace(".", "/") for name in names}
    assert {name for name, path in paths.items() if not (path.is_dir() or path.with_suffix(".py").exists())} == set()
