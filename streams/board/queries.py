"""What the boards show, for a program or a person at a terminal: the same views, read as user reader.

Every function takes a :class:`streams.sinks.clickhouse.ClickHouse` and raises ``SinkUnavailable`` if it cannot be read.
Times are event times, as ISO 8601 UTC with milliseconds; money is a list with one amount per currency.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from dashboards.statements import qualified
from schemas.currencies import money_text
from schemas.issue_ids import find_id
from streams.sinks.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True)
class Amount:
    """Money of one currency, in its minor units and in words. An empty currency is the company's own, in hundredths."""

    currency: str
    minor: int
    text: str


Amounts = tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an issue costs. ``at_risk_low`` and ``at_risk_high`` bound it; ``amounts`` are those of the orders."""

    at_risk: Amounts
    at_risk_low: Amounts
    at_risk_high: Amounts
    per_minute: Amounts
    service: Amounts
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class IssueRow:
    """One issue as the operator sees it."""

    id: str
    root_id: str
    state: str
    active: bool
    title: str
    line: str
    signal: str
    cause: dict[str, str]
    opened_at: str
    detected_at: str
    resolved_at: str | None
    affected: int
    contacted: int
    silent: int
    money: Cost
    risk_ratio: float
    support: float
    changes: tuple[str, ...]
    provisional: bool
    assumptions: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AffectedRow:
    """One customer hit by one issue, and what was decided about telling them."""

    customer_id: str
    first_failed_at: str
    last_failed_at: str
    known_at: str
    contacted_at: str | None
    amounts: Amounts
    value_cents: int | None
    """Margin over 12 months, hundredths of the company's currency."""
    notice: str
    """sent, pending, held, refused, held out, failed, ..., or empty if nothing was decided yet."""
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """What became of one decision to send."""

    outreach_id: str
    issue_id: str
    customer_id: str
    stage: str
    channel: str
    outcome: str
    reason: str
    attempts: int
    claimed_at: str
    done_at: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without data; ``ended`` is None while it lasts."""

    started: str
    ended: str | None
    silent_s: float
    missing_events: float


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Health of one producer on one topic."""

    topic: str
    source: str
    state: str
    events_minute: int
    usual_per_minute: float
    last_event: str
    silent_s: float
    late_hour: int
    duplicates_hour: int
    no_data: tuple[Gap, ...]
    delay_p99_ms: int | None = None
    """Lately 99 of 100 events arrived within this time of happening; None if no raw copy tells."""

    @property
    def disorder_ms(self) -> int | None:
        """The disorder bound with which 99 of 100 events of it count on time, whole seconds."""
        return None if self.delay_p99_ms is None else -(-max(0, self.delay_p99_ms) // 1_000) * 1_000


@dataclass(frozen=True, slots=True)
class NoticeCounts:
    """Totals over everything stored."""

    issues: int
    active: int
    affected: int
    silent: int
    sent: int
    pending: int
    held: int
    refused: int
    held_out: int
    events: int
    late: int
    dead_letters: int


_ISSUES = """
SELECT
    issue_id, root_id, state, active, title, line, signal, cause, opened_at, detected_at, resolved_at, affected,
    contacted, silent, at_risk, at_risk_low, at_risk_high, per_minute, service, amounts,
    risk_ratio, support, changes, provisional, assumption_names, assumption_values, assumption_units,
    assumption_sources, assumption_assumed
FROM issue_overview
WHERE state != 'suspected' OR %(suspected)s
ORDER BY active DESC, per_minute[1].minor DESC, affected DESC, detected_at, issue_id
"""

_AFFECTED = """
SELECT
    a.customer_id AS customer_id, a.first_failed_at AS first_failed_at, a.last_failed_at AS last_failed_at,
    a.known_at AS known_at, a.contacted_at AS contacted_at, a.amounts AS amounts,
    a.value_cents AS value_cents, n.status AS notice, n.reason AS reason
FROM affected_latest AS a
LEFT JOIN (SELECT root_id, customer_id, status, reason FROM notice_latest WHERE stage = 'notice') AS n
    ON n.root_id = a.root_id AND n.customer_id = a.customer_id
WHERE a.issue_id = %(issue)s
ORDER BY a.first_failed_at, a.customer_id
"""

_DELIVERIES = """
SELECT outreach_id, issue_id, customer_id, stage, channel, outcome, reason, attempts, claimed_at, done_at
FROM delivery_latest
ORDER BY claimed_at, outreach_id
"""

_SOURCES = """
SELECT topic, source, state, events_minute, rate_per_s * 60 AS usual_per_minute, last_event, silent_s, late_hour,
    duplicates_hour
FROM source_status
ORDER BY topic, source
"""

_DELAYS = """
SELECT source, toInt64(quantileTDigest(0.99)(delay_ms)) AS p99
FROM
(
    SELECT source,
        toUnixTimestamp64Milli(ifNull(arrived_at, ingest_time)) - toUnixTimestamp64Milli(event_time) AS delay_ms
    FROM {table}
    WHERE event_time >= (SELECT now FROM event_clock) - toIntervalHour({hours})
        AND (arrived_at IS NOT NULL OR origin = 'live')
    LIMIT 500000
)
GROUP BY source
"""
"""From happening to the arrival that an event brings along, else to when it was stored, about a second later. Replayed
events count only if they bring their arrival along."""
_LATELY_HOURS = {"telemetry": 1, "order": 24, "contact": 168}
"""Raw copies that are looked at: of the last hour, day, week of event time."""

_GAPS = "SELECT topic, source, started, ended, silent_s, missing_events FROM source_gap ORDER BY started"

_COUNTS = """
SELECT *
FROM (SELECT countIf(state != 'suspected' AND NOT drill) AS issues, countIf(active) AS active FROM issue_overview) AS i,
    (
        SELECT uniqExact(customer_id) AS affected,
            affected - uniqExactIf(customer_id, contacted_at IS NOT NULL) AS silent
        FROM affected_latest
        WHERE NOT startsWith(line, 'cx.drill.')
    ) AS a,
    (
        SELECT countIf(status = 'sent') AS sent, countIf(status = 'pending') AS pending,
            countIf(status = 'held') AS held, countIf(status = 'refused') AS refused,
            countIf(status = 'held out') AS held_out
        FROM notice_latest WHERE stage = 'notice' AND NOT startsWith(customer_id, 'cx.drill.')
    ) AS n,
    (SELECT sum(events) AS events FROM source_count_latest) AS s,
    (SELECT count() AS late FROM late FINAL) AS l,
    (SELECT count() AS dead_letters FROM dead_letter_latest) AS d
"""


def list_issues(client: ClickHouse, suspected: bool = False) -> list[IssueRow]:
    """Every issue, active and costliest first; ``suspected`` also lists what has not opened."""
    return [_issue(row) for row in client.query(_ISSUES, {"suspected": int(suspected)}).dicts()]


def find_issue(client: ClickHouse, wanted: str) -> IssueRow:
    """The issue with this id, or with the only id that begins with it. Raises UnknownIssue."""
    known = {issue.id: issue for issue in list_issues(client, suspected=True)}
    return known[find_id(wanted, known)]


def list_affected(client: ClickHouse, issue_id: str) -> list[AffectedRow]:
    """Customers hit by an issue, earliest first."""
    rows = client.query(_AFFECTED, {"issue": issue_id}).dicts()
    return [AffectedRow(**_plain(row) | {"amounts": _amounts(row["amounts"])}) for row in rows]


def list_deliveries(client: ClickHouse) -> list[DeliveryRow]:
    """Every delivery, in the order in which they were claimed."""
    return [DeliveryRow(**_plain(row)) for row in client.query(_DELIVERIES).dicts()]


def list_sources(client: ClickHouse) -> list[SourceRow]:
    """Every producer with its state now and its stretches without data in the last 7 days of event time."""
    gaps: dict[tuple[str, str], list[Gap]] = {}
    for row in map(_plain, client.query(_GAPS).dicts()):
        gaps.setdefault((row.pop("topic"), row.pop("source")), []).append(Gap(**row))
    delays = _delays(client)
    rows = map(_plain, client.query(_SOURCES).dicts())
    keys = ((row, (row["topic"], row["source"])) for row in rows)
    return [SourceRow(**row, no_data=tuple(gaps.get(key, ())), delay_p99_ms=delays.get(key)) for row, key in keys]


def _delays(client: ClickHouse) -> dict[tuple[str, str], int]:
    """(topic, producer) -> p99 of the time from happening to arriving, ms."""
    found: dict[tuple[str, str], int] = {}
    for topic, hours in _LATELY_HOURS.items():
        rows = client.query(_DELAYS.format(table=f"{topic}_raw", hours=hours)).rows
        found |= {(topic, str(source)): int(str(p99)) for source, p99 in rows}
    return found


def counts(client: ClickHouse) -> NoticeCounts:
    """Totals over everything stored."""
    return NoticeCounts(**{name: int(value) for name, value in client.query(_COUNTS).dicts()[0].items()})


def event_now(client: ClickHouse, database: str = "") -> datetime | None:
    """The newest event time known, None if nothing is stored: what a board calls now.

    ``database``: another one than that of the login; it goes into the statement, so only one that is registered.
    """
    asked = "SELECT now FROM event_clock"
    now = client.query(qualified(asked, database) if database else asked).rows[0][0]
    return now if isinstance(now, datetime) and now.timestamp() > 0 else None


def in_words(amounts: Amounts) -> str:
    """Money for people, every currency by itself.

    >>> in_words((Amount("EUR", 4_990, "49.90 EUR"), Amount("JPY", 5_550, "5,550 JPY")))
    '49.90 EUR + 5,550 JPY'
    """
    return " + ".join(one.text for one in amounts) or "-"


def iso(moment: datetime) -> str:
    """ISO 8601 UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _amounts(listed: Iterable[tuple[str, int]]) -> Amounts:
    return tuple(Amount(currency, minor, money_text(minor, currency)) for currency, minor in listed)


def _issue(row: dict[str, Any]) -> IssueRow:
    plain = _plain(row)
    names = ("name", "value", "unit", "source", "assumed")
    lists = [plain.pop(f"assumption_{name}s" if name != "assumed" else "assumption_assumed") for name in names]
    assumptions = tuple(
        {**dict(zip(names, values, strict=True)), "assumed": bool(values[-1])} for values in zip(*lists, strict=True)
    )
    money = Cost(**{one.name: _amounts(plain.pop(one.name)) for one in fields(Cost)})
    plain |= {name: bool(plain[name]) for name in ("active", "provisional")} | {"changes": tuple(plain["changes"])}
    return IssueRow(id=plain.pop("issue_id"), money=money, assumptions=assumptions, **plain)
