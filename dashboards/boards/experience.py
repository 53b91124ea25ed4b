"""The board of the customers' experience: right the first time, access, service, their voice, and their journey.

The statement of each panel is in ``dashboards.boards.experience_sql``, made from ``schemas.definitions``.
"""

from __future__ import annotations

from dataclasses import replace

from dashboards.boards import common
from dashboards.boards import experience_sql as sql
from dashboards.model import Annotation, Board, Field, Grid, Link, Panel, Unit
from schemas.definitions import BY_DEFINITION, ENOUGH
from schemas.words import words_sql

_MEANING = (Link("What the figures mean", "cx-definitions"),)
_WEEK = (
    Field("figure", "This range", "share"),
    Field("week_before", "A week before", "share"),
)
_ACCESS = "access"


def _tile(number: int, name: str, grid: Grid, empty: str, unit: Unit) -> Panel:
    one = BY_DEFINITION[name]
    return Panel(
        number, name, one.title, "stat", unit, f"{one.formula} Below: the same hours a week before.", grid,
        sql.tile(name), ranged=True, empty=empty, least=one.least, metric=name,
    )  # fmt: skip


def _bars(number: int, slug: str, title: str, name: str, grid: Grid, statement: str, empty: str) -> Panel:
    one = BY_DEFINITION[name]
    return Panel(
        number, slug, title, "bars", "share", f"{one.formula} With the same hours a week before; worst first.", grid,
        statement, ranged=True, fields=_WEEK, empty=empty, least=one.least, metric=name,
    )  # fmt: skip


def _chart(number: int, name: str, grid: Grid, statement: str, empty: str, unit: Unit = "share") -> Panel:
    one = BY_DEFINITION[name]
    return Panel(
        number, f"{name}_over_time", one.title, "timeseries", unit,
        f"{one.formula} Every 5 minutes where there are enough, else as often as there are {ENOUGH}; fewer are a gap.",
        grid, statement, ranged=True, label="series", empty=empty, least=one.least, metric=name,
    )  # fmt: skip


