"""The SQL of the board of outreach: decisions, deliveries, what waits, what customers answer, budget, opt-outs.

The effect of telling is in ``dashboards.boards.holdout_sql``.
"""

from __future__ import annotations

from dashboards.boards.common_sql import AGE_TEXT
from schemas.words import words_sql

_CHOSEN = """(SELECT {column} FROM issue_latest
        WHERE NOT startsWith(line, 'cx.drill.') AND $__conditionalAll(line IN (${{product:sqlstring}}), $product)
            AND $__conditionalAll(signal IN (${{signal:sqlstring}}), $signal)
            AND $__conditionalAll(issue_id IN (${{issue:sqlstring}}), $issue))"""
CHOSEN_ISSUES = _CHOSEN.format(column="issue_id")
"""Ids of the issues that the viewer chose; of drills nobody is told."""
CHOSEN_ROOTS = _CHOSEN.format(column="root_id")
"""The root issues of these."""


def _of_chosen(sql: str) -> str:
    words = words_sql("reason", "reason")
    return sql.replace("<issues>", CHOSEN_ISSUES).replace("<ages>", AGE_TEXT).replace("<why>", words)


DECISIONS = _of_chosen("""
SELECT $__timeInterval(decided_at) AS time, concat(status, ': ', <why>) AS decision, count() AS decisions
FROM notice_latest
WHERE $__timeFilter(decided_at) AND issue_id IN <issues>
GROUP BY time, decision
ORDER BY time, decision
""")

REASONS = _of_chosen("""
SELECT
    concat(status, ': ', <why>) AS decision, countIf(stage = 'notice') AS notices,
    countIf(stage != 'notice') AS all_clears
FROM notice_latest
WHERE $__timeFilter(decided_at) AND issue_id IN <issues>
GROUP BY decision
ORDER BY count() DESC
LIMIT 20
""")

DELIVERY = _of_chosen("""
WITH <ages>
SELECT
    channel, countIf(attempts > 0) AS offered, countIf(status = 'sent') AS accepted,
    countIf(status = 'failed') AS failed,
    countIf(status IN ('pending', 'waiting')) AS waiting, countIf(status IN ('expired', 'suppressed')) AS withdrawn,
    countIf(status = 'unknown') AS unknown,
    quantilesExactIf(0.5, 0.9)(
        dateDiff('millisecond', decided_at, assumeNotNull(done_at)) / 1000, status = 'sent') AS took,
    if(accepted = 0, '', age_text(took[1])) AS half_within, if(accepted = 0, '', age_text(took[2])) AS most_within
FROM notice_latest
WHERE decision = 'send' AND $__timeFilter(decided_at) AND issue_id IN <issues>
GROUP BY channel
ORDER BY channel
""")

ANSWERS = _of_chosen("""
SELECT
    channel, count() AS told, if(told < 20, NULL, countIf(complained_at IS NOT NULL) / told) AS complained_share,
    countIf(complained_at IS NOT NULL) AS complained,
    if(told < 20, NULL, countIf(contacted_at IS NOT NULL) / told) AS contacted_share,
    countIf(contacted_at IS NOT NULL) AS contacted
FROM message_answered
WHERE $__timeFilter(told_at) AND told_at + toIntervalHour(48) <= (SELECT now FROM event_clock) AND issue_id IN <issues>
GROUP BY channel
ORDER BY channel
""")

PENDING = _of_chosen("""
WITH
    <ages>,
    (SELECT now FROM event_clock) AS newest
SELECT
    if(n.deadline_first <= newest, '✗ too late', if(n.due_first <= newest, '! due', 'not due yet')) AS state,
    n.status AS status, n.why AS reason, i.label AS issue,
    n.waiting AS waiting,
    n.since AS since, age_text(greatest(0, dateDiff('second', n.since, newest))) AS longest, n.due_first AS due,
    n.deadline_first AS deadline, n.issue_id AS issue_id
FROM
(
    SELECT
        issue_id, status, <why> AS why, count() AS waiting, min(decided_at) AS since, min(not_before) AS due_first,
        min(deadline) AS deadline_first
    FROM notice_latest
    WHERE status IN ('held', 'pending', 'waiting') AND issue_id IN <issues>
    GROUP BY issue_id, status, why
) AS n
INNER JOIN issue_overview AS i ON i.issue_id = n.issue_id
ORDER BY state != '✗ too late', state != '! due', since
LIMIT 100
""")

BUDGET = _of_chosen("""
SELECT
    multiIf(
        messages >= 4, '4 and more: over the budget', messages = 3, '3: the whole budget',
        toString(messages)) AS told,
    count() AS customers
FROM
(
    SELECT customer, count() AS messages
    FROM budget_charge
    WHERE claimed_at > $__toTime_ms - toIntervalDay(7) AND claimed_at <= $__toTime_ms
    GROUP BY customer
    HAVING countIf(issue_id IN <issues>) > 0
)
GROUP BY told
ORDER BY told
""")

OPT_OUTS = """
SELECT $__timeInterval(updated_at) AS time, if(segment = '', 'no segment', segment) AS segment, count() AS customers
FROM opted_out
WHERE $__timeFilter(updated_at)
GROUP BY time, segment
ORDER BY time, segment
"""

OPTED_OUT = "SELECT count() AS customers FROM opted_out"
