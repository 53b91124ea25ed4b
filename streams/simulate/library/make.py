"""Makes a world of its lines: events in columns, profiles, changes, and the truth as the makers noted it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge

import msgspec
import numpy as np

from schemas.topics import MINUTE_MS
from streams.simulate.library.contacts import contacts
from streams.simulate.library.draws import Draws
from streams.simulate.library.firm import Firm, Scene
from streams.simulate.library.happens import (
    SIGNAL_OF,
    Announced,
    Complaints,
    Fault,
    Missing,
    Outage,
    Release,
    Reportable,
    Surge,
    Wrong,
)  # fmt: skip
from streams.simulate.library.hostile import on_the_way
from streams.simulate.library.orders import orders
from streams.simulate.library.people import People, people
from streams.simulate.library.rows import NETWORK_MS, Rows, in_order
from streams.simulate.library.telemetry import floods, reports, sessions
from streams.simulate.library.truth import Evidence, TrueIncident, WrongReport
from streams.sources.arrivals import Arrival, Beats, with_heartbeats

_LEAST_CUSTOMERS = 200
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Made:
    """One world as made from one seed: its events in columns, written out only when they are played."""

    firms: tuple[Firm, ...]
    rows: list[Rows]
    before: list[Arrival]
    incidents: tuple[TrueIncident, ...]
    wrong: tuple[WrongReport, ...]

    def messages(self) -> Iterator[Arrival]:
        """Profiles, changes and events in arrival order."""
        return merge(self.before, in_order(self.rows), key=lambda arrival: arrival.at_ms)

    def arrivals(self, partitions: int) -> Iterator[Arrival]:
        """The same with heartbeats."""
        first = self.firms[0]
        beats = Beats(first.beat_ms, NETWORK_MS, first.ends_ms, quiet_ms=first.quiet_ms)
        return with_heartbeats(self.messages(), partitions, beats)

    @property
    def events(self) -> int:
        """Deliveries of events, without heartbeats, profiles and changes."""
        return sum(len(rows.which) for rows in self.rows)


def make(firms: Sequence[Firm], seed: int, scale: float = 1.0) -> Made:
    """Make a world. ``scale`` multiplies rates and customers: a small one has the same shape."""
    first = firms[0]
    count = max(int(first.customers * min(scale, 1.0)), min(_LEAST_CUSTOMERS, first.customers))
    everybody = people(seed, count, first.regions)
    parts: list[Rows] = []
    incidents: list[TrueIncident] = []
    wrong: list[WrongReport] = []
    before = _profiles(seed, everybody, first)
    for number, firm in enumerate(firms):
        scene = Scene(firm, everybody, seed, number, scale)
        own = _activities(scene)
        on_the_way(scene, own)
        parts += own
        incidents += [_true(scene, one) for one in firm.of(Reportable) if not one.part_of]
        wrong += [_wrong(firm, one) for one in firm.happens if isinstance(one, Wrong | Surge | Outage)]
        before += _changes(firm)
    before.sort(key=lambda arrival: arrival.at_ms)
    return Made(tuple(firms), parts, before, tuple(incidents), tuple(wrong))


def _activities(scene: Scene) -> list[Rows]:
    """Contacts come last, because they need to know who was struck."""
    firm, found = scene.firm, list[Rows]()
    if firm.sessions:
        found += sessions(scene)
    if firm.hubs:
        found += reports(scene)
    if firm.orders:
        found += orders(scene)
    return found + floods(scene) + contacts(scene)


def _true(scene: Scene, one: Reportable) -> TrueIncident:
    who, first_ms = scene.first_hits(one, *(part for part in scene.firm.of(Reportable) if part.part_of == one.id))
    signals, evidence = shown_by(one)
    ids = [scene.people.ids[number].decode() for number in who.tolist()]
    return TrueIncident(
        id=one.id, line=scene.firm.line, signals=signals, starts_ms=scene.firm.at(one.starts),
        ends_ms=scene.firm.at(one.ends), cohort=one.where, severe=one.severe,
        customers=tuple(zip(ids, first_ms.tolist(), strict=True)), cost=one.cost, currency=one.currency,
        evidence=evidence, also=one.also, regression_of=one.regression_of,
    )  # fmt: skip


def shown_by(one: Reportable) -> tuple[tuple[str, ...], Evidence]:
    """Signals whose report counts (none: any), and what in the events shows it."""
    if isinstance(one, Fault):
        return SIGNAL_OF[one.trouble], "overdue" if one.trouble == "stuck" else "failed"
    if isinstance(one, Missing):
        return (), "missing"
    return ("contact",) if isinstance(one, Complaints) else (), "contact"


def _wrong(firm: Firm, one: Wrong | Surge | Outage) -> WrongReport:
    why = f"{one.noun} data are missing, the service is fine" if isinstance(one, Outage) else one.why
    signals = one.signals if isinstance(one, Wrong) else ()
    return WrongReport(
        line=firm.line, starts_ms=firm.at(one.starts), ends_ms=firm.at(one.ends), why=why, signals=signals
    )


def _profiles(seed: int, everybody: People, firm: Firm) -> list[Arrival]:
    """Everybody's profile before anything happens: one in eight may not be told."""
    draws, count, at_ms = Draws(seed, "profiles"), len(everybody.ids), firm.starts_ms - MINUTE_MS
    value = np.exp(draws.between(6.0, 10.5, count)).astype(np.int64).tolist()
    granted, out = draws.chance(0.91, count).tolist(), draws.chance(0.04, count).tolist()
    found = []
    for number, key in enumerate(everybody.ids):
        region = firm.regions[int(everybody.region.codes[number])]
        body = {
            "customer_id": key.decode(), "updated_at_ms": at_ms, "value_cents": value[number],
            "language": region.language, "time_zone": region.zone, "opted_out": out[number],
            "consents": [{"channel": "webhook", "purpose": "service", "granted": granted[number]}],
            "addresses": [{"channel": "webhook", "token": f"w-{number:06d}"}],
        }  # fmt: skip
        found.append(Arrival(at_ms, "customer", key, None, _ENCODE(body)))
    return found


def _changes(firm: Firm) -> list[Arrival]:
    """Releases and whatever else the company tells of, when it takes effect."""
    announced = [
        Announced("release", one.starts, f"Version {one.version}", {"app_version": one.version})
        for one in firm.of(Release)
    ] + firm.of(Announced)
    found = []
    for number, one in enumerate(announced):
        key = f"{firm.line}-change-{number}"
        body = {
            "change_id": key, "changed_at_ms": firm.at(one.at), "change_kind": one.kind, "product": firm.line,
            "attributes": one.attributes, "title": one.title,
        }  # fmt: skip
        found.append(Arrival(firm.at(one.at), "change", key.encode(), None, _ENCODE(body)))
    return found
