"""Workers with a fault built in, for what cannot be done to a process from outside.

``python -m tests.faults.stages KIND worker --rooms ...`` is ``cxwatch worker`` with one thing changed. What triggers it
is a file in the state folder, so that the same command is healthy once the file is gone.

| kind | while the file ``KIND`` is there |
|---|---|
| ``raise`` | the join raises ValueError on the event whose id the file holds |
| ``block`` | the event loop sleeps for the seconds that the file holds, once (the file is removed first) |
| ``stuck`` | an assignment after the first one never opens |
| ``pause-claim`` | the sender stops itself (SIGSTOP) after a claim is committed, before the last check; once |
| ``pause-post`` | the sender stops itself between the last check and the HTTP request; once |
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streams.cli.main import main
from streams.core.join.native import NativeJoinStage
from streams.core.join.stage import JoinStage
from streams.core.stage import Batch, Fed, RawPart
from streams.runtime.application import StageShell
from streams.runtime.shell import Shell
from streams.sender.partition import Offer, PartitionSender
from streams.settings import load_settings
from streams.sinks.channels import RenderedNotice, Sent, WebhookChannel


def _raise(file: Path) -> None:
    plain, native = JoinStage.step, NativeJoinStage.feed

    def refuse(holds: Callable[[str], bool]) -> None:
        if file.exists() and holds(file.read_text()):
            raise ValueError("a defect on one event")

    def step(self: JoinStage, state: Any, batch: Any) -> None:
        if isinstance(batch, Batch):
            refuse(lambda wanted: any(getattr(record, "event_id", "") == wanted for record in batch.records))
        plain(self, state, batch)

    def feed(self: NativeJoinStage, state: Any, part: RawPart, start: int, max_bytes: int, future_ms: int) -> Fed:
        refuse(lambda wanted: any(f'"{wanted}"'.encode() in (value or b"") for value in part.values))
        return native(self, state, part, start, max_bytes, future_ms)

    join: Any = JoinStage
    in_rust: Any = NativeJoinStage
    join.step, in_rust.feed = step, feed


def _block(file: Path) -> None:
    plain = Shell._look

    async def look(self: Shell) -> None:
        if file.exists():
            seconds = float(file.read_text())
            file.unlink()
            time.sleep(seconds)
        await plain(self)

    patched: Any = Shell
    patched._look = look


def _stuck(file: Path) -> None:
    plain = StageShell._open

    async def open_(self: StageShell[Any], held: Mapping[int, set[str]]) -> None:
        if file.exists():
            await asyncio.Event().wait()
        await plain(self, held)

    patched: Any = StageShell
    patched._open = open_


def _stop_once(file: Path) -> None:
    if file.exists():
        file.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


def _pause_claim(file: Path) -> None:
    plain = PartitionSender._deliver

    async def deliver(self: PartitionSender, offer: Offer) -> None:
        _stop_once(file)
        await plain(self, offer)

    patched: Any = PartitionSender
    patched._deliver = deliver


def _pause_post(file: Path) -> None:
    plain = WebhookChannel.send

    async def send(self: WebhookChannel, notice: RenderedNotice) -> Sent:
        _stop_once(file)
        return await plain(self, notice)

    patched: Any = WebhookChannel
    patched.send = send


KINDS = {
    "raise": _raise, "block": _block, "stuck": _stuck, "pause-claim": _pause_claim, "pause-post": _pause_post,
}

if __name__ == "__main__":
    kind = sys.argv.pop(1)
    KINDS[kind](load_settings().state_dir / kind)
    sys.exit(main())
