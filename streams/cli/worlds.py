"""Worlds of the incident library for ``cxwatch simulate``: listed, or written as a recording with their truth."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from schemas.errors import ConfigError
from streams.cli.listing import print_listing
from streams.replay.recording import RecordingWriter
from streams.replay.source import targets
from streams.simulate.library.world import COUNT_WORLDS, WORLDS

TRUTH = "truth.json"
LIST = "list"
"""In the place of a name: all of them."""


def show_world(name: str | None, out: Path | None, seed: int, partitions: int) -> None:
    """List all worlds or write one, as the name says. Raises ConfigError as :func:`write_world` does."""
    if name == LIST:
        list_worlds()
    else:
        write_world(name, out, seed, partitions)


def list_worlds() -> None:
    """Print every world with its family and what it says."""
    rows = [(world.name, world.family, world.says) for world in WORLDS.values()]
    rows += [(world.name, world.family, world.says) for world in COUNT_WORLDS.values()]
    print_listing(Console(), ("World", "Family", "What happens"), rows, below=1)


def write_world(name: str | None, out: Path | None, seed: int, partitions: int) -> None:
    """Write one world. Raises ConfigError unless both are named, the world exists and the folder is new or empty."""
    world = WORLDS.get(name or "") or COUNT_WORLDS.get(name or "")
    if world is None:
        raise ConfigError(f"--world {name}: there is no such world; `cxwatch simulate --world list` names them all")
    if out is None:
        raise ConfigError("--world needs --out, a folder to write to")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: it must be a new or an empty folder")
    truth = world.truth(seed)
    about = {"kind": "world", "name": world.name, "seed": seed, "complete": False}
    messages = 0
    with RecordingWriter(out, partitions, about) as writer:
        for arrival in world.play(seed, partitions):
            messages += 1
            for target in targets(arrival, partitions):
                writer.log(arrival.noun, target).append(arrival.key, arrival.value, (), arrival.at_ms)
    truth.write(out / TRUTH)
    incidents = f"incidents: {len(truth.incidents) or 'none'}"
    typer.echo(f"{out}: {messages:,} messages of {truth.days:g} days, {incidents}; what is true is in {TRUTH}")
