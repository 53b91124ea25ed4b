"""Orders of the made-up company: placed, paid or not, promised, packed, shipped, delivered or not."""

from __future__ import annotations

import math
from typing import Any

from schemas.topics import HOUR_MS, MINUTE_MS
from streams.simulate.company import BASE_FAILURE, Company
from streams.simulate.dice import Dice, Weighted
from streams.simulate.truth import Witness
from streams.simulate.world import Person

PAYMENTS = Weighted(
    {
        ("paynow", "card"): 0.28,
        ("paynow", "wallet"): 0.12,
        ("cardia", "card"): 0.35,
        ("klarion", "invoice"): 0.25,
    }
)
DEPOTS = {
    "DE": Weighted({("swiftpost", "HAM-2"): 0.40, ("swiftpost", "MUC-1"): 0.25, ("parcelgo", "BER-3"): 0.35}),
    "FR": Weighted({("swiftpost", "LYO-1"): 0.45, ("parcelgo", "PAR-2"): 0.55}),
    "NL": Weighted({("swiftpost", "HAM-2"): 0.30, ("parcelgo", "AMS-1"): 0.70}),
    "ES": Weighted({("swiftpost", "LYO-1"): 0.35, ("parcelgo", "MAD-1"): 0.65}),
}
COURIERS = Weighted({"day": 0.7, "evening": 0.2, "night": 0.1})
RETRIES = 2
SOURCES = {
    "placed": "shop-orders", "paid": "payments", "payment_failed": "payments", "packed": "warehouse",
    "shipped": "warehouse", "delivered": "carriers", "cancelled": "shop-orders",
}


def run_orders(company: Company) -> None:
    """Everyday orders, and those that a campaign brings."""
    rules, dice = company.rules, company.chance_of("orders")
    for at_ms in company.moments("order times", rules.orders_per_hour):
        _order(company, dice, dice.pick(company.people), at_ms)
    reached = [person for person in company.people if person.region == rules.campaign_region]
    for at_ms in company.burst("campaign orders", rules.orders_per_hour * rules.campaign_factor):
        _order(company, dice, dice.pick(reached), at_ms)


def _record(company: Company, at_ms: int, customer: str, body: dict[str, Any], may_straggle: bool = True) -> None:
    """One change of status, reported by the system that knows of it."""
    company.tape.event("order", at_ms, customer, {**body, "source": SOURCES[body["status"]]}, may_straggle)


def _order(company: Company, dice: Dice, person: Person, at_ms: int) -> None:
    company.orders += 1
    provider, method = PAYMENTS.pick(dice)
    carrier, warehouse = DEPOTS[person.region].pick(dice)
    amount = int(math.exp(dice.between(7.0, 9.6)))
    body: dict[str, Any] = {
        "order_id": f"o-{company.orders:06d}",
        "product": "shop",
        "sku": f"sku-{dice.whole(1, 200)}",
        "amount_cents": amount,
        "currency": person.currency,
        "payment_provider": provider,
        "payment_method": method,
        "carrier": carrier,
        "warehouse": warehouse,
        "region": person.region,
        "attributes": {
            "plan": person.plan,
            "shop": "web" if person.platform == "web" else "app",
            "courier": COURIERS.pick(company.chance_of("couriers")),
        },
    }
    _record(company, at_ms, person.customer_id, {**body, "status": "placed"}, False)
    paid_ms = _pay(company, dice, person, body, at_ms + dice.whole(15_000, 90_000))
    if paid_ms is not None:
        _deliver(company, dice, person, body, paid_ms)


def _pay(company: Company, dice: Dice, person: Person, body: dict[str, Any], at_ms: int) -> int | None:
    """Try to pay, twice at most. Returns the time and leaves the last event to delivery (it carries the promise)."""
    for attempt in range(RETRIES):
        witness = company.strike("payment", at_ms, body)
        if witness is None and not dice.chance(BASE_FAILURE["payment"]):
            return at_ms
        code = "PROVIDER_TIMEOUT" if witness else "DECLINED_05"
        _record(company, at_ms, person.customer_id, {**body, "status": "payment_failed", "error_code": code}, False)
        if witness is not None and at_ms < company.rules.end_ms:
            company.complain(witness, person, at_ms, body["order_id"])
        if attempt == RETRIES - 1 or not dice.chance(0.6):
            return None
        at_ms += dice.whole(40_000, 240_000)
    return None


def _deliver(company: Company, dice: Dice, person: Person, body: dict[str, Any], paid_ms: int) -> None:
    """From payment (the promise is given with it) to the door."""
    hours = dice.between(3.0, 7.0) if dice.chance(0.5) else dice.between(20.0, 26.0)
    promised_ms = paid_ms + int(hours * HOUR_MS)
    due_ms = promised_ms - dice.whole(10 * MINUTE_MS, 120 * MINUTE_MS)
    if dice.chance(BASE_FAILURE["delivery"]):
        due_ms = promised_ms + dice.whole(10 * MINUTE_MS, 90 * MINUTE_MS)
    promised = {**body, "promised_at_ms": promised_ms}
    customer = person.customer_id
    _record(company, paid_ms, customer, {**promised, "status": "paid"}, False)
    if dice.chance(0.015):
        stop_ms = paid_ms + dice.whole(5 * MINUTE_MS, 90 * MINUTE_MS)
        _record(company, stop_ms, customer, {**body, "status": "cancelled", "cancelled_by": "customer"}, False)
        return
    packed_ms = paid_ms + dice.whole(20 * MINUTE_MS, 45 * MINUTE_MS)
    _record(company, packed_ms, customer, {**body, "status": "packed"})
    witness = company.strike("delivery", due_ms, body)
    if witness is None:
        shipped_ms = due_ms - dice.whole(20 * MINUTE_MS, 50 * MINUTE_MS)
        _record(company, shipped_ms, customer, {**body, "status": "shipped"})
    else:
        due_ms = witness.incident.end_ms + dice.whole(5 * MINUTE_MS, 100 * MINUTE_MS)
        _break_promise(company, witness, person, promised_ms, due_ms, body["order_id"])
    _record(company, due_ms, customer, {**body, "status": "delivered"}, False)


def _break_promise(
    company: Company, witness: Witness, person: Person, promised_ms: int, due_ms: int, order_id: str
) -> None:
    """The depot holds the parcel back: the promise breaks quietly when it falls due."""
    if promised_ms < min(due_ms, company.rules.end_ms):
        company.complain(witness, person, promised_ms, order_id)
