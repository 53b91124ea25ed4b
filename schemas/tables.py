"""The catalogue of ClickHouse tables: name, columns with unit and meaning, key, version, retention, each said once.

The migrations in ``schemas/ddl`` create what is listed here (a test compares both on a real server) and the sink
inserts by this column order. Every findings table holds absolute rows: the row with the highest ``version`` column
replaces the others of the same key. Retention counts from ``ingest_time``, a column the server fills, never from
event time, so that replayed history is kept. Views (``<noun>_latest`` and the others) are listed in ``schemas.views``.
"""

from __future__ import annotations

from schemas.experience_tables import EXPERIENCE_TABLES
from schemas.replay_table import REPLAYS
from schemas.table import (
    BIG,
    CENTS,
    COUNT,
    COUNTS,
    CUSTOMER,
    FLAG,
    LINE,
    MONEY,
    NAMES,
    OWN_CENTS,
    PAIRS,
    REAL,
    TEXT,
    TIME,
    TIME_OR_NULL,
    VALUES,
    VER,
    WORD,
    Column,
    Table,
)

ISSUE_ID = Column("issue_id", TEXT, "Stable id of the issue")
ROOT_ID = Column("root_id", TEXT, "Id of the issue's first onset")
SIGNAL = Column("signal", WORD, "What fails: name of a signal of the catalogue")
PARTITION = Column("partition", COUNT, "Customer partition the row comes from")
AFFECTED = Column("affected", COUNT, "Distinct customers hit", "customers")
CONTACTED = Column("contacted", COUNT, "Of these, how many have contacted the company", "customers")
SILENT = Column("silent", COUNT, "Of these, how many have not", "customers")
AT_RISK = Column("at_risk", MONEY, "Margin expected to be lost, per currency", "minor units")
PER_MINUTE = Column("per_minute", MONEY, "Cost of one more minute of inaction, per currency", "minor units/min")
BIN = Column("bin", TIME, "Start of the half-open bin", "ms UTC")
WIDTH = Column("width_ms", COUNT, "Width of the bin", "ms")
TOPIC = Column("topic", WORD, "Noun of the topic")
SOURCE = Column("source", WORD, "Producer")
ROOM = Column("room", WORD, "Room")
PROCESS = Column("process", WORD, "Worker or sender, and its CX_INSTANCE")
MINUTE = Column("minute", TIME, "Minute of `at`: of one minute the latest row is kept", "ms UTC")
AT = Column("at", TIME, "When it was said, the process's clock", "ms UTC")
APPENDED = Column("appended_at", TIME, "When the broker stored it, the broker's clock", "ms UTC")

_RAW_TAIL = (
    Column("topic", WORD, "Noun of the topic"),
    Column("partition", COUNT, "Partition in Kafka"),
    Column("offset", BIG, "Offset in Kafka"),
)
_RAW_HEAD = (
    Column("product", WORD, "Service line"),
    Column("event_time", TIME, "When it happened", "ms UTC"),
    Column("event_id", TEXT, "Producer's id of the event"),
    CUSTOMER,
    SOURCE,
    Column("origin", WORD, "live, replay or drill"),
    Column("arrived_at", TIME_OR_NULL, "When the company received it, if it says so", "ms UTC"),
    Column("attributes", PAIRS, "The company's own dimensions"),
)


def _raw(noun: str, columns: tuple[Column, ...], meaning: str) -> Table:
    key = ("product", "toStartOfHour(event_time)", "topic", "partition", "offset")
    return Table(f"{noun}_raw", noun, (*_RAW_HEAD, *columns, *_RAW_TAIL), key, "", 30, meaning, kind="raw")


