"""Small invented samples of the exports that the shipped mappings read, one per variant; no real person is in them.

Each has the rows of its file, and for each event that they make: topic, status (of telemetry: outcome), UTC time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file for one mapping: what it makes, in arrival order, and what becomes of the other rows."""

    mapping: str
    text: str
    events: tuple[str, ...]
    unmatched: int = 0
    rejected: int = 0
    edit: tuple[str, str] | None = None
    """What the head of the mapping tells to change for this variant of the export."""


def lines(*rows: Any) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


SHOPIFY = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Total,Shipping Method,\
Created at,Lineitem quantity,Lineitem name,Lineitem sku,Shipping Country,Notes,Cancelled at,Payment Method,Id,Tags,Phone
#1001,Anna@example.invalid,paid,2026-03-02 10:15:21 +0100,fulfilled,2026-03-03 09:00:00 +0100,no,EUR,64.70,DHL,\
2026-03-02 10:15:20 +0100,1,Mug,MUG-B,DE,,,Shopify Payments,5550001,,
#1001,Anna@example.invalid,,,,,,,,,2026-03-02 10:15:20 +0100,2,Red Mug,MUG-R,,,,,,,
#1002,,paid,2026-03-02 11:00:00 +0100,unfulfilled,,no,EUR,10.00,,2026-03-02 11:00:00 +0100,1,Sticker,STK,DE,\
"two
lines",,Cash,5550002,,+49000000001
#1003,,voided,,unfulfilled,,no,EUR,1234.50,,\
2026-03-29 12:00:00 +0200,1,Table,TAB,DE,,2026-03-29 13:00:00 +0200,,5550003,,
"""


def woo(**changed: Any) -> dict[str, Any]:
    """An order as the REST interface gives it."""
    order = {
        "id": 727, "number": "727", "status": "processing", "currency": "USD", "total": "29.35", "customer_id": 0,
        "date_created_gmt": "2026-03-02T16:28:02", "date_modified_gmt": "2026-03-02T16:28:08",
        "date_paid_gmt": "2026-03-02T16:28:08", "date_completed_gmt": None, "payment_method": "stripe",
        "billing": {"email": "anna@example.invalid", "phone": "", "country": "US"}, "shipping": {"country": "US"},
        "line_items": [{"sku": "Bar3", "quantity": 2}], "shipping_lines": [{"method_title": "Flat Rate"}],
    }  # fmt: skip
    return {**order, **changed}


WOO_FAILED = {"id": 728, "status": "failed", "date_paid_gmt": None}
WOO_DONE = {"id": 729, "status": "completed", "date_completed_gmt": "2026-03-04T10:00:00"}
WOO_BACK = {"id": 730, "status": "refunded", "date_modified_gmt": "2026-03-05T10:00:00"}
WOO_TRASH = {"id": 731, "status": "trash", "date_paid_gmt": None}
WOO_EVENTS = (
    "order placed 03-02 16:28", "order placed 03-02 16:28", "order placed 03-02 16:28", "order placed 03-02 16:28",
    "order paid 03-02 16:28", "order payment_failed 03-02 16:28", "order paid 03-02 16:28", "order paid 03-02 16:28",
    "order delivered 03-04 10:00", "order refunded 03-05 10:00",
)  # fmt: skip
WOO = [woo(), woo(**WOO_FAILED), woo(**WOO_DONE), woo(**WOO_BACK), woo(**WOO_TRASH)]

TICKETS: list[dict[str, Any]] = [
    {"id": 35436, "via": {"channel": "web"}, "created_at": "2026-03-02T10:20:00Z", "updated_at": "2026-03-02T11:00:00Z",
     "type": "incident", "subject": "Where is it?", "status": "open", "requester_id": 20978392, "tags": ["vip", "late"],
     "satisfaction_rating": {"score": "unoffered"}},
    {"id": 35437, "via": {"channel": "email"}, "created_at": "2026-03-02T10:25:00Z",
     "updated_at": "2026-03-02T12:00:00Z", "type": None, "status": "solved", "requester_id": 20978393, "tags": [],
     "satisfaction_rating": {"score": "bad"}},
]  # fmt: skip
TICKET_EVENTS = (
    "contact opened 03-02 10:20 delivery web", "contact opened 03-02 10:25 unspecific email",
    "contact resolved 03-02 12:00 unspecific email",
)  # fmt: skip

CONVERSATIONS: list[dict[str, Any]] = [
    {"type": "conversation", "id": "147", "created_at": 1772445600, "updated_at": 1772449200, "state": "closed",
     "source": {"type": "conversation", "delivered_as": "customer_initiated", "author": {"id": "u1"}},
     "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "c1", "external_id": "70"}]},
     "tags": {"type": "tag.list", "tags": [{"name": "Payment"}]}, "conversation_rating": {"rating": 2},
     "statistics": {"time_to_admin_reply": 300, "first_admin_reply_at": 1772445900, "last_close_at": 1772449100}},
    {"type": "conversation", "id": "148", "created_at": 1772445700, "updated_at": 1772445700, "state": "open",
     "source": {"type": "email", "delivered_as": "admin_initiated", "author": {"type": "admin", "id": "25"}},
     "contacts": {"contacts": [{"id": "c2"}]}, "tags": {"tags": []}, "statistics": None},
]  # fmt: skip
CONVERSATION_EVENTS = (
    "contact opened 03-02 10:00 payment chat", "contact answered 03-02 10:05 payment chat",
    "contact resolved 03-02 10:58 payment chat",
)  # fmt: skip


def stripe(kind: str, number: int, amount: int, currency: str, **more: Any) -> dict[str, Any]:
    """An event of a payment."""
    payment = {"id": f"pi_{number}", "amount": amount, "currency": currency, "customer": f"cus_{number}",
               "metadata": {"order_id": f"#{number}"}, "payment_method_types": ["card"], **more}  # fmt: skip
    return {"id": f"evt_{number}_{kind}", "object": "event", "created": 1772445600 + number, "livemode": True,
            "type": kind, "data": {"object": payment}}  # fmt: skip


DECLINED = {"code": "card_declined", "decline_code": "insufficient_funds", "payment_method": {"type": "card"}}
STRIPE = [
    stripe("payment_intent.created", 1, 6470, "eur"),
    stripe("payment_intent.payment_failed", 2, 5550, "jpy", last_payment_error=DECLINED),
    stripe("payment_intent.succeeded", 3, 12345, "kwd", customer=None, receipt_email="Ben@example.invalid"),
    stripe("payment_intent.canceled", 4, 100, "usd", metadata={}),
    stripe("charge.refunded", 5, 100, "usd", metadata={}, payment_intent="pi_4", amount_refunded=50),
    stripe("charge.failed", 6, 100, "usd"),
    {**stripe("payment_intent.succeeded", 7, 100, "usd"), "livemode": False},
]
STRIPE_EVENTS = (
    "order placed 03-02 10:00 #1 6470 EUR", "order payment_failed 03-02 10:00 #2 555000 JPY",
    "order paid 03-02 10:00 #3 1235 KWD", "order cancelled 03-02 10:00 pi_4 100 USD",
    "order refunded 03-02 10:00 pi_4 50 USD",
)  # fmt: skip


def track(event: str, number: int, **more: Any) -> dict[str, Any]:
    """A track call as Segment and RudderStack store it."""
    return {
        "type": "track", "userId": "u-1", "anonymousId": "a-1", "event": event, "messageId": f"m-{number}",
        "timestamp": f"2026-03-02T10:0{number}:00.000Z", "receivedAt": f"2026-03-02T10:0{number}:01.000Z",
        "context": {"app": {"version": "5.2.0"}, "os": {"name": "iOS"}, "device": {"model": "Nova 8"}},
        "properties": {}, **more,
    }  # fmt: skip


TRACKS = [
    track("Checkout Completed", 1), track("Checkout Failed", 2), track("Login", 3, properties={"error": "E42"}),
    track("Upload", 4, properties={"success": False}, userId=None),
    {"type": "identify", "userId": "u-1", "messageId": "m-9", "timestamp": "2026-03-02T10:09:00Z"},
]  # fmt: skip
TRACK_EVENTS = (
    "telemetry ok 03-02 10:01 Checkout Completed", "telemetry failed 03-02 10:02 Checkout Failed",
    "telemetry failed 03-02 10:03 Login", "telemetry failed 03-02 10:04 Upload",
)  # fmt: skip
RUDDER = {name: value for name, value in track("Checkout Failed", 5).items() if name != "timestamp"}
RUDDER["originalTimestamp"] = "2026-03-02T10:05:00.000+00:00"

GA4 = [
    {"event_timestamp": "1772445600123456", "event_name": name, "user_id": user, "user_pseudo_id": "1111.2222",
     "event_params": [{"key": "page", "value": {"string_value": "/"}},
                      {"key": "ga_session_id", "value": {"int_value": "1772445000"}}],
     "device": {"operating_system": "Android", "mobile_model_name": "Pixel 8"}, "app_info": {"version": "1.0"},
     "geo": {"country": "Germany"}, "platform": "WEB"}
    for name, user in (("purchase", "u-1"), ("app_exception", None))
]  # fmt: skip


def shipment(tag: str, number: int, **more: Any) -> dict[str, Any]:
    """A webhook of AfterShip."""
    body = {"id": "trk_1", "tracking_number": "1Z1", "slug": "dhl", "order_id": "#1001", "tag": tag,
            "customers": [{"email": "Anna@example.invalid"}], "expected_delivery": "2026-03-05",
            "destination_country_iso3": "DEU", "subtag": f"{tag}_001", **more}  # fmt: skip
    return {"event": "tracking_update", "event_id": f"e-{number}", "ts": 1772442005 + 3600 * number, "msg": body}


AFTERSHIP = [
    shipment("Pending", 0), shipment("InTransit", 1), shipment("Delivered", 2),
    shipment("Exception", 3, order_id=None, order_number="1002", customers=[]),
]  # fmt: skip


def parcel(status: str, hour: int, **more: Any) -> dict[str, Any]:
    """A webhook of 17TRACK."""
    info = {
        "latest_status": {"status": status, "sub_status": f"{status}_Other"},
        "latest_event": {"time_iso": f"2026-03-02T{hour + 1}:00:00+01:00", "time_utc": f"2026-03-02T{hour}:00:00Z"},
        "time_metrics": {"estimated_delivery_date": {"from": "2026-03-04", "to": "2026-03-05T00:00:00Z"}},
        "shipping_info": {"recipient_address": {"country": "DE"}},
        "tracking": {"providers": [{"provider": {"key": 7041, "name": "DHL Paket"}}]},
    }
    data = {"number": "RR123456789CN", "carrier": 7041, "tag": "#1001", "track_info": {**info, **more}}
    return {"event": "TRACKING_UPDATED", "data": data}


TRACK17 = [
    parcel("InTransit", 10), parcel("Delivered", 12), parcel("Exception", 13),
    parcel("NotFound", 14, latest_event=None), {"event": "TRACKING_STOPPED", "data": {"number": "RR1"}},
]  # fmt: skip

JIRA = """\
Issue key,Summary,Issue Type,Created,Resolved,Reporter,Reporter Id,Labels,Labels,Labels,Comment,Comment
SD-1,Cannot log in,Bug,02/Mar/26 10:15 AM,02/Mar/26 1:05 PM,Anna,u-1,backend,urgent,,"02/Mar/26 10:20 AM;a1;at 9;30",
SD-2,Parcel late,Service Request,02/Mar/26 11:15 AM,,Ben,u-2,delivery,,,,
"""

FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,carrier,flight,origin,dest
2013,3,2,517,515,2,UA,1545,EWR,IAH
2013,3,2,NA,2359,NA,B6,839,JFK,BQN
"""
SHOP = """\
order_no;email;ordered_at;paid_at;payment_error;total;psp;carrier;depot;country;promise_hours;delivered_at;\
cancelled_by;cancelled_at
1001;Anna@example.invalid;02.03.2026 09:00;02.03.2026 09:02;-;49,90;paynow;DHL;H1;Deutschland;24;03.03.2026 08:30;-;-
1002;ben@example.invalid;02.03.2026 09:05;-;DECLINED;12,00;-;DHL;H1;Deutschland;24;-;-;-
1003;cem@example.invalid;02.03.2026 10:00;02.03.2026 10:01;-;5,00;paynow;GLS;A1;Niederlande;24;-;S;02.03.2026 15:00
"""

