"""An issue in plain words for the customer it hit: a short title and the cause, per language.

Attribute values come from events, and anybody who can send an event can write into them. They become words only if the
company's own table has words for them, or if they are known: named by a change event, or had by many customers before
the onset. Even then they are reduced to harmless characters and stay inert wherever the text goes: no markup, no
template syntax, no links, no control or direction characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

LANGUAGES = ("en", "de")
"""Languages we can speak; every other one gets the first."""

_MOST = 120
_GENERAL = "contact"
"""Signal whose words are true of every other."""
_HARMLESS = re.compile(r"[^\w .,+-]")
_DOTTED_NAME = re.compile(r"\.(?=[^\W\d_])")

_TITLES: dict[str, dict[str, str]] = {
    "en": {
        "app": "Problems with our app",
        "payment": "Problems with payments",
        "delivery": "Delays in delivery",
        "contact": "Problems with our service",
    },
    "de": {
        "app": "Störung in unserer App",
        "payment": "Störung bei Zahlungen",
        "delivery": "Verzögerung bei Lieferungen",
        "contact": "Störung in unserem Service",
    },
}
_CAUSES: dict[str, dict[str, str]] = {
    "en": {
        "app": "a fault in our app",
        "payment": "a fault when payments are processed",
        "delivery": "a hold-up in our deliveries",
        "contact": "a fault in our service",
    },
    "de": {
        "app": "ein Fehler in unserer App",
        "payment": "ein Fehler bei der Abwicklung von Zahlungen",
        "delivery": "ein Engpass bei unseren Lieferungen",
        "contact": "ein Fehler in unserem Service",
    },
}
_NAMES: dict[str, dict[str, str]] = {
    "en": {
        "app_version": "version", "platform": "platform", "device_model": "device", "region": "region",
        "component": "part", "payment_provider": "provider", "payment_method": "method", "carrier": "carrier",
        "warehouse": "depot", "channel": "channel", "firmware": "firmware",
    },
    "de": {
        "app_version": "Version", "platform": "Plattform", "device_model": "Gerät", "region": "Region",
        "component": "Bereich", "payment_provider": "Anbieter", "payment_method": "Zahlart", "carrier": "Zusteller",
        "warehouse": "Depot", "channel": "Kanal", "firmware": "Firmware",
    },
}  # fmt: skip


Names = Mapping[str, Mapping[str, Mapping[str, str]]]
"""The company's words: attribute -> value -> language (``""``: any) -> words."""
_PROMISE = re.compile(
    r"refund|compensat|voucher|discount|coupon|credit|free of charge|guarantee|reimburs|"
    r"erstatt|entschädig|gutschein|rabatt|gutschrift|kostenlos|garantier|[€$£]",
    re.IGNORECASE,
)


def promises(text: str) -> bool:
    """True if a text promises money or goods, or reads as if it did.

    >>> promises("refund 500 EUR guaranteed now"), promises("version 5.2.0")
    (True, False)
    """
    return bool(_PROMISE.search(text))


def speakable(cause: Mapping[str, str], known: Collection[str], names: Names, language: str) -> dict[str, str]:
    """The attributes of a cause that may be shown to a customer, with the words for their values.

    >>> speakable({"app_version": "5.2.0", "region": "free money"}, ("app_version",), {}, "en")
    {'app_version': '5.2.0'}
    >>> speakable({"carrier": "c-7"}, (), {"carrier": {"c-7": {"": "Swift Parcel"}}}, "de")
    {'carrier': 'Swift Parcel'}
    """
    spoken: dict[str, str] = {}
    for name, value in cause.items():
        own = names.get(name, {}).get(value, {})
        words = own.get(speak(language)) or own.get("") or (value if name in known else "")
        if words:
            spoken[name] = words
    return spoken


def speak(language: str) -> str:
    """Our language for a BCP 47 tag: ``de-AT`` is ``de``, an unknown one is ``en``.

    >>> speak("de-AT"), speak("fr")
    ('de', 'en')
    """
    primary = language.lower().replace("_", "-").split("-")[0]
    return primary if primary in LANGUAGES else LANGUAGES[0]


def plain(value: str) -> str:
    """A value from an event as inert text of at most 40 characters: alphanumeric, blank and ``. , + - _``.

    >>> plain("{{7*7}}<b>\\r\\nhttp://evil.example"), plain("5.2.0")
    ('7 7 b http evil example', '5.2.0')
    """
    harmless = _HARMLESS.sub(" ", value)
    return " ".join(_DOTTED_NAME.sub(" ", harmless).split())[:40].strip()


def title_words(signal: str, language: str) -> str:
    """What the customer sees as the subject."""
    return _words(_TITLES, signal, language)


def _words(table: Mapping[str, Mapping[str, str]], signal: str, language: str) -> str:
    return table[speak(language)][signal if worded(signal) else _GENERAL]


def worded(signal: str) -> bool:
    """True if there are words for customers; about any other signal nobody is told."""
    return signal in _TITLES[LANGUAGES[0]]


def cause_words(signal: str, cause: Mapping[str, str], language: str) -> str:
    """The cause as a phrase: ``a fault in our app (version 5.2.0, device Nova 8)``.

    An attribute without a plain name is left out; what would not fit is left out too.
    """
    spoken = speak(language)
    names = _NAMES[spoken]
    text = _words(_CAUSES, signal, language)
    details = [f"{names[name]} {plain(value)}" for name, value in sorted(cause.items()) if name in names]
    details = [detail for detail in details if len(detail.split()) > 1]
    while details and len(text) + len(", ".join(details)) + 3 > _MOST:
        details.pop()
    return f"{text} ({', '.join(details)})" if details else text
