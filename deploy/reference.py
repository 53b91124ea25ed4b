"""Writes docs/reference/ and the table of rights in docs/security.md from the catalogues: ``make reference``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from schemas.definitions import page as definitions_page
from schemas.metrics import page as metrics_page
from schemas.rooms import ROOMS, WORKERS
from schemas.table import INGEST_TIME
from schemas.tables import TABLES
from schemas.topics import DAY_MS, TOPICS, Topic, state_topic
from schemas.views import VIEWS
from streams.cli.main import COMMANDS, build_app
from streams.cli.settings import rows as setting_rows
from streams.security.access import ROLES
from streams.security.access import table as rights_rows
from streams.simulate.library.page import page as worlds_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
RIGHTS = DOCS / "security.md"
_BEGIN, _END = "<!-- rights:", "<!-- end of rights -->"
_MADE = "Made by `make reference` from {}; do not edit."


def pages() -> dict[str, str]:
    """File name in docs/reference -> its text."""
    makers: dict[str, Callable[[], str]] = {
        "topics.md": topics, "tables.md": tables, "metrics.md": metrics_page, "settings.md": settings,
        "commands.md": commands, "definitions.md": definitions_page,
        "worlds.md": worlds_page,
    }  # fmt: skip
    return {name: make() for name, make in makers.items()}


def topics() -> str:
    """Topics and the rooms that read and write them."""
    lines = [
        "# Topics and rooms", "", _MADE.format("`schemas/topics.py` and `schemas/rooms.py`"), "", "## Topics", "",
        "Names on the wire, without the prefix of `CX_TOPIC_PREFIX`. Retention counts from the append time. Most",
        "topics have a dead-letter topic, `<topic>.dlq`, which keeps rejects for at least 30 days.", "",
        *_table(("topic", "records", "key", "partitions", "written by", "read by", "kept", "dead letters"),
                map(_topic, TOPICS)),
        "", "Event topics have a clock. An event behind the disorder bound is late, one behind the allowed lateness",
        "changes nothing; both are defaults of settings.", "",
        *_table(("topic", "disorder bound", "allowed lateness"),
                ((f"`{one.name}`", f"{one.disorder_ms // 1_000} s", _duration(one.lateness_ms))
                 for one in TOPICS if one.lateness_ms)),
        "", "## Rooms", "", "Each room has a consumer group of its own, `cx.<room>`.", "",
        *_table(("room", "what it does", "reads", "writes", "tasks", "state topic", "process"), map(_room, ROOMS)),
    ]  # fmt: skip
    return _text(lines)


def _topic(topic: Topic) -> tuple[str, ...]:
    rooms = [room for room in ROOMS if topic.noun in room.outputs]
    writer = ", ".join(room.name for room in rooms) if topic.writer == "rooms" else topic.writer
    readers = [room.name for room in ROOMS if topic.noun in room.inputs or not room.inputs]
    partitions = "as many as `CX_PARTITIONS`" if topic.partitioning == "customer" else "1"
    return (
        f"`{topic.name}`", ", ".join(record.__name__ for record in topic.records), f"`{topic.key}`",
        f"{partitions}{', a copy on each' if topic.broadcast else ''}", writer, ", ".join(readers),
        "latest per key" if topic.compacted else f"{topic.retention_ms // DAY_MS} days",
        "yes" if topic.dead_letters else "no",
    )  # fmt: skip


def _room(room: Any) -> tuple[str, ...]:
    tasks = "one per customer partition" if room.key else "one"
    return (
        f"`{room.name}`", room.meaning, ", ".join(room.inputs) or "every topic, and its dead letters",
        ", ".join(room.outputs) or "tables", tasks if room.state else "partitions are shared out",
        f"`{state_topic(room.name)}`" if room.state else "none",
        f"worker {room.worker} of {len(WORKERS)} of `cxwatch run`" if room.worker else "`cxwatch sender`",
    )  # fmt: skip


def tables() -> str:
    """Tables with their columns, and views."""
    lines = [
        "# Tables and views", "", _MADE.format("`schemas/tables.py`"), "",
        "Of rows with the same key the one with the highest version replaces the others: read with `FINAL`, or a view.",
        f"Every table also has `{INGEST_TIME}`, when the server stored the row; retention counts from it.",
    ]  # fmt: skip
    for table in TABLES:
        facts = [
            f"Key: {', '.join(f'`{key}`' for key in table.key)}",
            f"version: `{table.version}`" if table.version else "copies of a row are equal",
            f"kept {table.retention_days} days",
        ]
        facts += [f"`{table.deleted}` = 1 hides a row"] if table.deleted else []
        lines += ["", f"## {table.name}", "", f"{table.meaning}. {'; '.join(facts)}.", ""]
        lines += _table(
            ("column", "type", "unit", "meaning"),
            ((f"`{column.name}`", f"`{column.type}`", column.unit, column.meaning) for column in table.columns),
        )
    lines += ["", "## Views", "", *_table(("view", "rows"), ((f"`{name}`", words) for name, words in VIEWS.items()))]
    return _text(lines)


def settings() -> str:
    """Every setting."""
    lines = [
        "# Settings", "", _MADE.format("`streams/settings.py`"), "",
        "Environment variables, read once at the start. `cxwatch settings` prints the same list. An unknown name that",
        "begins with `CX_` or a value that is not allowed ends a command with exit code 78.", "",
        *_table(("setting", "unit", "default", "allowed", "meaning"),
                ((f"`{row['name']}`", row["unit"], f"`{row['default']}`", row["allowed"], row["meaning"])
                 for row in setting_rows())),
    ]  # fmt: skip
    return _text(lines)


def commands() -> str:
    """Every command with its arguments and options."""
    root: Any = typer.main.get_command(build_app())
    lines = [
        "# Commands", "", _MADE.format("the commands themselves"), "",
        "Exit codes: 0 done, 1 refused, 2 wrong usage, 70 an error nobody expected (where it happened is kept in",
        "`logs/errors.log` of the state folder; `cxwatch --debug` shows it), 78 a wrong setting, 130 Ctrl-C, 141 who",
        "reads the output is gone. `cxwatch <command> --help` prints the same.",
    ]  # fmt: skip
    for name in COMMANDS:
        for path, command in _leaves(name, root.commands[name]):
            lines += ["", f"## cxwatch {path}", "", *_paragraphs(_help(command))]
            options = [_parameter(one) for one in command.params if not getattr(one, "hidden", False)]
            if options:
                lines += ["", *_table(("argument or option", "default", "meaning"), options)]
    return _text(lines)


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    for name, one in inner.items():
        yield from _leaves(f"{path} {name}", one)


def _help(command: Any) -> str:
    """What a command says of itself; a group that does something by itself says that in the words of its function."""
    own = getattr(command, "commands", None) and command.callback and command.callback.__doc__
    return inspect.cleandoc(own) if own else command.help or ""


def _parameter(one: Any) -> tuple[str, str, str]:
    argument = one.param_type_name == "argument"
    spelled = one.name.upper() if argument else ", ".join((*one.opts, *one.secondary_opts))
    if one.required:
        default = "required"
    elif one.default in (None, False, "", (), []):
        default = ""
    else:
        default = f"`{one.default}`"
    return f"`{spelled}`", default, one.help or ""


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(part.split()) for part in (text or "").split("\n\n")]


def rights() -> str:
    """Roles and what each may do on the cluster."""
    who = _table(("principal", "who that is"), ROLES.items())
    return "\n".join([*who, "", *_table(("principal", "may", "on"), rights_rows())])


def with_rights(text: str) -> str:
    """The page with the table of rights as the catalogues say."""
    before, _, rest = text.partition(_BEGIN)
    mark, _, rest = rest.partition("\n")
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{mark}\n{rights()}\n{_END}{after}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    head, *body = [f"| {' | '.join(row)} |" for row in (heads, *cells)]
    return [head, f"|{'---|' * len(heads)}", *body]


def _duration(time_ms: int) -> str:
    return f"{time_ms // DAY_MS} days" if time_ms % DAY_MS == 0 else f"{time_ms // 60_000} min"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write what is not current, remove what is no longer made."""
    folder = DOCS / "reference"
    folder.mkdir(exist_ok=True)
    made = pages()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    for stale in {path for path in folder.iterdir() if path.name not in made}:
        stale.unlink()
    RIGHTS.write_text(with_rights(RIGHTS.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{', '.join(made)} in {folder.name}/ and the rights in {RIGHTS.name} are current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
