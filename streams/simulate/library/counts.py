"""Years of nothing as counts: closed bins of one line as the topic ``cohort_count`` has them, to count false alarms.

Real counts vary more than coins do: a leaf's failure rate wanders from hour to hour, and some customers fail again and
again. Both are in here; no incident is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.simulate.library.declared import SEED
from streams.simulate.library.draws import Draws, Floats, Ints
from streams.simulate.library.firm import MONDAY_MS
from streams.simulate.library.rhythm import EVEN_DAY, EVEN_WEEK, OFFICE_DAY, OFFICE_WEEK, Rhythm
from streams.simulate.library.truth import WorldTruth
from streams.sources.arrivals import Arrival

_ENCODE = msgspec.json.Encoder().encode
BIN_MS = 10_000
"""Width of a bin by the contract of the topic."""
CUSTOMERS = 20_000
_CHUNK_HOURS = 24
_ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
Message = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CountWorld:
    """One line, one signal, no incident. ``per_hour`` is the number of customers exposed on average.

    Counts are made for one bin in ``every_ms``. ``dispersion`` is the standard deviation of the logarithm of a leaf's
    failure rate, from one hour to the next.
    """

    name: str
    says: str
    days: int
    signal: str
    attributes: tuple[str, ...]
    leaves: tuple[tuple[str, ...], ...]
    per_hour: float
    failing: float
    rhythm: Rhythm = field(default_factory=Rhythm)
    every_ms: int = 5 * MINUTE_MS
    dispersion: float = 0.35
    line: str = "shop"
    family: str = "null"

    def counts(self, seed: int = SEED, scale: float = 1.0) -> Iterator[Message]:
        """Records of ``cohort_count`` as (noun, JSON object), hour by hour. ``scale`` shortens the span."""
        draws = Draws(seed, self.name)
        ends_ms = self._ends_ms(scale)
        for starts_ms in range(MONDAY_MS, ends_ms, _CHUNK_HOURS * HOUR_MS):
            yield from self._day(draws, starts_ms, min(starts_ms + _CHUNK_HOURS * HOUR_MS, ends_ms))

    def play(self, seed: int = SEED, partitions: int = 1, scale: float = 1.0) -> Iterator[Arrival]:
        """The same as messages; the topic has one partition, whatever ``partitions`` says."""
        del partitions
        for noun, body in self.counts(seed, scale):
            at_ms = body["through_ms"] if body["kind"] == "bin_closed" else body["bin_ms"] + BIN_MS
            yield Arrival(at_ms, noun, self.line.encode(), None, _ENCODE(body))

    def truth(self, seed: int = SEED, scale: float = 1.0) -> WorldTruth:
        """That there is nothing."""
        return WorldTruth(
            world=self.name, family=self.family, seed=seed, starts_ms=MONDAY_MS, ends_ms=self._ends_ms(scale),
            incidents=(), wrong=(),
        )  # fmt: skip

    def _ends_ms(self, scale: float) -> int:
        return MONDAY_MS + max(1, round(self.days * scale)) * DAY_MS

    def _day(self, draws: Draws, starts_ms: int, ends_ms: int) -> Iterator[Message]:
        hours = np.arange(starts_ms, ends_ms + 1, HOUR_MS, dtype=np.int64)
        busy, bins = self.rhythm.factors(MONDAY_MS, hours), HOUR_MS // self.every_ms
        count = len(hours) - 1
        wander = _lognormal(draws, self.dispersion, count * len(self.leaves)).reshape(count, len(self.leaves))
        weights = 1.0 / np.arange(1, len(self.leaves) + 1)
        shares = weights / weights.sum()
        means = busy[:, None] * shares[None, :] * (self.per_hour / bins)
        exposed = draws.poisson(np.repeat(means, bins, axis=0).ravel())
        rates = np.repeat(wander * self.failing, bins, axis=0).ravel()
        failed = np.minimum(draws.poisson(exposed * rates), exposed)
        hashes = _hashes((CUSTOMERS * draws.unit(int(failed.sum())) ** 1.5).astype(np.uint64))
        yield from self._records(hours, exposed.reshape(-1, len(self.leaves)), failed.reshape(exposed.shape), hashes)

    def _records(self, hours: Ints, exposed: Ints, failed: Ints, hashes: list[int]) -> Iterator[Message]:
        """One record per bin in which anybody was exposed, and after each hour word that it is closed."""
        bins, width, start = HOUR_MS // self.every_ms, len(self.leaves), 0
        upto = np.cumsum(failed).tolist()
        for index, row in enumerate(exposed.tolist()):
            leaves = []
            for leaf, customers in enumerate(row):
                end = upto[index * width + leaf]
                if customers:
                    distinct = sorted(set(hashes[start:end]))
                    leaves.append({"values": list(self.leaves[leaf]), "exposed": customers, "failed": distinct})
                start = end
            hour_ms = int(hours[index // bins])
            if leaves:
                yield "cohort_count", self._count(hour_ms + index % bins * self.every_ms, leaves)
            if index % bins == bins - 1:
                through = {"kind": "bin_closed", "partition": 0, "partitions": 1, "through_ms": hour_ms + HOUR_MS}
                yield "cohort_count", through

    def _count(self, bin_ms: int, leaves: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "kind": "cohort_count", "line": self.line, "signal": self.signal, "bin_ms": bin_ms, "width_ms": BIN_MS,
            "partition": 0, "attributes": list(self.attributes), "leaves": leaves, "closed": True,
        }  # fmt: skip


def _lognormal(draws: Draws, deviation: float, count: int) -> Floats:
    """Numbers around 1."""
    normal = np.sqrt(-2.0 * np.log1p(-draws.unit(count))) * np.cos(2.0 * np.pi * draws.unit(count))
    return np.asarray(np.exp(deviation * normal - deviation**2 / 2.0), dtype=np.float64)


def _hashes(customers: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> list[int]:
    """A 64-bit hash for each number, the same for the same."""
    first, second, third = (np.uint64(one) for one in _ODD)
    mixed = (customers + np.uint64(1)) * first
    mixed = (mixed ^ (mixed >> np.uint64(30))) * second
    mixed = (mixed ^ (mixed >> np.uint64(27))) * third
    hashed: list[int] = (mixed ^ (mixed >> np.uint64(31))).tolist()
    return hashed


_APP = ("app_version", "platform", "device_model", "region", "component")
_APP_LEAVES = tuple(
    (version, platform, model, region, component)
    for version, platform, model in (("5.1.0", "android", "Nova 8"), ("5.1.0", "ios", "Apollo 13"))
    for region in ("DE", "FR", "ES")
    for component in ("checkout", "home")
)
_PAY_LEAVES = tuple(
    (provider, method, region)
    for provider, method in (("paynow", "card"), ("cardia", "card"), ("klarion", "invoice"))
    for region in ("DE", "FR", "NL")
)
_SHIP_LEAVES = (
    ("swiftpost", "HAM-2", "DE"), ("parcelgo", "BER-3", "DE"), ("swiftpost", "LYO-1", "FR"),
    ("parcelgo", "AMS-1", "NL"),
)  # fmt: skip
_CALL_LEAVES = tuple((channel, region) for channel in ("phone", "chat", "email") for region in ("DE", "FR"))
_NIGHT = (0.0, 0.0, 11.0, 12.0, 1.0) + (0.0,) * 19
_WEEKEND = (0.15, 0.15, 0.15, 0.2, 0.75, 3.2, 2.4)

COUNT_WORLDS: dict[str, CountWorld] = {world.name: world for world in (
    CountWorld(name="null_shop_half_year", says="A shop's app over half a year, busiest in the evening.", days=182,
               signal="app", attributes=_APP, leaves=_APP_LEAVES, per_hour=2_000.0, failing=0.012),
    CountWorld(name="null_office_year", says="Payments of an office supplier: nothing at night and on Sundays.",
               days=364, signal="payment", attributes=("payment_provider", "payment_method", "region"),
               leaves=_PAY_LEAVES, per_hour=300.0, failing=0.025,
               rhythm=Rhythm(OFFICE_DAY, OFFICE_WEEK), line="office", every_ms=15 * MINUTE_MS),
    CountWorld(name="null_machines_year", says="Devices that report evenly, day and night.", days=364,
               signal="app", attributes=_APP, leaves=_APP_LEAVES[:4], per_hour=4_000.0, failing=0.002,
               rhythm=Rhythm(EVEN_DAY, EVEN_WEEK, zone="UTC"), dispersion=0.2, line="home", every_ms=15 * MINUTE_MS),
    CountWorld(name="null_nightly_two_years", says="Deliveries that are closed in one nightly run.", days=728,
               signal="delivery", attributes=("carrier", "warehouse", "region"), leaves=_SHIP_LEAVES, per_hour=40.0,
               failing=0.04, rhythm=Rhythm(_NIGHT, EVEN_WEEK), dispersion=0.5),
    CountWorld(name="null_weekend_two_years", says="A business of weekends.", days=728,
               signal="payment", attributes=("payment_provider", "payment_method", "region"), leaves=_PAY_LEAVES,
               per_hour=60.0, failing=0.02, rhythm=Rhythm(weekdays=_WEEKEND), line="tickets",
               every_ms=30 * MINUTE_MS),
    CountWorld(name="null_season_three_years", says="A yearly wave: twice as much in December as in June.", days=1_092,
               signal="delivery", attributes=("carrier", "warehouse", "region"), leaves=_SHIP_LEAVES, per_hour=60.0,
               failing=0.03, rhythm=Rhythm(year=0.35), every_ms=HOUR_MS),
    CountWorld(name="null_sparse_five_years", says="Twenty contacts a day.", days=1_820,
               signal="contact", attributes=("channel", "region"), leaves=_CALL_LEAVES, per_hour=0.85, failing=0.3,
               rhythm=Rhythm(OFFICE_DAY, OFFICE_WEEK), every_ms=HOUR_MS),
    CountWorld(name="null_every_bin_week", says="A busy app, a count in every bin of ten seconds.", days=7,
               signal="app", attributes=_APP, leaves=_APP_LEAVES, per_hour=12_000.0, failing=0.01, every_ms=BIN_MS),
)}  # fmt: skip
"""Name -> null world."""
