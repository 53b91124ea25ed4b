-- What the definitions of the customers' experience (schemas/definitions) read. Contact cases and order outcomes come
-- from the room experience in event time, absolute: late events correct them.

-- One row per contact case. settled_at: when nothing that follows can change what became of it; figures that are known
-- early only if something went wrong are taken from cases that are settled, or they would show the bad ones alone.
CREATE OR REPLACE VIEW case_overview AS
WITH assumeNotNull((SELECT closed_through FROM event_clock)) AS clock
SELECT
    customer_id, contact_id, line, region, channel, mode, concat(channel, ' · ', mode) AS access, reason,
    opened_at, answered_at, resolved_at, first_resolved_at, wait_ms, abandoned, transfers, reopened, csat, effort,
    repeat_of != '' AS is_repeat,
    last_mode != mode OR (is_repeat AND (channel != channel_before OR mode != mode_before)) AS switched,
    outcome, first_contact_resolved,
    last_at + toIntervalDay(7) AS settled_at,
    outcome != 'pending' AND settled_at <= clock AS settled
FROM contact_case_latest;

-- One row per order, open and withdrawn ones too.
CREATE OR REPLACE VIEW order_overview AS
WITH assumeNotNull((SELECT closed_through FROM event_clock)) AS clock
SELECT
    customer_id, order_id, line, region, placed_at, done_at, failed_at, contacted_at, reasons, outcome, first_time_right,
    ifNull(done_at, placed_at) + toIntervalDay(7) AS settled_at,
    first_time_right IS NOT NULL AND settled_at <= clock AS settled
FROM order_outcome_latest;

-- Uses of a stage of the journey, one row per stored copy of an event.
CREATE OR REPLACE VIEW stage_use AS
SELECT
    product AS line, journey_stage AS stage, region, event_time, customer_id, event_id, session_id,
    CAST(outcome, 'String') != 'ok' AS broken
FROM telemetry_raw
WHERE journey_stage != '';

-- The same per hour. An event that was sent twice, or copied twice, counts once.
CREATE OR REPLACE VIEW stage_hour AS
SELECT
    line, stage, region, toStartOfHour(event_time) AS hour,
    uniqExact(customer_id, event_id) AS uses,
    uniqExactIf((customer_id, event_id), u.broken) AS broken
FROM stage_use AS u
GROUP BY line, stage, region, hour;
