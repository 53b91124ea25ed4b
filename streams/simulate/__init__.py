"""A made-up company: a day of history and six hours live, three incidents and two harmless events that look like one.

Everything follows from a seed: the same seed gives the same bytes. Event time is a fixed past span. Volumes are those
of a shop with 6,000 customers, about 250,000 messages. What really happened is in :class:`Truth`, which only the judge
reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.topics import MINUTE_MS
from streams.simulate.company import Company, run_contacts, run_devices, run_sessions
from streams.simulate.dice import Dice
from streams.simulate.noise import add_noise
from streams.simulate.rules import Incident, SimulateRules
from streams.simulate.tape import Tape
from streams.simulate.trade import run_orders
from streams.simulate.truth import Injected, Truth, Witness
from streams.simulate.world import people, profile
from streams.sources.arrivals import Arrival

__all__ = ["Incident", "Injected", "SimulateRules", "Simulation", "Truth", "events", "simulate"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What was made: the tape, and the truth about it."""

    rules: SimulateRules
    tape: Tape
    truth: Truth

    def arrivals(self, partitions: int = 4, heartbeat_ms: int = MINUTE_MS) -> Iterator[Arrival]:
        """Messages in arrival order with heartbeats, ready to be played."""
        return self.tape.arrivals(partitions, heartbeat_ms)


def simulate(rules: SimulateRules | None = None) -> Simulation:
    """Make the company's two days (about 5 seconds)."""
    rules = rules or SimulateRules()
    company = Company(rules, people(rules), Tape(rules), [Witness(incident) for incident in rules.incidents])
    _slow_streams(company)
    run_sessions(company)
    run_devices(company)
    run_orders(company)
    run_contacts(company)
    add_noise(company)
    company.tape.sort()
    return Simulation(rules, company.tape, _truth(company))


def events(
    seed: int = 7, partitions: int = 4, rules: SimulateRules | None = None
) -> Iterator[tuple[str, bytes, int | None, bytes]]:
    """(noun, key, partition or None = by key, value) in arrival order, heartbeats included."""
    for arrival in simulate(rules or SimulateRules(seed=seed)).arrivals(partitions):
        yield arrival.noun, arrival.key or b"", arrival.partition, arrival.value


def _slow_streams(company: Company) -> None:
    """Profiles before anything else; changes when they take effect, a harmless one among them."""
    rules, tape, dice = company.rules, company.tape, Dice(company.rules.seed, "profiles")
    for person in company.people:
        tape.record(rules.start_ms, "customer", person.customer_id, profile(dice, person, rules.start_ms))
    changes = [
        ("price-spring", rules.live_ms + 10 * MINUTE_MS, "price", {"region": "ES"}, "Spring prices in Spain"),
        ("campaign-fr", rules.campaign_start_ms, "campaign", {"region": rules.campaign_region}, "Spring campaign"),
    ]
    for incident in rules.incidents:
        if incident.signal == "app":
            version = {"app_version": incident.attributes["app_version"]}
            changes.append(("rel-5.2.0", incident.start_ms, "release", version, "App 5.2.0"))
    for change_id, at_ms, kind, attributes, title in changes:
        tape.record(
            at_ms,
            "change",
            change_id,
            {
                "change_id": change_id,
                "changed_at_ms": at_ms,
                "change_kind": kind,
                "product": "shop",
                "attributes": attributes,
                "title": title,
            },
        )


def _truth(company: Company) -> Truth:
    rules, tape = company.rules, company.tape
    return Truth(
        seed=rules.seed,
        start_ms=rules.start_ms,
        live_ms=rules.live_ms,
        end_ms=rules.end_ms,
        incidents=tuple(witness.injected() for witness in company.witnesses),
        campaign={
            "region": rules.campaign_region,
            "start_ms": rules.campaign_start_ms,
            "end_ms": rules.campaign_end_ms,
        },
        outage={
            "source": rules.silent_source,
            "start_ms": rules.outage_start_ms,
            "end_ms": rules.outage_start_ms + rules.outage_ms,
        },
        events=tape.counts(),
        duplicates=tape.duplicates,
        stragglers=tape.stragglers,
        too_late=tape.too_late,
        malformed=tape.malformed,
    )
