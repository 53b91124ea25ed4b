"""Every knob of detection in one frozen value, with the reason for its default."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import ConfigError

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class ExplainRules:
    """When an attribute may be called the cause.

    Raises ConfigError for impossible values. Ratios are pure numbers, shares lie in 0-1.
    """

    ratio_low: float = 2.0
    """Least lower end of the 95 % interval of the risk ratio inside against outside."""
    support: float = 0.05
    """Least share of the excess failures that lies inside."""
    customers: int = 3
    """Least distinct failed customers inside a candidate."""
    better: float = 3.0
    """Log likelihood ratio by which a pair must explain the failures better than its single to be named instead."""
    dominance: float = 0.9
    """Two candidates whose failed customers agree to this share are one cause, told by the simpler name."""

    def __post_init__(self) -> None:
        """Refuse values under which nothing or everything would be a cause."""
        if self.ratio_low < 1 or self.better < 0 or self.customers < 1:
            raise ConfigError("ExplainRules: ratio_low and customers must be at least 1, better at least 0")
        if not 0 <= self.support < 1 or not 0 < self.dominance <= 1:
            raise ConfigError("ExplainRules: support must lie in [0, 1), dominance in (0, 1]")


@dataclass(frozen=True, slots=True)
class DetectRules:
    """Rules of the detect room; one configuration serves every service line and family.

    Times are ms. Raises ConfigError for impossible values.
    """

    bin_ms: int = 10_000
    """Base bin, aligned to the epoch; the join's width."""
    block_ms: int = 5 * MINUTE_MS
    """Second scale, and the step in which baselines move."""
    cohorts: int = 1_000
    """K: most cohorts that are watched, over all lines and families; the rest is counted in ``__other__``."""
    lines: int = 500
    """Most service lines, each with a family of failure, that are watched by name; the rest is one, ``__other__``."""
    leaves: int = 20_000
    """Most leaf tuples that are remembered per line and family; the rest shares one."""
    false_alarms_per_day: float = 1.0
    """F: the budget of the whole room; each of the three scales has a third."""
    kappas: tuple[float, ...] = (1.5, 3.0, 10.0)
    """Rate (odds) ratios that the three CUSUMs look for."""
    guard_ms: int = 30 * MINUTE_MS
    """Bins younger than this never train a baseline."""
    recount_ms: int = HOUR_MS
    """A customer counts once per cohort within this time."""
    reference_weeks: int = 2
    """Weeks of history before the hour of the week is used; below it issues are provisional."""
    season_weeks: int = 6
    """Weeks that the hour of the week is averaged over."""
    window_ms: int = DAY_MS
    """Longest look back of an explanation."""
    wander_prior: float = 0.25
    """Prior variance of a rate's slow wander (0.25: half again as high or low), until data say otherwise."""
    wander_ms: int = 6 * HOUR_MS
    """Time over which a wandering rate is taken to keep its value; longer excursions average it out."""
    customers: int = 5
    """Least distinct failed customers before an issue is shown."""
    ratio_low: float = 2.0
    """Least 5 % quantile of the shrunk rate ratio (EB05) before an issue is shown."""
    settle_ms: int = 60_000
    """The cause has to stay the same for this long before it is frozen and shown."""
    settle_customers: int = 5
    """... or for this many further failed customers."""
    suspect_ms: int = 2 * HOUR_MS
    """A suspicion that does not pass the gate is dropped after this time."""
    hold_ms: int = 15 * MINUTE_MS
    """An issue stays at least this long in recovering before it is resolved."""
    all_clear: float = 3.0
    """Log likelihood ratio, normal against still bad, at which an issue is called recovering, and resolved."""
    quiet_ms: int = HOUR_MS
    """Failure-free time after which strong evidence against the incident's own rate suffices to resolve."""
    escalate: float = 2.0
    """The rate of the last 15 minutes over that at opening from which an issue is escalating."""
    regress_ms: int = 14 * DAY_MS
    """A resolved cause that alarms again within this time is a regression of the same root."""
    accept_ms: int = WEEK_MS
    """After this time a changed rate is the new normal: the issue is resolved and the baseline learns again."""
    change_ms: int = 2 * HOUR_MS
    """Changes at most this long before the onset, and up to the detection, are candidate causes."""
    contact_tail_ms: int = 3 * HOUR_MS
    """Contacts keep coming after a problem is over: for this long they belong to it."""
    explain: ExplainRules = ExplainRules()
    signals_off: tuple[str, ...] = ()
    """Signals whose counts are passed over."""

    def __post_init__(self) -> None:
        """Refuse values under which the formulas lose their meaning."""
        if self.bin_ms <= 0 or self.block_ms % self.bin_ms or HOUR_MS % self.block_ms:
            raise ConfigError("DetectRules: bin_ms must divide block_ms, and block_ms an hour")
        if min(self.cohorts, self.lines, self.leaves) < 10:
            raise ConfigError("DetectRules: cohorts, lines and leaves must be at least 10")
        if not 0 < self.false_alarms_per_day <= self.cohorts:
            raise ConfigError("DetectRules: false_alarms_per_day must lie in (0, cohorts]")
        if not self.kappas or min(self.kappas) <= 1:
            raise ConfigError("DetectRules: every kappa must be above 1")
        if self.guard_ms < self.block_ms or self.window_ms < self.block_ms:
            raise ConfigError("DetectRules: guard_ms and window_ms must be at least block_ms")
        if self.wander_prior <= 0 or self.customers < 1 or self.ratio_low < 1:
            raise ConfigError("DetectRules: wander_prior must be positive, customers and ratio_low at least 1")
