"""Colours and number formats, said once for Grafana and the live page.

The colours of tones are those of Okabe and Ito (Color Universal Design, 2008), which people of every colour vision tell
apart; a word or a sign always stands beside them. The sixteen colours of issues follow the first hex digit of an
issue's id, so that an issue has one colour for ever, on every board.
"""

from __future__ import annotations

from dashboards.model import Tone, Unit

TONES: dict[Tone, str] = {"plain": "text", "bad": "#D55E00", "warn": "#E69F00", "good": "#009E73"}
INFO = "#0072B2"
ISSUE_COLOURS: tuple[str, ...] = (
    "#E56474", "#577A09", "#0A96DB", "#B8457E", "#9A9107", "#047A91", "#C96CC2", "#906908",
    "#149E9E", "#8E56BC", "#D27710", "#0B7E66", "#8980EE", "#BF4923", "#24A351", "#3B6CCD",
)  # fmt: skip
"""Of issues by the first hex digit of their id: hues 22.5 degrees apart in OKLCH, by turns darker and lighter, each
with at least three times the contrast of a dark and of a light ground (WCAG 2.2, 1.4.11), which a test measures."""
STATES: dict[str, str] = {
    "suspected": INFO, "open": TONES["bad"], "escalating": TONES["bad"], "regressed": TONES["bad"],
    "recovering": TONES["warn"], "resolved": TONES["good"], "no data": TONES["bad"], "late": TONES["warn"],
    "quiet": "text", "ok": TONES["good"], "sent": TONES["good"], "pending": INFO, "held": TONES["warn"],
    "refused": "text", "held out": "text", "failed": TONES["bad"], "expired": TONES["warn"],
    "unknown": TONES["warn"], "suppressed": "text", "waiting": TONES["warn"], "gone": TONES["bad"],
    "accepts nothing": TONES["warn"], "drill": INFO,
}
"""Word of a state -> its colour."""
SIGNS: dict[str, Tone] = {"✓": "good", "!": "warn", "✗": "bad"}
"""What the text of a status begins with."""
GRAFANA_UNITS: dict[Unit, tuple[str, int | None]] = {
    "customers": ("locale", 0), "issues": ("locale", 0), "notices": ("locale", 0), "events": ("locale", 0),
    "count": ("locale", 0), "money": ("locale", None), "money_per_minute": ("locale", None),
    "per_minute": ("locale", 1), "per_second": ("suffix:/s", 2), "share": ("percentunit", 1), "ratio": ("locale", 2),
    "score": ("locale", 1), "seconds": ("s", 0), "milliseconds": ("ms", 0), "bytes": ("bytes", 1), "lag": ("s", 0),
}  # fmt: skip
"""Our unit -> Grafana's unit and decimals. How many decimals money has depends on its currency, which is its label."""


def grafana_unit(unit: Unit) -> dict[str, str | int]:
    """Unit and decimals as Grafana's field options; empty for texts."""
    if unit not in GRAFANA_UNITS:
        return {}
    name, decimals = GRAFANA_UNITS[unit]
    return {"unit": name} if decimals is None else {"unit": name, "decimals": decimals}
