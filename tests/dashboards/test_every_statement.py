"""Every statement of the generated boards on a real ClickHouse, as Grafana would ask it: panels, bands, variables,
annotations; with everything chosen and with one value of each variable; and that links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dashboards.boards import BOARDS
from dashboards.grafana import dashboard
from dashboards.macros import Chosen, Range, expand
from dashboards.model import Board
from streams.sinks.clickhouse import Answer, ClickHouse
from tests.dashboards.seed import NOW

pytestmark = pytest.mark.clickhouse
Json = dict[str, Any]
BY_UID = {board.uid: board for board in BOARDS}
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def ask(client: ClickHouse, sql: str, chosen: Chosen | None = None, hours: float = 6) -> Answer:
    """Ask what Grafana would, in the database of the connection unless one is chosen."""
    values = {"database": (client.login.database,), **(chosen or {})}
    return client.query(expand(sql, Range.ending(NOW, hours), values))


def targets(made: Json) -> Iterator[tuple[str, Json, Json]]:
    """(what it is for, its panel or annotation, the query)."""
    for panel in made["panels"]:
        yield from ((f"{panel['title']} {one['refId']}", panel, one) for one in panel.get("targets", [])
                    if "rawSql" in one)  # fmt: skip
    yield from ((f"annotation {one['name']}", one, one["target"]) for one in made["annotations"]["list"][1:])


def options(client: ClickHouse, made: Json) -> dict[str, list[str]]:
    """Variable -> its values, as its query gives them."""
    asked = {one["name"]: one["query"] for one in made["templating"]["list"] if one["type"] == "query"}
    return {name: [str(row[0]) for row in ask(client, sql).rows] for name, sql in asked.items()}


@each_board
def test_every_statement_runs_on_an_empty_database(board: Board, board_reader: ClickHouse) -> None:
    made = dashboard(board)
    offered = options(board_reader, made)
    only = {variable.name: tuple(offered[variable.name]) for variable in board.variables if variable.strict}
    for name, panel, target in targets(made):
        rows = ask(board_reader, target["rawSql"], only).rows
        known = "was never heard of" in str(rows) or panel.get("title") == "Totals"
        assert panel.get("type") != "table" or len(rows) == 1 or known, name


@each_board
def test_every_statement_runs_on_a_filled_database_for_all_and_for_one_value_of_each_variable(
    board: Board, seeded_board: ClickHouse, replayed: str
) -> None:
    made = dashboard(board)
    offered = options(seeded_board, made)
    assert all(offered.values()), "a variable without any option"
    first = {name: (values[0],) for name, values in offered.items()}
    databases = {variable.name: first[variable.name] for variable in board.variables if variable.strict}
    hostile = dict.fromkeys(offered, ("it's \\' OR 1",)) | databases
    other = first | {name: (replayed,) for name in databases if name == "database"}
    single = {variable.name: first[variable.name] for variable in board.variables if not variable.every}
    for name, panel, target in targets(made):
        answer = ask(seeded_board, target["rawSql"], single)
        ask(seeded_board, target["rawSql"], first)
        ask(seeded_board, target["rawSql"], hostile)
        ask(seeded_board, target["rawSql"], other)
        _check_shape(name, panel, target, answer)


def _check_shape(name: str, panel: Json, target: Json, answer: Answer) -> None:
    if target["format"] == 0 and answer.rows:
        assert answer.types[0].startswith("DateTime"), name
        times = [row[0] for row in answer.rows]
        assert times == sorted(times), name
    if name.startswith("annotation"):
        assert {"time", "text"} <= set(answer.names), name
    shown = {one["matcher"]["options"] for one in panel.get("fieldConfig", {}).get("overrides", [])
             if one["matcher"]["id"] == "byName" and target["refId"] == "A"}  # fmt: skip
    if panel.get("type") in ("table", "barchart"):
        assert shown <= set(answer.names), name
        assert not [kind for kind in answer.types if kind.startswith(("Array", "Map", "Tuple"))], name
    for column in re.findall(r"\$\{__data\.fields\.(\w+)", str(panel.get("fieldConfig", ""))):
        assert column in answer.names, name


@each_board
def test_every_link_leads_to_a_board_and_to_variables_that_it_has(board: Board) -> None:
    found = re.findall(r"'url': '(/d/[^']*)'", str(dashboard(board)))
    assert found
    for url in found:
        there = BY_UID[urlsplit(url).path.removeprefix("/d/")]
        wanted = {name.removeprefix("var-") for name, _ in parse_qsl(urlsplit(url).query) if name.startswith("var-")}
        assert wanted <= {variable.name for variable in there.variables}, url
