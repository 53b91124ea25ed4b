"""Figures about the pipeline itself: whether the others can be trusted."""

from __future__ import annotations

from schemas.definitions.definition import ENOUGH, Definition

PLATFORM = "Head of the data platform"
_BIN = "When the watermark has passed the bin (10 s)"
_SPOKEN = "With each sign of life of the process: 10 s"
_FLUSH = "With each flush of the room: seconds"

PIPELINE: tuple[Definition, ...] = (
    Definition(
        "status", "Can the figures be trusted?", PLATFORM, "words",
        "Per room: how far behind it is, or that it was never heard of; up to 2 minutes is well, from 10 minutes on "
        "the boards are blind. Beside it: dead letters, channels, the age of the newest event.",
        _FLUSH, "any(state)", "room_status", per=("room",),
    ),
    Definition(
        "watermark_age", "Age of the watermark", PLATFORM, "seconds",
        "End of the time range minus the event time up to which the room has finished, per room.",
        _FLUSH, "any(dateDiff('second', watermark, $__toTime_ms))", "room_status", where="known", per=("room",),
    ),
    Definition(
        "lag", "Lag", PLATFORM, "seconds",
        "The larger of: newest event known minus the room's watermark; time since the room last got on.",
        _FLUSH, "any(lag_s)", "room_status", where="known", per=("room",),
    ),
    Definition(
        "throughput", "Throughput", PLATFORM, "events per second",
        "Accepted events of the time range / its length, per topic, in event time.",
        _BIN, "sum(events) / dateDiff('second', $__fromTime, $__toTime_ms)", "source_count_latest", "bin",
        per=("topic",),
    ),
    Definition(
        "flush_time", "Duration of a flush", PLATFORM, "seconds",
        "From the end of the fold to the commit of the transaction, per room.",
        _FLUSH,
    ),
    Definition(
        "state_size", "Size of the state", PLATFORM, "bytes",
        "What a room keeps per partition to go on after a restart.",
        _FLUSH,
    ),
    Definition(
        "restarts", "Restarts", PLATFORM, "restarts",
        "How often a process that runs the room was started again, in wall clock.",
        _SPOKEN,
    ),
    Definition(
        "inserts", "Rows written", PLATFORM, "rows per second",
        "Rows that the store gave to ClickHouse, per process, in wall clock.",
        _SPOKEN,
    ),
    Definition(
        "sender_state", "State of the sender", PLATFORM, "words",
        "Whether the sender has recovered, obeys the newest order, and how many notices wait.",
        _FLUSH, "any(state)", "room_status", where="room = 'sender'",
    ),
    Definition(
        "dead_letters", "Dead letters", PLATFORM, "messages",
        "Messages that broke their contract, per topic, emitter and rule, by the time at which they were rejected.",
        _FLUSH, "count()", "dead_letter_latest", "rejected_at", per=("topic", "rule"),
    ),
    Definition(
        "dead_letter_share", "Share of dead letters", PLATFORM, "share of the messages",
        "Messages that broke their contract / all messages of the topic.",
        _BIN, "sum(dead) / sum(dead + events)",
        "(SELECT topic, rejected_at AS at, 1 AS dead, 0 AS events FROM dead_letter_latest UNION ALL "
        "SELECT topic, bin, 0, events FROM source_count_latest)",
        "at", per=("topic",), exposed="sum(dead + events)", least=ENOUGH,
    ),
    Definition(
        "late_share", "Share of late events", PLATFORM, "share of the events",
        "Events that came behind the disorder bound / accepted events, per topic and producer.",
        _BIN, "sum(late) / sum(events)", "source_count_latest", "bin", per=("topic", "source"),
        exposed="sum(events)", least=ENOUGH,
    ),
    Definition(
        "duplicates", "Duplicates", PLATFORM, "events",
        "Events seen before and left out, per topic and producer.",
        _BIN, "sum(duplicates)", "source_count_latest", "bin", per=("topic", "source"),
    ),
    Definition(
        "no_data", "Stretches without data", PLATFORM, "seconds",
        "Time in which a producer gave no event although at least 12 were to be expected at its rate of the hour "
        "before, last 7 days.",
        _BIN, "sum(silent_s)", "source_gap", per=("stream",),
    ),
    Definition(
        "clock_skew", "Clock skew", PLATFORM, "seconds",
        "Median of arrival minus event time, per producer that states an arrival. Negative: its clock is ahead.",
        "When the event is stored",
        "quantileExact(0.5)(dateDiff('millisecond', event_time, assumeNotNull(arrived_at))) / 1000",
        "telemetry_raw", "event_time", "arrived_at IS NOT NULL", ("source",), least=ENOUGH,
    ),
)
"""Definitions of what the status line and the board of the pipeline show."""
