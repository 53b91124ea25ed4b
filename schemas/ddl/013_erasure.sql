-- An erased customer is a row that hides, and at the next merge replaces, every older one: a profile that is copied once
-- more does not come back. Profiles that claimed to be from the future, and so hid every later one, are left behind.

DROP TABLE IF EXISTS customer_erasable SETTINGS max_table_size_to_drop = 0;
CREATE TABLE customer_erasable
(
    customer_id String,
    updated_at DateTime64(3, 'UTC'),
    segment LowCardinality(String),
    value_cents Int64,
    language LowCardinality(String),
    time_zone LowCardinality(String),
    opted_out Bool,
    erased UInt8 DEFAULT 0,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(updated_at, erased)
ORDER BY (customer_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'Profile of one customer, without consents and addresses';
INSERT INTO customer_erasable (customer_id, updated_at, segment, value_cents, language, time_zone, opted_out, ingest_time)
    SELECT customer_id, updated_at, segment, value_cents, language, time_zone, opted_out, ingest_time FROM customer
    WHERE updated_at <= ingest_time + INTERVAL 5 MINUTE;
EXCHANGE TABLES customer AND customer_erasable;
INSERT INTO customer (customer_id, updated_at, segment, value_cents, language, time_zone, opted_out, ingest_time)
    SELECT customer_id, updated_at, segment, value_cents, language, time_zone, opted_out, ingest_time FROM customer_erasable
    WHERE ingest_time > now() - INTERVAL 1 DAY AND updated_at <= ingest_time + INTERVAL 5 MINUTE;
DROP TABLE customer_erasable SETTINGS max_table_size_to_drop = 0;
