"""The board of the pipeline: whether every room, source, the store and the sender get on, and who does not speak.

What processes say of themselves is in wall clock, what is known of events in event time; of played events the two
differ. The statement of each panel is in ``dashboards.boards.pipeline_sql``.
"""

from __future__ import annotations

from dashboards.boards import pipeline_sql as sql
from dashboards.boards.common import ANNOTATIONS, status_panel, variables
from dashboards.boards.producers import producer_panels
from dashboards.model import LAG_BAD_S, LAG_WARN_S, Annotation, Board, Field, Grid, Panel, Threshold
from schemas.metrics import OUTCOMES

_QUIET = "No sign of life of this time range, which is of wall clock here, also where events are played."

_ROOMS = (
    Panel(
        2, "rooms", "Rooms and partitions now", "table", "lag",
        "Every room and partition that there should be, those in trouble first. Lag: records between position and end. "
        "Behind: newest event time known minus the watermark; still: since the watermark was last stored. Last sign: "
        "every process speaks every 10 s of wall clock; after 45 s it is silent, and all else is what it said last. "
        "The size of a state is exact up to 4,096 keys, beyond within some per cent.",
        Grid(0, 2, 24, 11), sql.ROOMS_NOW, metric="lag",
        empty="No room is known: no process has spoken yet, or this is a replay, where none runs.",
        fields=(
            Field("standing", "How it stands", width=270),
            Field("task", "Room", width=95),
            Field("lag", "Lag, records", "count", 80),
            Field("topics", "of it, per topic", width=140),
            Field("undecided", "Undecided", "count", 75),
            Field("behind_s", "Behind", "lag", 75),
            Field("idle_s", "Still", "seconds", 70),
            Field("silent_s", "Last sign", "seconds", 70),
            Field("state_keys", "Keys", "count", 65),
            Field("state_bytes", "State", "bytes", 70),
            Field("process", "Process", width=90),
        ),
    ),
    Panel(
        3, "lag", "Lag in records", "timeseries", "count",
        "Records between position and end of all topics that a room reads, all partitions together; the most in each "
        "point of at least a minute.", Grid(0, 13, 12, 8), sql.LAG, ranged=True, label="series", metric="lag",
        empty=_QUIET,
    ),
    Panel(
        4, "watermark_age", "Behind, by room and partition", "bars", "seconds",
        "Newest event time known minus the watermark of the room and partition, now; the 20 largest. Impact and store "
        "have no watermark.", Grid(12, 13, 12, 8), sql.WATERMARK_AGE, metric="watermark_age",
        fields=(Field("behind", "Behind", "seconds"),),
        empty="No room has told a watermark yet, or this is a replay, where none runs.",
        thresholds=(Threshold(LAG_WARN_S, "warn"), Threshold(LAG_BAD_S, "bad")),
    ),
)

_WORK = (
    Panel(
        5, "read", "Records read per second", "timeseries", "per_second",
        "Records that each room has read, whatever became of them, per second of wall clock.", Grid(0, 21, 12, 8),
        sql.READ, ranged=True, label="series", metric="throughput", empty=_QUIET,
    ),
    Panel(
        6, "written", "Records written per second", "timeseries", "per_second",
        "Records that the flushes of each room have written, state and offsets included; of the store: messages put "
        "into ClickHouse.", Grid(12, 21, 12, 8), sql.WRITTEN, ranged=True, label="series", metric="throughput",
        empty=_QUIET,
    ),
    Panel(
        7, "outcomes", "Records read, by outcome", "table", "count",
        "What became of the records that each room read in the time range (wall clock). "
        + " ".join(f"{outcome}: {meaning}." for outcome, meaning in OUTCOMES.items()), Grid(0, 29, 24, 7),
        sql.OUTCOMES_READ, ranged=True, metric="throughput", empty=_QUIET,
        fields=(Field("shown_room", "Room", width=140),
                *(Field(outcome, outcome.capitalize(), "count", 110) for outcome in OUTCOMES)),
    ),
    Panel(
        8, "flush_longest", "Longest flush", "timeseries", "milliseconds",
        "The longest flush of each room that ended in the point: from its start to the commit of the last transaction; "
        "of the store: a round of inserts.", Grid(0, 36, 12, 8), sql.FLUSH_LONGEST, ranged=True, label="series",
        metric="flush_time", empty=_QUIET,
    ),
    Panel(
        9, "flushes", "Flushes", "table", "milliseconds",
        "Flushes of the time range, all processes that run the room together.", Grid(12, 36, 12, 8), sql.FLUSHES,
        ranged=True, metric="flush_time", empty=_QUIET,
        fields=(
            Field("shown_room", "Room", width=140), Field("flushes", "Flushes", "count", 100),
            Field("mean_ms", "Mean", "milliseconds", 100), Field("longest_ms", "Longest", "milliseconds", 100),
        ),
    ),
    Panel(
        10, "state_size", "Size of the state", "timeseries", "bytes",
        "Keys and values that a room keeps to go on after a restart, all partitions together. Exact up to 4,096 "
        "keys a partition, beyond from a sample.", Grid(0, 44, 12, 8), sql.STATE_SIZE, ranged=True, label="series",
        metric="state_size", empty=_QUIET,
    ),
    Panel(
        11, "restarts", "Restarts", "table", "seconds",
        "Processes that were started again in the time range. Away: from its last sign of life until the new start; "
        "signs come every 10 s.", Grid(12, 44, 12, 8), sql.RESTARTS, ranged=True, metric="restarts",
        empty="No known process was started again in this time range (wall clock).",
        fields=(
            Field("started_at", "Started", "time", 130), Field("process", "Process", width=120),
            Field("away_s", "Away for", "seconds", 90), Field("standing", "Now", width=190),
            Field("rooms", "Rooms", width=200),
        ),
    ),
)

