"""What can happen in a world: trouble that ought to be found, and what only looks like it.

Times are hours from the start of the world. ``where`` says which events are concerned, attribute to values; empty: all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Where = dict[str, tuple[str, ...]]
Shape = tuple[tuple[float, float], ...]
"""Corners of a line: hours from the start of the trouble, share."""
Stream = Literal["sessions", "orders", "contacts", "reports"]
Trouble = Literal["app", "report", "payment", "delivery", "cancel", "stuck"]
"""What fails: a step in the app, a device's report, a payment; a promise; or orders are cancelled by the company, or
stay where they are."""
SIGNAL_OF: dict[Trouble, tuple[str, ...]] = {
    "app": ("app",), "report": ("app",), "payment": ("payment",), "delivery": ("delivery",),
    "cancel": ("delivery", "contact"), "stuck": (),
}  # fmt: skip
REASON_OF: dict[Trouble, str] = {
    "app": "app", "report": "technical", "payment": "payment", "delivery": "delivery",
    "cancel": "complaint", "stuck": "delivery",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reportable:
    """What the truth says of any incident; see `truth.TrueIncident`."""

    id: str
    starts: float
    ends: float
    where: Where = field(default_factory=dict)
    severe: bool = True
    cost: int = 2_000
    currency: str = "EUR"
    contact_share: float = 0.08
    """Of those hit, who get in touch."""
    also: tuple[Where, ...] = ()
    regression_of: str = ""
    part_of: str = ""
    """Id of the incident that this only makes worse in one part: it is none of its own, those hit count there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Reportable):
    """Something fails. ``share``: how much of what is concerned, or a `Shape` of it."""

    trouble: Trouble
    share: float | Shape = 0.8
    code: str = "E_FAULT"
    late: tuple[float, float] | None = None
    """Of a delivery: how many hours too late it comes; None: it is held until the trouble is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing(Reportable):
    """What should have come does not come, without any word of failure."""

    stream: Stream
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaints(Reportable):
    """Nothing but contacts shows it: ``per_hour`` more of them for this reason (in words: of this topic)."""

    per_hour: float
    reason: str = "complaint"
    channel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload(Reportable):
    """The call centre cannot keep up: waits are ``slower`` times as long, and many give up."""

    slower: float = 12.0


@dataclass(frozen=True, slots=True)
class Surge:
    """More of something, and nothing wrong with it: ``per_hour`` more. ``topic``: what contacts are about."""

    stream: Stream
    starts: float
    ends: float
    per_hour: float
    why: str
    topic: str = "question"
    where: Where = field(default_factory=dict)
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """A new version reaches one platform, device by device, ``hours`` on average after the start."""

    version: str
    platform: str
    starts: float
    hours: float = 1.5


@dataclass(frozen=True, slots=True)
class Announced:
    """A change that the company tells of."""

    kind: Literal["release", "price", "promotion", "campaign", "outage", "other"]
    at: float
    title: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outage:
    """Events of a noun from this time are lost, or come all ``after`` hours past its end; the service is fine."""

    noun: str
    starts: float
    ends: float
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Batches:
    """A noun comes in batches, one every ``every`` hours; each fourth is ``late`` hours late."""

    noun: str
    every: float
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """A share of the customers has devices whose clock is wrong by so many hours."""

    noun: str
    share: float
    hours: float
    starts: float = 0.0
    ends: float = 1e9


@dataclass(frozen=True, slots=True)
class Copies:
    """A producer repeats what it sends so many times."""

    noun: str
    starts: float
    ends: float
    copies: int


@dataclass(frozen=True, slots=True)
class Flood:
    """A producer invents a value of an attribute for every event."""

    starts: float
    ends: float
    per_hour: float


@dataclass(frozen=True, slots=True)
class Wrong:
    """What would be wrong to report: an issue that starts in this time."""

    starts: float
    ends: float
    why: str
    signals: tuple[str, ...] = ()


Happening = (
    Fault | Missing | Complaints | Overload | Surge | Release | Announced | Outage | Batches | Clocks | Copies | Flood
    | Wrong
)  # fmt: skip
