"""Worlds in which nothing is wrong, at all sizes; and sparse ones over years."""

from __future__ import annotations

from schemas.topics import HOUR_MS, MINUTE_MS
from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Complaints, Fault, Wrong
from streams.simulate.library.rhythm import EVEN_DAY, OFFICE_DAY, OFFICE_WEEK, Rhythm

_YEAR = 364.0
_WEEKLY = Rhythm(EVEN_DAY, (7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), zone="UTC")

WORLDS = (
    World(
        "quiet_1", "quiet", "About one event a minute, five weeks.",
        (Firm(sessions=16.0, orders=2.4, contacts=0.8, customers=900, days=35.0, beat_ms=5 * MINUTE_MS),),
    ),
    World(
        "quiet_100", "quiet", "About a hundred events a minute, three days.",
        (Firm(sessions=1_600.0, orders=200.0, contacts=40.0, customers=6_000, days=3.0),),
    ),
    World(
        "quiet_10000", "quiet", "About ten thousand events a minute, three hours.",
        (Firm(sessions=160_000.0, orders=20_000.0, contacts=4_000.0, customers=150_000, days=0.125,
              rhythm=Rhythm(EVEN_DAY)),),
    ),
    World(
        "season", "quiet", "A year of a shop that sells twice as much in December.",
        (Firm(orders=2.2, contacts=0.5, customers=1_500, days=_YEAR, rhythm=Rhythm(year=0.35),
              beat_ms=HOUR_MS, happens=(Wrong(0.0, 24 * _YEAR, "a season"),)),),
    ),
    World(
        "office_hours", "quiet", "A line that is used in office hours only, four weeks.",
        (Firm(sessions=60.0, orders=12.0, contacts=5.0, days=28.0, rhythm=Rhythm(OFFICE_DAY, OFFICE_WEEK)),),
    ),
    World(
        "daily_and_sparse", "sparse", "Thirty orders a day over three years; a carrier is late for three weeks.",
        (Firm(line="wine", orders=1.25, contacts=0.3, customers=1_200, days=3 * _YEAR, beat_ms=6 * HOUR_MS,
              rhythm=Rhythm(year=0.2), promise_h=(20.0, 60.0), happens=(
                  Fault(id="carrier", trouble="delivery", starts=24.0 * 700, ends=24.0 * 721, share=0.6,
                        late=(5.0, 60.0), where={"carrier": ("parcelgo",)}),
              )),),
    ),
    World(
        "weekly_and_sparse", "sparse", "A weekly market over four years; complaints double in one spring.",
        (Firm(line="market", contacts=1.0, customers=800, days=4 * _YEAR, beat_ms=12 * HOUR_MS, rhythm=_WEEKLY,
              happens=(
                  Complaints(id="stale", starts=24.0 * 840, ends=24.0 * 896, per_hour=0.6, reason="complaint",
                             severe=False),
              )),),
    ),
)  # fmt: skip
