"""The board of two runs: what one configuration would have found and the other not, on the same history.

The statement of each panel is in ``dashboards.boards.replay_sql``.
"""

from __future__ import annotations

from dashboards.boards import replay_sql as sql
from dashboards.model import Board, Field, Grid, Link, Panel, Variable

_OPERATIONS = Link("Operations", "cx-operations")
_ISSUE_A = Link("The issue of A", "cx-issue", (("issue", "id_a"), ("database", "database_a")))
_ISSUE_B = Link("The issue of B", "cx-issue", (("issue", "id_b"), ("database", "database_b")))
_OUTREACH = Link("Outreach", "cx-outreach")
_LOOK_AT = Link("Operations of this replay", "cx-operations", (("database", "database"),), ("from_ms", "to_ms"))
_SPAN = Link("The time range of this replay", "cx-replay", (("b", "database"),), ("from_ms", "to_ms"))

REPLAY = Board(
    uid="cx-replay",
    title="Two runs side by side",
    description="What differs between two replays of the same history, or between a replay and the live line.",
    variables=(
        Variable("a", "A", sql.RUNS_A, every=False, multi=False, strict=True),
        Variable("b", "B", sql.RUNS_B, every=False, multi=False, strict=True),
    ),
    hours=24,
    panels=(
        Panel(
            1, "headline", "What differs", "sentence", "text",
            "Issues that both runs have, and those that one of them has; when B sees them; customers and notices. Two "
            "issues are the same problem if they are about the same line and signal, overlap in time and share a part "
            "of the cause or half of the customers. In a replay no notice is sent: it says which would have gone.",
            Grid(0, 0, 24, 3), sql.HEADLINE, metric="affected", links=(_OPERATIONS,),
        ),
        Panel(
            2, "trust", "Can the two be compared?", "status", "text",
            "What A and B are, and whether they come from the same source, time range and configuration. Not quite "
            "well where something else than what you want to compare may differ.",
            Grid(0, 3, 24, 3), sql.TRUST, empty="What A and B are could not be told.", links=(_OPERATIONS,),
        ),
        Panel(
            3, "lanes", "Issues of both, one above the other", "state", "state",
            "Two lanes a problem, A above B. Suspected from the estimated onset until boards show it and notices may "
            "go; then open until it is over. An empty lane: that run does not have it. The 40 earliest.",
            Grid(0, 6, 24, 9), sql.LANES, ranged=True, label="lane", metric="open_issues",
            empty="Neither run has an issue in this time range.",
        ),
        Panel(
            4, "issues", "Issue by issue", "table", "issues",
            "One row a problem, by its onset. Seen: when boards show it and notices may go. B is: earlier or later "
            "than A. Affected: distinct customers. The times lead to the issue in the run it is of.",
            Grid(0, 15, 24, 9), sql.ISSUES, metric="affected",
            fields=(
                Field("found", "Found", width=65),
                Field("title", "What is wrong, and where", width=185),
                Field("line", "Line", width=70),
                Field("seen_in_a", "Seen in A", "time", 90, link=_ISSUE_A),
                Field("seen_in_b", "Seen in B", "time", 90, link=_ISSUE_B),
                Field("b_is", "B is", width=100),
                Field("hit_a", "Affected A", "customers", 70),
                Field("hit_b", "Affected B", "customers", 70),
                Field("risk_a", "At risk A", "amounts", 100),
                Field("risk_b", "At risk B", "amounts", 100),
                Field("cause", "Cause", width=150),
                Field("id_a", "Id in A", hidden=True), Field("id_b", "Id in B", hidden=True),
                Field("database_a", "Database A", hidden=True), Field("database_b", "Database B", hidden=True),
            ),
            empty="Neither run has an issue.",
        ),
        Panel(
            5, "decisions", "Decisions by what and why", "table", "notices",
            "The newest decision about each customer, problem and stage. In a replay nothing is sent: send says that a "
            "notice would have gone.",
            Grid(0, 24, 12, 10), sql.DECISIONS, metric="decisions", links=(_OUTREACH,),
            fields=(
                Field("message", "Message", width=100),
                Field("decision", "Decision", width=100),
                Field("reason", "Why", width=150),
                Field("of_a", "A", "count", 70),
                Field("of_b", "B", "count", 70),
                Field("difference", "B less A", "count", 80),
            ),
            empty="Neither run decided about anybody.",
        ),
        Panel(
            6, "totals", "Totals", "table", "count",
            "Over everything that each run has stored, whatever the time range. Money per currency; what is assumed is "
            "listed on each issue's own board.",
            Grid(12, 24, 12, 10), sql.TOTALS, metric="at_risk",
            fields=(
                Field("measure", "Measure", width=170),
                Field("in_a", "A", width=140),
                Field("in_b", "B", width=140),
                Field("verdict", "", width=80),
            ),
            empty="Nothing can be said about either run.",
        ),
        Panel(
            7, "affected", "Customers known to be affected", "timeseries", "customers",
            "Distinct customers of all issues whom each run knows to be hit by then.",
            Grid(0, 34, 24, 8), sql.AFFECTED, ranged=True, label="run", metric="affected",
            empty="Nobody became known to be affected in this time range.",
        ),
        Panel(
            8, "runs", "Replays that can be shown", "table", "count",
            "Every filled replay, newest first; `cxwatch replays list` also shows those that are half filled. From and "
            "to: event times of its source.",
            Grid(0, 42, 24, 6), sql.RUNS, metric="throughput",
            fields=(
                Field("shown", "Shown as", width=80),
                Field("name", "Replay", width=160, link=_LOOK_AT),
                Field("source", "Source", width=260),
                Field("from_at", "From", "time", 90, link=_SPAN),
                Field("to_at", "To", "time", 90),
                Field("stored", "Rows", "count", 80),
                Field("configuration", "Configuration", width=130),
                Field("made_at", "Made", "time", 90),
                Field("database", "Database", hidden=True),
                Field("from_ms", "From, ms", hidden=True), Field("to_ms", "To, ms", hidden=True),
            ),
            empty="No replay fills a database yet: cxwatch replay ... --into NAME.",
        ),
    ),
)
