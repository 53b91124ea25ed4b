"""Figures about the experience of customers: right the first time, access, service, voice, journey."""

from __future__ import annotations

from schemas.definitions.definition import ENOUGH, Definition

SERVICE, PRODUCT, INSIGHT = "Head of customer service", "Head of product", "Head of customer insight"
_CASE = "With each event of a contact: seconds"
_ORDER = "With each event of an order; final when its time for contacts has passed"
_DAYS = "Pending for 7 days after the contact, final then"
_HOUR = "When the event is stored: seconds"

EXPERIENCE: tuple[Definition, ...] = (
    Definition(
        "first_time_right", "Right the first time", PRODUCT, "share of orders",
        "Orders done without a failure, a contact about them or a repeat / orders whose outcome is known. An order "
        "that may still fail is pending and is left out.",
        _ORDER,
    ),
    Definition(
        "use_without_failure", "Use without failure", PRODUCT, "share of exposed customers",
        "1 - customers who failed in a bin / customers who could have failed in it, summed over bins: for service "
        "lines that have no orders.",
        "When the watermark has passed the bin (10 s)", "1 - sum(failed) / sum(exposed)", "cohort_count_latest", "bin",
        "signal = 'app'", ("line",), "sum(exposed)", ENOUGH,
    ),
    Definition(
        "wait", "Wait for an answer, median", SERVICE, "seconds",
        "The wait that half of the contact cases did not exceed, per channel and mode; from opened to answered.",
        _CASE,
    ),
    Definition(
        "wait_p90", "Wait for an answer, 90 %", SERVICE, "seconds",
        "The wait that 9 of 10 contact cases did not exceed, per channel and mode; from opened to answered.",
        _CASE,
    ),
    Definition(
        "abandon_rate", "Abandoned", SERVICE, "share of contact cases",
        "Contact cases that the customer gave up before an answer / contact cases, per channel and mode.",
        _CASE,
    ),
    Definition(
        "transfer_rate", "Transferred", SERVICE, "share of contact cases",
        "Contact cases that were passed on at least once / contact cases, per channel and mode.",
        _CASE,
    ),
    Definition(
        "repeat_rate", "Repeated", SERVICE, "share of contact cases",
        "Contact cases whose customer had contacted the company in the 7 days before / contact cases, per channel and "
        "mode.",
        _CASE,
    ),
    Definition(
        "switch_rate", "Channel switched", SERVICE, "share of contact cases",
        "Contact cases whose customer came from another channel or mode / contact cases, per channel and mode.",
        _CASE,
    ),
    Definition(
        "first_contact_resolution", "Resolved at the first contact", SERVICE, "share of contact cases",
        "Contact cases that were resolved and brought no further contact within 7 days / contact cases of which this "
        "is known. Cases younger than 7 days without a further contact are pending and are left out.",
        _DAYS,
    ),
    Definition(
        "time_to_resolution", "Time to resolution", SERVICE, "seconds",
        "Median time from opened to the last resolved, of contact cases that are resolved.",
        _CASE,
    ),
    Definition(
        "reopening", "Reopened", SERVICE, "share of resolved contact cases",
        "Contact cases that were reopened after they were resolved / contact cases that were resolved at least once.",
        _CASE,
    ),
    Definition(
        "contact_reasons", "Reasons of contacts", INSIGHT, "contact cases",
        "Contact cases by reason code.",
        _CASE,
    ),
    Definition(
        "silent_share", "Silent share", INSIGHT, "share of affected customers",
        "Customers whom a failure hit and who did not get in touch about it / customers whom a failure hit.",
        _CASE, "countIf(contacted_at IS NULL) / count()", "affected_latest", "first_failed_at", least=ENOUGH,
    ),
    Definition(
        "stage_failure", "Failure per stage of the journey", INSIGHT, "share of uses",
        "Events of telemetry that failed or were given up / events of telemetry, per stage of the journey.",
        _HOUR,
    ),
    Definition(
        "stage_effort", "Effort per stage of the journey", INSIGHT, "1 (easy) to 7 (hard)",
        "Mean effort that customers stated about a contact (1-7), per stage of the journey in which they were last "
        "seen.",
        _CASE,
    ),
    Definition(
        "stage_low", "New low of a stage", INSIGHT, "mark",
        "An hour in which a stage of the journey fails more than in every hour of the 7 days before it that has enough "
        "uses.",
        _HOUR,
    ),
)
"""Definitions of what the board of the customers' experience shows."""
