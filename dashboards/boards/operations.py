"""The board of operations: what is wrong, who suffers, what it costs, what was sent, and whether to trust it.

One screen, to be read from five metres. The statement of each panel is in ``dashboards.boards.operations_sql``.
"""

from __future__ import annotations

from dashboards.boards import common
from dashboards.boards import operations_sql as sql
from dashboards.model import Board, Field, Grid, Link, Panel

TO_ISSUE = Link("All about this issue", "cx-issue", (("issue", "issue_id"),))
TO_OUTREACH = Link("What was sent about it, and why", "cx-outreach", (("issue", "issue_id"),))

_ISSUE_COLUMNS = (
    Field("id", "Id", width=90, link=TO_ISSUE),
    Field("state", "State", "state", 90),
    Field("title", "What is wrong, and where", width=190, link=TO_ISSUE),
    Field("opened_at", "Since", "time", 85),
    Field("severity", "Severity", width=65),
    Field("affected", "Affected", "customers", 70),
    Field("silent_share", "Silent", "share", 60),
    Field("last_hour", "Last hour", "sparkline", 100),
    Field("per_minute", "Cost a minute", "amounts", 90),
    Field("sent", "Notices", width=115, link=TO_OUTREACH),
    Field("next_step", "Owner: next step", width=145),
    Field("issue_id", "Issue", hidden=True),
    Field("all_issues", "Open issues", "issues", hidden=True, none="0"),
    Field("all_affected", "Customers affected", "customers", hidden=True, none="0"),
    Field("all_silent", "Of them silent", "customers", hidden=True, none="0"),
    Field("all_per_minute", "Cost of another minute", "amounts", hidden=True, none="'none'"),
    Field("all_at_risk", "Money at risk", "amounts", hidden=True, none="'none'"),
    Field("all_sent", "Notices sent", "notices", hidden=True, none="0"),
)

OPERATIONS = Board(
    uid="cx-operations",
    title="Operations",
    description="What is failing, who suffers, what it costs, what was sent, and whether the figures can be trusted.",
    variables=common.variables("product", "signal"),
    annotations=common.ANNOTATIONS,
    panels=(
        Panel(
            18, "headline", "In one sentence", "sentence", "text",
            "What is wrong, who suffers and what it costs, over all products; and which part of cxwatch is not up to "
            "date. Never all-clear while a part is over 2 minutes behind, silent or unknown.", Grid(0, 0, 24, 3),
            sql.HEADLINE, ranged=True, metric="status",
        ),
        common.status_panel(19, Grid(0, 3, 24, 3)),
        Panel(
            1, "open_issues", "Open issues", "stat", "issues",
            "Issues that are open, escalating, recovering or regressed.", Grid(0, 6, 3, 4),
            of="issues", column="all_issues", tone="bad", metric="open_issues",
        ),
        Panel(
            2, "affected", "Customers affected", "stat", "customers",
            "Distinct customers hit by the open issues; a customer hit by two issues counts once.", Grid(3, 6, 4, 4),
            of="issues", column="all_affected", tone="bad", metric="affected",
        ),
        Panel(
            3, "silent", "Of them silent", "stat", "customers",
            "Of the affected, those who have not contacted the company about any of the open issues.",
            Grid(7, 6, 4, 4), of="issues", column="all_silent", tone="warn", metric="silent",
        ),
        Panel(
            5, "per_minute", "Cost of another minute", "stat", "amounts",
            "What one more minute costs while the open issues go on, per currency: the sum of the rows below. Margins "
            "that no profile states are assumed; each issue's own board lists every assumption.", Grid(11, 6, 5, 4),
            of="issues", column="all_per_minute", tone="bad", metric="per_minute",
        ),
        Panel(
            4, "at_risk", "Money at risk (range)", "stat", "amounts",
            "Margin expected to be lost to the open issues, per currency, with its plausible range: the sum of the "
            "rows below. What is assumed and what was measured is listed on each issue's own board.",
            Grid(16, 6, 5, 4), of="issues", column="all_at_risk", tone="warn", metric="at_risk",
        ),
        Panel(
            9, "sent", "Notices sent", "stat", "notices",
            "Customers to whom a notice about one of the open issues was delivered.", Grid(21, 6, 3, 4),
            of="issues", column="all_sent", tone="good", metric="told",
        ),
        Panel(
            6, "issues", "What is wrong", "table", "issues",
            "Open issues, costliest minute first, then those resolved in the time range. Since: estimated onset, "
            "event time. Silent: share of the affected who did not get in touch, from 20 affected on. Last hour: newly "
            "affected customers, five minutes a bar. Cost a minute: see the tile.", Grid(0, 10, 24, 9),
            sql.ISSUES, ranged=True, fields=_ISSUE_COLUMNS, least=20, metric="affected",
            empty="No issue is open, and none was resolved in this time range.",
        ),
        Panel(
            7, "affected_over_time", "Customers affected over time", "timeseries", "customers",
            "Distinct customers hit since each issue's onset, per minute of event time.", Grid(0, 19, 9, 9),
            sql.AFFECTED, ranged=True, label="issue", empty="Nobody is known to have been affected in this time range.",
            metric="affected",
        ),
        Panel(
            8, "failure_rate", "Failure rate inside the causes", "timeseries", "share",
            "Of the customers who could have failed in the cohorts that an issue blames, the share that did "
            "(a customer counts once per bin as exposed, once per hour as failed). Bins are widened until at least 20 "
            "are exposed. The band is where the usual rate would lie in 95 of 100 cases.",
            Grid(9, 19, 8, 9), sql.FAILURE_RATE, ranged=True, label="issue", empty="No issue in this time range.",
            band=sql.USUAL_RATE, least=20, metric="failure_rate",
        ),
        Panel(
            21, "today", "Today against the same weekday", "table", "count",
            "From midnight UTC until now, and the same hours a week ago. Blank where nothing was counted then.",
            Grid(17, 19, 7, 9), sql.TODAY, metric="throughput",
            fields=(
                Field("measure", "Measure", width=130),
                Field("today", "Today", "count", 80),
                Field("week_ago", "A week ago", "count", 80),
                Field("change", "Change", width=70),
            ),
            empty="Nothing was counted today.",
        ),
    ),
)
