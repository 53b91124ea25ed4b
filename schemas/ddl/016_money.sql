-- Money per currency, in the currency's minor units. Amounts of orders had no currency: of old rows they stay in hundredths
-- of an empty one, the company's own. Figures had one: they are turned into its minor units. The old columns are added
-- again first, so that this can be run once more from wherever it ended.

ALTER TABLE episode
    ADD COLUMN IF NOT EXISTS amount_cents Int64,
    ADD COLUMN IF NOT EXISTS amounts Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER evidence;
ALTER TABLE episode UPDATE amounts = [('', amount_cents)] WHERE amount_cents > 0 SETTINGS mutations_sync = 1;
ALTER TABLE episode DROP COLUMN amount_cents;

ALTER TABLE affected
    ADD COLUMN IF NOT EXISTS amount_cents Int64,
    ADD COLUMN IF NOT EXISTS amounts Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER contacted_at;
ALTER TABLE affected UPDATE amounts = [('', amount_cents)] WHERE amount_cents > 0 SETTINGS mutations_sync = 1;
ALTER TABLE affected DROP COLUMN amount_cents;

ALTER TABLE affected_count
    ADD COLUMN IF NOT EXISTS amount_cents Int64,
    ADD COLUMN IF NOT EXISTS amounts Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER valued;
ALTER TABLE affected_count UPDATE amounts = [('', amount_cents)] WHERE amount_cents > 0 SETTINGS mutations_sync = 1;
ALTER TABLE affected_count DROP COLUMN amount_cents;

