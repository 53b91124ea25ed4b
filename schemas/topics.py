"""The catalogue of topics: name, records, key, partitioning, time bounds and retention, each said once.

Retention counts from ingest: broker timestamps are append time on every topic, so replayed history is not deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas import events, experience, findings, issues, vitals

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
DLQ_HEADROOM_BYTES = 64 * 1024
MAX_EVENT_BYTES = 1024 * 1024
DLQ_SUFFIX = ".dlq"
"""What a dead-letter topic's name adds to that of its topic, on the wire and as a noun."""
REPLAYED_HEADER = "dlq.replayed"
"""Header of a record on a dead-letter topic that is no letter: the letter that it names was fed back."""
VERSION_HEADER = "cx.ver"
"""Header of every derived record: the version of the flush that wrote it, in decimal digits."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``noun`` names the record everywhere; the wire name is ``cx.<noun>.v<major>``."""

    noun: str
    records: tuple[type[events.Record], ...]
    key: str
    partitioning: Literal["customer", "one"]
    """customer: as many partitions as the setting says, co-partitioned; one: a single partition."""
    writer: Literal["companies", "operators", "rooms", "processes"] = "rooms"
    """Who writes it: a company's own systems, the operators' commands, the rooms (which: ``schemas.rooms``), or every
    worker and sender, about itself."""
    broadcast: bool = False
    """True if every record is written once per partition with explicit partition."""
    disorder_ms: int = 0
    """Disorder bound for detection: how far behind its topic's clock an event may arrive (default of a setting)."""
    lateness_ms: int = 0
    """Allowed lateness = dedup horizon; older events go to the late topic and change nothing (default of a setting)."""
    retention_ms: int = 7 * DAY_MS
    compacted: bool = False
    dead_letters: bool = False
    max_bytes: int = MAX_EVENT_BYTES
    major: int = 1

    @property
    def name(self) -> str:
        """Wire name without the deployment's prefix."""
        return f"cx.{self.noun}.v{self.major}"

    @property
    def dlq(self) -> str:
        """Wire name of its dead-letter topic."""
        return f"{self.name}{DLQ_SUFFIX}"


TOPICS: tuple[Topic, ...] = (
    Topic("telemetry", (events.Telemetry, events.Heartbeat), "customer_id", "customer", "companies",
          disorder_ms=10_000, lateness_ms=10 * MINUTE_MS, dead_letters=True),
    Topic("order", (events.Order, events.Heartbeat), "customer_id", "customer", "companies",
          disorder_ms=10_000, lateness_ms=7 * DAY_MS, dead_letters=True),
    Topic("contact", (events.Contact, events.Heartbeat), "customer_id", "customer", "companies",
          disorder_ms=10_000, lateness_ms=45 * DAY_MS, dead_letters=True),
    Topic("customer", (events.Customer,), "customer_id", "customer", "companies", compacted=True, dead_letters=True),
    Topic("change", (events.Change,), "change_id", "one", "companies", dead_letters=True, retention_ms=90 * DAY_MS),
    Topic("command", (events.Command,), "command_id", "customer", "operators", broadcast=True, dead_letters=True,
          retention_ms=90 * DAY_MS),
    Topic("control", (events.Command,), "command_id", "one", "operators", dead_letters=True, retention_ms=90 * DAY_MS),
    Topic("cohort_count", (findings.CohortCount, findings.ValuesSeen, findings.BinClosed), "line", "one",
          dead_letters=True),
    Topic("source_count", (findings.SourceCount,), "source", "customer", dead_letters=True),
    Topic("episode", (findings.Episode, findings.Watermark), "customer_id", "customer", dead_letters=True),
    Topic("contact_case", (experience.ContactCase, findings.Watermark), "customer_id", "customer",
          retention_ms=90 * DAY_MS),
    Topic("order_outcome", (experience.OrderOutcome,), "customer_id", "customer", retention_ms=90 * DAY_MS),
    Topic("issue", (issues.Issue, findings.Watermark), "issue_id", "customer", broadcast=True, dead_letters=True,
          retention_ms=90 * DAY_MS),
    Topic("affected", (findings.Affected, findings.Watermark), "customer_id", "customer", dead_letters=True,
          retention_ms=90 * DAY_MS),
    Topic("affected_count", (findings.AffectedCount,), "issue_id", "one", dead_letters=True),
    Topic("impact", (findings.Impact,), "issue_id", "one", dead_letters=True, retention_ms=90 * DAY_MS),
    Topic("outreach", (findings.Outreach, findings.Watermark), "customer_id", "customer", dead_letters=True,
          retention_ms=90 * DAY_MS),
    Topic("delivery", (findings.Delivery, findings.Watermark), "customer_id", "customer", dead_letters=True,
          retention_ms=90 * DAY_MS),
    Topic("channel", (findings.ChannelState,), "channel", "customer", retention_ms=90 * DAY_MS),
    Topic("late", (findings.Late,), "source", "customer", retention_ms=30 * DAY_MS),
    Topic("tick", (findings.Tick, findings.Cut), "room", "customer", retention_ms=90 * DAY_MS),
    Topic("vital", (vitals.Vital,), "room", "one", "processes", retention_ms=DAY_MS),
)
"""Every topic of the line, in the order in which an event passes it."""

BY_NOUN: dict[str, Topic] = {topic.noun: topic for topic in TOPICS}

FROM_COMPANIES = tuple(topic.noun for topic in TOPICS if topic.writer == "companies")
ORDERS = tuple(topic.noun for topic in TOPICS if topic.writer == "operators")
ABOUT_PROCESSES = tuple(topic.noun for topic in TOPICS if topic.writer == "processes")
EVENT_NOUNS = tuple(topic.noun for topic in TOPICS if events.Heartbeat in topic.records)
"""Topics of what happens to customers: they have a clock, disorder, lateness, and a table of raw copies."""

STEADY = frozenset(noun for noun in FROM_COMPANIES if BY_NOUN[noun].partitioning == "customer")
"""Topics from companies that grow record by record, all the time; others come a transaction at a time, or seldom."""

SENDERS = "cx.send"
"""Group in which senders share out the partitions."""
FIXED_SENDERS = "cx.send.fixed"
"""Group in which senders with partitions of their own only show that they live; their client id ends in the numbers."""
HEARD = "cx.send.heard"
"""Group without members whose offsets say how far the owner of each partition has heard the orders."""


def state_topic(room: str) -> str:
    """Wire name (without prefix) of a room's compacted state topic."""
    return f"cx.{room}.state.v1"
