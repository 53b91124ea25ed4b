"""The catalogue of signals: what is watched for failing more than it should, each said once.

A signal has a name, which findings, tables and messages carry. The names on the wire are not a closed set: a reader
takes a finding of a signal that its own build does not know yet, and shows it by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Element = Literal["staff", "facility", "customer", "process"]
"""Which part of a service fails: the people who give it, what it runs on, the customer's own doing, or how it is
organised."""
Severity = Literal["low", "medium", "high", "critical"]
"""How much it matters to those hit, whoever and how many they are."""


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One signal. ``topic``: noun of the events that decide it."""

    name: str
    meaning: str
    topic: str
    element: Element | None
    """None: what the events say does not tell."""
    severity: Severity
    owner: str = ""
    """Who usually has to act, in words; empty: nobody can say."""


SIGNALS: tuple[SignalSpec, ...] = (
    SignalSpec("app", "What the product did failed: outcomes of telemetry", "telemetry", "facility", "high",
               "product engineering"),
    SignalSpec("payment", "Payments fail: orders paid or not", "order", "process", "critical",
               "payments"),
    SignalSpec("delivery", "Promises are broken: orders done by the promised time", "order", "process", "medium",
               "logistics"),
    SignalSpec("contact", "A larger share of contacts reports a failure", "contact", None, "medium",
               "customer service"),
)
"""Every signal that this build finds."""

BY_SIGNAL: dict[str, SignalSpec] = {signal.name: signal for signal in SIGNALS}

NAMES: tuple[str, ...] = tuple(BY_SIGNAL)
"""Names of the signals, in the order of the catalogue."""


def signal_spec(name: str) -> SignalSpec:
    """The signal of that name; for one that this build does not know, a general one.

    >>> signal_spec("payment").severity, signal_spec("returns").severity
    ('critical', 'medium')
    """
    return BY_SIGNAL.get(name) or SignalSpec(name, f"What the signal {name} watches", "", None, "medium")
