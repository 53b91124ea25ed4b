-- Drills (schemas/drills.py) are shown as such and are in no sum: an issue on a line of theirs is `drill`, its title begins
-- with the word, and it is `ongoing`, but never `active`, which is what figures and alerts ask for.

CREATE OR REPLACE VIEW known_lines AS
SELECT DISTINCT line, signal FROM issue WHERE NOT startsWith(line, 'cx.drill.')
UNION DISTINCT
SELECT DISTINCT line, signal
FROM cohort_count
WHERE bin >= (SELECT now FROM event_clock) - toIntervalDay(1) AND NOT startsWith(line, 'cx.drill.');

CREATE OR REPLACE VIEW known_regions AS
SELECT DISTINCT `values`[indexOf(attributes, 'region')] AS region
FROM cohort_count
WHERE bin >= (SELECT now FROM event_clock) - toIntervalHour(6) AND has(attributes, 'region')
    AND NOT startsWith(line, 'cx.drill.');

-- One row per issue. Impact is behind match by one step; until it has spoken, the counts come from match itself. Titles
-- and causes that detect made are put into words; schemas/wordlists.py has the same ones.
CREATE OR REPLACE VIEW issue_overview AS
WITH
    ['component', 'app_version', 'platform', 'device_model', 'firmware', 'payment_provider',
     'payment_method', 'carrier', 'warehouse', 'channel', 'region'] AS named,
    ['in component {}', 'in app version {}', 'on {}', 'on device {}', 'with firmware {}',
     'at payment provider {}', 'with payment method {}', 'with carrier {}', 'at warehouse {}',
     'on channel {}', 'in {}'] AS places
SELECT
    i.issue_id AS issue_id, i.root_id AS root_id, i.onset AS onset, i.line AS line, i.signal AS signal,
    i.state AS state, toBool(startsWith(CAST(i.line, 'String'), 'cx.drill.')) AS drill,
    toBool(CAST(i.state, 'String') IN ('open', 'escalating', 'recovering', 'regressed')) AS ongoing,
    toBool(ongoing AND NOT drill) AS active,
    concat(if(drill, 'DRILL: ', ''), i.title) AS title,
    arraySort(pair -> (if(has(named, pair.1), indexOf(named, pair.1), 1000), pair.1),
        arrayZip(mapKeys(i.cause), mapValues(i.cause))) AS pairs,
    if(empty(i.cause), concat('everywhere in ', i.line), arrayStringConcat(arrayMap(
        pair -> replaceOne(
            transform(CAST(pair.1, 'String'), named, places, concat('where ', replaceAll(pair.1, '_', ' '), ' is {}')),
            '{}', pair.2),
        pairs), ' ')) AS cause_text,
    transform(CAST(i.signal, 'String'), ['app', 'payment', 'delivery', 'contact'],
        ['App fails', 'Payments fail', 'Deliveries are late', 'Customers report problems'],
        replaceAll(i.signal, '_', ' ')) AS what_fails,
    concat(
        if(drill, 'DRILL: ', ''),
        if(i.title LIKE '%: %=%' OR i.title LIKE '%: everywhere in %', concat(what_fails, ' ', cause_text), i.title))
        AS readable_title,
    concat(substring(i.issue_id, 1, 10), ' ', readable_title, if(i.onset > 1, concat(' (', toString(i.onset), ')'), ''))
        AS label,
    i.cause AS cause,
    transform(CAST(i.signal, 'String'), ['app', 'payment', 'delivery', 'contact'],
        ['product engineering', 'payments', 'logistics', 'customer service'], '') AS owner,
    i.risk_ratio AS risk_ratio, i.risk_ratio_low AS risk_ratio_low,
    i.risk_ratio_high AS risk_ratio_high, i.support AS support, i.exposed AS exposed, i.failed AS failed,
    if(i.exposed > 0, i.expected / i.exposed, NULL) AS usual_rate,
    if(empty(i.evidence_topics),
        concat(toString(i.observed), ' failures where ', toString(round(i.expected, 1)), ' are usual'),
        arrayStringConcat(arrayMap(
            (topic, signal, expected, observed) -> concat(
                topic, ' (', replaceAll(signal, '_', ' '), '): ', toString(observed), ' where ',
                toString(round(expected, 1)), ' are usual'),
            i.evidence_topics, i.evidence_signals, i.evidence_expected, i.evidence_observed), '; ')) AS evidence,
    i.changes AS changes, i.opened_at AS opened_at, i.detected_at AS detected_at, i.updated_at AS updated_at,
    i.resolved_at AS resolved_at, i.shown_at AS shown_at, i.end_reason AS end_reason, i.element AS element,
    i.severity AS severity, i.expected AS expected, i.observed AS observed, i.provisional AS provisional,
    if(p.issue_id = '', toUInt64(c.affected), toUInt64(p.affected)) AS affected,
    if(p.issue_id = '', toUInt64(c.contacted), toUInt64(p.contacted)) AS contacted,
    if(p.issue_id = '', toUInt64(c.silent), toUInt64(p.silent)) AS silent,
    p.at_risk AS at_risk, p.at_risk_low AS at_risk_low, p.at_risk_high AS at_risk_high, p.per_minute AS per_minute,
    p.service AS service, p.amounts AS amounts, p.assumption_names AS assumption_names,
    p.assumption_values AS assumption_values, p.assumption_units AS assumption_units,
    p.assumption_sources AS assumption_sources, p.assumption_assumed AS assumption_assumed,
    multiIf(p.issue_id = '', '', has(p.assumption_assumed, true), 'assumed', 'measured') AS money_basis,
    if(p.issue_id = '', NULL, p.as_of) AS figures_as_of
