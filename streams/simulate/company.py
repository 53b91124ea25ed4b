"""The made-up company at work: sessions, devices, orders, contacts. One class per activity, one tape for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import HOUR_MS, MINUTE_MS
from streams.simulate.dice import Dice, Weighted
from streams.simulate.rules import SimulateRules
from streams.simulate.tape import Tape
from streams.simulate.truth import Witness
from streams.simulate.world import SOURCES, Person, season

STEPS = (
    ("app_start", "home", "start"),
    ("search", "catalog", "find"),
    ("product_view", "catalog", "find"),
    ("add_to_cart", "checkout", "buy"),
    ("checkout_submit", "checkout", "buy"),
    ("track_order", "orders", "wait"),
)
BASE_FAILURE = {"app": 0.010, "payment": 0.025, "delivery": 0.025, "home": 0.002}
CHANNELS = Weighted({"phone": 0.40, "chat": 0.35, "email": 0.25})
REASONS = Weighted(
    {
        "question": 0.46,
        "info": 0.14,
        "delivery": 0.12,
        "app": 0.08,
        "payment": 0.07,
        "complaint": 0.05,
        "technical": 0.04,
        "": 0.04,
    }
)
INCIDENT_REASONS = {
    "app": Weighted({"app": 0.6, "technical": 0.3, "": 0.1}),
    "payment": Weighted({"payment": 0.85, "": 0.15}),
    "delivery": Weighted({"delivery": 0.7, "complaint": 0.2, "": 0.1}),
}
TEXTS = {
    "question": "A question about an article.",
    "campaign": "Is the offer valid for me?",
    "app": "The app closes by itself.",
    "payment": "My payment did not work.",
    "delivery": "Where is my parcel?",
    "complaint": "I am not happy.",
}


@dataclass(slots=True)
class Company:
    """What every activity shares."""

    rules: SimulateRules
    people: list[Person]
    tape: Tape
    witnesses: list[Witness]
    orders: int = 0
    contacts: int = 0
    dice: dict[str, Dice] = field(default_factory=dict)

    def chance_of(self, name: str) -> Dice:
        """The named stream of chance."""
        if name not in self.dice:
            self.dice[name] = Dice(self.rules.seed, name)
        return self.dice[name]

    def moments(self, name: str, per_hour: float) -> Iterator[int]:
        """Times of a Poisson process whose rate follows the day, by thinning."""
        dice, at = self.chance_of(name), float(self.rules.start_ms)
        while (at := at + dice.wait(HOUR_MS / per_hour)) < self.rules.end_ms:
            if dice.chance(season(int(at))):
                yield int(at)

    def burst(self, name: str, per_hour: float) -> Iterator[int]:
        """Extra moments while the campaign runs."""
        dice, at = self.chance_of(name), float(self.rules.campaign_start_ms)
        while (at := at + dice.wait(HOUR_MS / per_hour)) < self.rules.campaign_end_ms:
            yield int(at)

    def strike(self, signal: str, at_ms: int, attributes: dict[str, str]) -> Witness | None:
        """The incident that makes this fail, drawn by its failure rate; None if none does."""
        for witness in self.witnesses:
            incident = witness.incident
            if incident.signal == signal and incident.covers(at_ms, attributes):
                return witness if self.chance_of("strike").chance(incident.failure_ratio) else None
        return None

    def complain(self, witness: Witness, person: Person, at_ms: int, order_id: str | None = None) -> None:
        """A customer who is hit for the first time calls, or, far more often, stays silent."""
        dice = self.chance_of("complain")
        if not witness.hit(person.customer_id, at_ms) or not dice.chance(witness.incident.contact_ratio):
            return
        at_ms += dice.whole(2 * MINUTE_MS, 40 * MINUTE_MS)
        if at_ms < self.rules.end_ms:
            witness.contact(person.customer_id)
            self.contact(dice, person, at_ms, INCIDENT_REASONS[witness.incident.signal].pick(dice), order_id)

    def contact(self, dice: Dice, person: Person, at_ms: int, reason: str, order_id: str | None = None) -> None:
        """One contact from opening to its end."""
        self.contacts += 1
        channel = CHANNELS.pick(dice)
        body: dict[str, Any] = {
            "source": "desk",
            "contact_id": f"k-{self.contacts:05d}",
            "channel": channel,
            "reason": reason,
            "language": person.language,
            "product": "shop",
            "region": person.region,
            "attributes": {"plan": person.plan},
            "subject_ids": [f"t-{self.contacts:05d}"],
        }
        if order_id:
            body["order_id"] = order_id
        text = {"text": TEXTS[reason]} if reason in TEXTS else {}
        self.tape.event("contact", at_ms, person.customer_id, {**body, "status": "opened", **text})
        wait = int(dice.wait(90_000.0))
        if wait > 5 * MINUTE_MS:
            lost = {**body, "status": "abandoned", "wait_ms": wait}
            self.tape.event("contact", at_ms + wait, person.customer_id, {**lost, "source": "queue"})
            return
        handle = 60_000 + int(dice.wait(240_000.0))
        end = {"status": "resolved", "handle_ms": handle, "csat": dice.whole(2, 6), "source": "cases"}
        answered = {"status": "answered", "wait_ms": wait, "source": "queue"}
        self.tape.event("contact", at_ms + wait, person.customer_id, {**body, **answered})
        self.tape.event("contact", at_ms + wait + handle, person.customer_id, {**body, **end})


def run_contacts(company: Company) -> None:
    """Everyday questions and complaints, and the questions that a campaign brings."""
    rules, dice = company.rules, company.chance_of("contacts")
    for at_ms in company.moments("contact times", rules.contacts_per_hour):
        company.contact(dice, dice.pick(company.people), at_ms, REASONS.pick(dice))
    reached = [person for person in company.people if person.region == rules.campaign_region]
    for at_ms in company.burst("campaign contacts", rules.contacts_per_hour * rules.campaign_factor):
        company.contact(dice, dice.pick(reached), at_ms, "campaign" if dice.chance(0.7) else "question")


def run_sessions(company: Company) -> None:
    """Sessions in the apps and on the web; a failure ends every second session."""
    dice = company.chance_of("sessions")
    for number, at_ms in enumerate(company.moments("session times", company.rules.sessions_per_hour), 1):
        _session(company, dice, dice.pick(company.people), at_ms, f"s-{number:05d}")


def _session(company: Company, dice: Dice, person: Person, at_ms: int, session_id: str) -> None:
    version = person.version_at(at_ms)
    attributes = {
        "app_version": version,
        "platform": person.platform,
        "device_model": person.device_model,
        "region": person.region,
    }
    depth = 2 + int(dice.wait(2.2))
    for step in range(min(depth, len(STEPS))):
        name, component, stage = STEPS[step]
        witness = company.strike("app", at_ms, attributes)
        failed = witness is not None or dice.chance(BASE_FAILURE["app"])
        body: dict[str, Any] = {
            "source": SOURCES[person.platform],
            "product": "shop",
            "component": component,
            **attributes,
            "attributes": {"plan": person.plan},
            "event_name": name,
            "outcome": "failed" if failed else "ok",
            "session_id": session_id,
            "journey_stage": stage,
            "latency_ms": round(60.0 + dice.wait(140.0), 1),
        }
        if failed:
            body["error_code"] = "APP_CRASH" if witness else "TIMEOUT"
        company.tape.event("telemetry", at_ms, person.customer_id, body)
        if witness is not None and at_ms < company.rules.end_ms:
            company.complain(witness, person, at_ms)
        if failed and dice.chance(0.5):
            return
        at_ms += 2_000 + int(dice.wait(35_000.0))


def run_devices(company: Company) -> None:
    """A gateway of household devices that reports regularly, until it falls silent for a while."""
    rules, dice = company.rules, company.chance_of("devices")
    owners = [person for person in company.people if dice.chance(0.2)]
    for beat in range(rules.device_start_ms, rules.end_ms, rules.device_period_ms):
        at_ms = beat + dice.whole(0, rules.device_period_ms // 2)
        person = dice.pick(owners)
        failed = dice.chance(BASE_FAILURE["home"])
        if rules.outage_start_ms <= at_ms < rules.outage_start_ms + rules.outage_ms:
            continue
        company.tape.event(
            "telemetry",
            at_ms,
            person.customer_id,
            {
                "source": rules.silent_source,
                "product": "home",
                "component": "gateway",
                "platform": "hub",
                "region": person.region,
                "device_model": "Hub 2",
                "firmware": "11.4",
                "event_name": "report",
                "outcome": "failed" if failed else "ok",
            },
        )
