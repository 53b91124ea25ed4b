-- What boards ask again and again, so that a person who may read boards needs to read no table.

CREATE OR REPLACE VIEW change_latest AS SELECT * FROM `change` FINAL;
CREATE OR REPLACE VIEW command_latest AS SELECT * FROM command FINAL;
CREATE OR REPLACE VIEW known_segments AS
SELECT DISTINCT segment FROM customer FINAL WHERE segment != '';
CREATE OR REPLACE VIEW known_lines AS
SELECT DISTINCT line, signal FROM issue
UNION DISTINCT
SELECT DISTINCT line, signal FROM cohort_count WHERE bin >= (SELECT now FROM event_clock) - toIntervalDay(1);
CREATE OR REPLACE VIEW known_regions AS
SELECT DISTINCT `values`[indexOf(attributes, 'region')] AS region
FROM cohort_count
WHERE bin >= (SELECT now FROM event_clock) - toIntervalHour(6) AND has(attributes, 'region');

-- By the server's clock, because event time may be played or simulated.
CREATE OR REPLACE VIEW intake_hour AS
SELECT
    (SELECT count() FROM dead_letter FINAL WHERE rejected_at >= now() - toIntervalHour(1)) AS dead_letters,
    (
        SELECT sum(counted)
        FROM
        (
            SELECT max(events) AS counted
            FROM source_count
            WHERE ingest_time >= now() - toIntervalHour(1)
            GROUP BY topic, source, bin, `partition`
        )
    ) AS events,
    if(dead_letters = 0, 0, dead_letters / (dead_letters + events)) AS rejected;
