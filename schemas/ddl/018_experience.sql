-- How contacts and orders went for their customers. Absolute rows: the highest ver of a key wins. The key begins with the
-- day, so that a stretch of time is found without reading everything; a row that is deleted hides the one it replaces.

CREATE TABLE IF NOT EXISTS contact_case
(
    customer_id String,
    contact_id String,
    line LowCardinality(String),
    channel LowCardinality(String),
    mode LowCardinality(String),
    last_mode LowCardinality(String),
    reason LowCardinality(String),
    language LowCardinality(String),
    region LowCardinality(String),
    order_id String,
    subject_ids Array(String),
    opened_at DateTime64(3, 'UTC'),
    last_at DateTime64(3, 'UTC'),
    answered_at Nullable(DateTime64(3, 'UTC')),
    wait_ms Nullable(UInt32),
    handle_ms Nullable(UInt32),
    abandoned Bool,
    transfers UInt32,
    first_resolved_at Nullable(DateTime64(3, 'UTC')),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    reopened UInt32,
    csat Nullable(UInt8),
    effort Nullable(UInt8),
    repeat_of String,
    channel_before LowCardinality(String),
    mode_before LowCardinality(String),
    repeated_at Nullable(DateTime64(3, 'UTC')),
    outcome LowCardinality(String),
    first_contact_resolved Nullable(Bool),
    origin LowCardinality(String),
    cut Bool,
    deleted UInt8,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver, deleted)
ORDER BY (toDate(opened_at), customer_id, contact_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'How one contact of a customer went: access, service, repeats, in event time';

CREATE TABLE IF NOT EXISTS order_outcome
(
    customer_id String,
    order_id String,
    line LowCardinality(String),
    region LowCardinality(String),
    placed_at DateTime64(3, 'UTC'),
    promised_at Nullable(DateTime64(3, 'UTC')),
    done_at Nullable(DateTime64(3, 'UTC')),
    ended LowCardinality(String),
    failed_at Nullable(DateTime64(3, 'UTC')),
    put_right_at Nullable(DateTime64(3, 'UTC')),
    contacted_at Nullable(DateTime64(3, 'UTC')),
    contacts UInt32,
    replaced_by String,
    reasons Array(LowCardinality(String)),
    outcome LowCardinality(String),
    first_time_right Nullable(Bool),
    origin LowCardinality(String),
    cut Bool,
    deleted UInt8,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver, deleted)
ORDER BY (toDate(placed_at), customer_id, order_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'How one order went: first-time-right and why not, in event time';

CREATE OR REPLACE VIEW contact_case_latest AS SELECT * FROM contact_case FINAL;
CREATE OR REPLACE VIEW order_outcome_latest AS SELECT * FROM order_outcome FINAL;
