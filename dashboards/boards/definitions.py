"""The board of definitions: what each figure of the other boards is, one text per figure, made from the catalogue."""

from __future__ import annotations

from dashboards.model import Board, Grid, Panel
from schemas.definitions import DEFINITIONS, Definition

_W, _H = 12, 9


def _text(one: Definition) -> str:
    least = f"Not shown below {one.least} (counted as {one.exposed})." if one.least else ""
    parts = (one.formula, f"Unit: {one.unit}. Owner: {one.owner}. Freshness: {one.freshness}. {least}".strip(), one.sql)
    return "\n\n".join(part for part in parts if part)


def _panel(position: int, one: Definition) -> Panel:
    return Panel(
        position + 1, one.name, one.title, "text", "text", f"Definition of {one.name}: unit, owner, freshness, SQL.",
        Grid(position % 2 * _W, position // 2 * _H, _W, _H), text=_text(one),
    )  # fmt: skip


DEFINITIONS_BOARD = Board(
    uid="cx-definitions",
    title="What the figures mean",
    description="Every figure of the boards: formula, unit, owner, freshness and the SQL that computes it.",
    panels=tuple(_panel(position, one) for position, one in enumerate(DEFINITIONS)),
)
