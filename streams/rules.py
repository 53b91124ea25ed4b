"""Rules from the settings: outreach decides by the same ones that the sender checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from schemas.errors import ConfigError
from schemas.signals import signal_spec
from schemas.wordlists import KINDS
from streams.core.detect.rules import DetectRules
from streams.core.experience.rules import TOPICS as EXPERIENCE_TOPICS
from streams.core.experience.rules import ExperienceRules
from streams.core.impact.money import Parameters, configured
from streams.core.impact.stage import ImpactRules
from streams.core.join.rules import MODELS, SIGNALS, JoinRules, PromiseRule
from streams.core.match.evidence import MatchRules
from streams.core.outreach.cases import OutreachRules
from streams.core.outreach.policy import DAY_MS, HOUR_MS, Budget, QuietHours
from streams.core.outreach.wording import LANGUAGES, Names, plain, promises
from streams.lateness import planned_lateness, require_memory
from streams.settings import Settings

_NAMES = TypeAdapter(
    dict[str, dict[str, str | dict[Literal["en", "de"], str]]], config=ConfigDict(strict=True)
)
_NAMES_ALLOWED = (
    "should be attribute: {value: words} or attribute: {value: {language: words}} with languages "
    f"{', '.join(LANGUAGES)}, everything in quotes that YAML could take for a number"
)


def outreach_rules(settings: Settings) -> OutreachRules:
    """Who may be told, when and how often. Raises ConfigError for rules that cannot hold."""
    if settings.outreach_replayed and not settings.webhook_allow_loopback:
        raise ConfigError(
            "CX_OUTREACH_REPLAYED tells of what was played from a file: it needs CX_WEBHOOK_ALLOW_LOOPBACK=true and a "
            "receiver on this machine"
        )
    start_hour, end_hour = map(int, settings.quiet_hours.split("-"))
    return OutreachRules(
        budgets=tuple(map(_budget, settings.contact_budget)),
        quiet=QuietHours(start_hour, end_hour, settings.outreach_zones),
        approval_above=settings.approval_above,
        holdout_ratio=settings.holdout_ratio,
        replayed=settings.outreach_replayed,
        names=read_names(settings.outreach_names),
    )


def _budget(limit: str) -> Budget:
    """A limit such as 3/7d."""
    most, _, window = limit.partition("/")
    return Budget(int(most), int(window[:-1]) * (DAY_MS if window.endswith("d") else HOUR_MS))


def read_names(file: Path | None) -> Names:
    """The company's words for values of attributes: ``attribute: {value: words}`` or ``{value: {en: ..., de: ...}}``.

    Raises ConfigError for a file that cannot be read, says nothing sensible, or promises money or goods.
    """
    if file is None:
        return {}
    try:
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"CX_OUTREACH_NAMES cannot be read ({type(error).__name__})") from None
    try:
        found = _NAMES.validate_python(body or {})
    except ValidationError as error:
        path = ".".join(map(str, error.errors()[0]["loc"]))
        raise ConfigError(f"CX_OUTREACH_NAMES: {path}: {_NAMES_ALLOWED}") from None
    named = {name: {value: _by_language(words) for value, words in values.items()} for name, values in found.items()}
    wrong = [
        f"{name}.{value}" for name, values in named.items() for value, own in values.items()
        if any(map(promises, own.values())) or not all(map(plain, own.values()))
    ]  # fmt: skip
    if wrong:
        raise ConfigError(f"CX_OUTREACH_NAMES: {wrong[0]}: promises money or goods, or has no words")
    return named


def _by_language(words: str | dict[Literal["en", "de"], str]) -> dict[str, str]:
    return {"": words} if isinstance(words, str) else dict(words.items())


def detect_rules(settings: Settings) -> DetectRules:
    """When counts become an issue. Raises ConfigError for rules that cannot hold."""
    return DetectRules(
        cohorts=settings.detect_cohorts,
        false_alarms_per_day=settings.detect_false_alarms_per_day,
        customers=settings.detect_customers,
        ratio_low=settings.detect_ratio_low,
        signals_off=settings.detect_signals_off,
    )


def join_rules(settings: Settings) -> JoinRules:
    """How events become counts and episodes. Raises ConfigError for rules that cannot hold."""
    planned = planned_lateness(settings)
    bounds = {one.noun: one.bounds for one in planned}
    require_memory(planned, settings.seen_memory_mb)
    chosen = {} if not settings.signal_attributes else _chosen_attributes(settings.signal_attributes)
    promise = PromiseRule()
    return JoinRules(
        signals=tuple(replace(rule, attributes=chosen.get(rule.signal, rule.attributes)) for rule in SIGNALS),
        promise=replace(promise, attributes=chosen.get(promise.signal, promise.attributes)),
        clock_customers=settings.clock_customers, bounds=MappingProxyType(bounds),
    )  # fmt: skip


def _chosen_attributes(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Signal -> names of attributes, from ``signal:attribute+attribute``."""
    chosen = {}
    for text in given:
        signal, _, names = text.partition(":")
        known = [name for name in KINDS["attribute"] if name in MODELS[signal_spec(signal).topic].model_fields]
        unknown = [name for name in names.split("+") if name not in known]
        if unknown or signal in chosen:
            wrong = f"no attribute {unknown[0]}" if unknown else "two lists"
            raise ConfigError(f"CX_SIGNAL_ATTRIBUTES: {signal} has {wrong}; allowed: one or more of {', '.join(known)}")
        chosen[signal] = tuple(names.split("+"))
    return chosen


def experience_rules(settings: Settings) -> ExperienceRules:
    """How long contacts and orders are remembered: by the lateness of their topics, as in the join.

    Raises ConfigError for rules that cannot hold.
    """
    bounds = {one.noun: one.bounds for one in planned_lateness(settings) if one.noun in EXPERIENCE_TOPICS}
    return ExperienceRules(bounds=MappingProxyType(bounds), clock_customers=settings.clock_customers)


def impact_rules(settings: Settings) -> ImpactRules:
    """The money model: defaults are printed as assumed, settings as configured."""
    given = {
        "margin": (settings.impact_margin_cents, "cents per customer and year"),
        "contact_cost": (settings.impact_contact_cents, "cents per contact"),
    }
    chosen = {name: configured(value, unit) for name, (value, unit) in given.items() if value is not None}
    return ImpactRules(parameters=Parameters(**chosen), currency=settings.currency)


def match_rules(settings: Settings) -> MatchRules:
    """Whom an issue hits. Raises ConfigError for rules that cannot hold."""
    return MatchRules(currency=settings.currency)
