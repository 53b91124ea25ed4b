"""``cxwatch letters``: what was rejected, by whom it was sent, why and where it stood; mended, it is fed back."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from schemas.errors import ConfigError
from schemas.topics import FROM_COMPANIES
from streams.cli.chosen import settings_here
from streams.cli.listing import print_listing
from streams.cli.options import with_options
from streams.settings import Settings
from streams.sources import load_mapping
from streams.sources.dead_letters import (
    DeadLettersFound,
    Letter,
    LetterFilter,
    UnknownLetter,
    letter_topic,
    read_dead_letters,
)
from streams.sources.mapping import Mapping
from streams.sources.mended import Mender, edited, exported, feed_back
from streams.stack import endpoints

Topic = Annotated[str, typer.Option(help="Only of this topic: telemetry, order, contact, customer, change.")]
Rule = Annotated[str, typer.Option(help="Only those whose field or rule contains this.")]
File = Annotated[str, typer.Option("--file", help="Only rows of files (or followed topics) whose name contains this.")]
Emitter = Annotated[str, typer.Option(help="Only from senders (or mappings) whose name contains this.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
PERSONAL = "the bytes of dead letters are personal data of your customers"
MOST_GROUPS = 10
"""Groups of dead letters that are shown above them."""
MOST_REPLAYED = 100_000


def register(app: typer.Typer) -> None:
    """Add the command group, `cxwatch letters`."""
    dead_letters = typer.Typer(help="Dead letters: what was rejected and why; mended, they are fed back.")
    dead_letters.callback(invoke_without_command=True)(list_dead_letters)
    dead_letters.command("show")(show_letter)
    dead_letters.command("export")(export_dead_letters)
    dead_letters.command("replay", help=getdoc(replay_dead_letters))(with_options(FeedBackOptions, replay_dead_letters))
    app.add_typer(dead_letters, name="letters")


def list_dead_letters(
    context: typer.Context, topic: Topic = "", rule: Rule = "", file: File = "", emitter: Emitter = "",
    limit: Limit = 50, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List dead letters by emitter, rule and file line, the newest first. Nothing of their content is shown."""
    if context.invoked_subcommand:
        return
    _, found = _read(_wanted(topic, rule, file, emitter), limit, with_values=False)
    if as_json:
        for letter in found.dead_letters:
            typer.echo(json.dumps(_facts(letter, found)))
        return
    console = Console()
    if not found.dead_letters:
        console.print("No dead letter.")
        return
    groups = [(str(count), *map(escape, group)) for group, count in found.groups.most_common(MOST_GROUPS)]
    print_listing(console, ("Letters", "Topic", "From", ""), groups, right=("Letters",), below=1)
    if len(found.groups) > MOST_GROUPS:
        console.print(f"[dim]and {len(found.groups) - MOST_GROUPS} more kinds[/]")
    console.print()
    rows = [
        (letter.id, "replayed" if letter.id in found.replayed else "open", _time(letter)[5:19].replace("T", " "),
         escape(letter.where), escape(letter.why))
        for letter in found.dead_letters
    ]  # fmt: skip
    print_listing(console, ("Id", "State", "Rejected (UTC)", "Where", ""), rows, below=1)
    console.print(f"[dim]{len(found.dead_letters):,} of {found.groups.total():,} dead letters[/]")


