-- When the company received an event, where the event says so: it may lie before its place in the topic.

ALTER TABLE telemetry_raw ADD COLUMN IF NOT EXISTS arrived_at Nullable(DateTime64(3, 'UTC')) AFTER origin;
ALTER TABLE order_raw ADD COLUMN IF NOT EXISTS arrived_at Nullable(DateTime64(3, 'UTC')) AFTER origin;
ALTER TABLE contact_raw ADD COLUMN IF NOT EXISTS arrived_at Nullable(DateTime64(3, 'UTC')) AFTER origin;
