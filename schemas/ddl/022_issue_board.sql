-- What the board of one issue reads besides the findings: profiles without the erased, and the minutes of an issue.

CREATE OR REPLACE VIEW customer_latest AS
SELECT customer_id, updated_at, segment, value_cents, language, time_zone, opted_out FROM customer FINAL;
CREATE OR REPLACE VIEW issue_1m_latest AS SELECT * FROM issue_1m FINAL;

-- One row per issue and stream that says something about it. Of an issue whose streams were not asked, the stream of its
-- own signal, with what the detector counted there.
CREATE OR REPLACE VIEW issue_evidence AS
SELECT
    issue_id, said.1 AS topic, said.2 AS signal, said.3 AS since, said.4 AS expected, said.5 AS observed, asked
FROM
(
    SELECT
        issue_id, notEmpty(evidence_topics) AS asked,
        arrayJoin(if(asked,
            arrayMap((topic, what, since, expected, observed) -> (topic, what, since, expected, observed),
                arrayMap(x -> CAST(x, 'String'), evidence_topics), arrayMap(x -> CAST(x, 'String'), evidence_signals),
                evidence_since, evidence_expected, evidence_observed),
            [(
                multiIf(signal = 'app', 'telemetry', signal IN ('payment', 'delivery'), 'order', signal = 'contact', 'contact', ''),
                CAST(signal, 'String'), opened_at, expected, observed)])) AS said
    FROM issue FINAL
);