_NO_CASE = "No contact case was opened in this time range."
_FEW_ORDERS = f"Fewer than {ENOUGH} such orders in this time range."
_FEW_CASES = f"Fewer than {ENOUGH} such contact cases in this time range."
_FEW_USES = f"Fewer than {ENOUGH} uses in this time range."
_TILES: tuple[tuple[str, Unit, str], ...] = (
    ("right_so_far", "share", _FEW_ORDERS),
    ("first_time_right", "share", f"Fewer than {ENOUGH} orders whose 7 days ended in this time range."),
    ("use_without_failure", "share", _FEW_USES),
    ("wait", "seconds", _FEW_CASES),
    ("abandon_rate", "share", _FEW_CASES),
    ("held_so_far", "share", _FEW_CASES),
    ("first_contact_resolution", "share", f"Fewer than {ENOUGH} first contacts whose 7 days ended in this time range."),
    ("silent_share", "share", f"Fewer than {ENOUGH} customers affected by an issue in this time range."),
)
_RIGHT = (
    _bars(20, "right_by_product", "Orders right so far, by product", "right_so_far", Grid(0, 17, 6, 8),
          sql.bars("right_so_far", "line"), _FEW_ORDERS),
    _bars(21, "use_by_version", "Use without failure, by version", "use_without_failure", Grid(6, 17, 6, 8),
          sql.bars("use_without_failure", "concat(line, ' ', values[indexOf(attributes, 'app_version')])",
                   ["has(attributes, 'app_version')"]), _FEW_USES),
    _bars(22, "right_by_region", "Orders right so far, by region", "right_so_far", Grid(12, 17, 6, 8),
          sql.bars("right_so_far", "if(region = '', 'unknown', toString(region))"), _FEW_ORDERS),
    _bars(23, "right_by_segment", "Orders right so far, by segment", "right_so_far", Grid(18, 17, 6, 8),
          sql.bars("right_so_far", "if(c.segment = '', 'unknown', toString(c.segment))",
                   source="order_overview AS o INNER JOIN customer_latest AS c ON c.customer_id = o.customer_id"),
          _FEW_ORDERS),
)
_REASONS = Panel(
    24, "wrong_reasons", "Why orders were not right", "bars", "count",
    f"{BY_DEFINITION['wrong_reasons'].formula} With the same hours a week before.", Grid(0, 25, 12, 8),
    sql.bars("wrong_reasons", words_sql("wrong", "one"), order="DESC"), ranged=True,
    fields=(Field("figure", "This range", "count"), Field("week_before", "A week before", "count")),
    empty="No order placed in this time range is known to have gone wrong.", metric="wrong_reasons",
)  # fmt: skip
_ACCESS_CHARTS = (
    _chart(30, "contacts", Grid(0, 34, 8, 8), sql.chart("contacts", _ACCESS, aim=0), _NO_CASE, "count"),
    _chart(31, "wait", Grid(8, 34, 8, 8), sql.chart("wait", _ACCESS), _FEW_CASES, "seconds"),
    _chart(32, "wait_p90", Grid(16, 34, 8, 8), sql.chart("wait_p90", _ACCESS), _FEW_CASES, "seconds"),
    _chart(33, "abandon_rate", Grid(0, 42, 6, 8), sql.chart("abandon_rate", _ACCESS), _FEW_CASES),
    _chart(34, "transfer_rate", Grid(6, 42, 6, 8), sql.chart("transfer_rate", _ACCESS), _FEW_CASES),
    _chart(35, "repeat_rate", Grid(12, 42, 6, 8), sql.chart("repeat_rate", _ACCESS), _FEW_CASES),
    _chart(36, "switch_rate", Grid(18, 42, 6, 8), sql.chart("switch_rate", _ACCESS), _FEW_CASES),
)
_TABLES = (
    Panel(
        37, "access", "Access per channel and mode", "table", "share",
        f"Contact cases opened in the time range. Rates and waits of fewer than {ENOUGH} are blank.",
        Grid(0, 50, 24, 6),
        sql.columns(("contacts", "wait", "wait_p90", "abandon_rate", "transfer_rate", "repeat_rate", "switch_rate"),
                    _ACCESS),
        ranged=True, least=ENOUGH, links=_MEANING, empty=_NO_CASE,
        fields=(
            Field("label", "Channel · mode", width=200), Field("contacts", "Cases", "count", 100),
            Field("wait", "Wait, median", "seconds", 120), Field("wait_p90", "Wait, 90 %", "seconds", 120),
            Field("abandon_rate", "Abandoned", "share", 120), Field("transfer_rate", "Transferred", "share", 120),
            Field("repeat_rate", "Repeated", "share", 120), Field("switch_rate", "Switched", "share", 120),
        ),
    ),
    Panel(
        40, "service", "Service per reason", "table", "share",
        "First-contact resolution is known 7 days after the last event of a case; until then a case is pending, and "
        f"'not come back' can only fall. Rates and times of fewer than {ENOUGH} are blank.", Grid(0, 56, 16, 9),
        sql.columns(("contacts", "pending_cases", "held_so_far", "first_contact_resolution", "time_to_resolution",
                     "reopening"), "if(reason = '', 'no reason given', toString(reason))"),
        ranged=True, least=ENOUGH, links=_MEANING, empty=_NO_CASE,
        fields=(
            Field("label", "Reason", width=180), Field("contacts", "Cases", "count", 90),
            Field("pending_cases", "Pending", "count", 90),
            Field("held_so_far", "Not come back so far", "share", 160),
            Field("first_contact_resolution", "Resolved at first contact", "share", 180),
            Field("time_to_resolution", "Time to resolution", "seconds", 150),
            Field("reopening", "Reopened", "share", 110),
        ),
    ),
)
_VOICE = (
    Panel(
        41, "contact_reasons", "Reasons of contacts", "bars", "count",
        f"{BY_DEFINITION['contact_reasons'].formula} With the same hours a week before.", Grid(16, 56, 8, 9),
        sql.bars("contact_reasons", "if(reason = '', 'no reason given', toString(reason))", order="DESC"), ranged=True,
        fields=(Field("figure", "This range", "count"), Field("week_before", "A week before", "count")),
        empty=_NO_CASE, metric="contact_reasons",
    ),
    _bars(42, "silent_by_signal", "Silent share, by what failed", "silent_share", Grid(12, 25, 12, 8),
          sql.bars("silent_share", "concat(line, ' · ', signal)", order="DESC"),
          f"Fewer than {ENOUGH} customers affected by an issue in this time range."),
)
_JOURNEY = (
    Panel(
        50, "journey", "Failure along the journey", "bars", "share",
        f"{BY_DEFINITION['stage_failure'].formula} Stages in the order in which sessions went through them.",
        Grid(0, 65, 8, 9), sql.JOURNEY, ranged=True, fields=_WEEK, empty=_FEW_USES, least=ENOUGH,
        metric="stage_failure",
    ),
    Panel(
        51, "stage_failure_over_time", "Failure per stage, with new lows", "timeseries", "share",
        f"{BY_DEFINITION['stage_failure'].formula} New lows are marked: hours worse than the whole week before.",
        Grid(8, 65, 16, 9), sql.chart("stage_failure", "concat(line, ' · ', stage)", sql.IN_HOURS), ranged=True,
        label="series", empty=_FEW_USES, least=ENOUGH, metric="stage_failure",
    ),
    Panel(
        52, "stage_lows", "New lows of the journey", "table", "share", BY_DEFINITION["stage_low"].formula,
        Grid(0, 74, 14, 8), sql.LOWS, ranged=True, least=ENOUGH, metric="stage_low",
        empty="No hour of this time range is worse than the week before it, as far as there is a week to compare with.",
        fields=(
            Field("hour", "Hour", "time", 180), Field("line", "Product", width=120), Field("stage", "Stage", width=160),
            Field("share", "Failed", "share", 110), Field("worst_before", "Worst of the week before", "share", 190),
            Field("uses", "Uses", "count", 100),
        ),
    ),
    Panel(
        53, "stage_effort", "Effort and satisfaction along the journey", "bars", "score",
        f"{BY_DEFINITION['stage_effort'].formula} Satisfaction (1 bad, 5 good) likewise.", Grid(14, 74, 10, 8),
        sql.SCORES, ranged=True, least=ENOUGH, metric="stage_effort",
        fields=(Field("effort", "Effort (1-7)", "score"), Field("satisfaction", "Satisfaction (1-5)", "score")),
        empty=f"Fewer than {ENOUGH} contacts with a stated effort or satisfaction after a use in this time range.",
    ),
)
_WEEKS = Panel(
    10, "weeks", "Against the same hours a week before", "table", "text",
    "Each figure of the time range and of the same weekdays and hours a week earlier; shares change in points.",
    Grid(0, 8, 24, 9), sql.weeks((
        "right_so_far", "first_time_right", "use_without_failure", "contacts", "wait", "wait_p90", "abandon_rate",
        "transfer_rate", "repeat_rate", "switch_rate", "held_so_far", "first_contact_resolution", "time_to_resolution",
        "reopening", "silent_share", "stage_failure",
    )),
    ranged=True, links=_MEANING, empty="No figure of this time range.",
    fields=(
        Field("title", "Figure", width=300), Field("this_range", "This range", width=160),
        Field("week_before", "A week before", width=160), Field("change", "Change", width=160),
    ),
)  # fmt: skip

EXPERIENCE = Board(
    uid="cx-experience",
    title="How customers fare",
    description="Right the first time, access, service, voice and journey, by event time; late events correct them.",
    panels=(
        replace(common.status_panel(60, Grid(0, 0, 24, 3)), links=(), metric="status"),
        *(_tile(number, name, Grid((number - 1) * 3, 3, 3, 5), empty, unit)
          for number, (name, unit, empty) in enumerate(_TILES, 1)),
        _WEEKS, *_RIGHT, _REASONS, *_ACCESS_CHARTS, *_TABLES, *_VOICE, *_JOURNEY,
    ),
    variables=common.variables("product", "region", "segment"),
    annotations=(*common.ANNOTATIONS, Annotation("New lows of the journey", sql.LOW_MARKS, "bad")),
    hours=24,
)  # fmt: skip
