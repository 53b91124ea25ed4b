"""The list of all commands, and what a command imports before it answers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import typer

from streams.cli.main import COMMANDS, build_app


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    root: Any = typer.main.get_command(build_app())
    for name, known in COMMANDS.items():
        help_text = root.commands[name].help or ""
        assert known.says == " ".join(help_text.split("\n\n")[0].split()), name


def test_the_list_of_commands_imports_none_of_them() -> None:
    program = (
        "import sys; from streams.cli.main import main; main(['--help']); heavy = ('pydantic', 'msgspec', 'rich', "
        "'numpy', 'kafka', 'aiokafka', 'streams.settings', 'clickhouse_driver'); "
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_a_command_that_reads_imports_nothing_that_only_writers_need() -> None:
    program = (
        "import sys; from streams.cli.main import build_app; build_app('issues'); heavy = ('numpy', 'scipy', 'faust', "
        "'kafka', 'aiokafka', 'aiohttp', 'clickhouse_migrations', 'schemas.codec', 'streams.sinks.blocks', "
        "'streams.runtime.shell', 'streams.core.join.native'); print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
