"""The SQL of the board of one issue: what it is, when what happened, why it is thought so, what it costs.

Who is hit, and how cohorts compare, is in ``dashboards.boards.issue_people_sql`` and ``issue_cohort_sql``. The issue is
chosen by the variable ``issue``; of an id that nobody knows every statement has no row, and the headline says so.
"""

from __future__ import annotations

from dashboards.boards.common_sql import MONEY_TEXT, marked
from schemas.words import words_sql

CHOSEN = "[${issue:sqlstring}][1]"
"""The id that was chosen; the first of several, which another board may hand over."""
WITH_ISSUE = f"issue_id = {CHOSEN}"
"""The condition on a table or view that has the issue's id."""
ROOT = "root_id IN (SELECT root_id FROM issue_latest WHERE <this>)"
"""The condition on what belongs to every onset of the issue, such as notices."""

SPELL = """(s -> multiIf(
        s < 60, concat(toString(toUInt32(s)), ' s'),
        s < 7200, concat(toString(toUInt32(intDiv(s, 60))), ' min'),
        s < 172800,
            concat(toString(toUInt32(intDiv(s, 3600))), ' h ', toString(toUInt32(intDiv(s % 3600, 60))), ' min'),
        concat(toString(toUInt32(intDiv(s, 86400))), ' d ', toString(toUInt32(intDiv(s % 86400, 3600))), ' h')
    )) AS spell,
    (t -> formatDateTime(t, '%Y-%m-%d %H:%i UTC', 'UTC')) AS moment"""
"""A length of time in seconds, not below 0, and a moment, both as text."""


def filled(sql: str, **parts: str) -> str:
    """The statement with ``<name>`` replaced by each part, and with the parts that many share.

    >>> filled("SELECT 1 FROM issue_latest WHERE <this> AND <also>", also="onset > 1")
    'SELECT 1 FROM issue_latest WHERE issue_id = [${issue:sqlstring}][1] AND onset > 1'
    """
    shared = {"money": MONEY_TEXT, "spell": SPELL, "root": ROOT, "this": WITH_ISSUE, "chosen": CHOSEN}
    for name, text in {**parts, **shared}.items():
        sql = sql.replace(f"<{name}>", text)
    return sql


CHOICES = """
SELECT issue_id AS value,
    concat(label, multiIf(ongoing, '', state = 'suspected', ' (suspected)', ' (over)')) AS text
FROM issue_overview
WHERE state != 'suspected' OR resolved_at IS NULL
ORDER BY active DESC, state = 'suspected', if(active, per_minute[1].minor, 0) DESC, detected_at DESC, issue_id
LIMIT 200
"""
"""What can be chosen: active and costliest first, then the newest."""

HEADLINE = marked(filled("""
WITH
    <money>,
    <spell>,
    arrayMap(amounts -> money_texts(amounts), [o.at_risk, o.per_minute]) AS sums,
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    (
        SELECT arrayStringConcat(groupArray(concat(toString(notices), ' ', words)), ', ')
        FROM
        (
            SELECT multiIf(
                    status = 'sent', 'delivered', status = 'pending', 'on their way', status IN ('held', 'refused',
                    'held out'), CAST(status, 'String'), concat('ended as ', CAST(status, 'String'))) AS words,
                count() AS notices
            FROM notice_latest
            WHERE stage = 'notice' AND <root>
            GROUP BY words
            ORDER BY notices DESC, words
        )
    ) AS notices,
    (SELECT count() FROM affected_latest WHERE <this>) AS hit,
    (SELECT countIf(contacted_at IS NULL) FROM affected_latest WHERE <this>) AS unheard
SELECT
    multiIf(o.issue_id = '', 'warn', o.state IN ('suspected', 'recovering'), 'warn', o.active, 'bad', 'plain') AS tone,
    if(o.issue_id = '', if(asked.id = '', 'No issue is chosen.',
            concat('No issue has the id ', substring(asked.id, 1, 80),
                '. It may never have been one, or be older than what is kept.')),
        concat(
            o.readable_title, if(o.onset > 1, concat(' (onset ', toString(o.onset), ')'), ''), ', ', o.line, '. ',
            multiIf(
                o.state = 'suspected' AND o.resolved_at IS NOT NULL,
                    concat('A suspicion of ', moment(o.opened_at), ' that came to nothing and was never shown. '),
                o.state = 'suspected', concat('Only suspected so far, since ', moment(o.opened_at), '. '),
                o.resolved_at IS NULL, concat(
                    'Since ', moment(o.opened_at), ', ', spell(greatest(0, dateDiff('second', o.opened_at, newest))),
                    ', and ', <state>, '. '),
                concat(
                    'From ', moment(o.opened_at), ' for ',
                    spell(greatest(0, dateDiff('second', o.opened_at, assumeNotNull(o.resolved_at)))), '; over: ',
                    if(o.end_reason = '', 'resolved', <end>), '. ')),
            toString(hit), if(hit = 1, ' customer affected, ', ' customers affected, '), toString(unheard),
            ' of them silent. ',
            if(empty(o.at_risk), 'What it costs is not known yet. ', concat(
                sums[1], ' at risk (', money_ranges(o.at_risk_low, o.at_risk_high),
                if(has(o.assumption_assumed, true), ', on assumptions)', ')'),
                if(o.active, concat(', and ', sums[2], ' more with every minute. '), '. '))),
            if(notices = '', 'Nothing was decided about telling anybody.', concat('Notices: ', notices, '.')))
    ) AS sentence
FROM (SELECT <chosen> AS id) AS asked
LEFT JOIN (SELECT * FROM issue_overview WHERE <this>) AS o ON o.issue_id = asked.id
""", state=words_sql("state", "o.state"), end=words_sql("end", "o.end_reason")))

