-- The company's own dimensions of an event, and what a contact is about besides one order. Rows of older events have none.

ALTER TABLE telemetry_raw ADD COLUMN IF NOT EXISTS attributes Map(LowCardinality(String), String) AFTER arrived_at;
ALTER TABLE order_raw ADD COLUMN IF NOT EXISTS attributes Map(LowCardinality(String), String) AFTER arrived_at;
ALTER TABLE contact_raw ADD COLUMN IF NOT EXISTS attributes Map(LowCardinality(String), String) AFTER arrived_at;
ALTER TABLE contact_raw ADD COLUMN IF NOT EXISTS subject_ids Array(String) AFTER order_id;