FROM issue AS i FINAL
LEFT JOIN impact AS p FINAL ON p.issue_id = i.issue_id
LEFT JOIN
(
    SELECT issue_id, sum(affected) AS affected, sum(contacted) AS contacted, sum(silent) AS silent
    FROM affected_count FINAL
    GROUP BY issue_id
) AS c ON c.issue_id = i.issue_id;

-- What a board of operations says about each issue that is going on or ended in the last 40 days of event time, and in
-- every row the totals over the active ones, so that figures and rows are of one answer. Customers are counted from
-- their own rows, and in the totals once, however many issues hit them; money is added up per currency from the rows.
-- The totals are subqueries of their own, not windows, so that a filter on issue_id reaches the tables.
CREATE OR REPLACE VIEW issue_board AS
WITH
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    (column -> arrayMap(
        name -> (name, arraySum(one -> if(one.currency = name, one.minor, 0), column))
            ::Tuple(currency String, minor Int64),
        arraySort(arrayDistinct(arrayMap(one -> CAST(one.currency, 'String'), column))))) AS added,
    (n -> concat(toString(n), if(n = 1, ' notice', ' notices'))) AS notices,
    shown AS
    (
        SELECT
            issue_id,
            CAST(state, 'String') IN ('open', 'escalating', 'recovering', 'regressed')
                AND NOT startsWith(CAST(line, 'String'), 'cx.drill.') AS active
        FROM issue FINAL
        WHERE state != 'suspected' AND (resolved_at IS NULL OR resolved_at >= newest - toIntervalDay(40))
    ),
    (
        SELECT (uniqExact(customer_id), uniqExactIf(customer_id, contacted_at IS NOT NULL))
        FROM affected FINAL
        WHERE issue_id IN (SELECT issue_id FROM shown WHERE active)
    ) AS hit_now,
    (
        SELECT (minOrNull(as_of), groupArrayArray(at_risk), groupArrayArray(at_risk_low), groupArrayArray(at_risk_high),
            groupArrayArray(per_minute))
        FROM impact FINAL
        WHERE issue_id IN (SELECT issue_id FROM shown WHERE active)
    ) AS cost_now,
    counted AS
    (
        SELECT
            issue_id, count() AS customers, countIf(contacted_at IS NOT NULL) AS in_touch,
            groupArrayIf(toUInt8(intDiv(dateDiff('millisecond', known_at, newest), 300000)),
                known_at > newest - toIntervalHour(1) AND known_at <= newest) AS ages
        FROM affected FINAL
        WHERE issue_id IN (SELECT issue_id FROM shown)
        GROUP BY issue_id
    ),
    decided AS
    (
        SELECT
            o.issue_id AS issue_id,
            countIf(d.outcome = 'delivered') AS sent,
            countIf(o.decision = 'send' AND d.outcome IN ('', 'claimed', 'waiting')) AS pending,
            countIf(o.decision = 'send' AND d.outcome IN ('failed', 'expired', 'suppressed', 'unknown'))
                AS not_delivered,
            countIf(o.decision = 'hold') AS held, countIf(o.decision = 'refuse') AS refused,
            countIf(o.decision = 'hold_out') AS held_out,
            countIf(o.decision = 'hold' AND o.reason = 'approval') AS held_approval,
            countIf(o.decision = 'hold' AND o.reason = 'stopped') AS held_stopped,
            countIf(o.decision = 'hold' AND o.reason = 'muted') AS held_muted,
            countIf(o.decision = 'hold' AND o.reason = 'quiet_hours') AS held_quiet
        FROM
        (
            SELECT outreach_id, issue_id, decision, reason
            FROM outreach FINAL
            WHERE stage = 'notice' AND issue_id IN (SELECT issue_id FROM shown)
        ) AS o
        LEFT JOIN
        (
            SELECT outreach_id, outcome
            FROM delivery FINAL
            WHERE stage = 'notice' AND issue_id IN (SELECT issue_id FROM shown)
        ) AS d ON d.outreach_id = o.outreach_id
        GROUP BY issue_id
    )
