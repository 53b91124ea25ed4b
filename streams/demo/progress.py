"""What a long command says while it runs: finished steps as lines, what goes on as one moving line."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from streams.stack.manage import Reporter


class Teller(Reporter):
    """Lines with the seconds since the start; a bar on a terminal, a plain line every few seconds elsewhere."""

    QUIET_S = 5.0

    def __init__(self) -> None:
        """Nothing is shown before the block begins."""
        self.console = Console(soft_wrap=True, highlight=False)
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._begun = time.monotonic()
        self._last = 0.0

    def __enter__(self) -> Teller:
        """Begin to show progress."""
        self._task = self._bar.add_task("starting", total=None)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the moving line away."""
        self._bar.stop()

    def say(self, sentence: str) -> None:
        """One finished step, with rich's markup."""
        self.console.print(f"[dim]{time.monotonic() - self._begun:5.1f} s[/]  {sentence}")

    def progress(self, doing: str, share: float | None = None) -> None:
        """What is going on; ``share`` of it is done, 0 to 1."""
        if self._task is not None:
            total = None if share is None else 1.0
            self._bar.update(self._task, description=doing, total=total, completed=share or 0.0)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._last > self.QUIET_S:
            self._last = now
            self.say(f"[dim]{escape(doing)}[/]")

    def summary(self, heading: str, lines: list[str]) -> None:
        """The end: a heading and its lines."""
        self.console.print(f"\n{heading}")
        for line in lines:
            self.console.print(f"  {line}")


def clock(at_ms: int) -> str:
    """Event time for people."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
