-- Counts and the health of the streams. Absolute rows: the highest ver of a key wins. No PARTITION BY, on purpose:
-- event times come from outside, and an insert that touches too many partitions would be refused for ever.

CREATE TABLE IF NOT EXISTS `cohort_count`
(
    line LowCardinality(String),
    family LowCardinality(String),
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
ORDER BY (line, family, width_ms, bin, `partition`, `values`)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'One row per leaf cohort, bin and source partition';

CREATE TABLE IF NOT EXISTS `source_count`
(
    topic LowCardinality(String),
    source LowCardinality(String),
    bin DateTime64(3, 'UTC'),
    width_ms UInt32,
    `partition` UInt32,
    events UInt32,
    `late` UInt32,
    duplicates UInt32,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (topic, source, bin, `partition`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Events of one producer in one closed bin from one partition; a bin without events has no row';

CREATE TABLE IF NOT EXISTS `watermark`
(
    topic LowCardinality(String),
    `partition` UInt32,
    partitions UInt32,
    through DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (topic, `partition`)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'Progress of each writer; on cohort_count: all bins before it are closed';

CREATE TABLE IF NOT EXISTS `tick`
(
    room LowCardinality(String),
    `partition` UInt32,
    event_time DateTime64(3, 'UTC'),
    offsets Map(LowCardinality(String), UInt64),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (room, `partition`, event_time)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'An idle input was passed';

CREATE TABLE IF NOT EXISTS `late`
(
    topic LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    source LowCardinality(String),
    event_time DateTime64(3, 'UTC'),
    `watermark` DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'An event older than the allowed lateness: kept apart, changes nothing';

CREATE TABLE IF NOT EXISTS `dead_letter`
(
    topic LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    reason LowCardinality(String),
    field LowCardinality(String),
    rule LowCardinality(String),
    value_class LowCardinality(String),
    rejected_at DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 90 DAY
COMMENT 'Why a message was rejected; its bytes stay in the dead-letter topic';
