-- Raw copies sorted by the hour, then by offset. Sorted by the millisecond, as they were, the rows of several partitions
-- lie between each other at every merge, and each is merged by itself (docs/decisions/0006). What is there is taken
-- over, and what a worker writes meanwhile is copied after the exchange: a row written twice is one row.

DROP TABLE IF EXISTS telemetry_raw_by_hour SETTINGS max_table_size_to_drop = 0;
CREATE TABLE telemetry_raw_by_hour AS telemetry_raw
ENGINE = ReplacingMergeTree
ORDER BY (product, toStartOfHour(event_time), topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Copy of the telemetry topic, declared columns only';
INSERT INTO telemetry_raw_by_hour SELECT * FROM telemetry_raw;
EXCHANGE TABLES telemetry_raw AND telemetry_raw_by_hour;
INSERT INTO telemetry_raw SELECT * FROM telemetry_raw_by_hour WHERE ingest_time > now() - INTERVAL 1 DAY;
DROP TABLE telemetry_raw_by_hour SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS order_raw_by_hour SETTINGS max_table_size_to_drop = 0;
CREATE TABLE order_raw_by_hour AS order_raw
ENGINE = ReplacingMergeTree
ORDER BY (product, toStartOfHour(event_time), topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Copy of the order topic, declared columns only';
INSERT INTO order_raw_by_hour SELECT * FROM order_raw;
EXCHANGE TABLES order_raw AND order_raw_by_hour;
INSERT INTO order_raw SELECT * FROM order_raw_by_hour WHERE ingest_time > now() - INTERVAL 1 DAY;
DROP TABLE order_raw_by_hour SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS contact_raw_by_hour SETTINGS max_table_size_to_drop = 0;
CREATE TABLE contact_raw_by_hour AS contact_raw
ENGINE = ReplacingMergeTree
ORDER BY (product, toStartOfHour(event_time), topic, `partition`, `offset`)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'Copy of the contact topic, declared columns only, never its text';
INSERT INTO contact_raw_by_hour SELECT * FROM contact_raw;
EXCHANGE TABLES contact_raw AND contact_raw_by_hour;
INSERT INTO contact_raw SELECT * FROM contact_raw_by_hour WHERE ingest_time > now() - INTERVAL 1 DAY;
DROP TABLE contact_raw_by_hour SETTINGS max_table_size_to_drop = 0;