def show_letter(
    letter: Annotated[str, typer.Argument(help="Id of the letter, as in order-0-17.")],
    show_bytes: Annotated[bool, typer.Option("--bytes", help="Print its bytes too: they are personal data.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: why it was rejected and where it came from; its bytes only if asked for."""
    _, found = _read(_wanted(letter_topic(letter), ids=[letter]), 1)
    if not found.dead_letters:
        raise UnknownLetter(f"there is no dead letter {letter}; `cxwatch letters` lists those there are")
    one, body = found.dead_letters[0], _facts(found.dead_letters[0], found)
    if show_bytes:
        body["bytes"] = None if one.value is None else one.value.decode("utf-8", "backslashreplace")
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    rows = [(f"[dim]{name}[/]", escape(str(value))) for name, value in body.items() if value not in ("", [])]
    print_listing(Console(), ("", ""), rows, below=1)
    if not show_bytes:
        typer.echo(f"{len(one.value or b''):,} bytes; --bytes prints them: {PERSONAL}")


def export_dead_letters(
    to: Annotated[Path, typer.Argument(help="File to write; one that exists is not overwritten.")],
    topic: Topic = "", rule: Rule = "", file: File = "", emitter: Emitter = "", limit: Limit = 10_000,
) -> None:  # fmt: skip
    """Write dead letters that were not fed back to a file, one JSON object per line, to be mended by hand.

    Change `text` (or `base64`) of a line, leave out what is to stay a letter, then `cxwatch letters replay FILE`.
    """
    _, found = _read(_wanted(topic, rule, file, emitter), limit)
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{to} exists already: name another file") from None
    with os.fdopen(descriptor, "wb") as stream:
        for letter in found.open:
            stream.write(exported(letter) + b"\n")
    typer.echo(f"{len(found.open):,} dead letters in {to}, readable by you alone: {PERSONAL}")


@dataclass(frozen=True, slots=True)
class FeedBackOptions:
    """The command line of `cxwatch letters replay`."""

    what: Annotated[
        list[str] | None, typer.Argument(help="Ids of dead letters, or one file of `cxwatch letters export`.")
    ] = None
    topic: Topic = ""
    rule: Rule = ""
    file: File = ""
    emitter: Emitter = ""
    mapping: Annotated[
        list[str] | None,
        typer.Option(help="Mended mapping file for dead letters of the mapping of the same name; may be repeated.",
                     show_default=False),
    ] = None
    live: Annotated[bool, typer.Option("--live", help="Events of rows count as live: customers may be told.")] = False
    again: Annotated[bool, typer.Option("--again", help="Also those that were fed back already.")] = False


def replay_dead_letters(asked: FeedBackOptions) -> None:
    """Feed dead letters back: chosen by id or by a filter after a mapping was mended, or mended by hand in a file.

    What still breaks a rule is not written and stays a letter; exit code 1 then. What was fed back is marked as such
    and passed over from then on. Rows of files are marked as a replay, of which nobody is told, unless --live is given.
    """
    names, mended = list(asked.what or ()), dict[str, bytes | None]()
    if len(names) == 1 and Path(names[0]).is_file():
        mended = edited(Path(names[0]))
        names = list(mended)
    for name in names:
        letter_topic(name)
    wanted = _wanted(asked.topic, asked.rule, asked.file, asked.emitter, names)
    if not wanted.any:
        raise ConfigError("which ones? Name ids, a file of `cxwatch letters export`, or a filter such as --rule")
    settings, found = _read(wanted, MOST_REPLAYED)
    unknown = sorted(set(names) - {letter.id for letter in found.dead_letters})
    if unknown:
        raise UnknownLetter(f"there is no dead letter {', '.join(unknown[:5])}; nothing was fed back")
    chosen = found.dead_letters if asked.again else found.open
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    mender = Mender(_mappings(settings, asked.mapping or []), asked.live, settings.max_event_bytes)
    given = [(letter, mended.get(letter.id, letter.value)) for letter in reversed(chosen)]
    done = asyncio.run(feed_back(settings, bootstrap, given, mender))
    for letter, why in done.refused:
        typer.echo(f"{letter}: still wrong: {why}", err=True)
    passed = len(found.dead_letters) - len(chosen)
    typer.echo(
        f"fed back {done.dead_letters:,} dead letters ({done.messages:,} messages), still wrong {len(done.refused):,}, "
        f"fed back before {passed:,}"
    )
    if done.refused:
        raise typer.Exit(1)


def _mappings(settings: Settings, files: list[str]) -> Any:
    """Name of a mapping -> the mapping: of a file that was given, else the one that comes along."""
    key = settings.pseudonym_bytes()
    given: dict[str, Mapping] = {mapping.name: mapping for mapping in (load_mapping(file, key) for file in files)}

    def mapping_of(name: str) -> Mapping:
        if name not in given:
            try:
                given[name] = load_mapping(name, key)
            except ConfigError as error:
                raise ConfigError(f"dead letters of mapping {name}: name its file with --mapping ({error})") from None
        return given[name]

    return mapping_of


def _wanted(
    topic: str = "", rule: str = "", file: str = "", emitter: str = "", ids: list[str] | None = None
) -> LetterFilter:
    if topic and topic not in FROM_COMPANIES:
        raise ConfigError(f"--topic: there are dead letters of {', '.join(FROM_COMPANIES)}")
    return LetterFilter(topic, rule, file, emitter, frozenset(ids or ()))


def _read(wanted: LetterFilter, most: int, with_values: bool = True) -> tuple[Settings, DeadLettersFound]:
    settings = settings_here()
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    return settings, asyncio.run(read_dead_letters(settings, bootstrap, wanted, most, with_values))


def _facts(letter: Letter, found: DeadLettersFound) -> dict[str, Any]:
    """What may be shown of a letter."""
    names = ("reason", "field", "rule", "value_class", "mapping", "version")
    return {
        "id": letter.id, "topic": letter.noun, "state": "replayed" if letter.id in found.replayed else "open",
        "rejected_at": _time(letter), "emitter": letter.emitter, "where": letter.where,
        **{name: letter.header(name) for name in names}, "columns": letter.columns,
    }  # fmt: skip


def _time(letter: Letter) -> str:
    return datetime.fromtimestamp(letter.at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
