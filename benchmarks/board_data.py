"""A made-up company for ``benchmarks.boards``, written inside ClickHouse: a year of aggregates, a month of raw copies.

Every value follows from the row's number, so that two runs hold the same. Columns that no board reads keep their
default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NOW_S = 1_793_534_400
"""2026-11-01T12:00:00Z: the newest event."""
BIN_S = 10
BINS_A_DAY = 86_400 // BIN_S
LEAVES = 12
PRODUCERS = 6
ISSUES = 400
MINUTES = 180
"""How long an issue goes on."""
HIT = 2_500
"""Customers of one issue."""
CUSTOMERS = 200_000
RAW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Fill:
    """One INSERT: column -> expression over ``number``, for so many rows."""

    table: str
    rows: int
    columns: dict[str, str]

    @property
    def sql(self) -> str:
        """The statement."""
        names = ", ".join(f"`{name}`" for name in self.columns)
        values = ", ".join(self.columns.values())
        return " ".join(["INSERT INTO", self.table, f"({names})", "SELECT", values, f"FROM numbers({self.rows})"])


def _at(expression: str) -> str:
    return f"fromUnixTimestamp64Milli(toInt64({expression}), 'UTC')"


_HASH = "cityHash64(number)"
_CUSTOMER = f"concat('c-', toString({_HASH} % {CUSTOMERS}))"
_SIGNAL = "['app', 'payment', 'delivery'][1 + {} % 3]"
_MONEY = "[('EUR', toInt64(100 + {} % 90000))]"


def fills(days: int, raw_rows: int) -> Iterator[Fill]:
    """Everything, aggregates of the last ``days`` first."""
    yield from _counts(days)
    yield from _issues(days)
    yield from _people(days)
    yield from _experience(days)
    yield from _raw(raw_rows)


def _counts(days: int) -> Iterator[Fill]:
    start_ms = (NOW_S - days * 86_400) * 1000
    leaf = f"(number % {LEAVES})"
    bin_of = f"{start_ms} + intDiv(number, {LEAVES}) * {BIN_S * 1000}"
    yield Fill("cohort_count", days * BINS_A_DAY * LEAVES, {
        "line": "'shop'", "signal": _SIGNAL.format(leaf), "bin": _at(bin_of), "width_ms": str(BIN_S * 1000),
        "partition": f"{leaf} % 4", "attributes": "['app_version', 'platform', 'region']",
        "values": f"[concat('5.', toString({leaf} % 4)), ['android', 'ios'][1 + {leaf} % 2], "
                  f"['DE', 'FR', 'US'][1 + {leaf} % 3]]",
        "exposed": f"20 + {_HASH} % 40", "failed": f"if({_HASH} % 100 < 2, 1 + {_HASH} % 3, 0)", "closed": "1",
        "ver": "1",
    })  # fmt: skip
    yield Fill("source_count", days * BINS_A_DAY * PRODUCERS, {
        "topic": f"['telemetry', 'order', 'contact'][1 + number % {PRODUCERS} % 3]",
        "source": f"concat('source-', toString(number % {PRODUCERS}))",
        "bin": _at(f"{start_ms} + intDiv(number, {PRODUCERS}) * {BIN_S * 1000}"), "width_ms": str(BIN_S * 1000),
        "partition": "0", "events": f"5 + {_HASH} % 50", "late": f"{_HASH} % 200 = 0", "ver": "1",
        "ingest_time": f"now64(3) - if(number < {(days * BINS_A_DAY - 360) * PRODUCERS}, 7200, 60)",
    })  # fmt: skip
    for topic in ("cohort_count", "issue", "affected", "outreach", "delivery", "episode"):
        yield Fill("watermark", 4, {
            "topic": f"'{topic}'", "partition": "number", "partitions": "4", "through": _at(str(NOW_S * 1000)),
            "ver": "1",
        })  # fmt: skip


def _issues(days: int) -> Iterator[Fill]:
    """Spread over the time, the last three open."""
    began = f"{NOW_S * 1000} - intDiv(({ISSUES} - 1 - {{n}}) * {days * 86_400_000}, {ISSUES}) - {MINUTES * 60_000}"
    first, of_minute = began.format(n="number"), began.format(n=f"intDiv(number, {MINUTES})")
    opened = f"number >= {ISSUES - 3}"
    yield Fill("issue", ISSUES, {
        "issue_id": "concat('i-', lower(hex(number)))", "root_id": "concat('i-', lower(hex(number)))", "onset": "1",
        "line": "'shop'", "signal": _SIGNAL.format("number"), "state": f"if({opened}, 'open', 'resolved')",
        "title": "concat('Something fails, number ', toString(number))",
        "cause": "map('app_version', concat('5.', toString(number % 4)))", "exposed": "5000", "failed": str(HIT),
        "opened_at": _at(first), "detected_at": _at(f"{first} + 60000"), "shown_at": _at(f"{first} + 90000"),
        "updated_at": _at(f"{first} + {MINUTES * 60_000}"),
        "resolved_at": f"if({opened}, NULL, {_at(f'{first} + {MINUTES * 60_000}')})", "severity": "'high'",
        "expected": "12", "observed": str(HIT), "ver": "1",
    })  # fmt: skip
    counts = {"affected": str(HIT), "contacted": "300", "silent": str(HIT - 300)}
    money = {name: _MONEY.format(_HASH) for name in ("at_risk", "per_minute")}
    yield Fill("impact", ISSUES, {
        "issue_id": "concat('i-', lower(hex(number)))", "line": "'shop'", "signal": _SIGNAL.format("number"),
        **counts, **money, "at_risk_low": money["at_risk"], "at_risk_high": money["at_risk"],
        "as_of": _at(str(NOW_S * 1000)), "ver": "1",
    })  # fmt: skip
    minute = {
        "issue_id": f"concat('i-', lower(hex(intDiv(number, {MINUTES}))))",
        "minute": _at(f"intDiv({of_minute}, 60000) * 60000 + number % {MINUTES} * 60000"), "ver": "1",
    }  # fmt: skip
    yield Fill("impact_1m", ISSUES * MINUTES, {
        **minute, "affected": f"number % {MINUTES} * 13", "contacted": f"number % {MINUTES}",
        "silent": f"number % {MINUTES} * 12", **money,
    })  # fmt: skip
    yield Fill("issue_1m", ISSUES * MINUTES, {**minute, "state": "'open'", "expected": "12", "observed": "100"})


def _people(days: int) -> Iterator[Fill]:
    issue = f"intDiv(number, {HIT})"
    name = f"concat('i-', lower(hex({issue})))"
    hit = (f"{NOW_S * 1000} - intDiv(({ISSUES} - 1 - {issue}) * {days * 86_400_000}, {ISSUES}) - {MINUTES * 60_000}"
           f" + number % {HIT} * 4000")  # fmt: skip
    key = {"issue_id": name, "customer_id": _CUSTOMER}
    yield Fill("affected", ISSUES * HIT, {
        **key, "root_id": name, "line": "'shop'", "signal": _SIGNAL.format(issue), "known_at": _at(hit),
        "first_failed_at": _at(hit), "last_failed_at": _at(hit), "amounts": _MONEY.format(_HASH), "origin": "'live'",
        "contacted_at": f"if({_HASH} % 8 = 0, {_at(f'{hit} + 3600000')}, NULL)", "ver": "1",
    })  # fmt: skip
    send = f"{_HASH} % 10 < 7"
    yield Fill("outreach", ISSUES * HIT, {
        "outreach_id": "concat('o-', lower(hex(number)))", **key, "root_id": name, "stage": "'notice'",
        "decision": f"multiIf({send}, 'send', {_HASH} % 10 = 7, 'hold_out', 'refuse')",
        "reason": f"multiIf({send}, 'eligible', {_HASH} % 10 = 7, 'hold_out', 'no_consent')",
        "channel": f"if({send}, 'webhook', '')", "decided_at": _at(hit), "not_before": _at(hit),
        "deadline": _at(f"{hit} + 50400000"), "drawn_at": f"if({_HASH} % 10 < 8, {_at(hit)}, NULL)", "ver": "1",
    })  # fmt: skip
    yield Fill("delivery", ISSUES * HIT, {
        "outreach_id": f"if({send}, concat('o-', lower(hex(number))), 'o-none')", **key, "stage": "'notice'",
        "channel": "'webhook'", "outcome": f"if({_HASH} % 50 = 0, 'failed', 'delivered')", "attempts": "1",
        "claimed_at": _at(hit), "done_at": _at(f"{hit} + 400"), "ver": "1",
    })  # fmt: skip
    yield Fill("customer", CUSTOMERS, {
        "customer_id": "concat('c-', toString(number))", "updated_at": _at(str(NOW_S * 1000 - 86_400_000)),
        "segment": "['new', 'regular', 'business'][1 + number % 3]", "opted_out": "number % 50 = 0",
    })  # fmt: skip


def _experience(days: int) -> Iterator[Fill]:
    spread = f"{(NOW_S - days * 86_400) * 1000} + intDiv(number * {days * 86_400_000}, {{}})"
    contacts, orders = days * 3_000, days * 6_000
    yield Fill("contact_case", contacts, {
        "customer_id": _CUSTOMER, "contact_id": "concat('k-', toString(number))", "line": "'shop'",
        "channel": "['phone', 'chat'][1 + number % 2]", "mode": "'human'", "last_mode": "'human'",
        "reason": f"['delivery', 'app', 'payment', ''][1 + {_HASH} % 4]", "region": "'DE'",
        "opened_at": _at(spread.format(contacts)), "last_at": _at(spread.format(contacts)),
        "answered_at": _at(f"{spread.format(contacts)} + 60000"), "wait_ms": f"{_HASH} % 300000",
        "outcome": "'resolved'", "first_contact_resolved": f"{_HASH} % 4 > 0", "origin": "'live'", "ver": "1",
    })  # fmt: skip
    yield Fill("order_outcome", orders, {
        "customer_id": _CUSTOMER, "order_id": "concat('b-', toString(number))", "line": "'shop'", "region": "'DE'",
        "placed_at": _at(spread.format(orders)), "outcome": "'right'", "first_time_right": f"{_HASH} % 10 > 0",
        "origin": "'live'", "ver": "1",
    })  # fmt: skip


def _raw(rows: int) -> Iterator[Fill]:
    """85 % telemetry, 10 % orders, 5 % contacts of the last 30 days, in the order in which they happened."""
    for noun, share, own in (
        ("telemetry", 85, {
            "component": "'checkout'", "app_version": f"concat('5.', toString({_HASH} % 4))", "platform": "'android'",
            "region": "'DE'", "event_name": "'checkout'", "outcome": f"if({_HASH} % 50 = 0, 'failed', 'ok')",
            "latency_ms": f"{_HASH} % 900", "session_id": f"lower(hex({_HASH}))",
        }),
        ("order", 10, {
            "order_id": "concat('b-', toString(intDiv(number, 5)))", "region": "'DE'", "currency": "'EUR'",
            "status": "['placed', 'paid', 'packed', 'shipped', 'delivered'][1 + number % 5]",
            "amount_cents": f"{_HASH} % 90000", "payment_provider": "'acme'", "carrier": "'pigeon'",
        }),
        ("contact", 5, {
            "contact_id": "concat('k-', toString(intDiv(number, 3)))", "channel": "'phone'", "mode": "'human'",
            "status": "['opened', 'answered', 'resolved'][1 + number % 3]", "reason": "'delivery'", "region": "'DE'",
            "wait_ms": f"{_HASH} % 300000",
        }),
    ):  # fmt: skip
        count = rows * share // 100
        happened = f"{(NOW_S - RAW_DAYS * 86_400) * 1000} + intDiv(number * {RAW_DAYS * 86_400}, {count}) * 1000"
        yield Fill(f"{noun}_raw", count, {
            "product": "'shop'", "event_id": f"lower(hex({_HASH}))", "customer_id": _CUSTOMER,
            "event_time": _at(f"{happened} + {_HASH} % 1000"),
            "source": "concat('source-', toString(number % 3))", "origin": "'live'", "topic": f"'{noun}'",
            "partition": "number % 4", "offset": "number", **own,
        })  # fmt: skip
