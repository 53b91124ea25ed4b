-- Copies of the input topics, declared columns only: no free text, no addresses, no consents. The key of a raw copy
-- ends in (topic, partition, offset), so a message that is copied twice is one row.

CREATE TABLE IF NOT EXISTS `telemetry_raw`
(
    product LowCardinality(String),
    event_time DateTime64(3, 'UTC'),
    event_id String,
    customer_id String,
    source LowCardinality(String),
    component LowCardinality(String),
    app_version LowCardinality(String),
    platform LowCardinality(String),
    region LowCardinality(String),
    device_model LowCardinality(String),
    firmware LowCardinality(String),
    event_name LowCardinality(String),
    outcome LowCardinality(String),
    error_code LowCardinality(String),
    latency_ms Nullable(Float64),
    session_id String,
    journey_stage LowCardinality(String),
    topic LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (product, event_time, topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Copy of the telemetry topic, declared columns only';

CREATE TABLE IF NOT EXISTS `order_raw`
(
    product LowCardinality(String),
    event_time DateTime64(3, 'UTC'),
    event_id String,
    customer_id String,
    source LowCardinality(String),
    order_id String,
    status LowCardinality(String),
    sku String,
    amount_cents Int64,
    currency LowCardinality(String),
    payment_provider LowCardinality(String),
    payment_method LowCardinality(String),
    carrier LowCardinality(String),
    warehouse LowCardinality(String),
    region LowCardinality(String),
    promised_at Nullable(DateTime64(3, 'UTC')),
    cancelled_by LowCardinality(String),
    error_code LowCardinality(String),
    topic LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (product, event_time, topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Copy of the order topic, declared columns only';

CREATE TABLE IF NOT EXISTS `contact_raw`
(
    product LowCardinality(String),
    event_time DateTime64(3, 'UTC'),
    event_id String,
    customer_id String,
    source LowCardinality(String),
    contact_id String,
    status LowCardinality(String),
    channel LowCardinality(String),
    mode LowCardinality(String),
    reason LowCardinality(String),
    language LowCardinality(String),
    region LowCardinality(String),
    order_id String,
    wait_ms Nullable(Float64),
    handle_ms Nullable(Float64),
    csat Nullable(UInt8),
    effort Nullable(UInt8),
    topic LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (product, event_time, topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Copy of the contact topic, declared columns only, never its text';

CREATE TABLE IF NOT EXISTS `customer`
(
    customer_id String,
    updated_at DateTime64(3, 'UTC'),
    segment LowCardinality(String),
    value_cents Int64,
    language LowCardinality(String),
    time_zone LowCardinality(String),
    opted_out Bool,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (customer_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'Profile of one customer, without consents and addresses';

CREATE TABLE IF NOT EXISTS `change`
(
    change_id String,
    changed_at DateTime64(3, 'UTC'),
    change_kind LowCardinality(String),
    product LowCardinality(String),
    attributes Map(LowCardinality(String), String),
    title String,
    `offset` UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (change_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'Something the company changed';

CREATE TABLE IF NOT EXISTS `command`
(
    command_id String,
    issued_at DateTime64(3, 'UTC'),
    action LowCardinality(String),
    issue_id String,
    actor LowCardinality(String),
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (command_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'An operator''s order, without its free-text reason';
