"""``cxwatch guess``: a mapping proposed from a sample of a file, to be read before it is used.

:func:`propose` reads the first rows (``sample``), looks at what each column holds (``kinds``) and how it is called
(``names``), and writes a mapping with a reason beside each line (``proposal``). No value of a row is ever in it. What
a person must decide says ``TODO: ...``, and a mapping that says so does not load.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

from schemas.errors import ConfigError
from schemas.topics import EVENT_NOUNS
from streams.sources.guess.proposal import write_proposal
from streams.sources.guess.sample import take_sample
from streams.sources.mapping import load_mapping
from streams.sources.shipped import shipped_names

__all__ = ["finished_for", "propose"]

_ALIKE = 0.45
"""Share of a mapping's fields that a file must have to be taken for its export; few exports have all of them."""
_NO_KEY = b"no pseudonym is made with this"


def propose(path: Path, noun: str = "") -> str:
    """The text of a mapping for this file. ``noun``: order, contact or telemetry; empty: guessed too.

    Raises ConfigError for another noun, and for a file that cannot be read, that has no rows, or whose first line is no
    header.
    """
    if noun and noun not in EVENT_NOUNS:
        raise ConfigError(f"--to {noun}: allowed are {', '.join(EVENT_NOUNS)}.")
    sample = take_sample(path)
    return write_proposal(sample, path.name, noun, finished_for(sample.columns))


@cache
def _named() -> dict[str, frozenset[str]]:
    """The fields that each shipped mapping names."""
    return {name: frozenset(one.name for one in load_mapping(name, _NO_KEY).named) for name in shipped_names()}


def finished_for(columns: Collection[str]) -> str:
    """Name of the shipped mapping that reads a file with these columns, by the fields that it names; empty: none."""
    shares = {name: len(fields & set(columns)) / len(fields) for name, fields in _named().items()}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= _ALIKE else ""
