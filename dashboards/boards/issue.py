"""The board of one issue: what it is, when what happened, why it is thought so, who suffers, what it costs, what to do.

The statements are in ``dashboards.boards.issue_sql``, ``issue_cohort_sql`` and ``issue_people_sql``.
"""

from __future__ import annotations

from dashboards.boards import history_sql as history
from dashboards.boards import issue_cohort_sql as cohort
from dashboards.boards import issue_people_sql as people
from dashboards.boards import issue_sql as sql
from dashboards.boards.common import status_panel, variables
from dashboards.boards.runbooks import runbook_sql
from dashboards.model import Annotation, Board, Field, Grid, Link, Panel, Variable

_ALL_ISSUES = Link("All issues", "cx-operations")
_NOTICES = Link("What was decided and sent", "cx-outreach", (("issue", "issue_id"),))
_SENT = Link("What was decided and sent", "cx-outreach")
_AROUND = Link("The line in the 2 hours around it", "cx-experience", (("product", "line"),), ("from_ms", "to_ms"))
_HIDDEN_ISSUE = Field("issue_id", "Id", hidden=True)
_PEOPLE = (Field("affected", "Affected", "customers"), Field("silent", "Of these silent", "customers"))

_WHAT = (
    Panel(
        2, "headline", "The issue", "sentence", "text",
        "What fails, since when, who is hit, what it costs and what was sent. Affected: failed inside the cause since "
        "the onset. Silent: have not contacted us about it. Notices are those of every onset of the issue, because "
        "nobody is told twice about one.", Grid(0, 3, 24, 3), sql.HEADLINE, metric="affected", links=(_ALL_ISSUES,),
    ),
    Panel(
        3, "timeline", "What happened when", "table", "time",
        "From the change that may have caused it to the end. Minutes are counted from the estimated onset. The first "
        "complaint is the first contact of an affected customer about it; a notice counts from its delivery.",
        Grid(0, 6, 15, 10), sql.TIMELINE, metric="head_start",
        fields=(
            Field("step", "Step", width=100, link=_NOTICES), Field("at", "When", "time", 140),
            Field("minutes", "Minutes after onset", "score", 90),
            Field("lead", "Against the first complaint", width=200),
            Field("what", "What", width=320), _HIDDEN_ISSUE,
        ),
        empty="No such issue: nothing can be said about its times.",
    ),
    Panel(
        4, "runbook", "What to do", "table", "text",
        "The short form of the runbook of what fails here; the file in the source has the rest.", Grid(15, 6, 9, 10),
        runbook_sql(sql.WITH_ISSUE), links=(_ALL_ISSUES,),
        fields=(Field("item", "Step", width=110), Field("text", "What", width=390), _HIDDEN_ISSUE),
        empty="No such issue: nothing to do is known.",
    ),
)

