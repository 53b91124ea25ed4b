"""The names that belong to drills: made-up events about nobody, sent through the live streams to see whether they work.

``origin`` says drill of everything that was made up (``cxwatch simulate`` too); an event of ``cxwatch drill`` has these
names besides, all of them or none. By them every stage tells what must be kept out of baselines, totals and messages.
"""

from __future__ import annotations

from typing import Any

from schemas.signals import NAMES

SOURCE = "cx.drill"
"""Producer of the events of every drill."""
PREFIX = "cx.drill."
"""How the tokens of its customers begin, and its service lines. The customers are nobody: no profile, no address."""
LINES = tuple(f"{PREFIX}{signal}" for signal in NAMES)
"""One service line for each signal: no drill is taken for the echo of another, and there are never more."""
ORIGIN = "drill"
MARK = SOURCE.encode()
"""No event without these bytes has one of the names, unless it is spelled with an escape."""

WHOLE_RULE = "should be that of a drill or of none: customer, product, source and origin go together"
PROFILE_RULE = "should not be a customer of a drill, who is nobody"


def is_drill(name: str) -> bool:
    """True for a customer, or a service line, that was made up for a drill.

    >>> is_drill("cx.drill.a1.0007"), is_drill("cx.drill.payment"), is_drill("c-000421")
    (True, True, False)
    """
    return name.startswith(PREFIX)


def half_marked(event: Any) -> str | None:
    """Return the field that keeps an event from being wholly a drill's or wholly not; None if nothing does.

    ``event`` has the attributes of :class:`schemas.events.Telemetry`, ``Order`` or ``Contact``.
    """
    customer, product, source = event.customer_id, event.product, event.source
    if not (customer.startswith(PREFIX) or product.startswith(PREFIX) or source == SOURCE):
        return None
    by = {
        "customer_id": customer.startswith(PREFIX), "product": product in LINES, "source": source == SOURCE,
        "origin": event.origin == ORIGIN,
    }  # fmt: skip
    return next((name for name, marked in by.items() if not marked), None)
