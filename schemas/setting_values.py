"""Types of settings whose values are no plain numbers or texts, each with what it allows in words."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from schemas.allowed import Allowed, OneOf
from schemas.rooms import WORKER_ROOMS
from schemas.signals import NAMES
from schemas.topics import TOPICS

LEAST_SECRET_BYTES = 24
"""Standard Webhooks asks for 24 to 64 bytes; a shorter one can be guessed."""
LEAST_KEY_CHARACTERS = 16

RoomName = Annotated[str, OneOf(WORKER_ROOMS)]
Noun = Annotated[str, OneOf(tuple(topic.noun for topic in TOPICS))]
WatchedSignal = Annotated[str, OneOf(NAMES)]
HostName = Annotated[str, Allowed("names or addresses without a port"), Field(pattern=r"^[A-Za-z0-9._:\[\]-]{1,255}$")]
WebhookSecret = Annotated[
    SecretStr, Allowed(f"base64 of at least {LEAST_SECRET_BYTES} random bytes, with or without the prefix whsec_")
]
Currency = Annotated[str, Allowed("a code of ISO 4217 such as EUR, CHF, JPY or USD")]
PseudonymKey = Annotated[SecretStr, Allowed(f"text of at least {LEAST_KEY_CHARACTERS} characters")]
HourSpan = Annotated[
    str, Allowed("two hours from 0 to 23 such as 21-8; two equal ones: never"),
    Field(pattern=r"^([01]?\d|2[0-3])-([01]?\d|2[0-3])$"),
]  # fmt: skip
ContactLimit = Annotated[
    str, Allowed("notices per hours or days such as 1/24h,3/7d, at most 90 days"),
    Field(pattern=r"^[1-9]\d{0,3}/[1-9]\d{0,3}[hd]$"),
]  # fmt: skip
SignalAttributes = Annotated[
    str, Allowed(f"signal:attribute+attribute such as payment:payment_provider+region, of {', '.join(NAMES)}"),
    Field(pattern=rf"^({'|'.join(NAMES)}):[a-z_]+(\+[a-z_]+)*$"),
]  # fmt: skip