TABLES: tuple[Table, ...] = (
    Table("cohort_count", "cohort_count", (
        LINE, SIGNAL, BIN, WIDTH, PARTITION,
        Column("attributes", NAMES, "Names of the leaf's attributes"),
        Column("values", VALUES, "Their values, in the same order"),
        Column("exposed", COUNT, "Distinct customers who could have failed in the bin", "customers"),
        Column("failed", COUNT, "Distinct customers who failed in the bin", "customers"),
        Column("closed", FLAG, "The watermark has passed the bin: the counts are final"),
        VER,
    ), ("line", "signal", "width_ms", "bin", "partition", "values"), "ver", 90,
       "One row per leaf cohort, bin and source partition"),
    Table("source_count", "source_count", (
        TOPIC, SOURCE, BIN, WIDTH, PARTITION,
        Column("events", COUNT, "Accepted events", "events"),
        Column("late", COUNT, "Of these, how many came behind the disorder bound", "events"),
        Column("duplicates", COUNT, "Events seen before", "events"),
        VER,
    ), ("topic", "source", "bin", "partition"), "ver", 30,
       "Events of one producer in one closed bin from one partition; a bin without events has no row"),
    Table("episode", "episode", (
        LINE, SIGNAL,
        Column("window", TIME, "Start of the aligned one-hour window", "ms UTC"),
        CUSTOMER,
        Column("attributes", NAMES, "Names of the leaves' attributes"),
        Column("leaves", "Array(Array(String))", "Values of the failed leaves, earliest first"),
        Column("first_failed_at", TIME, "First failure", "ms UTC"),
        Column("last_failed_at", TIME, "Last failure", "ms UTC"),
        Column("failures", COUNT, "Distinct failure events", "events"),
        Column("evidence", VALUES, "Up to 5 event ids, earliest first"),
        Column("amounts", MONEY, "Largest amount of the orders that failed, per currency", "minor units"),
        Column("contacted_at", TIME_OR_NULL, "Earliest contact about it", "ms UTC"),
        Column("contacts", COUNT, "Distinct contacts about it", "contacts"),
        Column("put_right_at", TIME_OR_NULL, "When the last of it was put right; NULL while any part is not", "ms UTC"),
        Column("origin", WORD, "live, replay or drill"),
        VER,
    ), ("line", "signal", "window", "customer_id"), "ver", 90, "One customer's connected evidence in one hour"),
    Table("issue", "issue", (
        ISSUE_ID, ROOT_ID,
        Column("onset", COUNT, "Onset number; 2 and more are regressions"),
        LINE, SIGNAL,
        Column("state", WORD, "suspected, open, escalating, recovering, resolved or regressed"),
        Column("title", TEXT, "What is wrong, in plain words"),
        Column("cause", PAIRS, "Attribute = value pairs of the cause, the simplest explanation"),
        Column("risk_ratio", REAL, "Failure rate inside the cause divided by outside, shrunk", "ratio"),
        Column("risk_ratio_low", REAL, "Lower end of its 95 % interval", "ratio"),
        Column("risk_ratio_high", REAL, "Upper end of its 95 % interval", "ratio"),
        Column("support", REAL, "Share of the excess failures inside the cause", "0-1"),
        Column("exposed", COUNT, "Customers inside the cause who could have failed", "customers"),
        Column("failed", COUNT, "Customers inside the cause who failed", "customers"),
        Column("changes", VALUES, "Ids of changes that may have caused it"),
        Column("opened_at", TIME, "Estimated onset", "ms UTC"),
        Column("detected_at", TIME, "End of the alarming bin", "ms UTC"),
        Column("updated_at", TIME, "End of the bin of this revision", "ms UTC"),
        Column("resolved_at", TIME_OR_NULL, "When it was over", "ms UTC"),
        Column("shown_at", TIME_OR_NULL, "First revision past suspected", "ms UTC"),
        Column("end_reason", WORD, "recovered, accepted, resolved or withdrawn; empty while it goes on"),
        Column("scale_ms", BIG, "Scale of the detector that alarmed", "ms"),
        Column("expected", REAL, "Expected failures since onset", "customers"),
        Column("observed", REAL, "Observed failures since onset", "customers"),
        Column("ratio_low", REAL, "5 % quantile of the shrunk rate ratio", "ratio"),
        Column("provisional", FLAG, "Less than two reference weeks were known"),
        Column("element", WORD, "staff, facility, customer or process; empty if the signal does not tell"),
        Column("severity", WORD, "low, medium, high or critical"),
        Column("evidence_topics", NAMES, "Nouns of the streams that say something about it"),
        Column("evidence_signals", NAMES, "What fails there"),
        Column("evidence_since", f"Array({TIME})", "Since when", "ms UTC"),
        Column("evidence_expected", f"Array({REAL})", "Expected since then, in the unit of the signal"),
        Column("evidence_observed", f"Array({REAL})", "Observed since then, in the unit of the signal"),
        VER,
    ), ("issue_id",), "ver", 400, "Something fails more than it should"),
    Table("issue_1m", "issue", (
        ISSUE_ID,
        Column("minute", TIME, "Start of the minute of the revision", "ms UTC"),
        Column("state", WORD, "State at the end of the minute"),
        Column("expected", REAL, "Expected failures since onset", "customers"),
        Column("observed", REAL, "Observed failures since onset", "customers"),
        VER,
    ), ("issue_id", "minute"), "ver", 400,
       "The last revision of each issue in each minute of event time", kind="rollup"),
    Table("affected", "affected", (
        ISSUE_ID, ROOT_ID, CUSTOMER, LINE, SIGNAL,
        Column("known_at", TIME, "max(issue detected, customer's first failure)", "ms UTC"),
        Column("first_failed_at", TIME, "First failure", "ms UTC"),
        Column("last_failed_at", TIME, "Last failure", "ms UTC"),
        Column("contacted_at", TIME_OR_NULL, "First contact about it", "ms UTC"),
        Column("amounts", MONEY, "Largest order amount at stake, per currency", "minor units"),
        Column("value_cents", "Nullable(Int64)", "Margin over 12 months, if the profile is known", OWN_CENTS),
        Column("put_right_at", TIME_OR_NULL, "When the last of it was put right; NULL while any part is not", "ms UTC"),
        Column("origin", WORD, "live, replay or drill"),
        VER,
    ), ("issue_id", "customer_id"), "ver", 400, "One customer hit by one issue"),
    Table("affected_count", "affected_count", (
        ISSUE_ID, PARTITION, LINE, SIGNAL,
        Column("open", FLAG, "The issue is not resolved"),
        AFFECTED, CONTACTED, SILENT,
        Column("recent", COUNT, "Hit in the 15 minutes before as_of", "customers"),
        Column("value_cents", CENTS, "Sum of the known 12-month margins", OWN_CENTS),
        Column("valued", COUNT, "How many of the affected have a known margin", "customers"),
        Column("amounts", MONEY, "Sum of the order amounts at stake, per currency", "minor units"),
        Column("as_of", TIME, "Last change or failure seen", "ms UTC"),
        VER,
    ), ("issue_id", "partition"), "ver", 400, "Customers of one source partition hit by one issue"),
    Table("impact", "impact", (
        ISSUE_ID, LINE, SIGNAL, AFFECTED, CONTACTED, SILENT, AT_RISK,
        Column("at_risk_low", MONEY, "Lower end of its range", "minor units"),
        Column("at_risk_high", MONEY, "Upper end of its range", "minor units"),
        PER_MINUTE,
        Column("service", MONEY, "Cost of handling the contacts, per currency", "minor units"),
        Column("amounts", MONEY, "Sum of the order amounts at stake, per currency", "minor units"),
        Column("assumption_names", NAMES, "Parameters behind the money"),
        Column("assumption_values", "Array(Float64)", "Their values, in the same order"),
        Column("assumption_units", NAMES, "Their units"),
        Column("assumption_sources", VALUES, "Where they come from"),
        Column("assumption_assumed", "Array(Bool)", "True for a default, false if measured or configured"),
        Column("as_of", TIME, "Event time of the figures", "ms UTC"),
        VER,
    ), ("issue_id",), "ver", 400, "What an issue costs"),
    Table("impact_1m", "impact", (
        ISSUE_ID,
        Column("minute", TIME, "Start of the minute of the figures", "ms UTC"),
        AFFECTED, CONTACTED, SILENT, AT_RISK, PER_MINUTE, VER,
    ), ("issue_id", "minute"), "ver", 400,
       "The last figures of each issue in each minute of event time", kind="rollup"),
    Table("outreach", "outreach", (
        Column("outreach_id", TEXT, "Natural key: root issue, customer, stage"),
        ISSUE_ID, ROOT_ID, CUSTOMER,
        Column("stage", WORD, "notice or all_clear"),
        Column("decision", WORD, "send, hold, refuse or hold_out"),
        Column("reason", WORD, "Why"),
        Column("channel", WORD, "Channel, empty if none was chosen"),
        Column("language", WORD, "BCP 47 language"),
        Column("template", WORD, "Template name and version"),
        Column("decided_at", TIME, "When it was decided", "ms UTC"),
        Column("not_before", TIME, "Earliest time to send", "ms UTC"),
        Column("deadline", TIME, "Useless after this time", "ms UTC"),
        Column("drawn_at", TIME_OR_NULL, "When it was drawn whether to tell or hold out; NULL if never", "ms UTC"),
        VER,
    ), ("outreach_id",), "ver", 400, "A decision about one customer and one issue; never an address"),
    Table("delivery", "delivery", (
        Column("outreach_id", TEXT, "Natural key: root issue, customer, stage"),
        ISSUE_ID, CUSTOMER,
        Column("stage", WORD, "notice or all_clear"),
        Column("channel", WORD, "Channel"),
        Column("outcome", WORD, "claimed, waiting, delivered, failed, expired, suppressed or unknown"),
        Column("reason", WORD, "Why, if it was not delivered"),
        Column("attempts", COUNT, "Attempts to send", "attempts"),
        Column("claimed_at", TIME, "When the sender claimed it", "ms UTC"),
        Column("done_at", TIME_OR_NULL, "When the outcome was known", "ms UTC"),
        VER,
    ), ("outreach_id",), "ver", 400, "What became of one decision to send"),
    *EXPERIENCE_TABLES,
    Table("channel", "channel", (
        Column("channel", WORD, "Channel"),
        Column("partition", COUNT, "Partition of the sender"),
        Column("state", WORD, "closed, open or paused: of its circuit breaker"),
        Column("reason", WORD, "Last answer that accepted nothing"),
        Column("since", TIME, "Since when", "ms UTC"),
        VER,
    ), ("channel", "partition"), "ver", 400, "How each channel stands, as each partition of the sender sees it"),
    Table("late", "late", (
        TOPIC,
        Column("partition", COUNT, "Partition of the late event"),
        Column("offset", BIG, "Offset of the late event"),
        SOURCE,
        Column("event_time", TIME, "When it happened", "ms UTC"),
        Column("watermark", TIME, "Watermark it came behind", "ms UTC"),
        VER,
    ), ("topic", "partition", "offset"), "ver", 90,
       "An event older than the allowed lateness: kept apart, changes nothing"),
    Table("dead_letter", "dead_letter", (
        TOPIC,
        Column("partition", COUNT, "Partition of the rejected message"),
        Column("offset", BIG, "Offset of the rejected message"),
        Column("source", WORD, "Producer that the message names, readable or not; empty if it names none"),
        Column("reason", WORD, "Class of the defect"),
        Column("field", WORD, "Field that is wrong, dotted"),
        Column("rule", WORD, "What was expected"),
        Column("value_class", WORD, "JSON type seen, never the value"),
        Column("rejected_at", TIME, "When the broker stored the dead letter", "ms UTC"),
        VER,
    ), ("topic", "partition", "offset"), "ver", 90,
       "Why a message was rejected; its bytes stay in the dead-letter topic"),
    Table("watermark", "watermark", (
        TOPIC, PARTITION,
        Column("partitions", COUNT, "Number of source partitions, 0 if the record does not say"),
        Column("through", TIME, "Every later record is at or after this event time", "ms UTC"),
        VER,
    ), ("topic", "partition"), "ver", 400, "Progress of each writer; on cohort_count: all bins before it are closed"),
    Table("tick", "tick", (
        Column("room", WORD, "Room that passed an idle input"),
        PARTITION,
        Column("event_time", TIME, "Event time of the tick", "ms UTC"),
        Column("offsets", COUNTS, "Next offset per input topic where it applies"),
        VER,
    ), ("room", "partition", "event_time"), "ver", 90, "An idle input was passed"),
    Table("vital", "vital", (
        ROOM, MINUTE, PROCESS, Column("started_at", TIME, "When the process started, its clock", "ms UTC"),
        AT, APPENDED,
        Column("phase", WORD, "joining, recovering, running or draining"),
        Column("ready", FLAG, "Assigned, recovered, and its commits and its sink work"),
        Column("degraded", FLAG, "In a run of dead letters from several emitters"),
        Column("flushes", BIG, "Flushes since the start of the process", "flushes"),
        Column("flush_ms", BIG, "Duration of all of them together", "ms"),
        Column("flush_max_ms", BIG, "Longest flush that ended in the minute", "ms"),
        Column("written", BIG, "Records (store: messages) written since the start", "records"),
        Column("rows", BIG, "Rows given to ClickHouse since the start (store)", "rows"),
        Column("refused", BIG, "Writes that the sink refused since the start (store)", "writes"),
    ), ("room", "minute", "process", "started_at"), "at", 30,
       "What each process says about each of its rooms, once a minute; counts start anew with the process"),
    Table("vital_task", "vital", (
        ROOM, PARTITION, MINUTE, PROCESS,
        Column("opened_at", TIME, "When the task was opened: at the start, and after every rebalance", "ms UTC"),
        AT, APPENDED,
        Column("position", BIG, "Next offsets to read, added up over the topics it reads", "records"),
        Column("end", BIG, "Ends of these topics, added up", "records"),
        Column("behind", COUNTS, "Topic -> records from position to end; without those read to their end", "records"),
        Column("lag", BIG, "All of them together", "records"),
        Column("undecided", BIG, "Records behind a transaction without an end", "records"),
        Column("records", COUNTS, "Outcome -> records read since the task was opened", "records"),
        Column("state_keys", BIG, "Keys of the state", "keys"),
        Column("state_bytes", BIG, "Bytes of these keys with their values", "bytes"),
        Column("pending", COUNT, "Notices that wait for their time (sender)", "notices"),
        Column("claimed", COUNT, "Notices claimed and not settled (sender)", "notices"),
    ), ("room", "partition", "minute", "process", "opened_at"), "at", 30,
       "What each process says about each partition of its rooms; counts start anew when the partition is taken over"),
    Table("customer", "customer", (
        CUSTOMER,
        Column("updated_at", TIME, "When the profile changed; the newest wins", "ms UTC"),
        Column("segment", WORD, "Segment"),
        Column("value_cents", CENTS, "Margin over 12 months", OWN_CENTS),
        Column("language", WORD, "BCP 47 language"),
        Column("time_zone", WORD, "IANA zone"),
        Column("opted_out", FLAG, "Revoked everything"),
        Column("erased", "UInt8", "1: everything about the customer was erased; the row hides and replaces older ones"),
    ), ("customer_id",), "updated_at", 400,
       "Profile of one customer, without consents and addresses", kind="reference", deleted="erased"),
    Table("change", "change", (
        Column("change_id", TEXT, "Id"),
        Column("changed_at", TIME, "When it took effect", "ms UTC"),
        Column("change_kind", WORD, "release, price, promotion, campaign, outage or other"),
        Column("product", WORD, "Service line, empty = all"),
        Column("attributes", PAIRS, "What it touches"),
        Column("title", TEXT, "Short name"),
        Column("offset", BIG, "Offset in Kafka; the highest wins"),
    ), ("change_id",), "offset", 400, "Something the company changed", kind="reference"),
    Table("command", "command", (
        Column("command_id", TEXT, "Id"),
        Column("issued_at", TIME, "When it was given", "ms UTC"),
        Column("action", WORD, "approve, mute, unmute, resolve, stop, resume or resume_channel"),
        Column("issue_id", TEXT, "Issue, empty for stop and resume"),
        Column("actor", WORD, "Role or token of who ordered it"),
    ), ("command_id",), "", 400, "An operator's order, without its free-text reason", kind="reference"),
    REPLAYS,
    _raw(
        "telemetry",
        (
            Column("component", WORD, "Part of the product"),
            Column("app_version", WORD, "Release"),
            Column("platform", WORD, "Operating platform"),
            Column("region", WORD, "Country or sales region"),
            Column("device_model", WORD, "Device family or model"),
            Column("firmware", WORD, "Device firmware"),
            Column("event_name", WORD, "What happened"),
            Column("outcome", WORD, "ok, failed or abandoned"),
            Column("error_code", WORD, "Code of the failure, empty if none"),
            Column("latency_ms", "Nullable(Float64)", "Duration", "ms"),
            Column("session_id", TEXT, "Session"),
            Column("journey_stage", WORD, "Stage of the customer journey"),
        ),
        "Copy of the telemetry topic, declared columns only",
    ),
    _raw(
        "order",
        (
            Column("order_id", TEXT, "Order id"),
            Column("status", WORD, "Status reached"),
            Column("sku", TEXT, "Line item or item group"),
            Column("amount_cents", CENTS, "Order value, hundredths of the currency", "cents"),
            Column("currency", WORD, "ISO 4217 code as the event has it"),
            Column("payment_provider", WORD, "Payment provider"),
            Column("payment_method", WORD, "Payment method"),
            Column("carrier", WORD, "Carrier"),
            Column("warehouse", WORD, "Warehouse or depot"),
            Column("region", WORD, "Country or sales region"),
            Column("promised_at", TIME_OR_NULL, "Promised completion", "ms UTC"),
            Column("cancelled_by", WORD, "customer, company or empty"),
            Column("error_code", WORD, "Code of the failure, empty if none"),
        ),
        "Copy of the order topic, declared columns only",
    ),
    _raw(
        "contact",
        (
            Column("contact_id", TEXT, "Contact or case id"),
            Column("status", WORD, "Status reached"),
            Column("channel", WORD, "Channel"),
            Column("mode", WORD, "human or automatic"),
            Column("reason", WORD, "Reason code"),
            Column("language", WORD, "BCP 47 language"),
            Column("region", WORD, "Country or sales region"),
            Column("order_id", TEXT, "Order it is about, empty if none"),
            Column("subject_ids", VALUES, "Orders, tickets or conversations it is about"),
            Column("wait_ms", "Nullable(Float64)", "Wait before an answer", "ms"),
            Column("handle_ms", "Nullable(Float64)", "Handling time", "ms"),
            Column("csat", "Nullable(UInt8)", "Satisfaction", "1-5"),
            Column("effort", "Nullable(UInt8)", "Effort", "1-7"),
        ),
        "Copy of the contact topic, declared columns only, never its text",
    ),
)
"""Every table, in the order of the line."""

BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
