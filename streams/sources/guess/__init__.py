"""``cxwatch guess``: a mapping proposed from a sample of a file, to be read before it is used.

:func:`propose` reads the first rows (``sample``), looks at what each column holds (``kinds``) and how it is called
(``names``), and writes a mapping with a reason beside each line (``proposal``). No value of a row is ever in it. What
a person must decide says ``TODO: ...``, and a mapping that says so does not load.
"""

from __future__ import annotations

from pathlib import Path

from schemas.errors import ConfigError
from schemas.topics import EVENT_NOUNS
from streams.sources.guess.proposal import write_proposal
from streams.sources.guess.sample import take_sample

__all__ = ["propose"]


def propose(path: Path, noun: str = "") -> str:
    """The text of a mapping for this file. ``noun``: order, contact or telemetry; empty: guessed too.

    Raises ConfigError for another noun, and for a file that cannot be read, that has no rows, or whose first line is no
    header.
    """
    if noun and noun not in EVENT_NOUNS:
        raise ConfigError(f"--to {noun}: allowed are {', '.join(EVENT_NOUNS)}.")
    return write_proposal(take_sample(path), path.name, noun)
