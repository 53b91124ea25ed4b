"""Orders of a company of the library: placed, paid or not, promised, packed, shipped, delivered, cancelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schemas.topics import HOUR_MS, MINUTE_MS
from streams.simulate.library.draws import Draws, Ints, Mask
from streams.simulate.library.firm import Scene, combined
from streams.simulate.library.happens import Fault, Missing
from streams.simulate.library.rows import Coded, Rows, Written, inside_json

PROVIDERS = {
    ("paynow", "card"): 0.28, ("paynow", "wallet"): 0.12, ("cardia", "card"): 0.35, ("klarion", "invoice"): 0.25,
}  # fmt: skip
SKUS = tuple(f"sku-{number:02d}" for number in range(1, 41))
SOURCES = {
    "placed": "shop-orders", "paid": "payments", "payment_failed": "payments", "packed": "warehouse",
    "shipped": "warehouse", "delivered": "carriers", "cancelled": "shop-orders",
}  # fmt: skip
_NEVER = np.int64(1 << 60)
_DECLINED = "DECLINED_05"


@dataclass(slots=True)
class Purchases:
    """Orders in columns; a time of `_NEVER` means that it does not happen."""

    number: Ints
    who: Ints
    placed_ms: Ints
    amount: Ints
    body: Written
    columns: dict[str, Coded]

    def at(self, rows: Ints | Mask) -> Purchases:
        """Some of them."""
        columns = {name: column.at(rows) for name, column in self.columns.items()}
        body = Written(self.body.texts, self.body.codes[rows])
        return Purchases(self.number[rows], self.who[rows], self.placed_ms[rows], self.amount[rows], body, columns)


def orders(scene: Scene) -> list[Rows]:
    """All events of all orders, in parts by status."""
    book = _placed(scene)
    parts = [_rows(scene, "op", "placed", book, book.placed_ms)]
    paid_ms, failures = _pay(scene, book)
    parts += failures
    paid = paid_ms < _NEVER
    book, paid_ms = book.at(paid), paid_ms[paid]
    return parts + _deliver(scene, book, paid_ms)


def _placed(scene: Scene) -> Purchases:
    placed_ms, who, _ = scene.moments("orders", scene.firm.orders)
    draws, people, count = scene.draws("baskets"), scene.people, len(placed_ms)
    columns = {
        "region": people.region.at(who), "platform": people.platform.at(who), "plan": people.plan.at(who),
        "sku": Coded(SKUS, draws.whole(0, len(SKUS), count)), **_ways(scene, draws, people.region.at(who)),
    }  # fmt: skip
    prices = np.array([region.price for region in scene.firm.regions], dtype=np.float64)[columns["region"].codes]
    currencies = [region.currency for region in scene.firm.regions]
    columns["currency"] = Coded(currencies, columns["region"].codes)
    amount = _whole_units(prices * np.exp(draws.between(-1.2, 1.2, count)), columns["currency"])
    names = ("currency", "payment_provider", "payment_method", "carrier", "warehouse", "region", "plan")
    bodies, codes = combined([columns[name] for name in names])
    texts = [_body(scene.firm.line, names, labels) for labels in bodies]
    book = Purchases(np.arange(count), who, placed_ms, amount, Written(texts, codes), columns)
    for missing in scene.firm.of(Missing):
        if missing.stream == "orders":
            gone = scene.concerned(missing, book.placed_ms, book.columns)
            gone &= draws.chance(missing.share, len(gone))
            scene.hit(missing, book.who[gone], book.placed_ms[gone])
            book = book.at(~gone)
    return book


def _whole_units(hundredths: np.ndarray[tuple[int], np.dtype[np.float64]], currency: Coded) -> Ints:
    """Yen have no decimals, so their hundredths end in two zeros."""
    whole = hundredths.astype(np.int64)
    return np.where(currency.among(("JPY",)), whole // 100 * 100, whole)


def _ways(scene: Scene, draws: Draws, region: Coded) -> dict[str, Coded]:
    """How it is paid and which depot serves it."""
    pairs = list(PROVIDERS)
    payment = draws.pick(list(PROVIDERS.values()), len(region.codes))
    depots = list(dict.fromkeys(pair for one in scene.firm.regions for pair in one.depots))
    depot = np.zeros(len(region.codes), dtype=np.int64)
    for number, one in enumerate(scene.firm.regions):
        own = np.array([depots.index(pair) for pair in one.depots])
        drawn = own[draws.pick(list(one.depots.values()), len(region.codes))]
        depot = np.where(region.codes == number, drawn, depot)
    return {
        "payment_provider": Coded([provider for provider, _ in pairs], payment),
        "payment_method": Coded([method for _, method in pairs], payment),
        "carrier": Coded([carrier for carrier, _ in depots], depot),
        "warehouse": Coded([warehouse for _, warehouse in depots], depot),
    }


def _body(line: str, names: tuple[str, ...], labels: tuple[str, ...]) -> bytes:
    body = dict(zip(names, labels, strict=True))
    plan = body.pop("plan")
    return inside_json({"product": line, **body, "attributes": {"plan": plan}})


def _rows(scene: Scene, prefix: str, status: str, book: Purchases, at_ms: Ints, **more: Ints | Written | str) -> Rows:
    """One event per order that it happens to. ``more``: further members, a number each or a text."""
    happens = at_ms < _NEVER
    book, at_ms = book.at(happens), at_ms[happens]
    template = inside_json({"status": status, "source": SOURCES[status]})
    template += b',"order_id":"o%d-%%d","amount_cents":%%d,"sku":"%%b",%%b' % scene.number
    sku = Written([label.encode() for label in SKUS], book.columns["sku"].codes)
    fields: list[Ints | Written] = [book.number, book.amount, sku, book.body]
    for name, value in more.items():
        if isinstance(value, str):
            template += b"," + inside_json({name: value})
        elif isinstance(value, Written):
            template += b',"%b":%%b' % name.encode()
            fields.append(Written(value.texts, value.codes[happens]))
        else:
            template += b',"%b":%%d' % name.encode()
            fields.append(value[happens])
    rows = Rows(
        "order", scene.prefix(prefix), at_ms, book.who, template, tuple(fields), book.columns, ids=scene.people.ids
    )
    return rows.sent(scene.draws(f"network {prefix}"), scene.firm.ends_ms)


def _pay(scene: Scene, book: Purchases) -> tuple[Ints, list[Rows]]:
    """Try to pay, twice at most; the time of payment, and the events of what failed."""
    draws = scene.draws("payments")
    at_ms = book.placed_ms + draws.whole(15_000, 90_000, len(book.who))
    paid_ms = np.full(len(at_ms), _NEVER)
    trying = np.ones(len(at_ms), dtype=np.bool_)
    failures = []
    for attempt in range(2):
        failed, codes = _payment_fails(scene, draws, book, at_ms, trying)
        paid_ms = np.where(trying & ~failed, at_ms, paid_ms)
        fails_ms = np.where(failed, at_ms, _NEVER)
        failures.append(_rows(scene, f"of{attempt}", "payment_failed", book, fails_ms, error_code=codes))
        trying = failed & draws.chance(0.6, len(at_ms))
        at_ms = at_ms + draws.whole(40_000, 240_000, len(at_ms))
    return paid_ms, failures


def _payment_fails(scene: Scene, draws: Draws, book: Purchases, at_ms: Ints, trying: Mask) -> tuple[Mask, Written]:
    failed = trying & draws.chance(scene.firm.payment_failing, len(at_ms))
    texts, codes = [f'"{_DECLINED}"'.encode()], np.zeros(len(at_ms), dtype=np.int64)
    for fault in scene.firm.of(Fault):
        if fault.trouble == "payment":
            struck = trying & scene.strike(fault, draws, at_ms, book.columns)
            scene.hit(fault, book.who[struck], at_ms[struck])
            codes[struck] = len(texts)
            texts.append(f'"{fault.code}"'.encode())
            failed |= struck
    return failed, Written(texts, codes)


def _deliver(scene: Scene, book: Purchases, paid_ms: Ints) -> list[Rows]:
    """From payment (the promise is given with it) to the door, unless it is cancelled or gets stuck on the way."""
    firm, draws, count = scene.firm, scene.draws("delivery"), len(paid_ms)
    low, high = firm.promise_h or (3.0, 26.0)
    promised_ms = paid_ms + (draws.between(low, high, count) * HOUR_MS).astype(np.int64)
    slack = np.minimum(120 * MINUTE_MS, int(low * HOUR_MS / 2))
    due_ms = promised_ms - (draws.between(0.1, 1.0, count) * slack).astype(np.int64)
    slow = draws.chance(firm.delivery_failing, count)
    due_ms[slow] = promised_ms[slow] + draws.whole(10 * MINUTE_MS, 90 * MINUTE_MS, int(slow.sum()))
    due_ms = _held_up(scene, draws, book, promised_ms, due_ms)
    packed_ms = np.minimum(paid_ms + draws.whole(20 * MINUTE_MS, 45 * MINUTE_MS, count), due_ms - 15 * MINUTE_MS)
    shipped_ms = due_ms - draws.whole(5 * MINUTE_MS, 14 * MINUTE_MS, count)
    cancelled_ms = np.where(
        draws.chance(0.015, count), paid_ms + draws.whole(2 * MINUTE_MS, 15 * MINUTE_MS, count), _NEVER
    )
    company_ms = _cancelled_by_company(scene, draws, book, paid_ms)
    stuck = _stuck(scene, draws, book, paid_ms, promised_ms)
    over = (cancelled_ms < _NEVER) | (company_ms < _NEVER) | stuck
    due_ms, packed_ms, shipped_ms = (np.where(over, _NEVER, one) for one in (due_ms, packed_ms, shipped_ms))
    cancelled_ms = np.where(company_ms < _NEVER, _NEVER, cancelled_ms)
    promise = {"promised_at_ms": promised_ms} if firm.promise_h else {}
    return [
        _rows(scene, "oa", "paid", book, paid_ms, **promise),
        _rows(scene, "oc", "cancelled", book, cancelled_ms, cancelled_by="customer"),
        _rows(scene, "ox", "cancelled", book, company_ms, cancelled_by="company"),
        _rows(scene, "ok", "packed", book, packed_ms),
        _rows(scene, "os", "shipped", book, shipped_ms),
        _rows(scene, "od", "delivered", book, due_ms),
    ]


def _held_up(scene: Scene, draws: Draws, book: Purchases, promised_ms: Ints, due_ms: Ints) -> Ints:
    """Deliveries that a fault makes late: until it is over, or by some hours. The promise breaks when it falls due."""
    for fault in scene.firm.of(Fault):
        if fault.trouble != "delivery":
            continue
        struck = scene.strike(fault, draws, due_ms, book.columns)
        after = draws.whole(5 * MINUTE_MS, 100 * MINUTE_MS, len(due_ms))
        if fault.late is None:
            late_ms = scene.firm.at(fault.ends) + after
        else:
            late_ms = promised_ms + (draws.between(*fault.late, len(due_ms)) * HOUR_MS).astype(np.int64)
        due_ms = np.where(struck, np.maximum(late_ms, due_ms), due_ms)
        broken = struck & (promised_ms < due_ms)
        scene.hit(fault, book.who[broken], promised_ms[broken])
    return due_ms


def _cancelled_by_company(scene: Scene, draws: Draws, book: Purchases, paid_ms: Ints) -> Ints:
    """Orders that the company takes back, soon after they were paid."""
    at_ms = np.full(len(paid_ms), _NEVER)
    for fault in scene.firm.of(Fault):
        if fault.trouble == "cancel":
            struck = scene.strike(fault, draws, paid_ms, book.columns)
            back_ms = paid_ms + draws.whole(20 * MINUTE_MS, 90 * MINUTE_MS, len(paid_ms))
            at_ms = np.where(struck, np.minimum(at_ms, back_ms), at_ms)
            scene.hit(fault, book.who[struck], back_ms[struck])
    return at_ms


def _stuck(scene: Scene, draws: Draws, book: Purchases, paid_ms: Ints, promised_ms: Ints) -> Mask:
    """Orders of which nothing more is heard; they are overdue once such an order usually has arrived."""
    stuck = np.zeros(len(paid_ms), dtype=np.bool_)
    for fault in scene.firm.of(Fault):
        if fault.trouble == "stuck":
            struck = scene.strike(fault, draws, paid_ms, book.columns)
            scene.hit(fault, book.who[struck], promised_ms[struck])
            stuck |= struck
    return stuck
