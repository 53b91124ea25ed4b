"""Worlds in which paying or pricing breaks, and days on which everybody pays."""

from __future__ import annotations

from dataclasses import replace

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Announced, Fault, Wrong
from streams.simulate.library.people import FAR
from streams.simulate.library.rhythm import Peak, Rhythm

QUICK = frozenset({"quick"})
SHOP = Firm(sessions=80.0, orders=280.0, contacts=20.0)
_PAY_DAY = Rhythm(peaks=(Peak(7 * 24.0, 8 * 24.0, 3.0), Peak(8 * 24.0, 9 * 24.0, 1.8)))
_BLACK_FRIDAY = Rhythm(peaks=(Peak(72.0, 96.0, 6.0), Peak(96.0, 120.0, 2.5)))

WORLDS = (
    World(
        "payment_provider_one_country", "payment", "One payment provider is down in one country for three hours.",
        (replace(SHOP, days=2.0, happens=(
            Fault(id="provider", trouble="payment", starts=33.0, ends=36.0, share=0.85, code="PROVIDER_TIMEOUT",
                  where={"payment_provider": ("paynow",), "region": ("DE",)}, contact_share=0.15),
        )),), QUICK,
    ),
    World(
        "two_at_once", "payment", "Two providers fail in two countries at once, for reasons of their own.",
        (replace(SHOP, happens=(
            Fault(id="paynow", trouble="payment", starts=56.0, ends=61.0, share=0.75, code="PROVIDER_TIMEOUT",
                  where={"payment_provider": ("paynow",), "region": ("DE",)}),
            Fault(id="invoice", trouble="payment", starts=56.5, ends=62.0, share=0.7, code="SCORING_DOWN",
                  where={"payment_method": ("invoice",), "region": ("FR",)},
                  also=({"payment_provider": ("klarion",), "region": ("FR",)},)),
        )),),
    ),
    World(
        "price_error", "payment", "Three articles cost a hundredth for an evening; the company cancels the orders.",
        (replace(SHOP, happens=(
            Announced("price", 64.0, "Prices of March"),
            Fault(id="price", trouble="cancel", starts=64.0, ends=69.0, share=0.95,
                  where={"sku": ("sku-07", "sku-08", "sku-09")}, contact_share=0.4),
        )),),
    ),
    World(
        "currencies", "payment", "A shop in four currencies; payments in Japan fail for five hours.",
        (replace(SHOP, orders=220.0, regions=FAR, happens=(
            Fault(id="yen", trouble="payment", starts=49.0, ends=54.0, share=0.8, code="ACQUIRER_DOWN",
                  where={"region": ("JP",)}, cost=320_000, currency="JPY"),
        )),),
    ),
    World(
        "currency_of_three_decimals", "payment", "Four currencies; deliveries in Kuwait break their promises.",
        (replace(SHOP, orders=220.0, regions=FAR, happens=(
            Fault(id="dunepost", trouble="delivery", starts=40.0, ends=62.0, share=0.9, cost=6_500, currency="KWD",
                  where={"region": ("KW",)},
                  also=({"carrier": ("dunepost",)}, {"warehouse": ("KWI-1",)})),
        )),),
    ),
    World(
        "pay_day", "payment", "Three times as many orders on pay day; a few more cards are declined, as always then.",
        (replace(SHOP, days=10.0, orders=80.0, sessions=60.0, contacts=8.0, rhythm=_PAY_DAY, happens=(
            Wrong(168.0, 216.0, "pay day: more orders, nothing broken"),
        )),),
    ),
    World(
        "black_friday", "payment", "Six times as many orders for a day, all of them served.",
        (replace(SHOP, days=6.0, orders=60.0, sessions=90.0, contacts=8.0, rhythm=_BLACK_FRIDAY, happens=(
            Announced("promotion", 72.0, "Black Friday"),
            Wrong(72.0, 120.0, "Black Friday: more of everything, nothing broken"),
        )),),
    ),
    World(
        "black_friday_in_trouble", "payment", "On Black Friday the wallet fails for two hours.",
        (replace(SHOP, days=5.0, orders=60.0, sessions=90.0, contacts=8.0, rhythm=_BLACK_FRIDAY, happens=(
            Announced("promotion", 72.0, "Black Friday"),
            Fault(id="wallet", trouble="payment", starts=90.0, ends=92.0, share=0.8, code="WALLET_500",
                  where={"payment_method": ("wallet",)}),
        )),),
    ),
)  # fmt: skip
