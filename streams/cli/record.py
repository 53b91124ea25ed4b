"""``cxwatch record``: a stretch of live topics as a recording to hand on."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigError
from schemas.setting_values import LEAST_KEY_CHARACTERS
from streams.cli.chosen import settings_here
from streams.replay.live import NOUNS
from streams.replay.opening import LIVE, SourceRequest, open_source
from streams.replay.pseudonyms import record


def register(app: typer.Typer) -> None:
    """Add ``cxwatch record``."""
    app.command("record")(record_command)


def record_command(
    out: Annotated[Path, typer.Option(help="Folder to write into; it must be empty or missing.")],
    source: Annotated[str, typer.Argument(help="live, or the folder of another recording.")] = LIVE,
    start: Annotated[
        str | None, typer.Option("--from", help="Only what was appended from then on (ISO 8601); live: or offsets.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only what was appended before this time.")] = None,
    topics: Annotated[
        str, typer.Option(help="Nouns to record, separated by commas; a replay needs all of them.")
    ] = ",".join(NOUNS),
    key: Annotated[
        Path | None,
        typer.Option(help="File with the key of the pseudonyms, to get the same again; unset: one that nobody has."),
    ] = None,
) -> None:
    """Keep a stretch of the live topics as a recording to hand on: customers are pseudonyms, texts are left out.

    Ids of events, orders and contacts, addresses, and values of dimensions that fewer than five customers have become
    pseudonyms as well; fields that the contract does not know are dropped. `cxwatch replay FOLDER` finds the same
    issues in it, up to names.
    """
    nouns = tuple(noun.strip() for noun in topics.split(","))
    unknown = [noun for noun in nouns if noun not in NOUNS]
    if unknown:
        raise ConfigError(f"--topics {', '.join(unknown)}: allowed are {', '.join(NOUNS)}")
    found = open_source(SourceRequest(source, start=start, end=end), settings_here())
    counts = record(found, out, _key(key), nouns)
    shown = ", ".join(f"{noun} {count:,}" for noun, count in counts.items() if count)
    typer.echo(f"{sum(counts.values()):,} records ({shown or 'nothing'}) in {out}")


def _key(file: Path | None) -> bytes:
    if file is None:
        return secrets.token_bytes(32)
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"--key {file} cannot be read: {error.strerror}") from None
    if len(found) < LEAST_KEY_CHARACTERS:
        raise ConfigError(f"--key {file}: allowed is text of at least {LEAST_KEY_CHARACTERS} characters")
    return found