_INPUT = (
    Panel(
        12, "dead_letters", "Dead letters, by emitter and rule", "table", "count",
        "Messages that broke their contract, by the time at which the broker stored the dead letter. The emitter is "
        "the producer that the message names; nobody has checked the name. Their bytes: `cxwatch letters`.",
        Grid(0, 52, 16, 9), sql.DEAD_LETTERS, ranged=True, metric="dead_letters",
        empty="No dead letter was stored in this time range (wall clock).",
        fields=(
            Field("messages", "Messages", "count", 90), Field("producer", "Emitter", width=140),
            Field("topic", "Topic", width=95), Field("reason", "Reason", width=105), Field("field", "Field", width=120),
            Field("rule", "Rule", width=250), Field("first_rejected", "First", "time", 135),
            Field("last_rejected", "Last", "time", 135),
        ),
    ),
    Panel(
        13, "dead_share", "Share of dead letters", "timeseries", "share",
        "Records of each room that became dead letters / all that it read, per 5 minutes or more of wall clock; no "
        "point of fewer than 20 records.", Grid(16, 52, 8, 9), sql.DEAD_SHARE, ranged=True, label="series", least=20,
        metric="dead_letter_share", empty=_QUIET, thresholds=(Threshold(0.01, "bad"),),
    ),
    Panel(
        14, "sources", "Late, duplicates, gaps", "table", "events",
        "Per topic and producer, in event time. Late: behind the disorder bound; no share of fewer than 20 events. "
        "Duplicates: seen before and left out. Gaps: stretches that began in the time range in which at least 12 "
        "events were missing, last 7 days.", Grid(0, 61, 24, 8), sql.SOURCES, ranged=True, least=20,
        metric="late_share", empty="No event was counted in this time range.",
        fields=(
            Field("stream", "Topic · producer", width=240), Field("events", "Events", "events", 120),
            Field("late", "Late", "events", 110), Field("late_share", "Late share", "share", 110),
            Field("duplicates", "Duplicates", "events", 110), Field("gaps", "Gaps", "count", 90),
            Field("silent_s", "Silent in them", "seconds", 130),
        ),
    ),
    Panel(
        15, "skew", "Clocks of the producers", "table", "seconds",
        "Arrival minus event time, of the last hour of the time range; negative: the producer's clock is ahead of "
        "ours. Arrival is what the event states; else, for live events, when it was stored, which adds the way "
        "through the store. No producer of fewer than 20 events.",
        Grid(0, 69, 24, 8), sql.SKEW, ranged=True, metric="clock_skew",
        empty="No producer has 20 live events, or events that state an arrival, in the last hour of this time range.",
        fields=(
            Field("verdict", "Clock", width=120), Field("stream", "Topic · producer", width=230),
            Field("against", "Arrival", width=150), Field("events", "Events", "events", 100),
            Field("lowest_s", "5 % below", "seconds", 110), Field("median_s", "Median", "seconds", 110),
            Field("highest_s", "5 % above", "seconds", 110), Field("ahead", "Ahead", "events", 90),
        ),
    ),
)

_OUTPUT = (
    Panel(
        16, "store_rows", "Rows into ClickHouse per second", "timeseries", "per_second",
        "Rows that each process with the store gave to ClickHouse.", Grid(0, 77, 12, 8), sql.STORE_ROWS, ranged=True,
        label="series", metric="inserts", empty=_QUIET,
    ),
    Panel(
        17, "store", "Inserts of the store", "table", "count",
        "Rounds of inserts of the time range, and writes that ClickHouse refused or did not answer: they are offered "
        "again until it takes them.", Grid(12, 77, 12, 8), sql.STORE, ranged=True, metric="inserts", empty=_QUIET,
        fields=(
            Field("process", "Process", width=140), Field("rounds", "Rounds", "count", 95),
            Field("inserted_rows", "Rows", "count", 110), Field("rows_per_round", "Rows a round", "count", 110),
            Field("refusals", "Refused", "count", 95),
        ),
    ),
    Panel(
        18, "sender", "Sender now", "table", "notices",
        "Per partition: decisions not read yet, notices claimed and not settled, notices that wait for their time; as "
        "the sender said last.", Grid(0, 85, 14, 7), sql.SENDER, metric="sender_state", empty="No sender is known.",
        fields=(
            Field("standing", "How it stands", width=270), Field("task", "Partition", width=95),
            Field("lag", "Unread", "count", 80), Field("claimed", "Claimed", "notices", 85),
            Field("pending", "To be sent later", "notices", 110), Field("silent_s", "Last sign", "seconds", 85),
            Field("process", "Process", width=110),
        ),
    ),
    Panel(
        19, "channels", "Channels now", "table", "state",
        "The worst state of each channel over all partitions, and why.", Grid(14, 85, 10, 7), sql.CHANNELS,
        metric="sender_state", empty="No channel has told how it stands.",
        fields=(
            Field("standing", "How it stands", width=150), Field("channel", "Channel", width=100),
            Field("reason", "Why", width=130), Field("since", "Since", "time", 130),
        ),
    ),
)

PIPELINE = Board(
    "cx-pipeline", "Pipeline",
    "Rooms, sources, store and sender: who gets on, who is behind, who does not speak. What the processes say of "
    "themselves, dead letters and restarts are in wall clock, what is known of events in event time.",
    (status_panel(1, Grid(0, 0, 24, 2)), *_ROOMS, *_WORK, *_INPUT, *_OUTPUT, *producer_panels(20, 92)),
    variables=variables(),
    annotations=(*ANNOTATIONS, Annotation("Restarts", sql.RESTARTED, "warn")),
)
