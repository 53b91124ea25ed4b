"""Ids of issues as people type them: any beginning that only one issue has, as git does it with commits."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from schemas.errors import CxError

SHORTEST = 8
"""Characters of a short id, unless more are needed to tell issues apart: it stays unique for a while."""
_NAMED = 5


class UnknownIssue(CxError):
    """What was asked for names no issue, or not one alone."""


def find_id(wanted: str, known: Collection[str]) -> str:
    """The id that is ``wanted``, or the only one that begins with it. Raises UnknownIssue naming the nearest."""
    matches = [name for name in known if name == wanted] or sorted(name for name in known if name.startswith(wanted))
    if wanted and len(matches) == 1:
        return matches[0]
    if wanted and matches:
        more = f" and {len(matches) - _NAMED} more" if len(matches) > _NAMED else ""
        raise UnknownIssue(f"issue {wanted!r}: {len(matches)} begin with it: {', '.join(matches[:_NAMED])}{more}")
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    hint = f"; nearest: {', '.join(near)}" if near else "; there is no issue yet" if not known else ""
    raise UnknownIssue(f"issue {wanted!r}: no issue has it{hint}; `cxwatch issues` lists them all")


def short_ids(known: Collection[str]) -> dict[str, str]:
    """Id -> the shortest beginning of at least eight characters that no other id has.

    >>> short_ids(["i-780c487c06c2", "i-780c4f0001aa", "i-203b2333aa71"])
    {'i-203b2333aa71': 'i-203b23', 'i-780c487c06c2': 'i-780c48', 'i-780c4f0001aa': 'i-780c4f'}
    """
    ordered = sorted(set(known))
    pairs = zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False)
    return {own: own[: max(SHORTEST, 1 + _shared(own, left), 1 + _shared(own, right))] for left, own, right in pairs}


def _shared(one: str, other: str) -> int:
    """How many characters two ids have in common at their beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
