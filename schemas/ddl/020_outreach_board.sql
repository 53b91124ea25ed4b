-- When each customer was drawn, and what the board of outreach reads: views without customers' tokens. A view keeps the
-- columns it was made with, so that of decisions is made anew.

ALTER TABLE outreach ADD COLUMN IF NOT EXISTS drawn_at Nullable(DateTime64(3, 'UTC')) AFTER deadline;
CREATE OR REPLACE VIEW outreach_latest AS SELECT * FROM outreach FINAL;

-- Everybody who was drawn, whatever became of it later. Their first contact within 48 hours of the draw counts, about
-- whatever, on whatever channel, and the first order they placed within 28 days.
CREATE OR REPLACE VIEW holdout_drawn AS
WITH drawn AS
(
    SELECT
        outreach_id, root_id, customer_id, toBool(CAST(decision, 'String') = 'hold_out') AS held_out,
        assumeNotNull(drawn_at) AS at
    FROM outreach FINAL
    WHERE stage = 'notice' AND drawn_at IS NOT NULL
)
SELECT
    d.outreach_id AS outreach_id, d.root_id AS root_id, d.held_out AS held_out, d.at AS drawn_at,
    c.first_at AS contacted_at, o.first_at AS ordered_at
FROM drawn AS d
LEFT JOIN
(
    SELECT p.outreach_id AS outreach_id, toNullable(min(e.event_time)) AS first_at
    FROM contact_raw AS e
    INNER JOIN drawn AS p ON p.customer_id = e.customer_id
    WHERE e.status = 'opened' AND e.event_time > p.at AND e.event_time <= p.at + toIntervalHour(48)
    GROUP BY outreach_id
) AS c ON c.outreach_id = d.outreach_id
LEFT JOIN
(
    SELECT p.outreach_id AS outreach_id, toNullable(min(e.event_time)) AS first_at
    FROM order_raw AS e
    INNER JOIN drawn AS p ON p.customer_id = e.customer_id
    WHERE e.status = 'placed' AND e.event_time > p.at AND e.event_time <= p.at + toIntervalDay(28)
    GROUP BY outreach_id
) AS o ON o.outreach_id = d.outreach_id;

-- Every message that was delivered, with the first contact of its customer within 48 hours: about whatever, and about
-- the message itself, which a contact says by its reason or by the message's id among its subjects.
CREATE OR REPLACE VIEW message_answered AS
WITH told AS
(
    SELECT outreach_id, issue_id, customer_id, stage, channel, assumeNotNull(done_at) AS told_at
    FROM delivery FINAL
    WHERE outcome = 'delivered' AND done_at IS NOT NULL
)
SELECT
    t.outreach_id AS outreach_id, t.issue_id AS issue_id, t.stage AS stage, t.channel AS channel, t.told_at AS told_at,
    c.first_at AS contacted_at, c.first_named_at AS complained_at
FROM told AS t
LEFT JOIN
(
    SELECT
        p.outreach_id AS outreach_id, toNullable(min(e.event_time)) AS first_at,
        minOrNullIf(e.event_time, e.reason IN ('message', 'notice', 'notification', 'unwanted_message')
            OR has(e.subject_ids, p.outreach_id)) AS first_named_at
    FROM contact_raw AS e
    INNER JOIN told AS p ON p.customer_id = e.customer_id
    WHERE e.status = 'opened' AND e.event_time > p.told_at AND e.event_time <= p.told_at + toIntervalHour(48)
    GROUP BY outreach_id
) AS c ON c.outreach_id = t.outreach_id;

-- What counts against the contact budget: messages that reached their customer, or may have. One row per customer, told
-- apart by a number that means nothing outside of it.
CREATE OR REPLACE VIEW budget_charge AS
SELECT cityHash64(customer_id) AS customer, issue_id, stage, channel, claimed_at
FROM delivery FINAL
WHERE outcome IN ('claimed', 'delivered', 'unknown');

CREATE OR REPLACE VIEW opted_out AS
SELECT updated_at, segment FROM customer FINAL WHERE opted_out;
