"""Figures about issues: who is hit, what it costs, how it was found."""

from __future__ import annotations

from schemas.definitions.definition import ENOUGH, Definition

CENTRE, FINANCE, DATA = "Head of the operations centre", "Head of finance", "Head of analytics"
_REVISION = "With each revision of the issue: seconds behind the watermark"
_OPEN = "issue_id IN (SELECT issue_id FROM issue_overview WHERE active)"

ISSUES: tuple[Definition, ...] = (
    Definition(
        "open_issues", "Open issues", CENTRE, "issues",
        "Issues that are open, escalating, recovering or regressed now. A suspicion that was not shown is none, nor is "
        "a drill.",
        _REVISION, "count()", "issue_overview", where="active",
    ),
    Definition(
        "affected", "Customers affected", CENTRE, "customers",
        "Distinct customers who failed inside the cause of an open issue since its onset. A customer hit by two issues "
        "is counted once.",
        _REVISION, "uniqExact(customer_id)", "affected_latest", where=_OPEN,
    ),
    Definition(
        "contacted", "Affected customers who got in touch", CENTRE, "customers",
        "Of the affected customers, those whose contact about the failure has arrived, at the failure or later.",
        _REVISION, "uniqExactIf(customer_id, contacted_at IS NOT NULL)", "affected_latest", where=_OPEN,
    ),
    Definition(
        "silent", "Silent customers", CENTRE, "customers",
        "Affected customers minus those of them who got in touch about it.",
        _REVISION, "uniqExact(customer_id) - uniqExactIf(customer_id, contacted_at IS NOT NULL)", "affected_latest",
        where=_OPEN,
    ),
    Definition(
        "put_right", "Customers whose failure was put right", CENTRE, "customers",
        "Affected customers for whom everything that failed has happened after all: order paid, promise kept, contact "
        "resolved, the same use succeeded.",
        _REVISION, "uniqExactIf(customer_id, put_right_at IS NOT NULL)", "affected_latest", where=_OPEN,
    ),
    Definition(
        "at_risk", "Money at risk", FINANCE, "minor units, each currency by itself",
        "Affected customers x loyalty drop x margin over 12 months. A margin that a profile states is used, an assumed "
        "one for the others; every assumption is listed with the issue. The range takes all parameters at their low "
        "and at their high end.",
        _REVISION, "sum(one.minor)", "issue_overview AS o ARRAY JOIN o.at_risk AS one", where="active",
        per=("one.currency AS currency",),
    ),
    Definition(
        "per_minute", "Cost of one more minute", FINANCE, "minor units per minute, each currency by itself",
        "Customers newly affected per minute (mean of the last 15 minutes) x (money at risk + cost of handling "
        "contacts) per affected customer. Nothing once the issue is resolved.",
        _REVISION, "sum(one.minor)", "issue_overview AS o ARRAY JOIN o.per_minute AS one", where="active",
        per=("one.currency AS currency",),
    ),
    Definition(
        "service_cost", "Cost of handling contacts", FINANCE, "minor units, each currency by itself",
        "Contacts of affected customers x cost of one contact (assumed unless it is set).",
        _REVISION, "sum(one.minor)", "issue_overview AS o ARRAY JOIN o.service AS one", where="active",
        per=("one.currency AS currency",),
    ),
    Definition(
        "amounts", "Order amounts at stake", FINANCE, "minor units, each currency by itself",
        "Sum of the largest order amount of each affected customer that failed. Not a loss: what the orders are worth.",
        _REVISION, "sum(one.minor)", "issue_overview AS o ARRAY JOIN o.amounts AS one", where="active",
        per=("one.currency AS currency",),
    ),
    Definition(
        "failure_rate", "Failure rate", CENTRE, "share of exposed customers",
        "Distinct customers who failed in a bin / distinct customers who could have failed in it, summed over bins, by "
        "service line and signal.",
        "When the watermark has passed the bin (10 s)", "sum(failed) / sum(exposed)", "cohort_count_latest", "bin",
        per=("line", "signal"), exposed="sum(exposed)", least=ENOUGH,
    ),
    Definition(
        "usual_rate", "Usual failure rate", DATA, "share of exposed customers",
        "Failure rate in the hour of the week in which the time range ends, 1 to 6 weeks before: what a normal day "
        "looks like. Drawn as a band behind the failure rate.",
        "Once an hour", "sum(failed) / sum(exposed)", "cohort_count_latest",
        where="bin >= $__toTime_ms - toIntervalWeek(6) AND bin < $__toTime_ms - toIntervalDay(6) "
              "AND toHour(bin) = toHour($__toTime_ms, 'UTC') "
              "AND toDayOfWeek(bin) = toDayOfWeek($__toTime_ms, 0, 'UTC')",
        per=("line", "signal"), exposed="sum(exposed)", least=ENOUGH,
    ),
    Definition(
        "risk_ratio", "Risk ratio of a cause", DATA, "ratio",
        "Failure rate of customers inside the cause / failure rate of all others on the line, shrunk towards 1 where "
        "few are counted; with its 95 % interval.",
        _REVISION, "any(risk_ratio)", "issue_overview", where="active", per=("issue_id",),
    ),
    Definition(
        "cause_support", "Share explained by a cause", DATA, "share of the excess failures",
        "Failures above the usual number inside the cause / failures above the usual number on the line.",
        _REVISION, "any(support)", "issue_overview", where="active", per=("issue_id",),
    ),
    Definition(
        "severity", "Severity", CENTRE, "low, medium, high or critical",
        "What the failure means to the customers hit, by its signal, whoever and however many they are.",
        _REVISION, "any(severity)", "issue_overview", where="active", per=("issue_id",),
    ),
    Definition(
        "issue_times", "Times of an issue", CENTRE, "time",
        "Onset: estimated start of the failures. Detected: end of the bin that raised the alarm. Shown: first revision "
        "past suspected. Resolved: when the failure rate was usual again.",
        _REVISION, "any((opened_at, detected_at, shown_at, resolved_at))", "issue_overview", per=("issue_id",),
    ),
    Definition(
        "head_start", "Head start over the first complaint", CENTRE, "seconds",
        "Time of the first contact of an affected customer about the issue minus the time at which it was shown. "
        "Negative: customers were faster.",
        "When the first contact has arrived",
        "dateDiff('second', any(i.shown_at), min(a.contacted_at))",
        "affected_latest AS a INNER JOIN issue_overview AS i ON i.issue_id = a.issue_id",
        where="i.shown_at IS NOT NULL", per=("a.issue_id AS issue_id",),
    ),
)
"""Definitions of what the boards of operations and of one issue show."""