_WHY = (
    Panel(
        5, "cohort", "With the cause against everybody else", "timeseries", "share",
        "Share of the exposed customers who failed, in cohorts with the cause and in the rest of the line. Usual "
        "range: where 95 of 100 points lie if it fails as on the day before the onset, or, of a cohort that had fewer "
        "than 200 exposed then, as often as the detector expected. Points have at least 20 exposed and are wider where "
        "fewer come; a gap had fewer.",
        Grid(0, 16, 24, 9), cohort.COHORT, ranged=True, label="cohort",
        band=cohort.BAND, least=cohort.LEAST, metric="failure_rate",
        empty="No count of this line and signal in the time range, or too few exposed for a rate.",
    ),
    Panel(
        6, "evidence", "What each stream says", "table", "count",
        "Expected and observed since each stream noticed, in the unit of its signal. If no other stream was asked: the "
        "detector's own count of distinct customers.", Grid(0, 25, 24, 5), sql.EVIDENCE, metric="risk_ratio",
        fields=(
            Field("stream", "Stream", width=140), Field("signal", "What fails", width=130),
            Field("since", "Since", "time", 150), Field("expected", "Expected", "score", 110),
            Field("observed", "Observed", "score", 110), Field("ratio", "Times the expected", "score", 110),
            Field("basis", "Basis", width=320), _HIDDEN_ISSUE,
        ),
        empty="No such issue: no stream can be asked.",
    ),
    Panel(
        7, "explanation", "Why this is called the cause", "table", "text",
        "The simplest explanation that the counts support: up to two attribute values with the highest risk ratio "
        "against everybody else. A cause is what the failures have in common; it need not be the reason.",
        Grid(0, 30, 12, 9), sql.EXPLANATION, metric="risk_ratio",
        fields=(Field("item", "Item", width=150), Field("text", "What the counts say", width=520), _HIDDEN_ISSUE),
        empty="No such issue: nothing to explain.",
    ),
    Panel(
        8, "counter", "What speaks against it", "table", "text",
        "Who had the cause and did not fail, and who failed without it. Exposed counts a customer once per bin of 10 s "
        "and covers at most the first 12 hours; the detector counts a failed customer once per hour.",
        Grid(12, 30, 12, 9), cohort.COUNTER, metric="cause_support",
        fields=(Field("item", "Item", width=200), Field("text", "What the counts say", width=470), _HIDDEN_ISSUE),
        empty="No such issue: nothing to hold against it.",
    ),
    Panel(
        9, "others", "Other attributes that were looked at", "table", "share",
        "For each value of every other attribute: how many of those with the cause failed, and how many of those "
        "without. A value that fails only together with the cause does not explain the failures. Rates are of at least "
        "20 exposed.",
        Grid(0, 39, 24, 8), cohort.OTHERS, least=cohort.LEAST, metric="failure_rate",
        fields=(
            Field("attribute", "Attribute", width=140), Field("value", "Value", width=140),
            Field("with_exposed", "Exposed with the cause", "count", 110),
            Field("with_rate", "Failed", "share", 90), Field("without_exposed", "Exposed without", "count", 110),
            Field("without_rate", "Failed", "share", 90), Field("verdict", "Reading", width=390), _HIDDEN_ISSUE,
        ),
        empty="No other attribute was counted here, or the cause is the whole line.",
    ),
    Panel(
        10, "changes", "Changes near the onset", "table", "text",
        "What the company changed in the 2 hours before the onset and until it was detected. Candidates share a value "
        "with the cause and contradict none.", Grid(0, 47, 24, 6), sql.CHANGES, metric="issue_times",
        fields=(
            Field("change", "Change", width=200, link=_AROUND), Field("kind", "Kind", width=90),
            Field("changed_at", "When", "time", 150), Field("minutes", "Minutes after onset", "score", 110),
            Field("touches", "Touches", "pairs", 260), Field("verdict", "Reading", width=260),
            Field("line", "Line", hidden=True), Field("from_ms", "From", hidden=True),
            Field("to_ms", "To", hidden=True),
        ),
        empty="No change was reported in the 2 hours before the onset.",
    ),
)

