"""Who the customers of a company of the library are, and how its regions differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.simulate.library.draws import Draws, Ints
from streams.simulate.library.rows import Coded

PLATFORMS = {"android": 0.48, "ios": 0.30, "web": 0.22}
MODELS = {
    "android": {"Nova 8": 0.30, "Nova 7": 0.25, "Orbit 5": 0.25, "Orbit 6": 0.197, "Quill 1": 0.003},
    "ios": {"Apollo 12": 0.45, "Apollo 13": 0.55},
    "web": {"desktop": 0.7, "tablet": 0.3},
}
VERSIONS = {"android": {"5.1.0": 0.85, "5.0.3": 0.15}, "ios": {"5.1.0": 0.9, "5.0.3": 0.1}, "web": {"2026.02": 1.0}}
PLANS = {"basic": 0.5, "family": 0.35, "business": 0.15}
LOTS = ("24-115", "24-116", "24-117", "24-118", "24-119")
FIRMWARES = {"11.4": 0.7, "11.3": 0.3}


@dataclass(frozen=True, slots=True)
class Region:
    """Where customers live: what they pay in, which depots serve them (carrier, warehouse: weight), what they speak.

    ``price`` is the amount of an ordinary order, in hundredths of one unit of the currency.
    """

    code: str
    share: float
    currency: str = "EUR"
    language: str = "de"
    zone: str = "Europe/Berlin"
    price: int = 6_000
    depots: dict[tuple[str, str], float] = field(default_factory=dict)


EUROPE = (
    Region("DE", 0.40,
           depots={("swiftpost", "HAM-2"): 0.40, ("swiftpost", "MUC-1"): 0.25, ("parcelgo", "BER-3"): 0.35}),
    Region("FR", 0.25, language="fr", zone="Europe/Paris",
           depots={("swiftpost", "LYO-1"): 0.45, ("parcelgo", "PAR-2"): 0.55}),
    Region("NL", 0.20, language="nl", zone="Europe/Amsterdam",
           depots={("swiftpost", "HAM-2"): 0.30, ("parcelgo", "AMS-1"): 0.70}),
    Region("ES", 0.15, language="es", zone="Europe/Madrid",
           depots={("swiftpost", "LYO-1"): 0.35, ("parcelgo", "MAD-1"): 0.65}),
)  # fmt: skip
FAR = (
    Region("DE", 0.35, depots={("swiftpost", "HAM-2"): 1.0}),
    Region("JP", 0.30, "JPY", "ja", "Asia/Tokyo", 900_000, {("kitepost", "OSA-1"): 1.0}),
    Region("KW", 0.15, "KWD", "ar", "Asia/Kuwait", 1_900, {("dunepost", "KWI-1"): 1.0}),
    Region("US", 0.20, "USD", "en", "America/New_York", 6_500, {("prairie", "EWR-4"): 1.0}),
)
"""Currencies with two, none and three decimals."""


@dataclass(frozen=True, slots=True)
class People:
    """Columns with a value per customer."""

    ids: Sequence[bytes]
    region: Coded
    platform: Coded
    model: Coded
    version: Coded
    plan: Coded
    lot: Coded
    firmware: Coded

    def who(self, draws: Draws, count: int, among: Ints | None = None) -> Ints:
        """Customers to whom something happens: some are far busier than others."""
        pool = np.arange(len(self.ids)) if among is None else among
        return pool[(len(pool) * draws.unit(count) ** 1.5).astype(np.int64)]

    def those(self, where: dict[str, tuple[str, ...]]) -> Ints:
        """Numbers of the customers with these values; attributes that customers do not have are not looked at."""
        chosen = np.ones(len(self.ids), dtype=np.bool_)
        for name, values in where.items():
            column = {"region": self.region, "platform": self.platform, "device_model": self.model}.get(name)
            if column is not None:
                chosen &= column.among(values)
        return np.flatnonzero(chosen)


def people(seed: int, count: int, regions: Sequence[Region]) -> People:
    """Everybody, by number."""
    draws = Draws(seed, "people")
    region = draws.pick([one.share for one in regions], count)
    platform = draws.pick(list(PLATFORMS.values()), count)
    return People(
        ids=[b"c-%06d" % number for number in range(count)],
        region=Coded([one.code for one in regions], region),
        platform=Coded(list(PLATFORMS), platform),
        model=_by_platform(draws, MODELS, platform),
        version=_by_platform(draws, VERSIONS, platform),
        plan=Coded(list(PLANS), draws.pick(list(PLANS.values()), count)),
        lot=Coded(LOTS, draws.whole(0, len(LOTS), count)),
        firmware=Coded(list(FIRMWARES), draws.pick(list(FIRMWARES.values()), count)),
    )


def _by_platform(draws: Draws, choices: dict[str, dict[str, float]], platform: Ints) -> Coded:
    """A value for each customer out of those that their platform has."""
    labels = list(dict.fromkeys(label for weights in choices.values() for label in weights))
    codes = np.zeros(len(platform), dtype=np.int64)
    for number, name in enumerate(PLATFORMS):
        own = list(choices[name])
        drawn = draws.pick(list(choices[name].values()), len(platform))
        codes = np.where(platform == number, np.array([labels.index(label) for label in own])[drawn], codes)
    return Coded(labels, codes)
