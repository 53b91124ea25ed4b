"""What columns are called, in English and German, and which field of which event that makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from streams.sources.guess.kinds import Contents

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def words_of(name: str) -> str:
    """A column's name in lower-case words: ``createdAt`` and ``Created_at`` become ``created at``."""
    return " ".join(re.findall(r"[^\W_]+", _CAMEL.sub(" ", name).lower()))


def _any(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b")


def _id_of(*nouns: str) -> re.Pattern[str]:
    """``order no``, ``order``, but not ``order total``."""
    noun, end = "|".join(nouns), "id|no|nr|number|nummer|key|name"
    return re.compile(rf"\b(?:{noun})\b.*\b(?:{end})\b|\b(?:{noun})(?:id|no|nr|nummer)?$|^(?:id|key)$")


TargetFields = tuple[tuple[str, str, re.Pattern[str]], ...]
"""Field of the event, kinds of column that it may come from (separated by blanks), pattern of the name."""

_REGION = ("region", "country text", _any("country", "region", "land", "market", "geo"))
_ORDER_NOUNS = ("order", "bestellung", "bestell", "auftrag", "auftrags", "booking", "purchase", "shipment", "invoice")
_CONTACT_NOUNS = ("ticket", "case", "conversation", "contact", "request", "issue", "incident", "complaint", "message",
                  "review", "comment", "post", "tweet", "fall", "anfrage", "vorgang", "beschwerde")  # fmt: skip
_ORDER: TargetFields = (
    ("order_id", "text number", _id_of(*_ORDER_NOUNS)),
    ("amount_cents", "number", _any("total", "amount", "sum", "price", "value", "revenue", "betrag", r"gesamt\w*",
                                    "summe", "preis")),
    ("currency", "currency", _any("currency", "curr", "währung", "waehrung", "iso")),
    ("payment_method", "text", _any("payment method", "pay method", "payment type", "zahlart", "zahlungsart")),
    ("payment_provider", "text", _any("psp", "provider", "gateway", "payment")),
    ("carrier", "text", _any("carrier", "courier", "shipping method", "shipper", r"versand\w*", "zusteller", "slug")),
    ("warehouse", "text", _any("warehouse", "depot", "lager", "store", "location", "hub", "filiale")),
    ("sku", "text number", _any("sku", "item", "article", r"artikel\w*")),
    _REGION,
    ("error_code", "text number", _any("error", "decline", "failure", r"fehler\w*")),
)  # fmt: skip
_CONTACT: TargetFields = (
    ("contact_id", "text number", _id_of(*_CONTACT_NOUNS)),
    ("channel", "text", _any("channel", "kanal", "via", "source type", "medium")),
    ("reason", "text", _any("reason", "category", "topic", "type", "tags?", "grund", "kategorie", "thema", "anliegen")),
    ("order_id", "text number", _id_of(*_ORDER_NOUNS)),
    ("csat", "number", _any("csat", "satisfaction", "rating", "zufriedenheit", "bewertung")),
    ("language", "text country", _any("language", "locale", "sprache")),
    _REGION,
)
_TELEMETRY: TargetFields = (
    ("event_name", "text", _any("event name", "event", "action", "activity", "screen", "name")),
    ("app_version", "text number", _any("version", "release")),
    ("platform", "text", _any("platform", "os", "operating system")),
    ("device_model", "text", _any("device", "model")),
    ("firmware", "text number", _any("firmware")),
    ("component", "text", _any("component", "module", "page", "service", "feature")),
    _REGION,
    ("error_code", "text number", _any("error", "exception", "failure")),
    ("latency_ms", "number", _any("latency", "duration", "elapsed", "ms")),
    ("session_id", "text number", _any("session")),
)
FIELDS: Mapping[str, TargetFields] = {"order": _ORDER, "contact": _CONTACT, "telemetry": _TELEMETRY}

STATUS = _any("status", "state", "stage", "outcome", "result", "zustand")
EVENT_ID = re.compile(r"\b(?:event|message|record|row) ?id\b|\buuid\b|^insert id$")
_WHO = ("customer", "client", "user", "member", "buyer", "requester", "kunden?", "visitor", "account", "contact",
        "author", "caller")  # fmt: skip
CUSTOMER = (
    re.compile(rf"\b(?:{'|'.join(_WHO)})\b.*\b(?:id|no|nr|number|nummer|key|token|hash)\b"),
    re.compile(rf"\b(?:{'|'.join(_WHO)}|reporter|kundennummer|kundennr|userid)$"),
    re.compile(r"\b(?:anonymous|device|visitor)\b.*\bid\b|\bpseudo id$"),
)
"""Names of columns with an opaque id of the customer, the best first."""
PROMISED = _any("promised?", "due", "eta", "expected", "estimated", "deadline", "sla", "scheduled", "zugesagt",
                "versprochen", "liefertermin")  # fmt: skip
STEPS: Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    "order": (
        ("payment_failed", _any("fail", "failed", "declined")),
        ("paid", _any("paid", "payment", "captured", "bezahlt")),
        ("shipped", _any("shipped", "dispatched", "sent", "fulfilled", "versandt", "versendet")),
        ("delivered", _any("delivered", "delivery", "arrived", "completed", "zugestellt", "geliefert")),
        ("cancelled", _any("cancell?ed", "cancel", "storniert", "storno")),
        ("refunded", _any("refunded", "refund", "erstattet")),
        ("returned", _any("returned", "retoure")),
    ),
    "contact": (
        ("answered", _any("answered", "replied", "first reply", "first response", "beantwortet")),
        ("resolved", _any("resolved", "closed", "solved", "completed", "geschlossen", "gelöst", "erledigt")),
    ),
    "telemetry": (),
}
BEGUN = _any("created?", "ordered", "placed", "opened", "received", "bestellt", "erstellt", "eingang", "angelegt",
             "timestamp", "time", "date", "datum", "at", "ts")  # fmt: skip
