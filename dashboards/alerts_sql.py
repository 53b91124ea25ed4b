"""The SQL of the alert rules: no variables, no macros, one row per alert instance.

Grafana takes a table's one column of numbers as the value and its columns of text as labels; the labels tell alerts
apart, so they hold what stays (ids, names) and never a figure. Tables are those of the data source's own database.
"""

from __future__ import annotations

from collections.abc import Mapping

from dashboards.boards.common_sql import decimals
from dashboards.model import LAG_BAD_S
from schemas.words import words_sql

NEVER_HEARD_S = 1_000_000
"""Stands for the lag of a room that was never heard of: about twelve days, longer than any that is let grow."""
HELD_MIN, PENDING_MIN, REJECTED_MIN = 30, 5, 15
"""Minutes: of a decision held that nothing but an obstacle keeps, of one that the sender should have taken, of the
dead letters that are compared with what was accepted."""
LEAST_EVENTS = 20
"""Below this a share says nothing."""


def _unit(code: str) -> str:
    return f"exp10({decimals(code)})"


_ISSUE = """
WITH assumeNotNull((SELECT now FROM event_clock)) AS newest
SELECT
    i.issue_id AS issue, i.readable_title AS title,
    i.owner AS owner, CAST(i.signal, 'String') AS signal, i.money_basis AS basis,
    CAST(cost.currency, 'String') AS currency,
    toFloat64({value}) AS {name}
FROM issue_overview AS i
LEFT JOIN
(
    SELECT issue_id, countIf(status = 'sent') AS sent FROM notice_latest WHERE stage = 'notice' GROUP BY issue_id
) AS n ON n.issue_id = i.issue_id
ARRAY JOIN if(empty(i.per_minute), [('', 0)::Tuple(currency LowCardinality(String), minor Int64)], i.per_minute) AS cost
WHERE i.active AND (notEmpty(i.per_minute) OR ifNull(i.shown_at, i.detected_at) <= newest - INTERVAL 2 MINUTE)
ORDER BY issue, currency
"""


def _issue(name: str, value: str) -> str:
    return _ISSUE.format(name=name, value=value)


ISSUE_AFFECTED = _issue("affected", "i.affected")
ISSUE_SILENT = _issue("silent", "i.silent")
ISSUE_COST = _issue("per_minute", f"cost.minor / {_unit('cost.currency')}")
ISSUE_SENT = _issue("sent", "n.sent")
"""Four figures of the same rows: an issue that is open, once for each currency it costs. An issue whose cost is not
known yet waits for it for up to two minutes, so that its labels do not change at once."""

_MONEY = """
SELECT code AS currency, {value} AS {name}
FROM
(
    SELECT CAST(one.currency, 'String') AS code, sum(one.minor) / {unit} AS amount
    FROM issue_overview
    ARRAY JOIN per_minute AS one
    WHERE active
    GROUP BY code
)
ORDER BY currency
"""


def money_per_minute() -> str:
    """What all open issues cost a minute, in the main unit of each currency."""
    return _MONEY.format(unit=_unit("code"), name="per_minute", value="toFloat64(amount)")


def money_over(limits: Mapping[str, float]) -> str:
    """By how much that is more than the currency's limit; a currency without one has the limit 0."""
    codes = ", ".join(f"'{code}'" for code in sorted(limits))
    values = ", ".join(str(float(limits[code])) for code in sorted(limits))
    limit = f"transform(code, [{codes}], [{values}], 0.0)" if limits else "0.0"
    return _MONEY.format(unit=_unit("code"), name="over", value=f"toFloat64(amount - {limit})")


STREAM_SILENT = """
SELECT CAST(stream, 'String') AS stream, toFloat64(if(state = 'no data', silent_s, 0)) AS silent_s
FROM source_status
ORDER BY stream
"""

ROOM_LAG = """
SELECT room, toFloat64(lag_s) AS lag_s
FROM
(
    SELECT CAST(room, 'String') AS room, ifNull(lag_s, <never>) AS lag_s FROM room_status
    UNION ALL
    SELECT
        'newest event' AS room,
        if(toUnixTimestamp(c.now) = 0, <never>, greatest(0, dateDiff('second', c.now, now64(3)))) AS lag_s
    FROM event_clock AS c
)
ORDER BY room
""".replace("<never>", str(NEVER_HEARD_S))

DEAD_LETTER_SHARE = """
SELECT noun AS topic, toFloat64(sum(rejected) / sum(rejected + accepted)) AS share
FROM
(
    SELECT CAST(topic, 'String') AS noun, count() AS rejected, 0 AS accepted
    FROM dead_letter_latest
    WHERE rejected_at >= now64(3) - INTERVAL <minutes> MINUTE
    GROUP BY noun
    UNION ALL
    SELECT CAST(topic, 'String') AS noun, 0 AS rejected, sum(events) AS accepted
    FROM source_count_latest
    WHERE ingest_time >= now64(3) - INTERVAL <minutes> MINUTE
    GROUP BY noun
)
GROUP BY noun
HAVING sum(rejected + accepted) >= <least>
ORDER BY topic
""".replace("<minutes>", str(REJECTED_MIN)).replace("<least>", str(LEAST_EVENTS))
"""Both by the server's clock: a history that is played counts when it is played."""

_WHY = words_sql("reason", "reason").replace("$'", "\\\\z'")
"""Without the dollar of its pattern: Grafana expands those in files."""

OUTREACH_HELD = """
WITH assumeNotNull((SELECT now FROM event_clock)) AS newest
SELECT
    n.issue_id AS issue, any(i.readable_title) AS title, CAST(n.reason, 'String') AS reason, <words> AS why,
    toFloat64(count()) AS customers
FROM notice_latest AS n
INNER JOIN issue_overview AS i ON i.issue_id = n.issue_id
WHERE n.status = 'held' AND n.deadline > newest
    AND greatest(n.decided_at, n.not_before) < newest - INTERVAL <minutes> MINUTE
GROUP BY issue, reason
ORDER BY issue, reason
""".replace("<minutes>", str(HELD_MIN)).replace("<words>", _WHY)

CHANNEL_LEVEL = """
SELECT
    CAST(channel, 'String') AS channel,
    toFloat64(multiIf(state = 'gone', 2, state = 'accepts nothing', 1, 0)) AS level
FROM channel_status
ORDER BY channel
"""

SENDER_PENDING = """
WITH assumeNotNull((SELECT now FROM event_clock)) AS newest
SELECT toFloat64(count()) AS waiting
FROM notice_latest
WHERE status = 'pending' AND deadline > newest
    AND greatest(decided_at, not_before) < newest - INTERVAL <minutes> MINUTE
""".replace("<minutes>", str(PENDING_MIN))

ROOM_LAG_OVER_S = float(LAG_BAD_S)
