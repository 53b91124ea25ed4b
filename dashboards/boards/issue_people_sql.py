"""The SQL of who an issue hits: by segment, region and value, how far each step reaches, and each by pseudonym."""

from __future__ import annotations

from dashboards.boards.issue_sql import filled
from schemas.currencies import DECIMALS

_HIT = "customer_id IN (SELECT customer_id FROM affected_latest WHERE <this>)"
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

REGIONS = filled("""
SELECT if(e.region = '', 'not known', e.region) AS label, count() AS affected,
    countIf(a.contacted_at IS NULL) AS silent
FROM affected_latest AS a
LEFT JOIN
(
    SELECT customer_id, argMin(leaf[indexOf(attributes, 'region')], (NOT fits, first_failed_at)) AS region
    FROM
    (
        SELECT e.customer_id AS customer_id, e.attributes AS attributes, e.first_failed_at AS first_failed_at, leaf,
            arrayAll((name, value) -> leaf[indexOf(e.attributes, name)] = value, i.names, i.wanted) AS fits
        FROM episode_latest AS e
        ARRAY JOIN leaves AS leaf
        CROSS JOIN
        (
            SELECT line, signal, mapKeys(cause) AS names, mapValues(cause) AS wanted, opened_at,
                ifNull(resolved_at, updated_at + toIntervalDay(7)) AS until
            FROM issue_latest
            WHERE <this>
        ) AS i
        WHERE e.line = i.line AND e.signal = i.signal AND e.last_failed_at >= i.opened_at - toIntervalMinute(5)
            AND e.first_failed_at <= i.until AND e.<hit>
    )
    WHERE has(attributes, 'region')
    GROUP BY customer_id
) AS e ON e.customer_id = a.customer_id
WHERE a.<this>
GROUP BY label
ORDER BY affected DESC, label
LIMIT 15
""", hit=_HIT)

VALUES = filled("""
WITH
    (SELECT any(at_risk[1].currency) FROM impact_latest WHERE <this>) AS own,
    if(own IN (<whole>), 100, 1) AS scale,
    (n -> concat(toString(n * scale), ' ', own)) AS named
SELECT
    multiIf(
        value IS NULL, 'not known',
        value < 5000 * scale, concat('under ', named(50)),
        value < 20000 * scale, concat(named(50), ' to under ', named(200)),
        value < 100000 * scale, concat(named(200), ' to under ', named(1000)),
        concat(named(1000), ' and more')) AS label,
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
            SELECT DISTINCT customer_id FROM notice_latest WHERE <root> AND stage = 'notice' AND status = 'sent'
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
FROM affected_latest AS a
LEFT JOIN
(
    SELECT customer_id, status, reason, done_at FROM notice_latest WHERE <root> AND stage = 'notice'
) AS n ON n.customer_id = a.customer_id
LEFT JOIN (SELECT customer_id, segment FROM customer_latest WHERE <hit>) AS c ON c.customer_id = a.customer_id
WHERE a.<this>
ORDER BY first_failed_at DESC, customer
LIMIT 200
""", hit=_HIT, pseudonym=PSEUDONYM, reason="replaceAll(CAST(n.reason, 'String'), '_', ' ')")
