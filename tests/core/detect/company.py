"""A made-up company as closed counts: 24 h of history and 6 h with three incidents, seasons, a burst and a silence.

hour  0 ............................ 24    25        26   26.5      27.5  28          29.5    30
      history                          |burst| bad release  | paynow in IT |  depot stands  |
                                                silent producer at 25.6 (two minutes)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.fields import Signal as Family
from schemas.findings import BinClosed, CohortCount, LeafCount

HOUR = 3_600_000
ATTRIBUTES = {
    "app": ("app_version", "platform", "device_model", "region", "component"),
    "payment": ("payment_provider", "payment_method", "region"),
    "delivery": ("carrier", "warehouse", "region"),
    "contact": ("channel", "region"),
}
VALUES: dict[str, dict[str, float]] = {
    "app_version": {"5.1.0": 0.8, "5.0.0": 0.2},
    "device_model": {"Nova 8": 0.2, "Nova 7": 0.25, "Pear 15": 0.35, "Pear 14": 0.2},
    "region": {"DE": 0.4, "IT": 0.2, "FR": 0.2, "ES": 0.1, "NL": 0.1},
    "component": {"checkout": 0.3, "search": 0.4, "account": 0.2, "basket": 0.1},
    "payment_provider": {"paynow": 0.4, "cardly": 0.4, "bankdirect": 0.2},
    "payment_method": {"card": 0.6, "wallet": 0.3, "debit": 0.1},
    "carrier": {"swiftpost": 0.5, "parcelo": 0.3, "bikers": 0.2},
    "warehouse": {"HAM-2": 0.25, "MUC-1": 0.35, "MIL-1": 0.25, "LYO-1": 0.15},
    "channel": {"phone": 0.4, "chat": 0.3, "email": 0.2, "app": 0.1},
}
SHARES: dict[Family, float] = {"app": 0.70, "payment": 0.15, "delivery": 0.11, "contact": 0.04}
FAILS = {"app": 0.006, "payment": 0.02, "delivery": 0.03, "contact": 0.35}


@dataclass
class Company:
    """Parameters of one run; ``per_second`` is the mean rate of events over the day."""

    seed: int = 1
    per_second: float = 11.0
    hours: float = 30.0
    customers: int = 20_000
    start_ms: int = 1_775_001_600_000
    incidents: bool = True
    noises: bool = True
    truth: dict[str, Any] = field(default_factory=dict)

    def counts(self, partitions: int = 1) -> list[Any]:
        """Closed counts and closings of every bin; ``truth`` gets each incident's tenth affected customer's time."""
        rng = np.random.default_rng(self.seed)
        columns = [self._family(rng, family) for family in SHARES]
        return _records(columns, partitions, self.start_ms, int(self.hours * HOUR))

    def _family(self, rng: np.random.Generator, family: Family) -> tuple[Family, Any, Any, list[Any], Any]:
        total = self.hours * 3600 * self.per_second * SHARES[family]
        at = np.sort(rng.uniform(0, self.hours, int(total * 1.8)))
        season = 1 + 0.7 * np.sin(2 * np.pi * (at - 9) / 24)
        at = at[rng.random(at.size) < season / 1.8]
        if self.noises and family in ("payment", "contact"):
            at = np.sort(
                np.concatenate([at, rng.uniform(24.3, 24.3 + 1 / 3, int(3 * self.per_second * 1200 * SHARES[family]))])
            )
        n = at.size
        who = (self.customers * rng.random(n) ** 1.5).astype(np.int64)
        names = [a for a in ATTRIBUTES[family] if a in VALUES]
        columns = {
            a: np.array(list(VALUES[a]))[rng.choice(len(VALUES[a]), n, p=list(VALUES[a].values()))] for a in names
        }
        if family == "app":
            device = np.char.startswith(columns["device_model"], "Nova")
            columns["platform"] = np.where(device, "android", "ios")
        fail = rng.random(n) < FAILS[family] * (1 + 0.2 * np.sin(2 * np.pi * at / 24))
        burst = (at >= 24.3) & (at < 24.3 + 1 / 3)
        if family == "contact" and self.noises:
            fail &= ~(burst & (rng.random(n) < 0.75))
        if self.incidents:
            fail = self._hurt(rng, family, at, who, columns, fail)
        keep = np.ones(n, dtype=bool)
        if self.noises and family == "app":
            keep = ~((columns["platform"] == "ios") & (at >= 25.6) & (at < 25.6 + 2 / 60))
        values = [columns[a][keep] for a in ATTRIBUTES[family]]
        return family, (at * HOUR).astype(np.int64)[keep], who[keep], values, fail[keep]

    def _hurt(
        self, rng: np.random.Generator, family: Family, at: Any, who: Any, columns: dict[str, Any], fail: Any
    ) -> Any:
        if family == "app":
            new = (at >= 25) & (rng.random(at.size) < 0.3)
            columns["app_version"] = np.where(new, "5.2.0", columns["app_version"])
            hit = new & (columns["device_model"] == "Nova 8") & (at < 26) & (rng.random(at.size) < 0.35)
        elif family == "payment":
            hit = (columns["payment_provider"] == "paynow") & (columns["region"] == "IT")
            hit &= (at >= 26.5) & (at < 27.5) & (rng.random(at.size) < 0.7)
        elif family == "delivery":
            hit = (columns["warehouse"] == "HAM-2") & (at >= 28) & (at < 29.5) & (rng.random(at.size) < 0.9)
        else:
            hit = (rng.random(at.size) < 0.5) & (at >= 25.2) & (at < 29.7)
        if family != "contact":
            _, first = np.unique(who[hit], return_index=True)
            self.truth[family] = self.start_ms + int(np.sort(at[hit][first])[9] * HOUR)
        return fail | hit


def _records(
    columns: list[tuple[Family, Any, Any, list[Any], Any]], partitions: int, start: int, length: int
) -> list[Any]:
    by_bin: dict[int, list[Any]] = {}
    for family, at, who, values, fail in columns:
        hashes = (who.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(0x1234567)
        part = (hashes >> np.uint64(20)) % np.uint64(partitions)
        coded = [np.unique(v, return_inverse=True) for v in values]
        code = np.zeros(at.size, dtype=np.int64)
        for names, inverse in coded:
            code = code * len(names) + inverse
        order = np.lexsort((hashes, code, part, at // 10_000))
        rows = zip(*(a[order].tolist() for a in (at // 10_000, part, code, hashes, fail)), strict=True)
        leaves: dict[int, tuple[str, ...]] = {}
        groups: dict[tuple[int, int], dict[int, tuple[set[int], set[int]]]] = {}
        for b, p, c, h, f in rows:
            pair = groups.setdefault((b, p), {}).setdefault(c, (set(), set()))
            pair[0].add(h)
            if f:
                pair[1].add(h)
        for (b, p), by_leaf in groups.items():
            counted = []
            for c, (exposed, failed) in by_leaf.items():
                if c not in leaves:
                    rest, names_ = c, []
                    for names, _ in reversed(coded):
                        rest, digit = divmod(rest, len(names))
                        names_.append(str(names[digit]))
                    leaves[c] = tuple(reversed(names_))
                counted.append(
                    LeafCount.model_construct(values=leaves[c], exposed=len(exposed), failed=tuple(sorted(failed)))
                )
            counted.sort(key=lambda leaf: leaf.values)
            by_bin.setdefault(b, []).append(
                CohortCount.model_construct(
                    kind="cohort_count",
                    line="shop",
                    signal=family,
                    bin_ms=start + b * 10_000,
                    width_ms=10_000,
                    partition=int(p),
                    attributes=ATTRIBUTES[family],
                    leaves=tuple(counted),
                    closed=True,
                )
            )
    out: list[Any] = []
    for b in range(length // 10_000):
        out.extend(by_bin.get(b, []))
        out.extend(
            BinClosed(partition=p, partitions=partitions, through_ms=start + (b + 1) * 10_000)
            for p in range(partitions)
        )
    return out
