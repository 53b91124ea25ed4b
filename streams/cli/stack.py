"""``cxwatch up`` and ``cxwatch down``: the local servers."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streams.cli.status import show_servers
from streams.settings import load_settings
from streams.stack.manage import Reporter, down, status, up


class RichReporter(Reporter):
    """Finished steps as lines, a spinner with the time while something is going on, a bar for downloads."""

    def __init__(self, doing: str) -> None:
        """Name what is going on, for the spinner."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        )
        self.console = Console(stderr=True, soft_wrap=True)
        self.spinner = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.doing = doing
        self._bar_shown = False

    def __enter__(self) -> RichReporter:
        """Show the spinner."""
        self.spinner.add_task(self.doing)
        self.spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the spinner away."""
        self.spinner.stop()
        self.bar.stop()

    def say(self, sentence: str) -> None:
        """Print one finished step."""
        self.console.print(escape(sentence), highlight=False)

    def downloaded(self, done_bytes: int, total_bytes: int) -> None:
        """Move the bar; the first call exchanges the spinner for it, the last one changes back."""
        if not self._bar_shown:
            self._bar_shown = True
            self.say(f"downloading Kafka's jars ({total_bytes / 1e6:.0f} MB, once per user)")
            self.spinner.stop()
            self.bar.add_task("Kafka's jars", total=total_bytes)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=done_bytes)
        if done_bytes >= total_bytes:
            self.bar.stop()
            self.spinner.start()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up_command)
    app.command("down")(down_command)


def up_command() -> None:
    """Start the local Kafka and ClickHouse (those that the settings do not name) and wait until they serve."""
    settings = load_settings()
    with RichReporter("starting Kafka and ClickHouse") as reporter:
        up(settings, reporter)
    show_servers(status(settings))


def down_command() -> None:
    """Stop the local servers; data, ports and passwords are kept."""
    with RichReporter("stopping") as reporter:
        down(load_settings(), reporter)
