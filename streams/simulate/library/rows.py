"""Events in columns: what happened, when it arrives, and how its JSON is written: one template for many rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.simulate.library.draws import Draws, Ints, Mask
from streams.sources.arrivals import Arrival

_CHUNK = 32_768
_HEAD = b'{"event_id":"%b%d","event_time_ms":%d,"customer_id":"%b",'
NETWORK_MS = 3_000
"""An ordinary event arrives within this."""


class Coded(NamedTuple):
    """A column of few values: ``labels[codes[row]]``."""

    labels: Sequence[str]
    codes: Ints

    def among(self, wanted: Sequence[str]) -> Mask:
        """Which rows have one of the values."""
        hits = [code for code, label in enumerate(self.labels) if label in wanted]
        return np.isin(self.codes, hits)

    def at(self, rows: Ints | Mask) -> Coded:
        """The same column of some rows."""
        return Coded(self.labels, self.codes[rows])


class Written(NamedTuple):
    """A field of the template whose bytes are ready: ``texts[codes[row]]``."""

    texts: Sequence[bytes]
    codes: Ints


def inside_json(body: dict[str, Any]) -> bytes:
    """The members of a JSON object without its braces, to be put into a template."""
    return msgspec.json.encode(body)[1:-1]


def per_cent(texts: bytes) -> bytes:
    """Bytes that stand for themselves in a template."""
    return texts.replace(b"%", b"%%")


@dataclass(slots=True)
class Rows:
    """Events of one noun made by one template.

    ``at_ms``, ``who`` (number of the customer) and ``fields`` (numbers or `Written`, in the order of the template)
    have a value per event. ``which`` and ``arrives_ms`` have one per delivery: an event may arrive twice, or never.
    """

    noun: str
    prefix: bytes
    at_ms: Ints
    who: Ints
    template: bytes
    fields: tuple[Ints | Written, ...]
    columns: dict[str, Coded] = field(default_factory=dict)
    """Attributes by name, for whatever has to know which events it concerns."""
    which: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    arrives_ms: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    ids: Sequence[bytes] = ()

    def sent(self, draws: Draws, ends_ms: int) -> Rows:
        """Deliver every event that happened before ``ends_ms``, over an ordinary network."""
        self.which = np.flatnonzero(self.at_ms < ends_ms)
        self.arrives_ms = self.at_ms[self.which] + draws.whole(40, NETWORK_MS, len(self.which))
        return self

    def keep(self, deliveries: Mask) -> None:
        """Lose the other deliveries."""
        self.which, self.arrives_ms = self.which[deliveries], self.arrives_ms[deliveries]

    def again(self, deliveries: Ints, arrives_ms: Ints) -> None:
        """Deliver some once more."""
        self.which = np.concatenate((self.which, self.which[deliveries]))
        self.arrives_ms = np.concatenate((self.arrives_ms, arrives_ms))

    def values(self, deliveries: Ints) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of some deliveries."""
        rows = self.which[deliveries]
        who = [self.ids[number] for number in self.who[rows].tolist()]
        columns = [
            [one.texts[code] for code in one.codes[rows].tolist()] if isinstance(one, Written) else one[rows].tolist()
            for one in self.fields
        ]
        template = _HEAD + self.template + b"}"
        heads = zip(repeat(self.prefix), rows.tolist(), self.at_ms[rows].tolist(), who, *columns)
        return zip(who, (template % values for values in heads), strict=False)


def in_order(parts: Sequence[Rows]) -> Iterator[Arrival]:
    """All deliveries in the order in which they arrive; what arrives at once, in the order of the parts."""
    if not parts:
        return
    arrives = np.concatenate([part.arrives_ms for part in parts])
    owner = np.repeat(np.arange(len(parts)), [len(part.arrives_ms) for part in parts])
    first = np.concatenate(([0], np.cumsum([len(part.arrives_ms) for part in parts])))
    order = np.argsort(arrives, kind="stable")
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        owners = owner[chunk]
        feeds = {
            int(number): parts[number].values(chunk[owners == number] - first[number]) for number in np.unique(owners)
        }
        for at_ms, number in zip(arrives[chunk].tolist(), owners.tolist(), strict=True):
            key, value = next(feeds[number])
            yield Arrival(at_ms, parts[number].noun, key, None, value)