_TIMES = filled("""
SELECT
    i.issue_id AS issue_id, i.opened_at AS onset, i.resolved_at IS NOT NULL AS over,
    i.state != 'suspected' AS shown,
    [
        (2, 'onset', toNullable(i.opened_at), 'estimated: from here on too many failed'),
        (3, 'detected', toNullable(i.detected_at), 'end of the bin that alarmed'),
        (4, 'shown', i.shown_at, 'enough customers, and a cause that stayed the same'),
        (5, 'first contact', c.first, if(c.contacted = 0, 'nobody has contacted us about it',
            concat('the first of ', toString(c.contacted), ' who contacted us about it'))),
        (6, 'first notice', n.first, if(n.sent = 0, 'no notice of this onset was delivered',
            concat('the first of ', toString(n.sent), ' delivered'))),
        (7, 'recovering', if(m.since = 0, NULL, fromUnixTimestamp64Milli(m.since, 'UTC')),
            'normal again is more likely than half of it; the minute of its last turn for the better'),
        (8, 'resolved', i.resolved_at, if(i.end_reason = '', 'over', <end>))
    ] AS steps,
    c.first AS complained
FROM (SELECT * FROM issue_latest WHERE <this>) AS i
CROSS JOIN
(
    SELECT minOrNull(contacted_at) AS first, count(contacted_at) AS contacted FROM affected_latest WHERE <this>
) AS c
CROSS JOIN
(
    SELECT minOrNull(done_at) AS first, count() AS sent
    FROM delivery_latest
    WHERE <this> AND stage = 'notice' AND outcome = 'delivered'
) AS n
CROSS JOIN
(
    SELECT toUnixTimestamp64Milli(minIf(minute, state = 'recovering' AND minute > worse)) AS since
    FROM issue_1m_latest AS h
    CROSS JOIN
    (
        SELECT maxIf(minute, state IN ('open', 'escalating', 'regressed')) AS worse FROM issue_1m_latest WHERE <this>
    ) AS w
    WHERE <this>
) AS m
""", end=words_sql("end", "i.end_reason"))
"""One row: the onset, the steps of the issue's life (place, name, time or NULL, what it is), the first complaint."""

