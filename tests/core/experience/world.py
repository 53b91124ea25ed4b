"""Events of a few customers for the tests of the room, and a player that feeds, flushes and restarts it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from schemas.codec import canonical
from schemas.events import Contact, Event, Heartbeat, Order
from schemas.experience import ContactCase, OrderOutcome
from schemas.findings import Watermark
from streams.core.experience.rules import ExperienceRules
from streams.core.experience.stage import ExperienceStage, ExperienceState
from streams.core.stage import Batch

T0 = 1_767_225_600_000
HOUR = 3_600_000
DAY = 24 * HOUR
Key = tuple[str, int, str, str]
"""(kind, day on which it began, customer, id): the key of the tables."""


def contact(at: int, status: str = "opened", **other: Any) -> Contact:
    """An event of contact k-1 of customer c-1, ``at`` ms after T0."""
    fields = {"event_time_ms": T0 + at, "customer_id": "c-1", "contact_id": "k-1", "status": status,
              "channel": "phone", "product": "shop"} | other  # fmt: skip
    fields.setdefault("event_id", f"{fields['contact_id']}-{status}-{at}")
    return Contact.model_validate(fields)


def order(at: int, status: str = "placed", **other: Any) -> Order:
    """An event of order o-1 of customer c-1, ``at`` ms after T0."""
    fields = {"event_time_ms": T0 + at, "customer_id": "c-1", "order_id": "o-1", "status": status,
              "product": "shop", "sku": "sku-1"} | other  # fmt: skip
    fields.setdefault("event_id", f"{fields['order_id']}-{status}-{at}")
    return Order.model_validate(fields)


def noun(event: Event) -> str:
    """The topic of an event."""
    return "order" if isinstance(event, Order) else "contact"


class Player:
    """Feeds one partition and keeps what the tables would hold."""

    def __init__(self, rules: ExperienceRules | None = None) -> None:
        """Start with nothing."""
        self.stage = ExperienceStage(rules)
        self.state: ExperienceState = self.stage.start(0, 1)
        self.store: dict[bytes, bytes] = {}
        self.rows: dict[Key, Any] = {}
        self.emitted: list[Any] = []
        self.reached: list[int] = []

    def feed(self, *events: Event) -> None:
        """Step events, one batch per run of the same topic."""
        for event in events:
            self.stage.step(self.state, Batch(noun(event), 0, [event], [0]))

    def reach(self, at: int) -> None:
        """Both topics are complete up to ``at`` ms after T0 (and more: the disorder bound)."""
        for topic, bound in self.stage.rules.bounds.items():
            mark = Heartbeat(event_time_ms=T0 + at + bound.disorder_ms)
            self.stage.step(self.state, Batch(topic, 0, [mark], [0]))

    def flush(self) -> None:
        """Drain, and write rows and state as the runtime would."""
        drained = self.stage.drain(self.state)
        assert [key for key, _ in drained.changes] == list(dict.fromkeys(key for key, _ in drained.changes))
        for key, value in drained.changes:
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        for message in drained.messages:
            record: Any = message.record
            if record.kind == Watermark.model_fields["kind"].default:
                self.reached.append(record.through_ms)
                continue
            self.emitted.append(record)
            is_case = record.kind == ContactCase.model_fields["kind"].default
            began = record.opened_at_ms if is_case else record.placed_at_ms
            name = record.contact_id if is_case else record.order_id
            row_key = (record.kind, began // DAY, record.customer_id, name)
            if record.gone:
                self.rows.pop(row_key, None)
            else:
                self.rows[row_key] = record

    def restart(self) -> None:
        """Load the state again from what was made durable."""
        self.flush()
        self.state = self.stage.load(0, 1, self.store.items())

    def cases(self) -> list[dict[str, Any]]:
        """Rows of contacts, as fields."""
        return _fields(self.rows, ContactCase)

    def orders(self) -> list[dict[str, Any]]:
        """Rows of orders, as fields."""
        return _fields(self.rows, OrderOutcome)

    def canonical(self) -> list[bytes]:
        """All rows, as bytes."""
        return [canonical(row) for _, row in sorted(self.rows.items(), key=lambda item: item[0])]


def _fields(rows: dict[Key, Any], model: type[ContactCase | OrderOutcome]) -> list[dict[str, Any]]:
    kind = model.model_fields["kind"].default
    chosen = [row for key, row in rows.items() if key[0] == kind]
    found = [{name: getattr(row, name) for name in row.__struct_fields__} for row in chosen]
    return sorted(found, key=lambda row: (row["customer_id"], row.get("contact_id") or row["order_id"]))


MOMENTS = st.integers(0, 20 * 24).map(lambda hours: hours * HOUR)
"""Within 20 days, at full hours: things often happen at the same time."""
CUSTOMERS = st.sampled_from(["c-1", "c-2"])
NAMES = st.sampled_from(["1", "2", "3"])
ORIGINS = st.sampled_from(["live", "live", "replay", "drill"])


@st.composite
def contacts(draw: st.DrawFn) -> Contact:
    """Any event of a contact."""
    at, name, status = draw(MOMENTS), f"k-{draw(NAMES)}", draw(st.sampled_from(
        ["opened", "opened", "answered", "abandoned", "transferred", "resolved", "reopened"]))  # fmt: skip
    return contact(
        at, status, customer_id=draw(CUSTOMERS), contact_id=name, event_id=f"{name}-{status}-{at}",
        channel=draw(st.sampled_from(["phone", "chat"])), mode=draw(st.sampled_from(["human", "automatic"])),
        reason=draw(st.sampled_from(["", "delivery", "payment"])), product=draw(st.sampled_from(["", "shop", "app"])),
        order_id=draw(st.sampled_from([None, None, "o-1", "o-2"])),
        subject_ids=draw(st.sampled_from([(), (), ("t-1",), ("o-2", "t-1")])), origin=draw(ORIGINS),
        wait_ms=draw(st.sampled_from([None, None, 0.0, 42_000.5])), csat=draw(st.sampled_from([None, 1, 5])),
        handle_ms=draw(st.sampled_from([None, 0.0, 180_000.0])), effort=draw(st.sampled_from([None, 7])),
        language=draw(st.sampled_from(["", "de", "fr"])),
    )  # fmt: skip


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Any event of an order."""
    at, name, status = draw(MOMENTS), f"o-{draw(NAMES)}", draw(st.sampled_from(
        ["placed", "paid", "payment_failed", "packed", "shipped", "delivered", "late", "cancelled", "returned",
         "refunded"]))  # fmt: skip
    promised = draw(st.sampled_from([None, None, -DAY, -2 * DAY, HOUR, 2 * DAY, 9 * DAY]))
    return order(
        at, status, customer_id=draw(CUSTOMERS), order_id=name, event_id=f"{name}-{status}-{at}",
        promised_at_ms=None if promised is None else T0 + at + promised, sku=draw(st.sampled_from(["", "sku-1"])),
        cancelled_by=draw(st.sampled_from(["company", "customer", None])) if status == "cancelled" else None,
        region=draw(st.sampled_from(["", "DE"])), origin=draw(ORIGINS),
    )  # fmt: skip


def unique(events: Iterable[Event]) -> list[Event]:
    """Without two events of one customer and id: which of them counts is decided by their times."""
    found = {(event.customer_id, event.event_id): event for event in events}
    at_once: dict[Any, Event] = {}
    for event in found.values():
        assert isinstance(event, Order | Contact)
        about = event.order_id if isinstance(event, Order) else event.contact_id
        at_once.setdefault((event.customer_id, about, event.event_time_ms), event)
    return list(at_once.values())
