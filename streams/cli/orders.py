"""An operator's orders: ``cxwatch approve | mute | unmute | resolve ISSUE`` and ``cxwatch stop | resume``.

An order is written (``streams.orders.writing``) and then followed: every sender commits how far it has read the orders
(``streams.orders.acknowledgement``). Exit codes: 0 heard by every sender there is, or no sender runs; 75 written, but
not heard by all in time; 74 perhaps not written; 78 a wrong setting; 1 refused.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from aiokafka.errors import TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed

from schemas.errors import SinkUnavailable
from schemas.events import Channel
from streams.cli.chosen import settings_here
from streams.orders.acknowledgement import HEARD_WITHIN_S, await_heard
from streams.orders.writing import Action, WrittenOrder, known_issue, write_order
from streams.runtime.exits import ExitCode, KafkaFailed
from streams.settings import Settings
from streams.stack import endpoints

Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the order.")]
IssueId = Annotated[str, typer.Argument(help="Id of the issue, or its beginning.", show_default=False)]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds within which every sender has to hear it.")]


NO_RIGHT = (TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed)
"""What brokers say to somebody who may not order (docs/security.md)."""


def register(app: typer.Typer) -> None:
    """Add the operator's commands."""
    for name, command in (
        ("approve", approve_command), ("mute", mute_command), ("unmute", unmute_command),
        ("resolve", resolve_command), ("stop", stop_command), ("resume", resume_command),
    ):  # fmt: skip
        app.command(name)(command)


def approve_command(issue: IssueId, reason: Reason = "", wait: Wait = HEARD_WITHIN_S) -> None:
    """Let every affected customer of an issue be told, also beyond the number that needs no approval."""
    give_order("approve", issue, reason, wait)


def mute_command(issue: IssueId, reason: Reason = "", wait: Wait = HEARD_WITHIN_S) -> None:
    """Tell nobody about an issue until it is unmuted; counting goes on."""
    give_order("mute", issue, reason, wait)


def unmute_command(issue: IssueId, reason: Reason = "", wait: Wait = HEARD_WITHIN_S) -> None:
    """Take back `cxwatch mute`; what was held is decided again."""
    give_order("unmute", issue, reason, wait)


def resolve_command(issue: IssueId, reason: Reason = "", wait: Wait = HEARD_WITHIN_S) -> None:
    """Call an issue over: no more notices; those who were told get the all-clear."""
    give_order("resolve", issue, reason, wait)


def stop_command(reason: Reason = "", wait: Wait = HEARD_WITHIN_S) -> None:
    """Stop every send, at once and until `cxwatch resume`."""
    give_order("stop", None, reason, wait)


def resume_command(reason: Reason = "", wait: Wait = HEARD_WITHIN_S) -> None:
    """Take back `cxwatch stop`."""
    give_order("resume", None, reason, wait)


def give_order(
    action: Action, issue: str | None, reason: str, wait_s: float, channel: Channel | None = None
) -> None:
    """Write an order, wait until every sender has heard it, and say so; ends the command with its exit code."""
    settings = settings_here(running=True)
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    try:
        given = asyncio.run(_give(settings, bootstrap, action, issue, reason, channel))
    except KafkaFailed as error:
        if isinstance(error.__cause__, NO_RIGHT):
            typer.echo(f"cxwatch: {action}: not ordered: the brokers do not let this user order ({error})", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"cxwatch: {action}: perhaps not ordered ({error}); give it again", err=True)
        raise typer.Exit(ExitCode.KAFKA) from error
    for note in given.notes:
        typer.echo(f"cxwatch: {note}", err=True)
    about = given.command.issue_id or channel
    what = f"{action.replace('_', ' ')}{f' {about}' if about else ''}"
    follow_up(what, given, bootstrap, settings, wait_s)


async def _give(
    settings: Settings, bootstrap: str, action: Action, issue: str | None, reason: str, channel: Channel | None
) -> WrittenOrder:
    full = None if issue is None else await known_issue(settings, bootstrap, issue)
    return await write_order(settings, bootstrap, action, full, reason, channel)


def follow_up(what: str, given: WrittenOrder, bootstrap: str, settings: Settings, wait_s: float) -> None:
    """Say who has heard the order; exit code 75 if a sender has not."""
    name = given.command.command_id
    try:
        found = await_heard(bootstrap, settings, name, given.placed, wait_s)
    except SinkUnavailable as error:
        typer.echo(f"{what}: ordered, but nobody knows who heard it: {error} ({name})", err=True)
        raise typer.Exit(ExitCode.STALLED) from error
    if found.refused:
        typer.echo(
            f"{what}: REFUSED by the senders of partitions {', '.join(map(str, sorted(found.refused)))} ({name}): do "
            "they hold this actor's key, and is the clock of this machine right? The dead letters of command say which",
            err=True,
        )
        raise typer.Exit(1)
    if found.complete:
        typer.echo(f"{what}: ordered, {found.words} ({name})")
        return
    rest = f"; not by {', '.join(map(str, found.not_heard))}" if found.not_heard else ""
    typer.echo(
        f"{what}: ordered, but not heard by all within {wait_s:g} s: {found.words}{rest} ({name}). The order lies on "
        "the topic: a sender that reads on obeys it, one that was killed counts until its session ends. Ask "
        "`cxwatch status`, or give the order again",
        err=True,
    )
    raise typer.Exit(ExitCode.STALLED)
