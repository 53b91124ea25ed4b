"""Rules from the settings: outreach decides by the same ones that the sender checks."""

from __future__ import annotations

from schemas.errors import ConfigError
from streams.core.cases import OutreachRules
from streams.core.detect.rules import DetectRules
from streams.core.friction import JoinRules
from streams.core.impact import ImpactRules
from streams.core.money import Parameters, configured
from streams.core.policy import QuietHours
from streams.settings import Settings


def outreach_rules(settings: Settings) -> OutreachRules:
    """Who may be told, when and how often. Raises ConfigError for rules that cannot hold."""
    if settings.outreach_replayed and not settings.webhook_allow_loopback:
        raise ConfigError(
            "CX_OUTREACH_REPLAYED tells of what was played from a file: it needs CX_WEBHOOK_ALLOW_LOOPBACK=true and a "
            "receiver on this machine"
        )
    return OutreachRules(
        quiet=QuietHours(served_zones=settings.outreach_zones),
        approval_above=settings.approval_above,
        holdout_ratio=settings.holdout_ratio,
        replayed=settings.outreach_replayed,
    )


def detect_rules(settings: Settings) -> DetectRules:
    """When counts become an issue. Raises ConfigError for rules that cannot hold."""
    return DetectRules(
        cohorts=settings.detect_cohorts,
        false_alarms_per_day=settings.detect_false_alarms_per_day,
        customers=settings.detect_customers,
    )


def join_rules(settings: Settings) -> JoinRules:
    """How events become counts and episodes. Raises ConfigError for rules that cannot hold."""
    return JoinRules(clock_customers=settings.clock_customers)


def impact_rules(settings: Settings) -> ImpactRules:
    """The money model: defaults are printed as assumed, settings as configured."""
    given = {
        "margin": (settings.impact_margin_cents, "cents per customer and year"),
        "contact_cost": (settings.impact_contact_cents, "cents per contact"),
    }
    chosen = {name: configured(value, unit) for name, (value, unit) in given.items() if value is not None}
    return ImpactRules(parameters=Parameters(**chosen), currency=settings.impact_currency)
