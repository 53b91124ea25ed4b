"""Every panel leads to the definition of what it shows."""

from __future__ import annotations

import pytest

from dashboards.boards import BOARDS, DEFINITIONS_BOARD
from dashboards.macros import Range, expand
from schemas.definitions import DEFINITIONS
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.seed import NOW


def test_every_definition_has_a_panel_of_its_name_with_its_formula_owner_and_sql() -> None:
    shown = {panel.slug: panel.text for panel in DEFINITIONS_BOARD.panels}
    assert list(shown) == [one.name for one in DEFINITIONS]
    for one in DEFINITIONS:
        assert all(text in shown[one.name] for text in (one.formula, one.owner, one.unit, one.freshness, one.sql))


def test_every_panel_that_names_a_definition_names_one_of_the_catalogue() -> None:
    named = {(board.uid, panel.slug): panel.metric for board in BOARDS for panel in board.panels if panel.metric}
    known = {one.name for one in DEFINITIONS}
    assert {where: name for where, name in named.items() if name not in known} == {}


@pytest.mark.clickhouse
def test_the_statement_of_every_definition_runs_for_a_reader_of_boards(seeded: ClickHouse) -> None:
    for one in (one for one in DEFINITIONS if one.sql):
        assert seeded.query(expand(one.sql, Range.ending(NOW, 6))).names[-1] == one.name
