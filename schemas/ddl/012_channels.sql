-- How each channel stands, as each partition of the sender sees it; the worst of them is what an operator has to know.

CREATE TABLE IF NOT EXISTS `channel`
(
    channel LowCardinality(String),
    `partition` UInt32,
    state LowCardinality(String),
    reason LowCardinality(String),
    since DateTime64(3, 'UTC'),
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (channel, `partition`)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'How each channel stands, as each partition of the sender sees it';
CREATE OR REPLACE VIEW channel_latest AS SELECT * FROM `channel` FINAL;
CREATE OR REPLACE VIEW channel_status AS
SELECT
    channel, multiIf(worst = 2, 'gone', worst = 1, 'accepts nothing', 'ok') AS state, why AS reason, began AS since
FROM
(
    SELECT
        channel, max(level) AS worst, argMax(reason, level) AS why,
        argMax(since, (level, -toUnixTimestamp64Milli(since))) AS began
    FROM
    (
        SELECT channel, multiIf(state = 'paused', 2, state = 'open', 1, 0) AS level, reason, since
        FROM `channel` FINAL
    )
    GROUP BY channel
);
