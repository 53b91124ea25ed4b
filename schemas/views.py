"""The catalogue of ClickHouse views: each with what its rows are."""

from __future__ import annotations

VIEWS: dict[str, str] = {
    **{f"{name}_latest": f"Newest row per key of {name}" for name in (
        "cohort_count", "source_count", "episode", "issue", "affected", "affected_count", "impact", "outreach",
        "delivery", "channel", "dead_letter", "contact_case", "order_outcome", "vital", "vital_task",
    )},
    "change_latest": "What the company changed, newest revision per change",
    "command_latest": "Operators' orders, without their free-text reasons",
    "customer_latest": "One row per customer who was not erased: segment, margin over 12 months, language, zone",
    "issue_1m_latest": "Newest row per issue and minute of event time: its state, expected and observed failures",
    "issue_evidence": "One row per issue and stream that says something about it, at least that of its own signal",
    "known_segments": "Segments that customers belong to",
    "known_lines": "Service lines and signals, but those of drills, with counts in the last day of event time, or with "
    "an issue",
    "known_regions": "Regions with counts in the last 6 hours of event time, but those of drills",
    "intake_hour": "One row: messages stored and rejected in the last hour of the server's clock",
    "event_clock": "One row: now (newest event time known) and closed_through (all bins before it are closed)",
    "issue_overview": "One row per issue: title, cause and owner in words, since, affected, contacted, silent, money",
    "issue_board": "One row per issue that is going on or ended in the last 40 days: what a board of operations says "
    "of it, and the totals over the active ones",
    "issue_minute": "One row per issue and minute in which something changed: affected, contacted, silent, new, money; "
    "independent of flushes",
    "notice_latest": "One row per outreach decision with what became of it: sent, pending, failed, held, refused, ...",
    "holdout_drawn": "One row per customer drawn: group, when, first contact in 48 hours, first order in 28 days",
    "message_answered": "One row per message delivered: first contact of its customer within 48 hours, and about it",
    "budget_charge": "Messages that count against the contact budget, customers as numbers without meaning",
    "opted_out": "Customers whose newest profile revokes every contact: when it changed, segment",
    "channel_status": "One row per channel: the worst state of its circuit breaker, why, since when",
    "source_status": "One row per topic and producer: rate, last event, silence, state (ok, late, quiet, no data)",
    "room_status": "One row per room: watermark, how far behind, how long without progress, state, trouble in words",
    "case_overview": "One row per contact case: access, service, what became of it, whether that is final",
    "order_overview": "One row per order: what became of it, whether that is final",
    "stage_use": "Uses of a stage of the customers' journey, one row per stored copy of an event",
    "stage_hour": "Uses and failures per stage of the journey, region and hour of event time",
    "room_progress": "One row per room and partition: lag, watermark, state size, last sign of life, state in words",
    "process_run": "One row per room and start of a process: first and last sign of life, how many starts before it",
    "event_arrival": "One row per stored copy of an event: when it happened, when it came, who says so",
    "source_gap": "Stretches of the last 7 days in which a producer gave no data",
    "replay_ready": "Replays whose databases are filled: name, database, source, configuration, time range",
    "replay_shown": "One row: whether this database is that of a replay, of which one, and its state",
}
"""Every view and its meaning; the boards and the operator's commands read these."""

READABLE: tuple[str, ...] = (*VIEWS, "issue_1m", "impact_1m")
"""What user reader may read: the views, and histories without customers. Views read tables as user migrator."""
