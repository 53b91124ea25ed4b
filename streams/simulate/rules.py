"""The frozen description of the made-up company's two days: span, volumes, incidents and what is no incident."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.errors import ConfigError
from schemas.topics import HOUR_MS, MINUTE_MS

HISTORY_START_MS = 1_773_129_600_000
"""2026-03-10T08:00:00Z, a Tuesday: a fixed past span, so that two runs are comparable byte for byte."""
HISTORY_MS = 24 * HOUR_MS
LIVE_START_MS = HISTORY_START_MS + HISTORY_MS
LIVE_MS = 6 * HOUR_MS
"""09:00 to 15:00 in Berlin: most customers may be told at once, those in far zones may not."""
MAX_DELAY_MS = 3_000
"""An ordinary event arrives within this: inside the disorder bound of every topic on any number of partitions."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that breaks. ``attributes`` are all pairs that a right explanation has to contain."""

    name: str
    line: str
    signal: str
    attributes: dict[str, str]
    start_ms: int
    end_ms: int
    failure_ratio: float
    contact_ratio: float

    def covers(self, at_ms: int, attributes: dict[str, str]) -> bool:
        """True if something with these attributes is hit at this time."""
        return self.start_ms <= at_ms < self.end_ms and all(attributes.get(k) == v for k, v in self.attributes.items())


def _live(minutes: float) -> int:
    return LIVE_START_MS + int(minutes * MINUTE_MS)


RELEASE = Incident(
    "bad release", "shop", "app", {"app_version": "5.2.0", "device_model": "Nova 8"}, _live(20), _live(200), 0.65, 0.10
)
PAYMENT = Incident(
    "payment provider down in one country",
    "shop",
    "payment",
    {"payment_provider": "paynow", "region": "DE"},
    _live(90),
    _live(240),
    0.85,
    0.18,
)
DEPOT = Incident("depot stands still", "shop", "delivery", {"warehouse": "HAM-2"}, _live(50), _live(290), 1.0, 0.06)


@dataclass(frozen=True, slots=True)
class SimulateRules:
    """Everything the simulation depends on. Rates are per hour of event time at the busiest hour of the day."""

    seed: int = 7
    customers: int = 6_000
    sessions_per_hour: float = 1_300.0
    orders_per_hour: float = 480.0
    contacts_per_hour: float = 48.0
    device_period_ms: int = 1_800
    """The device gateway reports this regularly, more than 5 times a bin: its outage is visible within one bin."""
    device_start_ms: int = LIVE_START_MS - 3 * HOUR_MS
    """The gateway was connected some hours ago."""
    incidents: tuple[Incident, ...] = (RELEASE, PAYMENT, DEPOT)
    campaign_start_ms: int = _live(150)
    campaign_end_ms: int = _live(195)
    campaign_factor: float = 4.0
    campaign_region: str = "FR"
    silent_source: str = "devices"
    outage_start_ms: int = _live(120)
    outage_ms: int = 2 * MINUTE_MS
    malformed: int = 24
    too_late: int = 12
    straggler_ratio: float = 0.002
    duplicate_ratio: float = 0.0015
    start_ms: int = HISTORY_START_MS
    live_ms: int = LIVE_START_MS
    end_ms: int = field(default=LIVE_START_MS + LIVE_MS)

    def __post_init__(self) -> None:
        """Refuse values that cannot make a company."""
        if not 100 <= self.customers <= 1_000_000:
            raise ConfigError(f"customers must be 100 to 1000000, not {self.customers}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be 0 to 4294967295, not {self.seed}")
        if min(self.sessions_per_hour, self.orders_per_hour, self.contacts_per_hour) <= 0 or self.device_period_ms <= 0:
            raise ConfigError("rates and periods must be above 0")
        if not self.start_ms < self.live_ms < self.end_ms:
            raise ConfigError("start_ms, live_ms and end_ms must be in this order")