SELECT
    o.issue_id AS issue_id, o.root_id AS root_id, o.onset AS onset, o.line AS line, o.signal AS signal,
    o.state AS state, o.drill AS drill, o.ongoing AS ongoing, o.active AS active, o.readable_title AS title, o.label AS label, o.cause AS cause,
    o.cause_text AS cause_text, o.owner AS owner, o.severity AS severity, o.element AS element,
    o.evidence AS evidence, o.changes AS changes, o.opened_at AS opened_at, o.detected_at AS detected_at,
    o.updated_at AS updated_at, o.resolved_at AS resolved_at, o.end_reason AS end_reason,
    o.provisional AS provisional,
    if(h.customers = 0, o.affected, toUInt64(h.customers)) AS affected,
    if(h.customers = 0, o.contacted, toUInt64(h.in_touch)) AS contacted,
    affected - contacted AS silent,
    if(affected >= 20, silent / affected, NULL) AS silent_share,
    arrayMap(step -> countEqual(h.ages, step), reverse(range(12))) AS new_5m,
    length(h.ages) AS new_hour,
    arrayStringConcat(arrayMap(
        new -> substringUTF8('▁▂▃▄▅▆▇█', if(new = 0, 1, 2 + intDiv(6 * new, arrayMax(new_5m))), 1),
        new_5m)) AS sparkline,
    d.sent AS sent, d.pending AS pending, d.not_delivered AS not_delivered, d.held AS held, d.refused AS refused,
    d.held_out AS held_out,
    if(d.sent + d.pending + d.not_delivered + d.held + d.refused + d.held_out = 0, 'no decision yet',
        arrayStringConcat(arrayFilter(part -> part != '', [
            if(d.sent > 0, concat(toString(d.sent), ' sent'), ''),
            if(d.pending > 0, concat(toString(d.pending), ' on the way'), ''),
            if(d.not_delivered > 0, concat(toString(d.not_delivered), ' not delivered'), ''),
            if(d.held > 0, concat(toString(d.held), ' held'), ''),
            if(d.refused > 0, concat(toString(d.refused), ' refused'), ''),
            if(d.held_out > 0, concat(toString(d.held_out), ' held out'), '')]), ', ')) AS sent_text,
    multiIf(
        NOT o.ongoing, 'nothing: it is over',
        o.drill, 'nothing: a drill, which ends by itself',
        arrayStringConcat(arraySlice(arrayFilter(part -> part != '', [
            if(d.held_approval > 0, concat('approve or mute: ', notices(d.held_approval), ' held for it'), ''),
            if(d.held_stopped > 0, concat('resume sending: ', notices(d.held_stopped), ' held'), ''),
            if(notEmpty(o.changes),
                concat('look at change ', arrayStringConcat(arraySlice(o.changes, 1, 2), ' and ')), ''),
            if(o.state = 'recovering', 'watch whether it stays well', ''),
            if(d.held_muted > 0, concat('unmute when it is right: ', notices(d.held_muted), ' held'), ''),
            if(d.held_quiet > 0, concat('wait for the end of the night: ', notices(d.held_quiet), ' held'), ''),
            if(empty(o.changes) AND o.state != 'recovering',
                'find the cause: no change is known around its start', '')]), 1, 2), '; ')
        ) AS next_step,
    o.at_risk AS at_risk, o.at_risk_low AS at_risk_low, o.at_risk_high AS at_risk_high, o.per_minute AS per_minute,
    o.service AS service, o.amounts AS amounts, o.money_basis AS money_basis,
    cost_now.1 AS figures_as_of,
    assumeNotNull((SELECT countIf(active) FROM shown)) AS total_issues,
    hit_now.1 AS total_affected,
    hit_now.1 - hit_now.2 AS total_silent,
    added(cost_now.2) AS total_at_risk,
    added(cost_now.3) AS total_at_risk_low,
    added(cost_now.4) AS total_at_risk_high,
    added(cost_now.5) AS total_per_minute
FROM issue_overview AS o
INNER JOIN shown AS s ON s.issue_id = o.issue_id
LEFT JOIN counted AS h ON h.issue_id = o.issue_id
LEFT JOIN decided AS d ON d.issue_id = o.issue_id;