_WHO = (
    Panel(
        11, "funnel", "How far it reaches", "bars", "customers",
        "Exposed and failed: customers inside the cause, by the detector (exposed once per bin). Affected: known by "
        "name to have failed. Notice: delivered, in this or an earlier onset. Put right: what failed happened after "
        "all.", Grid(0, 53, 6, 9), people.FUNNEL, metric="affected",
        fields=(Field("customers", "Customers", "customers"),), empty="No such issue: nobody is counted.",
        links=(_SENT,),
    ),
    Panel(
        12, "segments", "By segment", "bars", "customers",
        "Affected customers by the segment of their profile now, and those of them who have not contacted us.",
        Grid(6, 53, 6, 9), people.SEGMENTS, metric="affected", fields=_PEOPLE, empty="Nobody is known to be affected.",
    ),
    Panel(
        13, "regions", "By region", "bars", "customers",
        "Affected customers by the region of their first failure. Not known: what failed names no region, or is not "
        "kept any more.", Grid(12, 53, 6, 9), people.REGIONS, metric="affected", fields=_PEOPLE,
        empty="Nobody is known to be affected.",
    ),
    Panel(
        14, "values", "By value", "bars", "customers",
        "Affected customers by their margin over 12 months, from their profile, in the company's currency. Of a range, "
        "the lower end belongs to it.",
        Grid(18, 53, 6, 9), people.VALUES, metric="affected", fields=_PEOPLE, empty="Nobody is known to be affected.",
    ),
    Panel(
        20, "affected_over_time", "Affected over time", "timeseries", "customers",
        "Customers known to be affected by then, in event time; ends where the issue was resolved.", Grid(0, 62, 12, 8),
        history.affected_history(sql.WITH_ISSUE), ranged=True, label="issue", metric="affected", links=(_SENT,),
        empty="Nobody is known to be affected in this time range.",
    ),
    Panel(
        21, "cost_over_time", "What one more minute cost", "timeseries", "money_per_minute",
        "The cost of one more minute as it stood then, with the assumptions of today, in the company's currency.",
        Grid(12, 62, 12, 8), history.money_history("per_minute", sql.WITH_ISSUE), ranged=True, label="issue",
        metric="per_minute", empty="What a minute cost was not worked out for this time range.",
    ),
    Panel(
        15, "money", "What it costs", "table", "amounts",
        "Each figure with its range and whether an assumption is in it. The range takes all assumptions at their low "
        "and at their high end. Orders at stake are what the orders are worth, not a loss.",
        Grid(0, 70, 14, 8), sql.MONEY,
        metric="at_risk",
        fields=(
            Field("term", "Term", width=100), Field("amount", "Amount", "amounts", 150),
            Field("bounds", "Range", "amounts", 230), Field("basis", "Basis", width=90), Field("how", "How", width=230),
            _HIDDEN_ISSUE,
        ),
        empty="What it costs was not worked out yet.",
    ),
    Panel(
        16, "assumptions", "Assumptions behind the money", "table", "text",
        "Every parameter of the figures: assumed by default, set by the company, or measured.", Grid(14, 70, 10, 8),
        sql.ASSUMPTIONS, metric="at_risk",
        fields=(
            Field("name", "Parameter", width=180), Field("value", "Value", width=130),
            Field("basis", "Basis", width=90), Field("source", "Source", width=160), _HIDDEN_ISSUE,
        ),
        empty="No figure of money, so no assumption yet.",
    ),
    Panel(
        17, "customers", "Affected customers", "table", "customers",
        "The latest 50 by first failure. The name is the beginning of the SHA-256 of the customer's token: the same "
        "on every board, and not the token. It has no key, so whoever holds a token can find its row; `cxwatch "
        "affected` lists the tokens. Notices are those of every onset.",
        Grid(0, 78, 24, 12), people.AFFECTED, metric="told",
        fields=(
            Field("customer", "Customer", width=130, link=_NOTICES), Field("segment", "Segment", width=100),
            Field("first_failed_at", "First failure", "time", 150), Field("contacted_at", "Contacted us", "time", 150),
            Field("notice", "Notice", width=250), Field("told_at", "Delivered", "time", 150),
            Field("put_right_at", "Put right", "time", 150), _HIDDEN_ISSUE,
        ),
        empty="Nobody is known to be affected.",
    ),
    Panel(
        18, "onsets", "Every onset of this issue", "table", "issues",
        "The same cause may come back within two weeks: each time is an issue of its own, with the same root.",
        Grid(0, 90, 15, 6), sql.ONSETS, metric="issue_times",
        fields=(
            Field("issue", "Issue", width=100, link=Link("This onset", "cx-issue", (("issue", "issue_id"),))),
            Field("onset", "Onset", "count", 60), Field("state", "State", "state", 120),
            Field("opened_at", "Since", "time", 130), Field("resolved_at", "Over", "time", 130),
            Field("affected", "Affected", "customers", 80), Field("cause", "Cause", width=200), _HIDDEN_ISSUE,
        ),
        empty="No issue has this id.",
    ),
    Panel(
        19, "later", "Words, play and replay", "text", "text",
        "What this board does not show yet.", Grid(15, 90, 9, 6),
        text="What customers write about this issue, a play-through of its course and a replay of its events are not "
             "built yet. Their panels come with them; until then nothing on this board is drawn from texts or replays.",
    ),
)

ISSUE = Board(
    uid="cx-issue",
    title="One issue",
    description="One issue, from the change that may have caused it to its end: evidence, cause, customers, money.",
    panels=(status_panel(1, Grid(0, 0, 24, 3)), *_WHAT, *_WHY, *_WHO),
    variables=(Variable("issue", "Issue", sql.CHOICES, every=False, multi=False), *variables()),
    annotations=(
        Annotation("Steps of the issue", sql.MARKS, "bad"),
        Annotation("Changes", sql.CHANGE_MARKS),
    ),
)