TIMELINE = filled("""
WITH
    <spell>,
    (s -> if(s < 0, concat(spell(-s), ' before'), concat(spell(s), ' after'))) AS apart
SELECT step, at, if(at IS NULL, NULL, dateDiff('second', onset, assumeNotNull(at)) / 60) AS minutes,
    multiIf(
        complained IS NULL, 'nobody has complained so far',
        step = 'first contact', 'the first complaint',
        at IS NULL, '',
        at = complained, 'with the first complaint',
        concat(apart(dateDiff('second', assumeNotNull(complained), assumeNotNull(at))), ' the first complaint')
    ) AS lead,
    multiIf(
        at IS NOT NULL OR place IN (1, 5, 6), what,
        over OR (place = 4 AND shown), 'did not happen, or was not recorded',
        'not yet') AS what,
    issue_id
FROM
(
    SELECT issue_id, onset, over, shown, complained, each.1 AS place, each.2 AS step, each.3 AS at, each.4 AS what
    FROM
    (
        SELECT t.issue_id AS issue_id, t.onset AS onset, t.over AS over, t.shown AS shown, t.complained AS complained,
            arrayConcat(t.steps, n.changes) AS all_steps
        FROM (<times>) AS t
        CROSS JOIN
        (
            SELECT groupArray((1, 'change', if(c.change_id = '', NULL, c.changed_at), multiIf(
                i.named = '', 'no change is known near the onset',
                c.change_id = '', concat(i.named, ': not kept any more'),
                concat(if(c.title = '', c.change_id, c.title), ', ', CAST(c.change_kind, 'String'), ': a candidate')
            ))) AS changes
            FROM
            (
                SELECT arrayJoin(if(empty(changes), [''], changes)) AS named FROM issue_latest WHERE <this>
            ) AS i
            LEFT JOIN change_latest AS c ON c.change_id = i.named
        ) AS n
    )
    ARRAY JOIN all_steps AS each
)
ORDER BY at IS NULL, at, place
""", times=_TIMES)

EVIDENCE = filled("""
SELECT
    if(e.topic = '', 'stream not known', e.topic) AS stream, e.signal AS signal, e.since AS since,
    e.expected AS expected, e.observed AS observed, if(e.expected > 0, e.observed / e.expected, NULL) AS ratio,
    if(e.asked, 'said by the stream itself', 'count of the detector; other streams were not asked') AS basis,
    e.issue_id AS issue_id
FROM issue_evidence AS e
WHERE e.<this>
ORDER BY since, stream, signal
""")

EXPLANATION = filled("""
WITH
    (x -> toString(round(x, 1))) AS short,
    (x -> concat(toString(round(100 * x, 1)), ' %')) AS percent
SELECT item, text, issue_id
FROM
(
    SELECT
        issue_id,
        arrayJoin([
            (1, 'cause', if(empty(pairs), cause_text, concat(cause_text, ': ',
                arrayStringConcat(arrayMap(pair -> concat(pair.1, ' = ', pair.2), pairs), ', ')))),
            (2, 'risk ratio', if(empty(cause), 'none: no part of the line stands out against the rest',
                concat(short(risk_ratio), ' times the failure rate of everybody else (95 % interval ',
                    short(risk_ratio_low), ' to ', short(risk_ratio_high), ')'))),
            (3, 'support', concat(percent(support), ' of the failures above the usual have the cause')),
            (4, 'had the cause', concat(toString(failed), ' of ', toString(exposed), ' exposed failed',
                if(exposed >= 20, concat(' (', percent(failed / exposed), ')'), ', too few for a rate'))),
            (5, 'since the onset', concat(short(observed), ' failed where ', short(expected), ' were to be expected')),
            (6, 'named changes', if(empty(changes), 'none near the onset', arrayStringConcat(changes, ', '))),
            (7, 'how sure', if(provisional, 'provisional: less than two weeks of history to compare with',
                'compared with at least two weeks of history'))
        ]) AS said, said.1 AS place, said.2 AS item, said.3 AS text
    FROM issue_overview
    WHERE <this>
)
ORDER BY place
""")

CHANGES = filled("""
SELECT
    if(c.title = '', c.change_id, c.title) AS change, c.change_kind AS kind, c.changed_at AS changed_at,
    dateDiff('second', i.opened_at, c.changed_at) / 60 AS minutes,
    if(empty(c.attributes), 'everything',
        arrayStringConcat(arrayMap((k, v) -> concat(k, ' = ', v), mapKeys(c.attributes), mapValues(c.attributes)), ', ')
    ) AS touches,
    if(has(i.changes, c.change_id), 'candidate: fits the cause', 'near the onset, does not fit the cause') AS verdict,
    i.line AS line, toUnixTimestamp64Milli(c.changed_at) - 7200000 AS from_ms,
    toUnixTimestamp64Milli(c.changed_at) + 7200000 AS to_ms
FROM change_latest AS c
CROSS JOIN (SELECT line, changes, opened_at, detected_at FROM issue_latest WHERE <this>) AS i
WHERE has(i.changes, c.change_id)
    OR ((c.product = '' OR c.product = i.line)
        AND c.changed_at >= i.opened_at - toIntervalHour(2) AND c.changed_at <= i.detected_at)
ORDER BY has(i.changes, c.change_id) DESC, abs(minutes), change
LIMIT 50
""")