CHANGED = _any("updated", "modified", "changed", "synced", "exported", "last", "geändert")
_NOUNS: Mapping[str, re.Pattern[str]] = {
    "order": _any("order", "amount", "total", "price", "paid", "shipped", "delivered", "carrier", "sku", "currency",
                  "shipping", "payment", "track", "tracking", "delivery", "parcel", r"bestell\w*", "betrag"),
    "contact": _any("ticket", "case", "conversation", "requester", "agent", "assignee", "subject", "channel", "csat",
                    "satisfaction", "priority", "reporter", "resolved", "issue", "author", "reply", "conversations?",
                    "contacts?", "tags?", "rating", "admin", "anfrage", "kanal", "text", "message", "body",
                    "review", "comment", "sentiment", "complaint", "narrative", "caller", "nachricht"),
    "telemetry": _any("event", "event name", "version", "platform", "os", "device", "session", "screen", "latency",
                      "anonymous", "page", "app", "browser", "mobile", "geo", "pseudo", "language", "user"),
}  # fmt: skip


TEXTS = ("text", "country", "currency", "truth")
"""Kinds that a short text may be taken for."""


def noun_of(names: Iterable[str]) -> tuple[str, bool]:
    """The kind of event whose words the names hold most often, and whether that is beyond doubt."""
    listed = tuple(names)
    found = {noun: sum(bool(pattern.search(name)) for name in listed) for noun, pattern in _NOUNS.items()}
    best, second, _ = sorted(found, key=lambda noun: -found[noun])
    return best, found[best] >= 2 * max(1, found[second])


def assigned(noun: str, columns: Mapping[str, Contents], used: Iterable[str]) -> dict[str, str]:
    """Field of the event -> column, each column once; ``used`` are columns that are something else already."""
    taken, found = set(used), dict[str, str]()
    for field, kinds, pattern in FIELDS[noun]:
        for name, finding in columns.items():
            kind = "text" if finding.kind in TEXTS and "text" in kinds else finding.kind
            if name not in taken and kind in kinds.split() and pattern.search(words_of(name)):
                found[field] = name
                taken.add(name)
                break
    return found


STATUS_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "order": {
        "placed": ("placed", "created", "new", "open", "pending", "confirmed", "received", "neu", "offen"),
        "paid": ("paid", "captured", "succeeded", "processing", "bezahlt"),
        "payment_failed": ("payment_failed", "payment failed", "failed", "declined", "fehlgeschlagen"),
        "packed": ("packed", "picked", "ready", "gepackt"),
        "shipped": ("shipped", "dispatched", "in transit", "in_transit", "fulfilled", "sent", "versandt", "versendet"),
        "delivered": ("delivered", "completed", "complete", "zugestellt", "geliefert"),
        "late": ("late", "delayed", "verspätet"),
        "cancelled": ("cancelled", "canceled", "voided", "storniert"),
        "returned": ("returned", "zurückgesendet", "retoure"),
        "refunded": ("refunded", "erstattet"),
    },
    "contact": {
        "opened": ("opened", "open", "new", "created", "pending", "offen", "neu"),
        "answered": ("answered", "replied", "in progress", "waiting", "beantwortet"),
        "abandoned": ("abandoned", "missed", "verpasst"),
        "transferred": ("transferred", "escalated", "weitergeleitet"),
        "resolved": ("resolved", "closed", "solved", "done", "completed", "geschlossen", "gelöst", "erledigt"),
        "reopened": ("reopened", "re-opened", "wieder geöffnet"),
    },
    "telemetry": {
        "ok": ("ok", "success", "succeeded", "true", "completed", "passed", "done", "1"),
        "failed": ("failed", "failure", "error", "fail", "false", "crash", "timeout", "declined", "0"),
        "abandoned": ("abandoned", "cancelled", "canceled", "aborted"),
    },
}
"""Our words, and what files write for them; in lower case. Printed as a whole, whatever the file holds of it."""
CHANNEL_WORDS: Mapping[str, tuple[str, ...]] = {
    "phone": ("phone", "call", "voice", "telefon"), "email": ("email", "e-mail", "mail"),
    "chat": ("chat", "messenger", "messaging", "live chat"), "app": ("app", "mobile", "in-app"),
    "web": ("web", "form", "portal", "web form", "website"), "social": ("social", "facebook", "twitter", "whatsapp"),
    "shop": ("shop", "store", "branch", "filiale"), "letter": ("letter", "post", "brief"),
}  # fmt: skip
REASON_WORDS: Mapping[str, tuple[str, ...]] = {
    "delivery": ("delivery", "shipping", "shipment", "parcel", "late", "lieferung", "versand"),
    "payment": ("payment", "billing", "invoice", "refund", "charge", "zahlung", "rechnung"),
    "technical": ("technical", "bug", "error", "login", "incident", "technik"),
    "app": ("app", "website"), "complaint": ("complaint", "beschwerde"),
    "problem": ("problem", "defect", "damaged", "broken", "defekt"),
    "question": ("question", "request", "task", "info", "frage"),
}  # fmt: skip
