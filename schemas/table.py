"""What a ClickHouse table is made of: the types of columns, a column, a table. The catalogue is ``schemas.tables``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TIME = "DateTime64(3, 'UTC')"
TIME_OR_NULL = f"Nullable({TIME})"
WORD = "LowCardinality(String)"
TEXT = "String"
COUNT = "UInt32"
BIG = "UInt64"
CENTS = "Int64"
MONEY = "Array(Tuple(currency LowCardinality(String), minor Int64))"
"""One entry per currency, in its minor units. Never add up entries of different currencies."""
REAL = "Float64"
FLAG = "Bool"
NAMES = "Array(LowCardinality(String))"
VALUES = "Array(String)"
PAIRS = "Map(LowCardinality(String), String)"
COUNTS = "Map(LowCardinality(String), UInt64)"

OWN_CENTS = "cents of CX_CURRENCY"

INGEST_TIME = "ingest_time"
"""Column of every table that the server fills; the only one retention reads."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ClickHouse type, unit (empty if it has none) and meaning."""

    name: str
    type: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``key`` is the sorting key; the highest ``version`` of a key wins ("": copies are equal).

    A ``register`` holds what cxwatch does itself; all others are filled from the topic of the noun.
    """

    name: str
    noun: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    version: str
    retention_days: int
    meaning: str
    kind: Literal["findings", "rollup", "raw", "reference", "register"] = "findings"
    deleted: str = ""
    """Column that is 1 in a row that stands for nothing: FINAL leaves it out, with all it replaces."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in the order in which the sink inserts them."""
        return tuple(column.name for column in self.columns)


VER = Column("ver", BIG, "epoch << 40 | flush number of the room that made the finding; the highest wins")
CUSTOMER = Column("customer_id", TEXT, "Opaque customer token")
LINE = Column("line", WORD, "Service line")
