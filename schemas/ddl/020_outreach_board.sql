-- When each customer was drawn, and what the board of outreach reads of budgets and opt-outs, without customers' tokens.
-- A view keeps the columns it was made with, so that of decisions is made anew.

ALTER TABLE outreach ADD COLUMN IF NOT EXISTS drawn_at Nullable(DateTime64(3, 'UTC')) AFTER deadline;
CREATE OR REPLACE VIEW outreach_latest AS SELECT * FROM outreach FINAL;

-- What counts against the contact budget: messages that reached their customer, or may have. One row per customer, told
-- apart by a number that means nothing outside of it.
CREATE OR REPLACE VIEW budget_charge AS
SELECT cityHash64(customer_id) AS customer, issue_id, stage, channel, claimed_at
FROM delivery FINAL
WHERE outcome IN ('claimed', 'delivered', 'unknown');

CREATE OR REPLACE VIEW opted_out AS
SELECT updated_at, segment FROM customer FINAL WHERE opted_out;
