-- `signal`, a name of an open catalogue, in place of `family`. A column of a sorting key cannot be renamed, so the two
-- tables that have it in theirs are made anew and filled from the old ones; COLUMNS() finds it under either name, so that
-- all of this can be run again after an interruption. A view keeps the columns it was made with, so they are made anew.

DROP TABLE IF EXISTS cohort_count_by_signal SETTINGS max_table_size_to_drop = 0;
CREATE TABLE cohort_count_by_signal
(
    line LowCardinality(String),
    signal LowCardinality(String),
    bin DateTime64(3, 'UTC'),
    width_ms UInt32,
    `partition` UInt32,
    attributes Array(LowCardinality(String)),
    `values` Array(String),
    exposed UInt32,
    failed UInt32,
    closed Bool,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (line, signal, width_ms, bin, `partition`, `values`)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'One row per leaf cohort, bin and source partition';
INSERT INTO cohort_count_by_signal (line, signal, bin, width_ms, `partition`, attributes, `values`, exposed, failed, closed, ver, ingest_time)
    SELECT line, COLUMNS('^(family|signal)$'), bin, width_ms, `partition`, attributes, `values`, exposed, failed, closed, ver, ingest_time
    FROM cohort_count;
EXCHANGE TABLES cohort_count AND cohort_count_by_signal;
INSERT INTO cohort_count (line, signal, bin, width_ms, `partition`, attributes, `values`, exposed, failed, closed, ver, ingest_time)
    SELECT line, COLUMNS('^(family|signal)$'), bin, width_ms, `partition`, attributes, `values`, exposed, failed, closed, ver, ingest_time
    FROM cohort_count_by_signal
    WHERE ingest_time > now() - INTERVAL 1 DAY;
DROP TABLE cohort_count_by_signal SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS episode_by_signal SETTINGS max_table_size_to_drop = 0;
CREATE TABLE episode_by_signal
(
    line LowCardinality(String),
    signal LowCardinality(String),
    `window` DateTime64(3, 'UTC'),
    customer_id String,
    attributes Array(LowCardinality(String)),
    leaves Array(Array(String)),
    first_failed_at DateTime64(3, 'UTC'),
    last_failed_at DateTime64(3, 'UTC'),
    failures UInt32,
    evidence Array(String),
    amount_cents Int64,
    contacted_at Nullable(DateTime64(3, 'UTC')),
    contacts UInt32,
    put_right_at Nullable(DateTime64(3, 'UTC')),
    origin LowCardinality(String) DEFAULT 'live',
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (line, signal, `window`, customer_id)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'One customer''s connected evidence in one hour';
INSERT INTO episode_by_signal (line, signal, `window`, customer_id, attributes, leaves, first_failed_at, last_failed_at, failures, evidence, amount_cents, contacted_at, contacts, put_right_at, origin, ver, ingest_time)
    SELECT line, COLUMNS('^(family|signal)$'), `window`, customer_id, attributes, leaves, first_failed_at, last_failed_at, failures, evidence, amount_cents, contacted_at, contacts, put_right_at, origin, ver, ingest_time
    FROM episode;
EXCHANGE TABLES episode AND episode_by_signal;
INSERT INTO episode (line, signal, `window`, customer_id, attributes, leaves, first_failed_at, last_failed_at, failures, evidence, amount_cents, contacted_at, contacts, put_right_at, origin, ver, ingest_time)
    SELECT line, COLUMNS('^(family|signal)$'), `window`, customer_id, attributes, leaves, first_failed_at, last_failed_at, failures, evidence, amount_cents, contacted_at, contacts, put_right_at, origin, ver, ingest_time
    FROM episode_by_signal
    WHERE ingest_time > now() - INTERVAL 1 DAY;
DROP TABLE episode_by_signal SETTINGS max_table_size_to_drop = 0;

ALTER TABLE affected RENAME COLUMN IF EXISTS family TO signal;
ALTER TABLE affected_count RENAME COLUMN IF EXISTS family TO signal;
ALTER TABLE impact RENAME COLUMN IF EXISTS family TO signal;
ALTER TABLE issue RENAME COLUMN IF EXISTS family TO signal;
ALTER TABLE issue
    ADD COLUMN IF NOT EXISTS element LowCardinality(String) AFTER provisional,
    ADD COLUMN IF NOT EXISTS severity LowCardinality(String) DEFAULT 'medium' AFTER element,
    ADD COLUMN IF NOT EXISTS evidence_topics Array(LowCardinality(String)) AFTER severity,
    ADD COLUMN IF NOT EXISTS evidence_signals Array(LowCardinality(String)) AFTER evidence_topics,
    ADD COLUMN IF NOT EXISTS evidence_since Array(DateTime64(3, 'UTC')) AFTER evidence_signals,
    ADD COLUMN IF NOT EXISTS evidence_expected Array(Float64) AFTER evidence_since,
    ADD COLUMN IF NOT EXISTS evidence_observed Array(Float64) AFTER evidence_expected;

CREATE OR REPLACE VIEW cohort_count_latest AS SELECT * FROM cohort_count FINAL;
CREATE OR REPLACE VIEW episode_latest AS SELECT * FROM episode FINAL;
CREATE OR REPLACE VIEW issue_latest AS SELECT * FROM issue FINAL;
CREATE OR REPLACE VIEW affected_latest AS SELECT * FROM affected FINAL;
CREATE OR REPLACE VIEW affected_count_latest AS SELECT * FROM affected_count FINAL;
CREATE OR REPLACE VIEW impact_latest AS SELECT * FROM impact FINAL;

-- One row per issue. Impact is behind match by one step; until it has spoken, the counts come from match itself.
CREATE OR REPLACE VIEW issue_overview AS
SELECT
    i.issue_id AS issue_id, i.root_id AS root_id, i.onset AS onset, i.line AS line, i.signal AS signal,
    i.state AS state, toBool(CAST(i.state, 'String') IN ('open', 'escalating', 'recovering', 'regressed')) AS active, i.title AS title,
    if(i.onset > 1, concat(i.title, ' (', toString(i.onset), ')'), i.title) AS label, i.cause AS cause,
    if(empty(i.cause), 'the whole service line',
        arrayStringConcat(arrayMap((k, v) -> concat(k, ' = ', v), mapKeys(i.cause), mapValues(i.cause)), ', ')) AS cause_text,
    i.risk_ratio AS risk_ratio, i.risk_ratio_low AS risk_ratio_low,
    i.risk_ratio_high AS risk_ratio_high, i.support AS support, i.exposed AS exposed, i.failed AS failed,
    i.changes AS changes, i.opened_at AS opened_at, i.detected_at AS detected_at, i.updated_at AS updated_at,
    i.resolved_at AS resolved_at, i.shown_at AS shown_at, i.end_reason AS end_reason, i.element AS element,
    i.severity AS severity, i.expected AS expected, i.observed AS observed, i.provisional AS provisional,
    if(p.issue_id = '', toUInt64(c.affected), toUInt64(p.affected)) AS affected,
    if(p.issue_id = '', toUInt64(c.contacted), toUInt64(p.contacted)) AS contacted,
    if(p.issue_id = '', toUInt64(c.silent), toUInt64(p.silent)) AS silent,
    p.at_risk_cents AS at_risk_cents, p.at_risk_low_cents AS at_risk_low_cents,
    p.at_risk_high_cents AS at_risk_high_cents, p.per_minute_cents AS per_minute_cents,
    p.service_cents AS service_cents, p.currency AS currency, p.assumption_names AS assumption_names,
    p.assumption_values AS assumption_values, p.assumption_units AS assumption_units,
    p.assumption_sources AS assumption_sources, p.assumption_assumed AS assumption_assumed
FROM issue AS i FINAL
LEFT JOIN impact AS p FINAL ON p.issue_id = i.issue_id
LEFT JOIN
(
    SELECT issue_id, sum(affected) AS affected, sum(contacted) AS contacted, sum(silent) AS silent
    FROM affected_count FINAL
    GROUP BY issue_id
) AS c ON c.issue_id = i.issue_id;
