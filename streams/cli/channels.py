"""``cxwatch channels`` shows how the channels stand; ``cxwatch channels resume`` orders that one sends again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, get_args

import typer

from schemas.errors import CxError
from schemas.events import Channel
from streams.cli.chosen import settings_here
from streams.cli.orders import Reason, Wait, give_order
from streams.orders.acknowledgement import HEARD_WITHIN_S
from streams.orders.channel_status import read_channel_statuses
from streams.security.sanitized import sanitized
from streams.stack import endpoints
from streams.topics import need_topics


class UnknownChannel(CxError):
    """There is no channel of this name."""


def register(app: typer.Typer) -> None:
    """Add the command group ``channels``."""
    channels = typer.Typer(help="How the ways to customers stand.")
    channels.callback(invoke_without_command=True)(channels_command)
    channels.command("resume")(resume_channel_command)
    app.add_typer(channels, name="channels")


def channels_command(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False
) -> None:
    """Show how every channel stands; exit code 1 if one is gone."""
    if context.invoked_subcommand:
        return
    settings = settings_here()
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    need_topics(bootstrap, settings, ("channel",))
    found = read_channel_statuses(settings, bootstrap)
    for one in found:
        typer.echo(json.dumps(asdict(one)) if as_json else one.words())
    if not found and not as_json:
        typer.echo("No sender has run yet.")
    if any(one.mend for one in found):
        raise typer.Exit(1)


def resume_channel_command(
    name: Annotated[str | None, typer.Argument(help="Channel; every one if left out.", show_default=False)] = None,
    reason: Reason = "",
    wait: Wait = HEARD_WITHIN_S,
) -> None:
    """Send again on a channel whose receiver was gone (410); one that accepts nothing is probed at once."""
    known: dict[str, Channel] = {channel: channel for channel in get_args(Channel)}
    if name is not None and name not in known:
        raise UnknownChannel(f"{sanitized(name)!r} is no channel; there are {', '.join(known)}")
    give_order("resume_channel", None, reason, wait, None if name is None else known[name])
