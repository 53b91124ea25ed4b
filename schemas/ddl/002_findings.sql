-- What the rooms found. Absolute rows: the highest ver of a key wins, so writing a row again is harmless.

CREATE TABLE IF NOT EXISTS `episode`
(
    line LowCardinality(String),
    family LowCardinality(String),
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
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (line, family, `window`, customer_id)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'One customer''s connected evidence in one hour';

CREATE TABLE IF NOT EXISTS `issue`
(
    issue_id String,
    root_id String,
    onset UInt32,
    line LowCardinality(String),
    family LowCardinality(String),
    state LowCardinality(String),
    title String,
    cause Map(LowCardinality(String), String),
    risk_ratio Float64,
    risk_ratio_low Float64,
    risk_ratio_high Float64,
    support Float64,
    exposed UInt32,
    failed UInt32,
    changes Array(String),
    opened_at DateTime64(3, 'UTC'),
    detected_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    scale_ms UInt64,
    expected Float64,
    observed Float64,
    ratio_low Float64,
    provisional Bool,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (issue_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'Something fails more than it should';

CREATE TABLE IF NOT EXISTS `issue_1m`
(
    issue_id String,
    minute DateTime64(3, 'UTC'),
    state LowCardinality(String),
    expected Float64,
    observed Float64,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (issue_id, minute)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'The last revision of each issue in each minute of event time';

CREATE TABLE IF NOT EXISTS `affected`
(
    issue_id String,
    root_id String,
    customer_id String,
    line LowCardinality(String),
    family LowCardinality(String),
    known_at DateTime64(3, 'UTC'),
    first_failed_at DateTime64(3, 'UTC'),
    last_failed_at DateTime64(3, 'UTC'),
    contacted_at Nullable(DateTime64(3, 'UTC')),
    amount_cents Int64,
    value_cents Nullable(Int64),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (issue_id, customer_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'One customer hit by one issue';

CREATE TABLE IF NOT EXISTS `affected_count`
(
    issue_id String,
    `partition` UInt32,
    line LowCardinality(String),
    family LowCardinality(String),
    `open` Bool,
    affected UInt32,
    contacted UInt32,
    silent UInt32,
    recent UInt32,
    value_cents Int64,
    valued UInt32,
    amount_cents Int64,
    as_of DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (issue_id, `partition`)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'Customers of one source partition hit by one issue';

CREATE TABLE IF NOT EXISTS `impact`
(
    issue_id String,
    line LowCardinality(String),
    family LowCardinality(String),
    affected UInt32,
    contacted UInt32,
    silent UInt32,
    at_risk_cents Int64,
    at_risk_low_cents Int64,
    at_risk_high_cents Int64,
    per_minute_cents Int64,
    service_cents Int64,
    currency LowCardinality(String),
    assumption_names Array(LowCardinality(String)),
    assumption_values Array(Float64),
    assumption_units Array(LowCardinality(String)),
    assumption_sources Array(String),
    assumption_assumed Array(Bool),
    as_of DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (issue_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'What an issue costs';

CREATE TABLE IF NOT EXISTS `impact_1m`
(
    issue_id String,
    minute DateTime64(3, 'UTC'),
    affected UInt32,
    contacted UInt32,
    silent UInt32,
    at_risk_cents Int64,
    per_minute_cents Int64,
    currency LowCardinality(String),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (issue_id, minute)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'The last figures of each issue in each minute of event time';

CREATE TABLE IF NOT EXISTS `outreach`
(
    outreach_id String,
    issue_id String,
    root_id String,
    customer_id String,
    stage LowCardinality(String),
    decision LowCardinality(String),
    reason LowCardinality(String),
    channel LowCardinality(String),
    language LowCardinality(String),
    template LowCardinality(String),
    decided_at DateTime64(3, 'UTC'),
    not_before DateTime64(3, 'UTC'),
    deadline DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (outreach_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'A decision about one customer and one issue; never an address';

CREATE TABLE IF NOT EXISTS `delivery`
(
    outreach_id String,
    issue_id String,
    customer_id String,
    stage LowCardinality(String),
    channel LowCardinality(String),
    outcome LowCardinality(String),
    reason LowCardinality(String),
    attempts UInt32,
    claimed_at DateTime64(3, 'UTC'),
    done_at Nullable(DateTime64(3, 'UTC')),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (outreach_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'What became of one decision to send';
