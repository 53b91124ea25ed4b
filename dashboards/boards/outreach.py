"""The board of outreach: who is told and why not, whether it arrives, what waits, what it changes.

The statement of each panel is in ``dashboards.boards.outreach_sql`` and ``dashboards.boards.holdout_sql``.
"""

from __future__ import annotations

from dashboards.boards import holdout_sql, outreach_sql
from dashboards.boards.common import ANNOTATIONS, status_panel, variables
from dashboards.model import Board, Field, Grid, Link, Panel

_ISSUE = Link("Issue", "cx-issue", (("issue", "issue_id"),))

_TELLING = (
    Panel(
        2, "decisions", "Decisions, by what became of them and why", "timeseries", "count",
        "Decisions about one customer and one issue, at the time of the decision, by what became of them by "
        "now and the reason kept for it. The newest decision of a customer and a stage (notice, all-clear) "
        "counts.",
        Grid(0, 2, 14, 9), outreach_sql.DECISIONS, ranged=True, label="decision", metric="decisions",
        empty="No decision in this time range.",
    ),
    Panel(
        3, "reasons", "Why, in this time range", "bars", "count",
        "The same decisions, added up; notices and all-clears apart.", Grid(14, 2, 10, 9), outreach_sql.REASONS,
        ranged=True, fields=(Field("notices", "Notices", "count"), Field("all_clears", "All-clears", "count")),
        metric="decisions", empty="No decision in this time range.",
    ),
    Panel(
        4, "delivery", "Delivery per channel", "table", "notices",
        "What became of decisions to send of this time range. Offered: at least one attempt; accepted: the "
        "receiver took it; withdrawn: the last check before sending forbade it, or it came too late. The "
        "times count from the decision to the acceptance, nights included.", Grid(0, 11, 14, 6),
        outreach_sql.DELIVERY, ranged=True,
        fields=(
            Field("channel", "Channel", width=120),
            Field("offered", "Offered", "notices", width=95),
            Field("accepted", "Accepted", "notices", width=95),
            Field("failed", "Failed", "notices", width=95),
            Field("waiting", "Waiting", "notices", width=95),
            Field("withdrawn", "Withdrawn", "notices", width=95),
            Field("unknown", "Unknown", "notices", width=95),
            Field("half_within", "Half within", width=120),
            Field("most_within", "9 of 10 within", width=120),
        ),
        metric="delivery_share", empty="Nothing was decided to be sent in this time range.",
    ),
    Panel(
        5, "budget", "Contact budget of the last 7 days", "bars", "customers",
        "Customers by how many messages (notices and all-clears, all issues) count against their budget in "
        "the 7 days before the end of the time range. Default budget: 1 in 24 hours, 3 in 7 days. Only "
        "customers with a message about an issue chosen above.", Grid(14, 11, 10, 6), outreach_sql.BUDGET, ranged=True,
        fields=(Field("customers", "Customers", "customers"),), metric="budget_use",
        empty="Nobody was told anything in these 7 days.",
    ),
    Panel(
        6, "waiting", "What waits, and since when", "table", "notices",
        "Held or decided to be sent, and without an outcome, whenever it was decided. Due: the earliest time "
        "to send has come. Too late: a deadline has passed. Compared with the newest event.", Grid(0, 17, 24, 7),
        outreach_sql.PENDING,
        fields=(
            Field("state", "", width=90),
            Field("status", "Status", "state", width=85),
            Field("reason", "Why", width=165),
            Field("issue", "Issue", width=220, link=_ISSUE),
            Field("waiting", "Messages", "notices", width=85),
            Field("since", "Since", "time", width=145),
            Field("longest", "Longest", width=100),
            Field("due", "First due", "time", width=105),
            Field("deadline", "First deadline", "time", width=105),
            Field("issue_id", "Issue id", hidden=True),
        ),
        metric="notices", empty="No message is held or under way.",
    ),
)

_ANSWERED = (
    Panel(
        7, "answers", "What customers answer", "table", "customers",
        "Messages accepted in the time range at least 48 hours before the newest event. Complained: the "
        "customer contacted the company within 48 hours and named the message, by the reason of the contact "
        "(message, notice, notification, unwanted_message) or by the message's id among its subjects; a "
        "source that sends neither shows none. Contacted: any contact within 48 hours. No share of fewer than"
        " 20.", Grid(0, 24, 14, 6), outreach_sql.ANSWERS,
        ranged=True, least=20,
        fields=(
            Field("channel", "Channel", width=150),
            Field("told", "Messages", "notices", width=110),
            Field("complained", "Complained", "customers", width=120),
            Field("complained_share", "Share", "share", width=110),
            Field("contacted", "Contacted us", "customers", width=120),
            Field("contacted_share", "Share", "share", width=110),
        ),
        metric="message_complaints", empty="No message of this time range is 48 hours old yet.",
    ),
    Panel(
        8, "opted_out", "Opted out", "stat", "customers", "Customers whose newest profile revokes every contact.",
        Grid(14, 24, 3, 6), outreach_sql.OPTED_OUT, tone="warn", metric="opt_outs",
    ),
    Panel(
        9, "opt_outs", "Opt-outs", "timeseries", "customers",
        "Customers opted out, at the time of their newest profile: one who opted out earlier and changed "
        "something later counts at the later time.", Grid(17, 24, 7, 6), outreach_sql.OPT_OUTS, ranged=True,
        label="segment", metric="opt_outs", empty="No profile that opts out was changed in this time range.",
    ),
)

_EFFECT = (
    Panel(
        10, "effect", "What telling changes", "table", "share",
        "Everybody who was drawn, in the group they were drawn into, whatever became of it later (intention "
        "to treat): a draw is made once nothing forbids to tell, before anything that only delays. Counted "
        "once the 48 hours or 28 days after the draw have passed, over all time. The interval holds the truth"
        " in 95 % of cases however often one looks at it; across issues it is stratified by issue. Nothing is"
        " said before 100 customers in either group, 20 with the outcome and 20 without. One table has many "
        "rows: each of them errs by itself.", Grid(0, 30, 18, 9),
        holdout_sql.EFFECT, least=holdout_sql.LEAST_DRAWN,
        fields=(
            Field("question", "Outcome", width=175),
            Field("issue", "Issue", width=245, link=_ISSUE),
            Field("told", "To be told", "customers", width=85),
            Field("told_share", "Of them did", "share", width=90),
            Field("held_out", "Held out", "customers", width=85),
            Field("held_share", "Of them did", "share", width=90),
            Field("verdict", "What may be said", width=330),
            Field("issue_id", "Issue id", hidden=True),
        ),
        metric="holdout_effect", empty="Nobody was drawn whose 48 hours have passed.",
    ),
    Panel(
        11, "drawn", "Drawn so far", "bars", "customers",
        "Everybody who was drawn, those too whose time has not passed yet.", Grid(18, 30, 6, 9), holdout_sql.DRAWN,
        fields=(Field("customers", "Customers", "customers"),), metric="holdout_effect",
        empty="Nobody was drawn yet, or the hold-out is 0.",
    ),
)

OUTREACH = Board(
    uid="cx-outreach",
    title="Who was told, and what it changed",
    description="Decisions and why, delivery, what waits, contact budget, answers, opt-outs, effect of telling.",
    panels=(status_panel(1, Grid(0, 0, 24, 2)), *_TELLING, *_ANSWERED, *_EFFECT),
    variables=variables("product", "signal", "issue"),
    annotations=ANNOTATIONS,
    hours=24,
)
