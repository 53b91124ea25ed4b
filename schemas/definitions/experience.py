"""Figures about the experience of customers: right the first time, access, service, voice, journey."""

from __future__ import annotations

from schemas.definitions.definition import ENOUGH, Definition

SERVICE, PRODUCT, INSIGHT = "Head of customer service", "Head of product", "Head of customer insight"
_CASE = "With each event of a contact: seconds"
_ORDER = "With each event of an order: seconds; may still fall for 7 days"
_FINAL = "Final: 7 days after the last event"
_USE = "When the event is stored: seconds"
_ACCESS = ("channel", "mode")

_STAGE_LOWS = """(
    SELECT line, stage, hour, uses, broken, broken / uses AS share,
        (share + 1.9208 / uses - 1.96 * sqrt(share * (1 - share) / uses + 0.9604 / (uses * uses))) / (1 + 3.8416 / uses)
            AS at_least,
        max(share) OVER week AS worst_before, count() OVER week AS hours_before
    FROM
    (
        SELECT line, stage, hour, sum(uses) AS uses, sum(broken) AS broken
        FROM stage_hour
        WHERE hour >= $__fromTime - toIntervalDay(8) AND hour <= $__toTime_ms AND <conditions>
        GROUP BY line, stage, hour
        HAVING uses >= 20
    )
    WINDOW week AS (
        PARTITION BY line, stage ORDER BY toUnixTimestamp(hour) RANGE BETWEEN 604800 PRECEDING AND 1 PRECEDING)
)"""
EFFORT_STAGES = """(
    SELECT c.line AS line, c.region AS region, c.customer_id AS customer_id, c.opened_at AS opened_at,
        c.effort AS effort, c.csat AS csat, t.stage AS stage
    FROM case_overview AS c
    ASOF INNER JOIN
    (
        SELECT customer_id, event_time, stage
        FROM stage_use
        WHERE event_time >= $__fromTime - toIntervalDay(1) AND event_time <= $__toTime_ms AND customer_id IN (
                SELECT customer_id FROM case_overview
                WHERE $__timeFilter(opened_at) AND (effort IS NOT NULL OR csat IS NOT NULL))
    ) AS t ON t.customer_id = c.customer_id AND c.opened_at >= t.event_time
    WHERE $__timeFilter(c.opened_at) AND t.event_time >= c.opened_at - toIntervalDay(1)
)"""
"""Contact cases of the time range with the stage in which the customer was last seen, at most a day before."""


def stage_lows(conditions: str = "1 = 1") -> str:
    """Subquery: hours of stages with ``share`` broken, its 95 % lower end ``at_least`` and the ``worst_before`` of the
    week before in ``hours_before`` hours. ``conditions``: SQL over line, stage and region."""
    return _STAGE_LOWS.replace("<conditions>", conditions)


IS_LOW = "at_least > worst_before AND hours_before >= 6"
"""Of a row of :func:`stage_lows`."""

