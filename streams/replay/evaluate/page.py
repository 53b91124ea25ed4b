"""Writes the tables of a page between their marks, and says on which machine and from which worlds they come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import ConfigError
from streams.replay.evaluate import tables
from streams.replay.evaluate.results import WorldResult
from streams.stack.machine import machine_in_words

BEGIN, END = "<!-- figures: made by `make evaluate`; do not edit -->", "<!-- end of figures -->"


def write(page: Path, results: Sequence[WorldResult], seconds: float) -> None:
    """Replace what stands between the marks of the page. ``seconds``: wall time of the whole run.

    Raises ConfigError if the page cannot be read or has no marks.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{page} cannot be read ({type(error).__name__})") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{page} has no marks {BEGIN} and {END}, between which the figures are written")
    page.write_text(f"{before}{BEGIN}\n{body(results, seconds)}\n{END}{after}", encoding="utf-8")


def body(results: Sequence[WorldResult], seconds: float) -> str:
    """The tables as Markdown."""
    played = [result for result in results if not result.error]
    about = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine_in_words()}: {len(played)} of {len(results)} worlds, "
        f"{sum(result.events for result in played):,} messages, "
        f"{sum(len(result.truth.incidents) for result in played if result.truth):,} incidents, in {seconds:.0f} s."
    )
    return "\n".join([
        about, "", "### Detectors", "", tables.detectors(results).markdown(), "", "### Worlds", "",
        tables.worlds(results).markdown(),
    ])  # fmt: skip
