"""SQL that more than one board uses: money and ages for people, the status line, variables, annotations.

``MONEY_TEXT`` and ``AGE_TEXT`` are lambdas of a WITH clause; only those that a statement calls cost anything.
"""

from __future__ import annotations

from schemas.currencies import DECIMALS


def _codes(decimals: int) -> str:
    return ", ".join(f"'{code}'" for code, found in sorted(DECIMALS.items()) if found == decimals)


def decimals(code: str) -> str:
    """SQL of the number of decimals of the minor unit of a currency; ``code``: SQL of its ISO 4217 code."""
    return f"multiIf({code} IN ({_codes(0)}), 0, {code} IN ({_codes(3)}), 3, {code} IN ({_codes(4)}), 4, 2)"


DECIMALS_OF = f"(code -> {decimals('code')}) AS decimals_of"
"""``decimals_of(currency)``: how many decimals the currency's minor unit has."""
MONEY_TEXT = f"""{DECIMALS_OF},
    (one -> toInt64(exp10(decimals_of(one.currency)))) AS unit_of,
    (one -> concat(
        if(one.minor < 0, '-', ''),
        reverse(replaceRegexpOne(
            replaceRegexpAll(reverse(toString(intDiv(abs(one.minor), unit_of(one)))), '([0-9]{{3}})', '\\\\1,'),
            ',\\\\z', '')),
        if(decimals_of(one.currency) = 0, '',
            concat('.', leftPad(toString(abs(one.minor) % unit_of(one)), decimals_of(one.currency), '0')))
    )) AS bare_money,
    (one -> concat(bare_money(one), if(one.currency = '', '', concat(' ', one.currency)))) AS money_text,
    (amounts -> arrayStringConcat(arrayMap(one -> money_text(one), amounts), ' + ')) AS money_texts,
    ((lows, highs) -> arrayStringConcat(arrayMap(
        (low, high) -> if(low.minor = high.minor, money_text(high), concat(bare_money(low), ' to ', money_text(high))),
        lows, highs), ' + ')) AS money_ranges"""
"""Money for people, as ``schemas.currencies.money_text`` writes it. An amount is a tuple (currency, minor units).

``money_text(amount)``: ``-10,934.30 EUR``; ``money_texts(amounts)``: every currency by itself,
``49.90 EUR + 5,550 JPY``; ``money_ranges(lows, highs)``: two lists of the
same currencies, ``80.00 to 240.00 EUR``."""

AGE_TEXT = """(s -> multiIf(
        s >= 172800, formatReadableTimeDelta(s, 'days', 'days'),
        s >= 7200, formatReadableTimeDelta(s, 'hours', 'minutes'),
        formatReadableTimeDelta(s, 'minutes', 'minutes'))) AS words,
    (s -> if(s < 120, concat(toString(toUInt64(s)), ' s'), words(s))) AS age_text"""
"""``words(seconds)``: days, hours and minutes; ``age_text(seconds)``: the same, seconds below two minutes.

The lambda ``words`` stands in the view ``room_status`` as well: that migration is released and never changes, and a
function that both could call would belong to the whole server. A test keeps the two alike."""

