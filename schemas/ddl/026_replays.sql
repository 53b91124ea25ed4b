-- Which replays fill databases beside this one (docs/decisions/0037-shadow-databases.md). In a database that a replay
-- fills, the row with `own` = 1 says which one it is; the live database has no such row.
CREATE TABLE IF NOT EXISTS replay
(
    name String,
    database String,
    own Bool,
    mark String,
    made_at DateTime64(3, 'UTC'),
    source String,
    configuration String,
    from_at DateTime64(3, 'UTC'),
    to_at DateTime64(3, 'UTC'),
    `rows` UInt64,
    state LowCardinality(String),
    dropped UInt8,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver, dropped)
ORDER BY (name)
TTL toDateTime(ingest_time) + INTERVAL 3650 DAY
COMMENT 'A replay that fills a database beside the live one';

CREATE OR REPLACE VIEW replay_ready AS
SELECT
    name, database, concat('replay ', name) AS label, made_at, source, configuration, from_at, to_at, `rows`
FROM replay FINAL
WHERE state = 'ready' AND NOT own;

CREATE OR REPLACE VIEW replay_shown AS
SELECT
    count() > 0 AS is_replay, any(r.state) AS state, any(r.source) AS source, any(r.configuration) AS configuration,
    any(r.from_at) AS from_at, any(r.to_at) AS to_at,
    if(is_replay, concat('Replay ', any(r.name), ' of ', any(r.source)), '') AS words
FROM replay AS r FINAL
WHERE r.own;
