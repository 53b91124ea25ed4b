-- Where events and the failures in an episode come from, and when the last of an episode was put right. A view keeps the
-- columns it was made with, so that of episodes is made anew.

ALTER TABLE episode
    ADD COLUMN IF NOT EXISTS put_right_at Nullable(DateTime64(3, 'UTC')) AFTER contacts,
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'live' AFTER put_right_at;
CREATE OR REPLACE VIEW episode_latest AS SELECT * FROM episode FINAL;
ALTER TABLE telemetry_raw ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'live' AFTER source;
ALTER TABLE order_raw ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'live' AFTER source;
ALTER TABLE contact_raw ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'live' AFTER source;
