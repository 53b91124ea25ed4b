"""Panels about the producers of the three streams: who is silent or late, who sends twice, how much each sends."""

from __future__ import annotations

from dashboards.boards.history_sql import GAPS
from dashboards.model import Field, Grid, Panel

STREAMS = """
SELECT
    state, stream, events_minute AS per_minute, rate_per_s * 60 AS usual_per_minute, last_event,
    silent_s, late_hour, duplicates_hour
FROM source_status
ORDER BY state = 'no data' DESC, state = 'late' DESC, stream
LIMIT 200
"""

EVENT_RATE = """
SELECT
    $__timeInterval(bin) AS time, concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream,
    sum(events) / $__interval_s AS events_per_second
FROM source_count_latest
WHERE $__timeFilter(bin)
GROUP BY time, stream
ORDER BY time, stream
"""

def producer_panels(number: int, top: int) -> tuple[Panel, ...]:
    """Three panels with ids from ``number`` on, from grid row ``top`` on, 16 rows high."""
    return (
        Panel(
            number, "streams", "Stream health", "table", "events",
            "One row per topic and producer. No data: silent for at least one bin and for five expected events at its "
            "usual rate of the hour before; quiet: too few events to judge; late: over 10 % behind the disorder bound.",
            Grid(0, top, 24, 8), STREAMS,
            fields=(
                Field("state", "State", "state", 90),
                Field("stream", "Topic · producer", width=200),
                Field("per_minute", "Events, last minute", "events", 110),
                Field("usual_per_minute", "Usual per minute", "per_minute", 110),
                Field("last_event", "Last event", "time", 120),
                Field("silent_s", "Silent for", "seconds", 100),
                Field("late_hour", "Late (1 h)", "events", 100),
                Field("duplicates_hour", "Duplicates (1 h)", "events", 120),
            ),
            empty="No event has arrived yet.", metric="no_data",
        ),
        Panel(
            number + 1, "event_rate", "Events per second", "timeseries", "per_second",
            "Accepted events by topic and producer, in event time.", Grid(0, top + 8, 12, 8), EVENT_RATE, ranged=True,
            label="stream", empty="No event in this time range.", metric="throughput",
        ),
        Panel(
            number + 2, "silence", "Streams without data", "state", "state",
            "Stretches in which a producer gave no data although at least 12 events were to be expected (last 7 days).",
            Grid(12, top + 8, 12, 8), GAPS, ranged=True, label="stream", empty="No producer is known yet.",
            metric="no_data",
        ),
    )
