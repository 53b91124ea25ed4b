"""The SQL of who an issue hits: by segment, region and value, how far each step reaches, and each by pseudonym."""

from __future__ import annotations

from dashboards.boards.issue_sql import filled
from schemas.currencies import DECIMALS
from schemas.words import words_sql

_HIT = "customer_id IN (SELECT customer_id FROM affected_latest WHERE <this>)"
_LATEST = """
    SELECT issue_id, customer_id, first_failed_at, contacted_at, put_right_at
    FROM affected_latest
    WHERE <this>
    ORDER BY first_failed_at DESC, customer_id
    LIMIT 50"""
PSEUDONYM = "concat('p-', substring(lower(hex(SHA256(a.customer_id))), 1, 10))"
"""A name that is the same on every board and is not the token: the first 10 hexadecimal digits of its SHA-256."""

SEGMENTS = filled("""
SELECT if(c.segment = '', 'not known', CAST(c.segment, 'String')) AS label, count() AS affected,
    countIf(a.contacted_at IS NULL) AS silent
FROM affected_latest AS a
LEFT JOIN (SELECT customer_id, segment FROM customer_latest WHERE <hit>) AS c ON c.customer_id = a.customer_id
WHERE a.<this>
GROUP BY label
ORDER BY affected DESC, label
LIMIT 15
""", hit=_HIT)

_CHOSEN = "(SELECT <what> FROM issue_latest WHERE <this>)"
REGIONS = filled("""
WITH <keys> AS names, <values> AS wanted, <began> - toIntervalMinute(5) AS began
SELECT if(e.region = '', 'not known', e.region) AS label, count() AS affected,
    countIf(a.contacted_at IS NULL) AS silent
FROM affected_latest AS a
LEFT JOIN
(
    SELECT customer_id, argMin(leaf[indexOf(attributes, 'region')], (NOT fits, first_failed_at)) AS region
    FROM
    (
        SELECT customer_id, attributes, first_failed_at, leaf,
            (length(names) < 1 OR leaf[indexOf(attributes, names[1])] = wanted[1])
                AND (length(names) < 2 OR leaf[indexOf(attributes, names[2])] = wanted[2]) AS fits
        FROM episode_latest
        ARRAY JOIN leaves AS leaf
        WHERE line = <line> AND signal = <signal> AND window >= began - toIntervalHour(1) AND window <= <until>
            AND last_failed_at >= began AND <hit>
    )
    WHERE has(attributes, 'region')
    GROUP BY customer_id
) AS e ON e.customer_id = a.customer_id
WHERE a.<this>
GROUP BY label
ORDER BY affected DESC, label
LIMIT 15
""", hit=_HIT, keys=_CHOSEN.replace("<what>", "groupArrayArray(mapKeys(cause))"),
    values=_CHOSEN.replace("<what>", "groupArrayArray(mapValues(cause))"),
    began=_CHOSEN.replace("<what>", "min(opened_at)"), line=_CHOSEN.replace("<what>", "any(line)"),
    until=_CHOSEN.replace("<what>", "min(ifNull(resolved_at, updated_at + toIntervalDay(7)))"),
    signal=_CHOSEN.replace("<what>", "any(signal)"),
)  # fmt: skip
"""Of the leaves in which a customer failed, one that has the cause tells the region; else the first one."""

VALUES = filled("""
WITH
    (SELECT any(at_risk[1].currency) FROM impact_latest WHERE <this>) AS own,
    if(own IN (<whole>), 100, 1) AS scale,
    (n -> toString(n * scale)) AS named
SELECT
    multiIf(
        value IS NULL, 'not known',
        value < 5000 * scale, concat('below ', named(50), ' ', own),
        value < 20000 * scale, concat(named(50), ' to ', named(200), ' ', own),
        value < 100000 * scale, concat(named(200), ' to ', named(1000), ' ', own),
        concat('from ', named(1000), ' ', own)) AS label,
    count() AS affected, countIf(contacted_at IS NULL) AS silent
FROM
(
    SELECT a.contacted_at AS contacted_at, if(c.customer_id = '', a.value_cents, c.value_cents) AS value
    FROM affected_latest AS a
    LEFT JOIN (SELECT customer_id, value_cents FROM customer_latest WHERE <hit>) AS c ON c.customer_id = a.customer_id
    WHERE a.<this>
)
GROUP BY label
ORDER BY max(ifNull(value, -1)) DESC
""", hit=_HIT, whole=", ".join(f"'{code}'" for code, decimals in sorted(DECIMALS.items()) if decimals == 0))

FUNNEL = filled("""
SELECT label, customers
FROM
(
    SELECT arrayJoin([
        (1, 'exposed to the cause', toUInt64(i.exposed)),
        (2, 'failed with the cause', toUInt64(i.failed)),
        (3, 'affected', a.affected),
        (4, 'contacted us', a.contacted),
        (5, 'got a notice', a.told),
        (6, 'put right', a.right)
    ]) AS row, row.1 AS place, row.2 AS label, row.3 AS customers
    FROM (SELECT exposed, failed FROM issue_latest WHERE <this>) AS i
    CROSS JOIN
    (
        SELECT count() AS affected, countIf(contacted_at IS NOT NULL) AS contacted,
            countIf(put_right_at IS NOT NULL) AS right, countIf(n.customer_id != '') AS told
        FROM affected_latest AS a
        LEFT JOIN
        (
            SELECT DISTINCT customer_id
            FROM delivery_latest
            WHERE issue_id IN (SELECT issue_id FROM issue_latest WHERE <root>)
                AND stage = 'notice' AND outcome = 'delivered'
        ) AS n ON n.customer_id = a.customer_id
        WHERE a.<this>
    ) AS a
)
ORDER BY place
""")

AFFECTED = filled("""
SELECT
    <pseudonym> AS customer, a.first_failed_at AS first_failed_at, a.contacted_at AS contacted_at,
    multiIf(
        n.status = '', 'nothing decided yet', n.status = 'sent', 'delivered',
        concat(CAST(n.status, 'String'), if(n.reason = '', '', concat(': ', <reason>)))) AS notice,
    if(n.status = 'sent', n.done_at, NULL) AS told_at, a.put_right_at AS put_right_at,
    if(c.segment = '', 'not known', CAST(c.segment, 'String')) AS segment, a.issue_id AS issue_id
FROM (<latest>) AS a
LEFT JOIN
(
    SELECT customer_id, status, reason, done_at
    FROM notice_latest
    WHERE <root> AND stage = 'notice' AND customer_id IN (SELECT customer_id FROM (<latest>))
) AS n ON n.customer_id = a.customer_id
LEFT JOIN
(
    SELECT customer_id, segment FROM customer_latest WHERE customer_id IN (SELECT customer_id FROM (<latest>))
) AS c ON c.customer_id = a.customer_id
ORDER BY first_failed_at DESC, customer
""", latest=_LATEST, pseudonym=PSEUDONYM, reason=words_sql("reason", "n.reason"))