ALTER TABLE impact
    ADD COLUMN IF NOT EXISTS at_risk_cents Int64,
    ADD COLUMN IF NOT EXISTS at_risk_low_cents Int64,
    ADD COLUMN IF NOT EXISTS at_risk_high_cents Int64,
    ADD COLUMN IF NOT EXISTS per_minute_cents Int64,
    ADD COLUMN IF NOT EXISTS service_cents Int64,
    ADD COLUMN IF NOT EXISTS currency LowCardinality(String),
    ADD COLUMN IF NOT EXISTS minor_per_cent Int64 DEFAULT multiIf(
        currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'), 10, currency IN ('CLF', 'UYW'), 100, 1),
    ADD COLUMN IF NOT EXISTS cents_per_minor Int64 DEFAULT if(
        currency IN ('BIF', 'BYR', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND',
            'VUV', 'XAF', 'XOF', 'XPF'), 100, 1),
    ADD COLUMN IF NOT EXISTS at_risk Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER silent,
    ADD COLUMN IF NOT EXISTS at_risk_low Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER at_risk,
    ADD COLUMN IF NOT EXISTS at_risk_high Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER at_risk_low,
    ADD COLUMN IF NOT EXISTS per_minute Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER at_risk_high,
    ADD COLUMN IF NOT EXISTS service Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER per_minute,
    ADD COLUMN IF NOT EXISTS amounts Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER service;
ALTER TABLE impact UPDATE
    at_risk = [(currency, toInt64(floor((at_risk_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))],
    at_risk_low = [(currency, toInt64(floor((at_risk_low_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))],
    at_risk_high = [(currency, toInt64(floor((at_risk_high_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))],
    per_minute = [(currency, toInt64(floor((per_minute_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))],
    service = [(currency, toInt64(floor((service_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))]
WHERE currency != '' SETTINGS mutations_sync = 1;
ALTER TABLE impact DROP COLUMN minor_per_cent, DROP COLUMN cents_per_minor;
ALTER TABLE impact
    DROP COLUMN at_risk_cents, DROP COLUMN at_risk_low_cents, DROP COLUMN at_risk_high_cents,
    DROP COLUMN per_minute_cents, DROP COLUMN service_cents, DROP COLUMN currency;

ALTER TABLE impact_1m
    ADD COLUMN IF NOT EXISTS at_risk_cents Int64,
    ADD COLUMN IF NOT EXISTS per_minute_cents Int64,
    ADD COLUMN IF NOT EXISTS currency LowCardinality(String),
    ADD COLUMN IF NOT EXISTS minor_per_cent Int64 DEFAULT multiIf(
        currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'), 10, currency IN ('CLF', 'UYW'), 100, 1),
    ADD COLUMN IF NOT EXISTS cents_per_minor Int64 DEFAULT if(
        currency IN ('BIF', 'BYR', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND',
            'VUV', 'XAF', 'XOF', 'XPF'), 100, 1),
    ADD COLUMN IF NOT EXISTS at_risk Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER silent,
    ADD COLUMN IF NOT EXISTS per_minute Array(Tuple(currency LowCardinality(String), minor Int64)) AFTER at_risk;
ALTER TABLE impact_1m UPDATE
    at_risk = [(currency, toInt64(floor((at_risk_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))],
    per_minute = [(currency, toInt64(floor((per_minute_cents * minor_per_cent + intDiv(cents_per_minor, 2)) / cents_per_minor)))]
WHERE currency != '' SETTINGS mutations_sync = 1;
ALTER TABLE impact_1m DROP COLUMN minor_per_cent, DROP COLUMN cents_per_minor;
ALTER TABLE impact_1m DROP COLUMN at_risk_cents, DROP COLUMN per_minute_cents, DROP COLUMN currency;

CREATE OR REPLACE VIEW episode_latest AS SELECT * FROM episode FINAL;
CREATE OR REPLACE VIEW affected_latest AS SELECT * FROM affected FINAL;
CREATE OR REPLACE VIEW affected_count_latest AS SELECT * FROM affected_count FINAL;
CREATE OR REPLACE VIEW impact_latest AS SELECT * FROM impact FINAL;

-- One row per issue. Impact is behind match by one step; until it has spoken, the counts come from match itself.
CREATE OR REPLACE VIEW issue_overview AS
SELECT
    i.issue_id AS issue_id, i.root_id AS root_id, i.onset AS onset, i.line AS line, i.signal AS signal,
    i.state AS state, toBool(CAST(i.state, 'String') IN ('open', 'escalating', 'recovering', 'regressed')) AS active, i.title AS title,
    if(i.onset > 1, concat(i.title, ' (', toString(i.onset), ')'), i.title) AS label, i.cause AS cause,
    if(empty(i.cause), 'the whole service line',
        arrayStringConcat(arrayMap((k, v) -> concat(k, ' = ', v), mapKeys(i.cause), mapValues(i.cause)), ', ')) AS cause_text,
    i.risk_ratio AS risk_ratio, i.risk_ratio_low AS risk_ratio_low,
    i.risk_ratio_high AS risk_ratio_high, i.support AS support, i.exposed AS exposed, i.failed AS failed,
    i.changes AS changes, i.opened_at AS opened_at, i.detected_at AS detected_at, i.updated_at AS updated_at,
    i.resolved_at AS resolved_at, i.shown_at AS shown_at, i.end_reason AS end_reason, i.element AS element,
    i.severity AS severity, i.expected AS expected, i.observed AS observed, i.provisional AS provisional,
    if(p.issue_id = '', toUInt64(c.affected), toUInt64(p.affected)) AS affected,
    if(p.issue_id = '', toUInt64(c.contacted), toUInt64(p.contacted)) AS contacted,
    if(p.issue_id = '', toUInt64(c.silent), toUInt64(p.silent)) AS silent,
    p.at_risk AS at_risk, p.at_risk_low AS at_risk_low, p.at_risk_high AS at_risk_high, p.per_minute AS per_minute,
    p.service AS service, p.amounts AS amounts, p.assumption_names AS assumption_names,
    p.assumption_values AS assumption_values, p.assumption_units AS assumption_units,
    p.assumption_sources AS assumption_sources, p.assumption_assumed AS assumption_assumed
FROM issue AS i FINAL
LEFT JOIN impact AS p FINAL ON p.issue_id = i.issue_id
LEFT JOIN
(
    SELECT issue_id, sum(affected) AS affected, sum(contacted) AS contacted, sum(silent) AS silent
    FROM affected_count FINAL
    GROUP BY issue_id
) AS c ON c.issue_id = i.issue_id;
