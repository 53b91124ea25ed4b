"""Text of people and machines made fit for a record: one line, read in the order in which it is stored."""

from __future__ import annotations

import re

from schemas.events import PLAIN_TEXT

LABEL_CHARACTERS = 128
"""Most characters of a label."""
_FORBIDDEN = re.compile("[" + PLAIN_TEXT.removeprefix("^[^").removesuffix("]*$") + "\ud800-\udfff]")
"""What a label may not hold, and lone surrogates, which are no text."""


def sanitized(text: str, most: int = LABEL_CHARACTERS) -> str:
    """``text`` without what a label may not hold, at most ``most`` characters; never refuses anything.

    Control characters, separators of lines and marks of direction become blanks, runs of blanks become one.

    >>> sanitized("rolled back\\nat\\x00 noon"), sanitized("abcdef", 3)
    ('rolled back at noon', 'abc')
    """
    return " ".join(_FORBIDDEN.sub(" ", text).split())[:most].rstrip()
