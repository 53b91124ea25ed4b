-- Whether a failure was put right for its customer, where it comes from, when an issue was shown and why it ended.
-- A view keeps the columns it was made with, so those of these tables are made anew.

ALTER TABLE affected
    ADD COLUMN IF NOT EXISTS put_right_at Nullable(DateTime64(3, 'UTC')) AFTER value_cents,
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'live' AFTER put_right_at;
ALTER TABLE issue
    ADD COLUMN IF NOT EXISTS shown_at Nullable(DateTime64(3, 'UTC')) AFTER resolved_at,
    ADD COLUMN IF NOT EXISTS end_reason LowCardinality(String) AFTER shown_at;
CREATE OR REPLACE VIEW affected_latest AS SELECT * FROM affected FINAL;
CREATE OR REPLACE VIEW issue_latest AS SELECT * FROM issue FINAL;
