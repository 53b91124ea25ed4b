"""The configuration of a replay: settings that can change a finding, from the environment, a file and options.

The file is what ``cxwatch init`` writes (``settings.env``) or YAML, setting: value. Secrets in it are not read, and
what changes no finding (servers, ports, how often is flushed) is passed over.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import ConfigError
from schemas.topics import EVENT_NOUNS
from streams.settings import PREFIX, Settings, load_settings
from streams.stack.last_run import recalled

FINDING_SETTINGS: tuple[str, ...] = (
    "max_event_bytes", "future_events", "clock_customers",
    *(f"{noun}_{bound}" for noun in EVENT_NOUNS for bound in ("disorder_ms", "lateness_s")),
    "detect_cohorts", "detect_false_alarms_per_day", "detect_customers", "detect_ratio_low", "detect_signals_off",
    "signal_attributes", "approval_above", "holdout_ratio", "contact_budget", "quiet_hours",
    "outreach_zones", "outreach_replayed", "outreach_names",
    "currency", "impact_margin_cents", "impact_contact_cents",
)  # fmt: skip
"""Settings that can change a finding."""
_FILES = ("outreach_names",)


def configured(file: Path | None = None, given: Sequence[str] = ()) -> Settings:
    """The settings of the environment, those of ``file`` over them, and ``NAME=VALUE`` of ``given`` over both.

    Where they name no topics, those of what runs, or ran last, with the state folder are meant, as everywhere.
    Raises ConfigError naming the setting and what is allowed.
    """
    overrides: dict[str, Any] = {}
    for name, value in read_file(file).items() if file is not None else ():
        field = _field(name, f"{file}: ")
        if field in FINDING_SETTINGS:
            beside = file.parent / str(value) if file is not None and field in _FILES else value
            overrides[field] = beside
    for text in given:
        name, found, value = text.partition("=")
        field = _field(name, "--set ")
        if not found or field not in FINDING_SETTINGS:
            allowed = ", ".join(sorted(FINDING_SETTINGS))
            raise ConfigError(f"--set {name}: allowed is NAME=VALUE of a setting that can change a finding: {allowed}")
        overrides[field] = value
    chosen = load_settings(**{name: value for name, value in overrides.items() if value not in (None, "")})
    settings, _ = recalled(chosen)
    return settings.model_copy(update={"webhook_allow_loopback": True}) if settings.outreach_replayed else settings


def read_file(file: Path) -> Mapping[str, Any]:
    """Names and values of a file. Raises ConfigError if it cannot be read as one."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file} cannot be read: allowed is a settings.env, or YAML of setting: value") from None
    if file.suffix in (".yaml", ".yml"):
        return _read_yaml(file, text)
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = shlex.split(line, comments=True) if "=" in line else []
        if not words:
            continue
        name, equals, value = words[-1].partition("=")
        if not equals:
            raise ConfigError(f"{file}, line {number}: allowed is {PREFIX}NAME=VALUE")
        found[name] = value
    return found


def configuration(settings: Settings) -> dict[str, Any]:
    """What the manifest says of the settings: values of those that can change a finding; of a file its hash."""
    found = settings.model_dump(mode="json", include=set(FINDING_SETTINGS))
    for name in _FILES:
        path = getattr(settings, name)
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path is not None else None
    return found


def _read_yaml(file: Path, text: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ConfigError(f"{file} is no YAML of setting: value")
    return found


def _field(name: str, where: str) -> str:
    """The field of a setting named as in the environment or without the prefix."""
    field = name.strip().removeprefix("export ").removeprefix(PREFIX).lower()
    if field not in Settings.model_fields:
        raise ConfigError(f"{where}{name} is not a setting; `cxwatch settings` lists them all.")
    return field