MONEY = filled("""
WITH
    <money>,
    (others -> if(arrayExists((name, assumed) -> assumed AND NOT has(others, CAST(name, 'String')),
        assumption_names, assumption_assumed), 'assumed', 'measured or set')) AS basis_without
SELECT
    term, if(empty(amounts), 'none', money_texts(amounts)) AS amount, money_ranges(low, high) AS bounds, basis, how,
    issue_id
FROM
(
    SELECT
        issue_id,
        arrayJoin([
            (1, 'at risk', o.at_risk, o.at_risk_low, o.at_risk_high, basis_without(['word_of_mouth', 'contact_cost']),
                'affected x loyalty drop x margin over 12 months'),
            (2, 'one more minute', o.per_minute, [], [], basis_without(['word_of_mouth']),
                'new affected per minute (last 15 minutes) x what each has cost so far'),
            (3, 'handling contacts', o.service, [], [], if(has(arrayFilter((name, assumed) -> NOT assumed,
                assumption_names, assumption_assumed), 'contact_cost'), 'measured or set', 'assumed'),
                'contacts so far x cost of one contact'),
            (4, 'orders at stake', o.amounts, [], [], 'measured', 'largest failed order of each customer')
        ]) AS row, row.1 AS place, row.2 AS term, row.3 AS amounts, row.4 AS low, row.5 AS high, row.6 AS basis,
        row.7 AS how
    FROM issue_overview AS o
    WHERE <this> AND notEmpty(assumption_names)
)
ORDER BY place
""")

ASSUMPTIONS = filled("""
WITH
    (SELECT any(at_risk[1].currency) FROM issue_overview WHERE <this>) AS own
SELECT
    transform(one.1, ['loyalty_drop', 'contact_cost', 'margin_known', 'margin_unknown', 'word_of_mouth'],
        ['loyalty drop of those affected', 'cost of one contact', 'margin of customers with a profile',
        'margin of customers without a profile', 'customers lost by word of mouth'], one.1) AS name,
    multiIf(
        startsWith(one.3, 'cents'), concat(toString(round(one.2 / 100, 2)), ' ', own, substring(one.3, 6)),
        one.3 = 'ratio', concat(toString(round(100 * one.2, 2)), ' %'),
        concat(toString(one.2), ' ', one.3)) AS value,
    multiIf(one.5, 'assumed', one.4 = 'configured', 'set by the company', 'measured') AS basis,
    one.4 AS source, issue_id
FROM
(
    SELECT issue_id, arrayJoin(arrayMap((name, value, unit, source, assumed, place) ->
        (CAST(name, 'String'), value, CAST(unit, 'String'), source, assumed, place), assumption_names,
        assumption_values, assumption_units, assumption_sources, assumption_assumed,
        arrayEnumerate(assumption_names))) AS one
    FROM issue_overview
    WHERE <this>
)
ORDER BY one.6
""")

ONSETS = filled("""
SELECT
    substring(issue_id, 1, 10) AS issue, onset, state, opened_at, resolved_at, affected, cause_text AS cause, issue_id
FROM issue_overview
WHERE <root>
ORDER BY onset DESC
LIMIT 50
""")

MARKS = filled("""
SELECT at AS time, concat(step, ': ', what) AS text
FROM
(
    SELECT each.3 AS at, each.2 AS step, each.4 AS what
    FROM (<times>)
    ARRAY JOIN steps AS each
)
WHERE at IS NOT NULL AND $__timeFilter(assumeNotNull(at))
ORDER BY time
""", times=_TIMES)
"""Marks of the issue's own life in every chart."""

CHANGE_MARKS = filled("""
SELECT changed_at AS time, concat(CAST(change_kind, 'String'), ': ', if(title = '', change_id, title)) AS text
FROM change_latest
WHERE $__timeFilter(changed_at)
    AND (product = '' OR product IN (SELECT line FROM issue_latest WHERE <this>))
ORDER BY time
LIMIT 200
""")