OLD_SHOPIFY = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Currency,Total,Created at,Cancelled at
#1001,Anna@example.invalid,paid,2026-03-02 10:15:21 +0100,unfulfilled,,EUR,64.70,2026-03-02 10:15:20 +0100,
"""

SAMPLES: tuple[SampleFile, ...] = (
    SampleFile("shopify-orders", OLD_SHOPIFY, (
        "order placed 03-02 09:15 #1001 6470 EUR", "order paid 03-02 09:15 #1001 6470 EUR")),
    SampleFile("flights", FLIGHTS, (
        "order placed 03-02 08:15 UA", "order delivered 03-02 10:17 UA", "order placed 03-03 02:59 B6",
        "order cancelled 03-03 04:59 B6")),
    SampleFile("shop", SHOP, (
        "order placed 03-02 08:00 1001 4990", "order paid 03-02 08:02 1001", "order placed 03-02 08:05 1002",
        "order payment_failed 03-02 08:07 1002 DECLINED", "order placed 03-02 09:00 1003",
        "order paid 03-02 09:01 1003", "order cancelled 03-02 14:00 1003 company", "order delivered 03-03 07:30 1001")),
    SampleFile("shopify-orders", SHOPIFY, (
        "order placed 03-02 09:15 #1001 6470 EUR", "order paid 03-02 09:15 #1001 6470 EUR",
        "order placed 03-02 10:00 #1002 1000 EUR", "order paid 03-02 10:00 #1002 1000 EUR",
        "order delivered 03-03 08:00 #1001 6470 EUR", "order placed 03-29 10:00 #1003 123450 EUR",
        "order cancelled 03-29 11:00 #1003 123450 EUR"), unmatched=1),
    SampleFile("woocommerce-orders", json.dumps(WOO, indent=1), WOO_EVENTS, unmatched=1),
    SampleFile("woocommerce-orders", lines(*WOO), WOO_EVENTS, unmatched=1),
    SampleFile("zendesk-tickets", json.dumps({"tickets": TICKETS, "count": 2}, indent=1), TICKET_EVENTS),
    SampleFile("zendesk-tickets", lines({"tickets": TICKETS[:1]}, {"tickets": TICKETS[1:]}), TICKET_EVENTS),
    SampleFile("zendesk-tickets", lines(*TICKETS), TICKET_EVENTS, edit=("  items: tickets\n", "")),
    SampleFile("intercom-conversations", json.dumps({"type": "conversation.list", "conversations": CONVERSATIONS}),
               CONVERSATION_EVENTS, unmatched=1),
    SampleFile("intercom-conversations", lines(*CONVERSATIONS), CONVERSATION_EVENTS, unmatched=1,
               edit=("  items: conversations\n", "")),
    SampleFile("stripe-events", lines(*STRIPE), STRIPE_EVENTS, unmatched=2),
    SampleFile("stripe-events", json.dumps({"object": "list", "data": STRIPE}), STRIPE_EVENTS, unmatched=2,
               edit=("format: json", "format: json\n  items: data")),
    SampleFile("segment-track", lines(*TRACKS), TRACK_EVENTS, unmatched=1),
    SampleFile("segment-track", lines({"batch": TRACKS, "sentAt": "2026-03-02T10:09:00Z"}), TRACK_EVENTS, unmatched=1,
               edit=("format: ndjson", "format: ndjson\n  items: batch")),
    SampleFile("segment-track", lines(RUDDER), ("telemetry failed 03-02 10:05 Checkout Failed",)),
    SampleFile("ga4-export", lines(*GA4),
               ("telemetry ok 03-02 10:00 purchase", "telemetry failed 03-02 10:00 app_exception")),
    SampleFile("aftership", lines(*AFTERSHIP), (
        "order shipped 03-02 10:00 #1001 dhl", "order delivered 03-02 11:00 #1001 dhl",
        "order late 03-02 12:00 1002 dhl"), unmatched=1),
    SampleFile("17track", lines(*TRACK17), (
        "order shipped 03-02 10:00 #1001 DHL Paket", "order delivered 03-02 12:00 #1001 DHL Paket",
        "order late 03-02 13:00 #1001 DHL Paket"), unmatched=2),
    SampleFile("jira-issues", JIRA, (
        "contact opened 03-02 10:15 technical web", "contact opened 03-02 11:15 question web",
        "contact resolved 03-02 13:05 technical web")),
)  # fmt: skip
