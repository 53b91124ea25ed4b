"""The board of operations: what is wrong, who suffers, what it costs, what was sent, and whether to trust it.

The statement of each panel is in ``dashboards.boards.operations_sql``.
"""

from __future__ import annotations

from dashboards.boards import operations_sql as sql
from dashboards.model import Board, Field, Grid, Panel

OPERATIONS = Board(
    uid="cx-operations",
    title="Customer trouble, now",
    description="What is failing, who suffers, what it costs, what was sent, and whether the streams can be trusted.",
    panels=(
        Panel(
            18, "headline", "In one sentence", "sentence", "text",
            "What is wrong, who suffers and what it costs; and which part of cxwatch is not up to date. Never "
            "all-clear while a part is over 2 minutes behind, silent or unknown.", Grid(0, 0, 24, 2),
            sql.HEADLINE, ranged=True, metric="affected",
        ),
        Panel(
            19, "rooms", "Up to date?", "stat", "lag",
            "How far each part of cxwatch is behind the newest event, or how long ago it last got on, whichever is "
            "more: orange from 2 minutes, red from 10 or if nothing was ever heard of it. The newest event: its age.",
            Grid(0, 2, 24, 3), sql.ROOMS, ranged=True, metric="watermark_age",
        ),
        Panel(
            1, "open_issues", "Open issues", "stat", "issues",
            "Issues that are open, escalating, recovering or regressed.", Grid(0, 5, 4, 4),
            sql.OPEN_ISSUES, tone="bad", metric="open_issues",
        ),
        Panel(
            2, "affected", "Customers affected", "stat", "customers",
            "Distinct customers hit by the open issues; a customer hit by two issues counts once.", Grid(4, 5, 5, 4),
            sql.AFFECTED_NOW, tone="bad", metric="affected",
        ),
        Panel(
            3, "silent", "Suffering in silence", "stat", "customers",
            "Of the affected, those who have not contacted the company about any of the open issues.",
            Grid(9, 5, 5, 4),
            sql.SILENT_NOW,
            tone="warn", metric="silent",
        ),
        Panel(
            4, "at_risk", "Money at risk", "stat", "money",
            "Margin expected to be lost to the open issues, per currency; the parameters behind it are listed by "
            "`cxwatch issues show`.", Grid(14, 5, 5, 4),
            sql.money_now("at_risk"), tone="warn", metric="at_risk",
        ),
        Panel(
            5, "per_minute", "Each minute of inaction", "stat", "money_per_minute",
            "What one more minute costs while the open issues go on, per currency.", Grid(19, 5, 5, 4),
            sql.money_now("per_minute"), tone="bad", metric="per_minute",
        ),
        Panel(
            6, "issues", "What is wrong", "table", "issues",
            "Open issues, costliest first, then those resolved in the time range. Since: estimated onset. "
            "All times are event times.", Grid(0, 9, 24, 9), sql.ISSUES, ranged=True,
            fields=(
                Field("state", "State", "state", 80),
                Field("title", "Issue", width=150),
                Field("cause", "Cause", "pairs", 110),
                Field("opened_at", "Since", "time", 90),
                Field("detected_at", "Detected", "time", 90),
                Field("resolved_at", "Over", "time", 90),
                Field("affected", "Affected", "customers", 70),
                Field("contacted", "Contacted us", "customers", 70),
                Field("silent", "Silent", "customers", 60),
                Field("orders", "Orders at stake", "amounts", 80),
                Field("at_risk", "At risk", "amounts", 80),
                Field("per_minute", "Per minute", "amounts", 80),
                Field("issue_id", "Id", width=50),
            ),
            empty="No issue is open, and none was resolved in this time range.", metric="affected",
        ),
        Panel(
            7, "affected_over_time", "Customers affected over time", "timeseries", "customers",
            "Distinct customers hit since each issue's onset.", Grid(0, 18, 12, 8), sql.AFFECTED, ranged=True,
            label="issue", empty="Nobody is known to have been affected in this time range.", metric="affected",
        ),
        Panel(
            8, "failure_rate", "Failure rate inside the causes", "timeseries", "share",
            "Of the customers who could have failed in the cohorts that an issue blames, the share that did "
            "(a customer counts once per bin as exposed, once per hour as failed).", Grid(12, 18, 12, 8),
            sql.FAILURE_RATE, ranged=True, label="issue", empty="No issue in this time range.", least=20,
            metric="failure_rate",
        ),
        Panel(
            9, "sent", "Notices sent", "stat", "notices",
            "Customers to whom a notice was delivered, decided in the time range.", Grid(0, 26, 3, 4),
            sql.notices("sent"), ranged=True, tone="good", metric="notices",
        ),
        Panel(
            10, "held", "Held", "stat", "notices",
            "Waiting: for approval, for the end of quiet hours, or because sending is stopped.", Grid(3, 26, 3, 4),
            sql.notices("held"), ranged=True, tone="warn", metric="notices",
        ),
        Panel(
            11, "refused", "Refused", "stat", "notices",
            "Not to be told: no consent, opted out, budget used up, or too late to be useful.", Grid(6, 26, 3, 4),
            sql.notices("refused"), ranged=True, metric="notices",
        ),
        Panel(
            12, "held_out", "Held out", "stat", "notices",
            "Eligible, but not told, so that the effect of telling can be measured.", Grid(9, 26, 3, 4),
            sql.notices("held out"), ranged=True, metric="notices",
        ),
        Panel(
            13, "outreach", "Outreach and why", "table", "notices",
            "Decisions of the time range by what became of them, with the reason that is kept for each.",
            Grid(12, 26, 12, 15), sql.OUTREACH, ranged=True,
            fields=(
                Field("status", "Status", "state", 90),
                Field("reason", "Reason", width=150),
                Field("stage", "Stage", width=90),
                Field("customers", "Customers", "customers", 90),
                Field("last_decided", "Last decided", "time", 100),
            ),
            empty="No decision was made in this time range.", metric="notices",
        ),
        Panel(
            20, "channels", "Channels", "table", "text",
            "Where notices go. Accepts nothing: only probes are sent, everything waits. Gone: the receiver answered "
            "410; nothing is sent until `cxwatch channels resume`.",
            Grid(0, 30, 12, 4), sql.CHANNELS,
            fields=(
                Field("channel", "Channel", width=120),
                Field("state", "State", "state", 130),
                Field("reason", "Last answer", width=150),
                Field("since", "Since", "time", 120),
            ),
            empty="No sender was ever heard of.", metric="delivery_share",
        ),
        Panel(
            14, "dead_letters", "Dead letters", "table", "events",
            "Messages that broke their contract, by rule. Their bytes are in the dead-letter topics.",
            Grid(0, 34, 12, 7), sql.DEAD_LETTERS,
            fields=(
                Field("topic", "Topic", width=90),
                Field("reason", "Reason", width=100),
                Field("field", "Field", width=90),
                Field("rule", "Rule", width=140),
                Field("messages", "Messages", "events", 80),
                Field("last_rejected", "Last (stored)", "time", 110),
            ),
            empty="No dead letter is stored.", metric="dead_letter_share",
        ),
        Panel(
            15, "streams", "Stream health", "table", "events",
            "One row per topic and producer. No data: silent for at least one bin and for five expected events at its "
            "usual rate of the hour before; quiet: too few events to judge; late: over 10 % behind the disorder bound.",
            Grid(0, 41, 24, 8), sql.STREAMS,
            fields=(
                Field("state", "State", "state", 90),
                Field("stream", "Topic · producer", width=200),
                Field("per_minute", "Events, last minute", "events", 110),
                Field("usual_per_minute", "Usual per minute", "per_minute", 110),
                Field("last_event", "Last event", "time", 120),
                Field("silent_s", "Silent for", "seconds", 100),
                Field("late_hour", "Late (1 h)", "events", 100),
                Field("duplicates_hour", "Duplicates (1 h)", "events", 120),
            ),
            empty="No event has arrived yet.", metric="no_data",
        ),
        Panel(
            16, "event_rate", "Events per second", "timeseries", "per_second",
            "Accepted events by topic and producer, in event time.", Grid(0, 49, 12, 8), sql.EVENT_RATE, ranged=True,
            label="stream", empty="No event in this time range.", metric="throughput",
        ),
        Panel(
            17, "silence", "Streams without data", "state", "state",
            "Stretches in which a producer gave no data although at least 12 events were to be expected (last 7 days).",
            Grid(12, 49, 12, 8), sql.NO_DATA, ranged=True, label="stream", empty="No producer is known yet.",
            metric="no_data",
        ),
    ),
)