EXPERIENCE: tuple[Definition, ...] = (
    Definition(
        "first_time_right", "Right the first time", PRODUCT, "share of orders",
        "Orders without a failure, a contact about them or a repeat, up to 7 days after they were done / all such "
        "orders that are done for 7 days, or went wrong and are as old. Orders that the customer withdrew are left "
        "out. In the time range: those whose 7 days ended in it.",
        _FINAL, "countIf(first_time_right) / count()", "order_overview", "settled_at", "settled", ("line",),
        least=ENOUGH,
    ),
    Definition(
        "right_so_far", "Right so far", PRODUCT, "share of orders",
        "Orders placed in the time range that nothing has gone wrong with yet / orders placed in it, withdrawn ones "
        "left out. It can only fall: what may still go wrong counts as right.",
        _ORDER, "countIf(outcome != 'wrong') / count()", "order_overview", "placed_at", "outcome != 'withdrawn'",
        ("line",), least=ENOUGH,
    ),
    Definition(
        "wrong_reasons", "Why orders were not right", PRODUCT, "orders",
        "Orders placed, by what went wrong with them; an order with two reasons counts in both.",
        _ORDER, "count()", "order_overview ARRAY JOIN reasons AS one", "placed_at", "", ("one AS reason",),
    ),
    Definition(
        "use_without_failure", "Use without failure", PRODUCT, "share of exposed customers",
        "1 - customers who failed in a bin / customers who could have failed in it, summed over bins: for service "
        "lines that have no orders.",
        "When the watermark has passed the bin (10 s)", "1 - sum(failed) / sum(exposed)", "cohort_count_latest", "bin",
        "signal = 'app'", ("line",), "sum(exposed)", ENOUGH,
    ),
    Definition(
        "contacts", "Contact cases", SERVICE, "contact cases",
        "Contact cases opened, per channel and mode (human or automatic) in which they began.",
        _CASE, "count()", "case_overview", "opened_at", per=_ACCESS,
    ),
    Definition(
        "wait", "Wait for an answer, median", SERVICE, "seconds",
        "The wait that half of the contact cases did not exceed, per channel and mode: as an event says, else from "
        "opened to answered. Waits of those who gave up count.",
        _CASE, "quantileExact(0.5)(assumeNotNull(wait_ms)) / 1000", "case_overview", "opened_at",
        "wait_ms IS NOT NULL", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "wait_p90", "Wait for an answer, 90 %", SERVICE, "seconds",
        "The wait that 9 of 10 contact cases did not exceed, per channel and mode.",
        _CASE, "quantileExact(0.9)(assumeNotNull(wait_ms)) / 1000", "case_overview", "opened_at",
        "wait_ms IS NOT NULL", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "abandon_rate", "Abandoned", SERVICE, "share of contact cases",
        "Contact cases that the customer gave up before anybody answered / contact cases, per channel and mode.",
        _CASE, "countIf(abandoned) / count()", "case_overview", "opened_at", "", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "transfer_rate", "Transferred", SERVICE, "share of contact cases",
        "Contact cases that were passed on at least once / contact cases, per channel and mode.",
        _CASE, "countIf(transfers > 0) / count()", "case_overview", "opened_at", "", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "repeat_rate", "Repeated", SERVICE, "share of contact cases",
        "Contact cases about a matter that the customer had contacted the company about in the 7 days before / contact "
        "cases, per channel and mode. The same matter: an order or subject in common, else the same given reason and "
        "line.",
        _CASE, "countIf(is_repeat) / count()", "case_overview", "opened_at", "", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "switch_rate", "Channel or mode switched", SERVICE, "share of contact cases",
        "Contact cases that were handed from automatic to human or back, or that repeat one of another channel or mode "
        "/ contact cases, per channel and mode.",
        _CASE, "countIf(switched) / count()", "case_overview", "opened_at", "", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "first_contact_resolution", "Resolved at the first contact", SERVICE, "share of contact cases",
        "First contacts about a matter that were answered and brought no further one within 7 days / first contacts "
        "that ended 7 days ago and of which it is known. In the time range: those whose 7 days ended in it.",
        _FINAL, "countIf(first_contact_resolved) / count()", "case_overview", "settled_at",
        "settled AND NOT is_repeat AND first_contact_resolved IS NOT NULL", ("channel", "mode"), least=ENOUGH,
    ),
    Definition(
        "held_so_far", "Not come back so far", SERVICE, "share of contact cases",
        "First contacts about a matter, opened in the time range, that were not given up, repeated or reopened yet / "
        "first contacts opened in it. It can only fall: pending ones count as held.",
        _CASE, "countIf(outcome NOT IN ('abandoned', 'repeated', 'reopened')) / count()", "case_overview", "opened_at",
        "NOT is_repeat", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "pending_cases", "First contacts still pending", SERVICE, "contact cases",
        "First contacts about a matter, opened in the time range, whose 7 days are not over and that nothing went "
        "wrong with yet.",
        _CASE, "count()", "case_overview", "opened_at", "NOT is_repeat AND outcome = 'pending'", _ACCESS,
    ),
    Definition(
        "time_to_resolution", "Time to resolution, median", SERVICE, "seconds",
        "Half of the contact cases opened in the time range that stand resolved took no longer, from opened to the "
        "resolution that holds.",
        _CASE, "quantileExact(0.5)(dateDiff('millisecond', opened_at, assumeNotNull(resolved_at))) / 1000",
        "case_overview", "opened_at", "resolved_at IS NOT NULL", _ACCESS, least=ENOUGH,
    ),
    Definition(
        "reopening", "Reopened", SERVICE, "share of resolved contact cases",
        "Contact cases that were reopened / contact cases that were resolved at least once.",
        _CASE, "countIf(reopened > 0) / count()", "case_overview", "opened_at", "first_resolved_at IS NOT NULL",
        _ACCESS, least=ENOUGH,
    ),
    Definition(
        "contact_reasons", "Reasons of contacts", INSIGHT, "contact cases",
        "Contact cases opened, by reason code.",
        _CASE, "count()", "case_overview", "opened_at", "",
        ("if(reason = '', 'no reason given', toString(reason)) AS reason_code",),
    ),
    Definition(
        "silent_share", "Silent share", INSIGHT, "share of affected customers",
        "Customers whom an issue hit in the time range and who did not get in touch about it / customers whom it hit. "
        "A customer hit by two issues counts twice.",
        _CASE, "countIf(contacted_at IS NULL) / count()", "affected_latest", "first_failed_at", "", ("line",),
        least=ENOUGH,
    ),
    Definition(
        "stage_failure", "Failure per stage of the journey", INSIGHT, "share of uses",
        "Events of telemetry that failed or were given up / events of telemetry, per stage of the journey and hour.",
        _USE, "sum(broken) / sum(uses)", "stage_hour", "hour", "", ("line", "stage"), "sum(uses)", ENOUGH,
    ),
    Definition(
        "stage_effort", "Effort per stage of the journey", INSIGHT, "1 (easy) to 7 (hard)",
        "Mean effort that customers stated about a contact, per stage of the journey in which they were last seen, at "
        "most a day before.",
        _CASE, "avg(assumeNotNull(effort))", EFFORT_STAGES, "opened_at", "effort IS NOT NULL", ("line", "stage"),
        least=ENOUGH,
    ),
    Definition(
        "stage_satisfaction", "Satisfaction per stage of the journey", INSIGHT, "1 (bad) to 5 (good)",
        "Mean satisfaction that customers stated about a contact, per stage of the journey in which they were last "
        "seen, at most a day before.",
        _CASE, "avg(assumeNotNull(csat))", EFFORT_STAGES, "opened_at", "csat IS NOT NULL", ("line", "stage"),
        least=ENOUGH,
    ),
    Definition(
        "stage_low", "New low of a stage", INSIGHT, "hours",
        "Hours in which a stage of the journey fails more than in any hour of the 7 days before: the lower end of its "
        "95 % interval is above the worst of them, and at least 6 of them have enough uses to compare.",
        _USE, "count()", stage_lows(), "hour", IS_LOW, ("line", "stage"),
    ),
)
"""Definitions of what the board of the customers' experience shows."""
