"""Tables of how contacts and orders went for their customers; what the columns mean exactly: ``schemas.experience``.

Their key begins with the day on which the contact or order began, so that a stretch of time is found
without reading all.
An event that comes late can move that day: then a row that is ``deleted`` hides the one of the former day.
"""

from __future__ import annotations

from schemas.table import COUNT, CUSTOMER, FLAG, LINE, NAMES, TEXT, TIME, TIME_OR_NULL, VALUES, VER, WORD, Column, Table

_FLAG_OR_NULL = "Nullable(Bool)"
_COUNT_OR_NULL = "Nullable(UInt32)"
_SMALL_OR_NULL = "Nullable(UInt8)"
_TAIL = (
    Column("origin", WORD, "live, replay or drill"),
    Column("cut", FLAG, "The customer had more at a time than is remembered: not all is told"),
    Column("deleted", "UInt8", "1: nothing is known under this key any more; the row hides and replaces older ones"),
    VER,
)

EXPERIENCE_TABLES: tuple[Table, ...] = (
    Table("contact_case", "contact_case", (
        CUSTOMER,
        Column("contact_id", TEXT, "Contact or case id"),
        LINE,
        Column("channel", WORD, "Channel in which it began"),
        Column("mode", WORD, "Who answered at first: human or automatic"),
        Column("last_mode", WORD, "The same by its latest event: differs if it was handed on"),
        Column("reason", WORD, "Reason code"),
        Column("language", WORD, "BCP 47 language"),
        Column("region", WORD, "Country or sales region"),
        Column("order_id", TEXT, "Order it is about, empty if none"),
        Column("subject_ids", VALUES, "Orders, tickets or conversations it is about"),
        Column("opened_at", TIME, "Its earliest event", "ms UTC"),
        Column("last_at", TIME, "Its latest event", "ms UTC"),
        Column("answered_at", TIME_OR_NULL, "First answer", "ms UTC"),
        Column("wait_ms", _COUNT_OR_NULL, "Wait before an answer, NULL if nothing says it", "ms"),
        Column("handle_ms", _COUNT_OR_NULL, "Handling time, NULL if nothing says it", "ms"),
        Column("abandoned", FLAG, "The customer left before anybody answered"),
        Column("transfers", COUNT, "How often it was transferred", "events"),
        Column("first_resolved_at", TIME_OR_NULL, "First resolution", "ms UTC"),
        Column("resolved_at", TIME_OR_NULL, "Resolution that holds; NULL while it is open", "ms UTC"),
        Column("reopened", COUNT, "How often it was reopened", "events"),
        Column("csat", _SMALL_OR_NULL, "Satisfaction", "1-5"),
        Column("effort", _SMALL_OR_NULL, "Effort", "1-7"),
        Column("repeat_of", TEXT, "Earlier contact about the same matter within 7 days, empty if there is none"),
        Column("channel_before", WORD, "Channel of that contact"),
        Column("mode_before", WORD, "Mode in which that contact ended"),
        Column("repeated_at", TIME_OR_NULL, "When the first contact that repeats this one began", "ms UTC"),
        Column("outcome", WORD, "pending, resolved, repeated, reopened, abandoned or unknown"),
        Column("first_contact_resolved", _FLAG_OR_NULL, "By outcome; NULL if it is pending or unknown"),
        *_TAIL,
    ), ("toDate(opened_at)", "customer_id", "contact_id"), "ver", 400,
       "How one contact of a customer went: access, service, repeats, in event time", deleted="deleted"),
    Table("order_outcome", "order_outcome", (
        CUSTOMER,
        Column("order_id", TEXT, "Order id"),
        LINE,
        Column("region", WORD, "Country or sales region"),
        Column("placed_at", TIME, "Its earliest event", "ms UTC"),
        Column("promised_at", TIME_OR_NULL, "Promised completion that holds, or that was broken", "ms UTC"),
        Column("done_at", TIME_OR_NULL, "When it was delivered, cancelled or, if nothing follows, paid", "ms UTC"),
        Column("ended", WORD, "delivered, cancelled or paid; empty while it is open"),
        Column("failed_at", TIME_OR_NULL, "First failure of the company's doing", "ms UTC"),
        Column("put_right_at", TIME_OR_NULL, "When the last of these was put right", "ms UTC"),
        Column("contacted_at", TIME_OR_NULL, "First contact about it", "ms UTC"),
        Column("contacts", COUNT, "Contacts about it", "contacts"),
        Column("replaced_by", TEXT, "The order that replaced it, empty if none did"),
        Column("reasons", NAMES, "Why it was not right the first time, sorted; empty if nothing was wrong"),
        Column("outcome", WORD, "open, pending, right, wrong or withdrawn"),
        Column("first_time_right", _FLAG_OR_NULL, "By outcome; NULL unless it is right or wrong"),
        *_TAIL,
    ), ("toDate(placed_at)", "customer_id", "order_id"), "ver", 400,
       "How one order went: first-time-right and why not, in event time", deleted="deleted"),
)  # fmt: skip
