"""What telling customers changes, as SQL: everybody drawn, to be told against held out, with an anytime-valid interval.

A customer counts in the group they were drawn into, whatever became of it later (intention to treat). Per root issue k,
with n customers and x outcomes in the groups h (held out) and t (to be told), and weights w_k = n_h n_t / (n_h + n_t)::

    d = sum w_k (x_t / n_t - x_h / n_h) / W        W = sum w_k
    s^2 = sum over both groups p (1 - p) sum (w_k^2 / n_k) / W^2        p = (X + 2) / (N + 4), over all k
    d +- s sqrt((1 + 1 / e) ln((1 + e) / 0.05^2))        e = W r / 400,  r = -2 ln 0.05 + ln(1 - 2 ln 0.05)

The last line is the two-sided normal-mixture boundary of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
"Time-uniform central limit theory and asymptotic confidence sequences" (Annals of Statistics 52, 2024;
arXiv:2103.06476): with probability 95 % it holds the truth at every look, however often one looks.
docs/decisions/0030 has the reasons.
"""

from __future__ import annotations

from math import log
from typing import Final

from dashboards.boards.outreach_sql import CHOSEN_ROOTS

MISS: Final = 0.05
"""How often an interval may miss the truth at any of all looks together."""
TIGHTEST_AT: Final = 400
"""Effective number (about the number held out) at which the boundary is tightest."""
LEAST_DRAWN: Final = 100
"""Customers in either group below which nothing is said."""
LEAST_OUTCOMES: Final = 20
"""Customers with the outcome, and customers without it, below which nothing is said."""
_RATE = (-2 * log(MISS) + log(1 - 2 * log(MISS))) / TIGHTEST_AT

_EFFECT = """
WITH
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    (drawn_at + toIntervalHour(48) <= newest) AS two_days,
    (drawn_at + toIntervalDay(28) <= newest) AS four_weeks,
    counted AS
    (
        SELECT root_id, one.1 AS question, one.2 AS nh, one.3 AS nt, one.4 AS xh, one.5 AS xt
        FROM
        (
            SELECT
                root_id,
                arrayJoin([
                    ('contact within 48 hours',
                        countIf(held_out AND two_days), countIf(NOT held_out AND two_days),
                        countIf(held_out AND two_days AND contacted_at IS NOT NULL),
                        countIf(NOT held_out AND two_days AND contacted_at IS NOT NULL)),
                    ('order again within 28 days',
                        countIf(held_out AND four_weeks), countIf(NOT held_out AND four_weeks),
                        countIf(held_out AND four_weeks AND ordered_at IS NOT NULL),
                        countIf(NOT held_out AND four_weeks AND ordered_at IS NOT NULL))]) AS one
            FROM holdout_drawn
            WHERE root_id IN <roots>
            GROUP BY root_id
        )
        WHERE nh + nt > 0
    ),
    labelled AS
    (
        SELECT
            position, if(position = 0, '', c.root_id) AS issue_id,
            if(position = 0, 'All issues together', i.label) AS issue, c.question AS question, c.nh AS nh, c.nt AS nt,
            c.xh AS xh, c.xt AS xt
        FROM (SELECT *, arrayJoin([0, 1]) AS position FROM counted) AS c
        LEFT JOIN issue_overview AS i ON i.issue_id = c.root_id
        WHERE position = 0 OR i.issue_id != ''
    )
SELECT
    question, issue, told, held_out,
    if(enough, told_rate, NULL) AS told_share, if(enough, held_rate, NULL) AS held_share,
    if(enough, difference, NULL) AS effect, if(enough, difference - margin, NULL) AS low,
    if(enough, difference + margin, NULL) AS high,
    multiIf(
        NOT enough, concat('not enough yet: ', arrayStringConcat(arrayFilter(part -> part != '', [
            if(told < {least}, concat(toString(told), ' of {least} to be told'), ''),
            if(held_out < {least}, concat(toString(held_out), ' of {least} held out'), ''),
            if(hits < {outcomes}, concat(toString(hits), ' of {outcomes} who did'), ''),
            if(misses < {outcomes}, concat(toString(misses), ' of {outcomes} who did not'), '')
        ]), ', ')),
        concat(
            multiIf(low > 0, 'telling raises it by ', high < 0, 'telling lowers it by ', 'no difference shown: '),
            if(low > 0 OR high < 0, toString(round(100 * abs(difference), 1)), toString(round(100 * difference, 1))),
            ' points (', toString(round(100 * low, 1)), ' to ', toString(round(100 * high, 1)), ')')) AS verdict,
    issue_id
FROM
(
    SELECT
        position, question, issue_id, any(issue) AS issue, sum(nt) AS told, sum(nh) AS held_out,
        sum(xt) + sum(xh) AS hits, told + held_out - hits AS misses,
        told >= {least} AND held_out >= {least} AND hits >= {outcomes} AND misses >= {outcomes}
            AND weight > 0 AS enough,
        sum(xt) / told AS told_rate, sum(xh) / held_out AS held_rate,
        sum(if(nh > 0 AND nt > 0, nh * nt / (nh + nt), 0)) AS weight,
        sum(if(nh > 0 AND nt > 0, (nh * xt - nt * xh) / (nh + nt), 0)) / weight AS difference,
        (sum(xh) + 2) / (held_out + 4) AS ph, (sum(xt) + 2) / (told + 4) AS pt,
        sqrt(ph * (1 - ph) * sum(if(nh > 0 AND nt > 0, nh * nt * nt / pow(nh + nt, 2), 0))
            + pt * (1 - pt) * sum(if(nh > 0 AND nt > 0, nh * nh * nt / pow(nh + nt, 2), 0))) / weight AS deviation,
        weight * {rate} AS grown,
        deviation * sqrt((1 + 1 / grown) * log((1 + grown) / {alpha})) AS margin
    FROM labelled
    GROUP BY position, question, issue_id
)
ORDER BY position, question, told + held_out DESC
LIMIT 200
"""
EFFECT = _EFFECT.format(
    least=LEAST_DRAWN, outcomes=LEAST_OUTCOMES, rate=repr(_RATE), alpha=repr(MISS**2),
).replace("<roots>", CHOSEN_ROOTS)  # fmt: skip
"""Rows of a question (contact, order) and an issue, all issues together first: how many were drawn into each group and
are past the time of the question, their shares, what telling changes, and in words what may be said of it."""

DRAWN = """
SELECT if(decision = 'hold_out', 'held out', 'to be told') AS group, count() AS customers
FROM outreach_latest
WHERE stage = 'notice' AND drawn_at IS NOT NULL AND root_id IN <roots>
GROUP BY group
ORDER BY group
""".replace("<roots>", CHOSEN_ROOTS)
