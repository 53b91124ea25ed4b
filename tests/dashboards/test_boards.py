"""The model of the boards, its macros, and the Grafana JSON made of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from hypothesis import given
from hypothesis import strategies as st

from dashboards.boards import BOARDS
from dashboards.boards.operations_sql import HEADLINE
from dashboards.grafana import DATASOURCE_UID, FOLDER_UID, GENERATED, PLUGIN, dashboard, render, write
from dashboards.lint import problems
from dashboards.macros import Range, expand
from dashboards.model import Annotation, Board, Field, Grid, Link, Panel, Variable
from dashboards.palette import ISSUE_COLOURS
from schemas.views import VIEWS

PROVISIONING = GENERATED.parent / "provisioning"
SPAN = Range(1_767_225_600_000, 1_767_229_200_500, 20)


FIELDS = (
    Field("name", "Name", link=Link("Its issue", "cx-operations", (("product", "name"),)), width=100),
    Field("total", "Total", hidden=True, none="0"),
)
ROWS = Panel(1, "rows", "Rows", "table", "text", "Rows.", Grid(0, 0, 24, 8), "SELECT 'a' AS name, 1 AS total",
             fields=FIELDS, metric="affected")
LINE = Panel(2, "line", "Line", "timeseries", "share", "Line.", Grid(0, 8, 24, 8),
             "SELECT $__timeInterval(t) AS time WHERE n >= 20", ranged=True, label="issue", band="SELECT 2",
             least=20, metric="failure_rate")
SMALL = Board("cx-small", "Small", "A board for tests.", (
    ROWS, LINE,
    Panel(3, "tile", "Tile", "stat", "count", "A figure.", Grid(0, 16, 4, 4), of="rows", column="total",
          metric="affected"),
    Panel(5, "affected", "Affected", "stat", "customers", "Customers.", Grid(8, 16, 4, 4), "SELECT 1 AS customers",
          metric="affected"),
    Panel(4, "words", "Words", "text", "text", "Words.", Grid(4, 16, 4, 4), text="What it means."),
), (Variable("database", "Database", "SELECT currentDatabase()", every=False, multi=False),
    Variable("product", "Product", "SELECT line FROM issue_overview")))  # fmt: skip


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_no_board_breaks_the_rules_of_the_lint(board: Board) -> None:
    assert problems(board) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": 1}, "id 1 is used twice"),
        ({"slug": "words"}, "slug words is used twice"),
        ({"grid": Grid(20, 60, 8, 2)}, "affected leaves the grid"),
        ({"grid": Grid(4, 16, 2, 2)}, "words lies on affected"),
        ({"unit": ""}, "affected has no unit"),
        ({"description": ""}, "affected has no description"),
        ({"ranged": True}, "affected and its time macro disagree"),
        ({"kind": "table"}, "affected is a table without declared columns"),
        ({"kind": "timeseries"}, "affected and its label column disagree"),
        ({"metric": ""}, "affected leads nowhere"),
        ({"empty": "All is well."}, "affected reassures when it is empty"),
        ({"unit": "share"}, "affected shows a rate of too few"),
        ({"unit": "share", "least": 5}, "affected shows a rate of too few"),
        ({"kind": "table", "fields": (Field("customers", "Customers"),)}, "affected has a column without a width"),
        ({"kind": "table", "fields": (Field("customers", "Customers", width=1_101),)}, "affected is too wide a table"),
        ({"band": "SELECT 1"}, "affected has a band, but is no chart"),
        ({"sql": ""}, "affected has no statement"),
        ({"sql": "", "of": "rows", "column": "name"}, "affected reads a column that rows does not keep"),
        ({"sql": "", "of": "words", "column": "name"}, "affected reads a column that words does not keep"),
        ({"of": "rows"}, "affected reads rows and has a statement"),
        ({"kind": "text"}, "affected and its text disagree"),
        ({"sql": "SELECT 1 WHERE line IN (${region:sqlstring})"}, "affected reads the variable region, which is not"),
    ],
)
def test_the_lint_finds(change: dict[str, Any], sentence: str) -> None:
    panels = [replace(panel, **change) if panel.slug == "affected" else panel for panel in SMALL.panels]
    assert any(sentence in found for found in problems(replace(SMALL, panels=tuple(panels))))


def test_the_lint_finds_variables_that_nothing_reads_and_annotations_that_read_what_is_not_declared() -> None:
    variables = (Variable("region", "Region", "SELECT 1"), Variable("database", "Database", "SELECT 1"))
    marks = (Annotation("changes", "SELECT 1 WHERE $__conditionalAll(line = ${product:sqlstring}, $product)"),)
    assert problems(replace(SMALL, variables=variables, annotations=marks)) == [
        "annotation changes reads the variable product, which is not declared", "variable region is read by nothing",
    ]


def test_the_headline_and_the_view_of_rooms_put_an_age_into_the_same_words() -> None:
    view = files("schemas") / "ddl" / "011_room_status.sql"
    start, end = "(s -> multiIf(", "AS words,"
    in_view, in_headline = (
        text.partition(start)[2].partition(end)[0] for text in (view.read_text(encoding="utf-8"), HEADLINE)
    )
    assert in_view == in_headline != ""


def test_the_generated_files_are_current() -> None:
    committed = {file.name: file.read_text(encoding="utf-8") for file in GENERATED.glob("*.json")}
    assert committed == {f"{board.uid}.json": render(board) for board in BOARDS}, "run `python -m dashboards.grafana`"


def test_writing_the_boards_gives_the_committed_bytes(tmp_path: Path) -> None:
    for file in write(tmp_path):
        assert file.read_bytes() == (GENERATED / file.name).read_bytes()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_dashboard_survives_a_round_trip_through_grafanas_own_types(board: Board) -> None:
    made = dashboard(board)
    typed = json.loads(json.dumps(Dashboard.from_json(json.loads(render(board))), cls=JSONEncoder))
    assert typed["schemaVersion"] == made["schemaVersion"] == 42
    for ours, theirs in zip(made["panels"], typed["panels"], strict=True):
        for name in ("id", "type", "title", "description", "gridPos", "datasource"):
            assert theirs.get(name) == ours.get(name)
        typed_fields, our_fields = theirs["fieldConfig"], ours["fieldConfig"]
        assert typed_fields["overrides"] == our_fields["overrides"]
        assert all(typed_fields["defaults"][name] == value for name, value in our_fields["defaults"].items())


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_target_is_what_the_clickhouse_data_source_reads(board: Board) -> None:
    made = dashboard(board)
    variable = made["templating"]["list"][0]
    assert (variable["name"], variable["query"], variable["current"]["value"]) == ("ds", PLUGIN, DATASOURCE_UID)
    asked = [target for panel in made["panels"] if panel["type"] != "text" for target in panel["targets"]]
    for target in [*asked, *(one["target"] for one in made["annotations"]["list"][1:])]:
        if "panelId" in target:
            assert target["datasource"]["uid"] == "-- Dashboard --"
            assert target["panelId"] in {panel["id"] for panel in made["panels"]}
            continue
        assert target["datasource"] == {"type": PLUGIN, "uid": "${ds}"}
        assert target["format"] in (0, 1)
        assert isinstance(target["format"], int)
        assert (target["editorType"], target["queryType"]) == ("sql", ["timeseries", "table"][target["format"]])
        assert target["pluginVersion"]


def test_the_provisioning_files_fit_the_boards() -> None:
    source = yaml.safe_load((PROVISIONING / "datasources" / "clickhouse.yaml").read_text())["datasources"][0]
    assert (source["uid"], source["type"]) == (DATASOURCE_UID, PLUGIN)
    assert source["jsonData"]["port"] == "$CLICKHOUSE_PORT"
    assert source["secureJsonData"]["password"].startswith("$")
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "cxwatch.yaml").read_text())["providers"][0]
    assert provider["folderUid"] == FOLDER_UID


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_boards_read_views_and_no_table(board: Board) -> None:
    asked = [
        *(panel.sql for panel in board.panels), *(one.sql for one in board.variables),
        *(one.sql for one in board.annotations),
    ]
    for sql in asked:
        named = set(re.findall(r"\b(?:FROM|(?<!ARRAY )JOIN)\s+([a-z]\w*)\b(?!\()", sql))
        assert named - set(re.findall(r"\b(\w+) AS\s*\(", sql)) - {"numbers", "system"} <= set(VIEWS), sql


@pytest.mark.parametrize(
    ("macro", "expanded"),
    [
        ("$__timeFilter(a.bin)", "a.bin >= toDateTime(1767225600) AND a.bin <= toDateTime(1767229200)"),
        ("$__timeFilter_ms(t)",
         "t >= fromUnixTimestamp64Milli(1767225600000) AND t <= fromUnixTimestamp64Milli(1767229200500)"),
        ("$__timeFilter(assumeNotNull(t))",
         "assumeNotNull(t) >= toDateTime(1767225600) AND assumeNotNull(t) <= toDateTime(1767229200)"),
        ("$__timeInterval(bin)", "toStartOfInterval(toDateTime(bin), INTERVAL 20 second)"),
        ("x / $__interval_s", "x / 20"),
        ("$__fromTime", "toDateTime(1767225600)"),
        ("$__toTime_ms", "fromUnixTimestamp64Milli(1767229200500)"),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_a_macro_expands_as_grafanas_backend_does_it(macro: str, expanded: str) -> None:
    assert expand(macro, SPAN) == expanded


@pytest.mark.parametrize(
    ("chosen", "expanded"),
    [
        ({}, "1=1 AND x IN ('')"),
        ({"b": ()}, "1=1 AND x IN ('')"),
        ({"b": ("x",)}, "(a IN ('x')) AND x IN ('x')"),
        ({"b": ("x", "it's")}, "(a IN ('x','it''s')) AND x IN ('x','it''s')"),
        ({"b": ("\\' OR 1=1 --",)}, "(a IN ('\\\\'' OR 1=1 --')) AND x IN ('\\\\'' OR 1=1 --')"),
    ],
)
def test_a_variable_expands_quoted_and_all_of_it_is_no_condition(chosen: Any, expanded: str) -> None:
    sql = "$__conditionalAll(a IN (${b:sqlstring}), $b) AND x IN (${b:sqlstring})"
    assert expand(sql, SPAN, chosen) == expanded


def test_a_condition_may_hold_other_macros() -> None:
    sql = "$__conditionalAll($__timeFilter(t) OR a IN (${b:sqlstring}), $b)"
    assert expand(sql, SPAN, {"b": ("x",)}) == f"({expand('$__timeFilter(t)', SPAN)} OR a IN ('x'))"


@pytest.mark.parametrize(
    "macro",
    ["$__conditionalAll(a)", "$__conditionalAll", "$__timeFilter", "$__timeFilter()", "$__timeFilter(a", "$__x"],
)
def test_an_unknown_or_broken_macro_is_refused(macro: str) -> None:
    with pytest.raises(ValueError, match="macro"):
        expand(macro, SPAN)


def test_no_panel_has_a_no_value_text_that_would_stand_in_null_cells_and_over_failed_queries() -> None:
    assert all("noValue" not in render(board) for board in [*BOARDS, SMALL])


def test_a_figure_is_read_from_the_answer_of_the_table_that_it_names() -> None:
    rows, _, tile, _, words = dashboard(SMALL)["panels"]
    assert tile["targets"] == [{"refId": "A", "panelId": rows["id"],
                                "datasource": {"type": "datasource", "uid": "-- Dashboard --"}}]
    assert tile["options"]["reduceOptions"]["fields"] == "/^total$/"
    assert (words["options"]["content"], words.get("targets")) == ("What it means.", None)


def test_a_link_of_a_row_keeps_time_and_variables_and_takes_its_own_from_the_row() -> None:
    (links,) = [one["value"] for override in dashboard(SMALL)["panels"][0]["fieldConfig"]["overrides"]
                for one in override["properties"] if one["id"] == "links"]
    url = links[0]["url"]
    assert url.startswith("/d/cx-operations?${__url_time_range}&${ds:queryparam}")
    assert url.endswith("var-product=${__data.fields.name:percentencode}")
    assert "product:queryparam" not in url


def test_a_link_of_a_row_may_look_at_a_time_of_the_row() -> None:
    look = Link("Around it", "cx-operations", span=("from_ms", "to_ms"))
    edges = tuple(Field(name, name, hidden=True) for name in ("from_ms", "to_ms"))
    rows = replace(ROWS, fields=(Field("name", "Name", link=look, width=100), *edges))
    text = str(dashboard(replace(SMALL, panels=(rows,))))
    assert "/d/cx-operations?from=${__data.fields.from_ms}&to=${__data.fields.to_ms}&${ds:queryparam}" in text
    assert "__url_time_range" not in text


def test_the_usual_range_is_a_second_query_whose_upper_end_is_filled_down_to_the_lower_one() -> None:
    line = dashboard(SMALL)["panels"][1]
    assert [target["refId"] for target in line["targets"]] == ["A", "B"]
    filled = [one["value"] for override in line["fieldConfig"]["overrides"] for one in override["properties"]
              if one["id"] == "custom.fillBelowTo"]
    assert filled == ["usual, lower end"]


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", ["#181B1F", "#FFFFFF"])
def test_every_colour_of_an_issue_stands_out_from_a_dark_and_a_light_ground(ground: str) -> None:
    assert len(set(ISSUE_COLOURS)) == 16
    for colour in ISSUE_COLOURS:
        low, high = sorted((_luminance(colour), _luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_a_chosen_database_stands_before_every_table_and_view_and_variables_are_asked_there_too() -> None:
    (_, database, product) = dashboard(SMALL)["templating"]["list"]
    assert product["query"] == "SELECT line FROM ${database:raw}.issue_overview"
    assert (database["multi"], database["current"]) == (False, {})
    assert product["current"] == {"text": ["All"], "value": ["$__all"]}


@given(st.integers(0, 4_000_000_000_000), st.sampled_from((1, 6, 24)))
def test_a_range_ends_where_it_is_told_to_and_its_points_are_whole_bins(now: int, hours: int) -> None:
    span = Range.ending(now, hours)
    assert 0 <= span.from_ms <= span.to_ms == now
    assert span.interval_s % 10 == 0
    assert (span.to_ms - span.from_ms) / 1000 / span.interval_s <= 180
