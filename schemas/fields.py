"""Fields that several findings share, each with its meaning, unit and example said once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.events import PLAIN_TEXT, CurrencyCode, Label, Origin, Record, TimeMs, Token

T0 = 1_767_225_600_000
"""Time of the examples: 2026-01-01T00:00:00Z in ms."""

MOST_MINOR = 100_000_000_000_000
"""Bound of money in minor units; larger sums are cut to it."""

Count = Annotated[int, Field(ge=0)]
Signal = Annotated[str, Field(min_length=1, max_length=64, pattern=PLAIN_TEXT)]
"""Name of a signal (``schemas.signals``)."""
SignalName = Annotated[Signal, Field(description="What fails: name of a signal of the catalogue", examples=["app"])]
Line = Annotated[Label, Field(description="Service line (product)", examples=["shop"])]
Partition = Annotated[Count, Field(description="Partition whose events it was made of", examples=[0])]
CustomerId = Annotated[Token, Field(description="Opaque customer token; the record key", examples=["c-000421"])]
IssueId = Annotated[Token, Field(description="Issue", examples=["i-3f9a51c2"])]
RootId = Annotated[
    Token, Field(description="Issue of the first onset; differs for a regression", examples=["i-3f9a51c2"])
]
BinStart = Annotated[TimeMs, Field(description="Start of the bin, half-open, ms since 1970 UTC", examples=[T0])]
Width = Annotated[Count, Field(description="Width of the bin, ms", examples=[10_000])]
FirstFailed = Annotated[TimeMs, Field(description="First failure, event time", examples=[T0 + 4_000])]
LastFailed = Annotated[TimeMs, Field(description="Last failure, event time", examples=[T0 + 9_000])]
PutRight = Annotated[
    TimeMs | None,
    Field(description="When the last of it was put right for this customer; none while any part is not",
          examples=[T0 + 3_600_000]),
]  # fmt: skip
FailureOrigin = Annotated[
    Origin, Field(description="live if at least one failure was seen live, else drill or replay", examples=["live"])
]
Through = Annotated[TimeMs, Field(description="Every later record here is about this time or later", examples=[T0])]
Attributes = Annotated[
    tuple[Label, ...],
    Field(strict=False, description="Names of the leaf's attributes", examples=[["app_version", "region"]]),
]
Values = Annotated[
    tuple[Label, ...], Field(strict=False, description="Values, in the order of attributes", examples=[["5.2.0", "DE"]])
]


class Money(Record):
    """An amount of one currency."""

    currency: CurrencyCode = Field(
        description="ISO 4217 code; XXX = one that it does not know, empty = the company's own, then in hundredths",
        examples=["EUR"],
    )
    minor: Annotated[int, Field(ge=-MOST_MINOR, le=MOST_MINOR)] = Field(
        description="Minor units by the decimals of the currency (JPY 0, EUR 2, KWD 3)", examples=[4_990]
    )


Amounts = Annotated[
    tuple[Money, ...],
    Field(strict=False, description="Order amounts at stake: one entry per currency, sorted by it, none of 0",
          examples=[[{"currency": "EUR", "minor": 4_990}, {"currency": "JPY", "minor": 5_550}]]),
]  # fmt: skip
Figure = Annotated[tuple[Money, ...], Field(strict=False)]
"""Money of one kind: one entry per currency, sorted by it."""


def euros(cents: int) -> list[dict[str, str | int]]:
    """A figure as it is written, for examples."""
    return [{"currency": "EUR", "minor": cents}]


OutreachId = Annotated[
    Token, Field(description="Hash of (root issue, customer, stage): the send key", examples=["o-51c23f9a"])
]
