"""Which topics run ahead and wait: bounds memory in a replay, never needed for correctness.

A topic waits while its newest event is more than ``max_lead_ms`` ahead of the slowest topic of the same partition that
still has something to read. The slowest one never waits, so something always moves; a topic at its end holds up nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


def ahead(newest: Mapping[str, int], unread: Collection[str], max_lead_ms: int) -> set[str]:
    """Nouns that should wait. ``newest``: newest event time per noun; ``unread``: nouns not at their end.

    A noun that has shown no event yet holds up nobody: its first batch comes with the next fetch.
    """
    behind = [newest[noun] for noun in unread if noun in newest]
    if not behind or max_lead_ms <= 0:
        return set()
    slowest = min(behind)
    return {noun for noun, reached in newest.items() if reached - slowest > max_lead_ms}
