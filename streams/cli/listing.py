"""Lists for a terminal of any width: nothing is ever cut, so that whatever is shown can be copied."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.text import Text

GAP = 2
INDENT = 4
LEAST_BESIDE = 40
"""A text is wrapped beside its row if it has this much room there, else below the row."""


def print_listing(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = (),
    below: int = 0,
) -> None:  # fmt: skip
    """Print rows (cells in rich's markup) under their headings, those in ``right`` aligned to the right.

    Where a line would be wider than the terminal, the last ``below`` cells of every row become one text, each after its
    heading and without empty ones: wrapped beside the row if there is room, else below it.
    """
    cells = [[Text.from_markup(cell) for cell in row] for row in rows]
    if sum(_widths(headings, cells)) + GAP * (len(headings) - 1) <= console.width:
        below = 0
    beside = len(headings) - below
    widths = _widths(headings[:beside], cells)
    aligned = ["right" if heading in right else "left" for heading in headings]
    taken = sum(widths) + GAP * beside
    indent = taken if console.width - taken >= LEAST_BESIDE else INDENT
    if any(headings):
        _print(console, _line([Text(heading, style="bold") for heading in headings[:beside]], widths, aligned))
    for row in cells:
        line, rest = _line(row[:beside], widths, aligned), _together(headings[beside:], row[beside:])
        wrapped = list(rest.wrap(console, console.width - indent)) if rest else []
        if wrapped and indent == taken:
            line.append(" " * (taken - line.cell_len))
            line.append_text(wrapped.pop(0))
        _print(console, line)
        for part in wrapped:
            _print(console, Text(" " * indent) + part)


def _widths(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    return [max([len(heading), *(row[at].cell_len for row in rows)]) for at, heading in enumerate(headings)]


def _line(cells: Sequence[Text], widths: Sequence[int], aligned: Sequence[str]) -> Text:
    """Cells padded to their columns' widths."""
    line = Text()
    for cell, width, side in zip(cells, widths, aligned, strict=False):
        room = Text(" " * (width - cell.cell_len))
        line.append_text(room + cell if side == "right" else cell + room)
        line.append(" " * GAP)
    return line


def _together(headings: Sequence[str], cells: Sequence[Text]) -> Text:
    """The cells that hold something, each after its heading if it has one."""
    named = [
        Text(f"{heading.lower()} ", style="dim") + cell if heading else cell
        for heading, cell in zip(headings, cells, strict=True)
        if cell
    ]
    return Text("; ").join(named)


def _print(console: Console, line: Text) -> None:
    line.rstrip()
    console.print(line, soft_wrap=True, highlight=False)