STATUS = """
WITH
    <ages>,
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    greatest(0, dateDiff('second', newest, $__toTime_ms)) AS age_s,
    (SELECT (countIf(state = 'unknown'), max(lag_s)) FROM room_status) AS behind,
    assumeNotNull((SELECT (dead_letters, rejected) FROM intake_hour)) AS letters,
    (
        SELECT (argMax(action, (issued_at, command_id)), max(issued_at))
        FROM command_latest
        WHERE action IN ('stop', 'resume')
    ) AS sending,
    (state -> multiIf(state = 'ok', '✓ ', state = 'behind', '! ', '✗ ')) AS sign,
    assumeNotNull((SELECT is_replay FROM replay_shown)) AS replayed
SELECT item, text
FROM
(
    SELECT
        0 AS position, 'not live' AS item,
        concat(if(state = 'ready', '! ', '✗ '), words, if(state = 'ready', '', ', half filled')) AS text
    FROM replay_shown
    UNION ALL
    SELECT
        1, 'newest event',
        multiIf(
            toUnixTimestamp(newest) = 0, '✗ none has arrived yet',
            concat(sign(multiIf(age_s >= 600, 'blind', age_s >= 120, 'behind', 'ok')), age_text(age_s), ' old'))
    UNION ALL
    SELECT
        10 + position, room,
        concat(sign(state), multiIf(
            state = 'unknown', 'never heard of',
            behind_s >= 120, concat(age_text(assumeNotNull(behind_s)), ' behind'),
            idle_s >= 120, concat('has not got on for ', age_text(assumeNotNull(idle_s))),
            concat(age_text(assumeNotNull(behind_s)), ' behind')))
    FROM room_status
    UNION ALL
    SELECT
        20, 'lag',
        multiIf(
            behind.1 > 0, '✗ unknown',
            concat(sign(multiIf(behind.2 >= 600, 'blind', behind.2 >= 120, 'behind', 'ok')),
                'at most ', age_text(assumeNotNull(behind.2))))
    UNION ALL
    SELECT
        21, 'dead letters, last hour',
        concat(
            multiIf(
                letters.1 = 0, '✓ none', letters.2 < 0.01, concat('! ', toString(letters.1)),
                concat('✗ ', toString(letters.1))),
            multiIf(
                letters.1 = 0, '', letters.2 < 0.0001, ', below 0.01 % of the messages',
                concat(', ', toString(round(100 * letters.2, 2)), ' % of the messages')))
    UNION ALL
    SELECT
        22, 'sending',
        if(sending.1 = 'stop', concat('! stop ordered ', formatDateTime(sending.2, '%e %b %H:%i')), '✓ not stopped')
    UNION ALL
    SELECT
        23, if(channels = 0, 'channels', concat('channel ', name)),
        multiIf(
            channels = 0, '! nothing known of any',
            state = 'ok', '✓ ok',
            concat(if(state = 'gone', '✗ ', '! '), state, ' since ', formatDateTime(since, '%e %b %H:%i')))
    FROM
    (
        SELECT count() OVER () AS channels, channel AS name, state, since FROM channel_status
        UNION ALL
        SELECT 0, '', '', toDateTime64(0, 3, 'UTC') WHERE (SELECT count() FROM channel_status) = 0
    )
)
WHERE (item = 'not live') = replayed
ORDER BY position, item
""".replace("<ages>", AGE_TEXT)
"""Rows (item, text): whether what a board shows can be trusted; of a replay only that it is one. Dead letters and their
share are those stored in the last hour of the server's clock, because event time may be played or simulated."""

_PREFIXED = """
SELECT
    if(shown.is_replay AND said.tone = 'good', 'plain', said.tone) AS tone,
    if(shown.is_replay, concat(shown.words, ', not live. ', said.sentence), said.sentence) AS sentence
FROM
(<sentence>) AS said,
    (SELECT is_replay, words FROM replay_shown) AS shown
"""


def marked(sentence: str) -> str:
    """The statement of a sentence, (tone, sentence), so that of a replay it begins with that and is no all-clear."""
    return _PREFIXED.replace("<sentence>", sentence)


PRODUCTS = "SELECT DISTINCT line FROM known_lines ORDER BY line"
SIGNALS = "SELECT DISTINCT signal FROM known_lines ORDER BY signal"
REGIONS = "SELECT region FROM known_regions ORDER BY region"
SEGMENTS = "SELECT segment FROM known_segments ORDER BY segment"
ISSUES = """
SELECT issue_id AS value, label AS text
FROM issue_overview
WHERE state != 'suspected'
ORDER BY active DESC, detected_at DESC
LIMIT 200
"""
DATABASES = """
SELECT value, text
FROM
(
    SELECT currentDatabase() AS value, 'live' AS text, 0 AS position, now64(3, 'UTC') AS made_at
    UNION ALL
    SELECT database, label, 1, made_at FROM replay_ready
)
ORDER BY position, made_at DESC, value
"""
"""The database of the login, then the replays that it has registered, newest first."""

CHANGES = """
SELECT changed_at AS time, if(title = '', change_id, title) AS text, change_kind AS tags
FROM change_latest
WHERE $__timeFilter(changed_at)
ORDER BY time
"""
TURNS = """
SELECT time, text, tags
FROM
(
    SELECT detected_at AS time, concat('Issue opened: ', label) AS text, 'opened' AS tags
    FROM issue_overview
    WHERE state != 'suspected' AND NOT drill AND $__timeFilter(detected_at)
    UNION ALL
    SELECT assumeNotNull(resolved_at), concat('Issue resolved: ', label), 'resolved'
    FROM issue_overview
    WHERE state = 'resolved' AND NOT drill AND resolved_at IS NOT NULL
        AND $__timeFilter(assumeNotNull(resolved_at))
)
ORDER BY time, text
"""
FIRST_NOTICES = """
SELECT n.first_at AS time, concat('First notice: ', i.label, ', ', toString(n.sent), ' sent so far') AS text
FROM
(
    SELECT issue_id, min(decided_at) AS first_at, count() AS sent
    FROM notice_latest
    WHERE stage = 'notice' AND status = 'sent'
    GROUP BY issue_id
    HAVING $__timeFilter(first_at)
) AS n
INNER JOIN issue_overview AS i ON i.issue_id = n.issue_id
ORDER BY time, text
"""
DRILLS = """
SELECT detected_at AS time, label AS text
FROM issue_overview
WHERE drill AND state != 'suspected' AND $__timeFilter(detected_at)
ORDER BY time, text
"""
