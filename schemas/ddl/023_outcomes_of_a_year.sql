-- Everybody who was drawn, whatever became of it later, and what they did: their first contact within 48 hours, about
-- whatever, and the first order they placed within 28 days. Raw copies are kept 30 days, too short for that: it is read
-- from how contacts and orders went, which is kept as long as decisions are. Every table is read once: times are gathered
-- per customer, of those customers only that matter.

CREATE OR REPLACE VIEW holdout_drawn AS
WITH concerned AS (SELECT customer_id FROM outreach WHERE stage = 'notice' AND isNotNull(drawn_at))
SELECT
    d.outreach_id AS outreach_id, d.root_id AS root_id, toBool(CAST(d.decision, 'String') = 'hold_out') AS held_out,
    assumeNotNull(d.drawn_at) AS drawn_at,
    arrayMin(arrayFilter(t -> t > d.drawn_at AND t <= d.drawn_at + toIntervalHour(48), c.times)) AS first_contact,
    arrayMin(arrayFilter(t -> t > d.drawn_at AND t <= d.drawn_at + toIntervalDay(28), o.times)) AS first_order,
    if(toUnixTimestamp(first_contact) = 0, NULL, first_contact) AS contacted_at,
    if(toUnixTimestamp(first_order) = 0, NULL, first_order) AS ordered_at
FROM (SELECT * FROM outreach FINAL WHERE stage = 'notice' AND isNotNull(drawn_at)) AS d
LEFT JOIN
(
    SELECT customer_id, groupArray(opened_at) AS times
    FROM contact_case FINAL
    WHERE customer_id IN concerned
    GROUP BY customer_id
) AS c ON c.customer_id = d.customer_id
LEFT JOIN
(
    SELECT customer_id, groupArray(placed_at) AS times
    FROM order_outcome FINAL
    WHERE customer_id IN concerned
    GROUP BY customer_id
) AS o ON o.customer_id = d.customer_id;

-- Every message that was delivered, with the first contact of its customer within 48 hours: about whatever, and about
-- the message itself, which a contact says by its reason or by the message's id among its subjects.
CREATE OR REPLACE VIEW message_answered AS
WITH
    ['message', 'notice', 'notification', 'unwanted_message'] AS about_messages,
    concerned AS (SELECT customer_id FROM delivery WHERE outcome = 'delivered')
SELECT
    t.outreach_id AS outreach_id, t.issue_id AS issue_id, t.stage AS stage, t.channel AS channel,
    assumeNotNull(t.done_at) AS told_at,
    arrayFilter(one -> one.1 > told_at AND one.1 <= told_at + toIntervalHour(48), c.contacts) AS answers,
    arrayFilter(one -> has(about_messages, one.2) OR has(one.3, t.outreach_id), answers) AS complaints,
    if(empty(answers), NULL, arrayMin(one -> one.1, answers)) AS contacted_at,
    if(empty(complaints), NULL, arrayMin(one -> one.1, complaints)) AS complained_at
FROM (SELECT * FROM delivery FINAL WHERE outcome = 'delivered' AND isNotNull(done_at)) AS t
LEFT JOIN
(
    SELECT customer_id, groupArray((opened_at, CAST(reason, 'String'), subject_ids)) AS contacts
    FROM contact_case FINAL
    WHERE customer_id IN concerned
    GROUP BY customer_id
) AS c ON c.customer_id = t.customer_id;
