"""A digest of each world of the incident library, as JSON: ``python -m tests.simulate.library_digest SEED``."""

from __future__ import annotations

import hashlib
import json
import sys
from itertools import islice

from streams.simulate.library.world import COUNT_WORLDS, WORLDS

MESSAGES = 600
SCALE = 0.04


def scale_of(name: str) -> float:
    """How much smaller than declared a world is made for a test; the largest is made smaller still."""
    return SCALE / 10 if name == "quiet_10000" else SCALE


def digests(seed: int) -> dict[str, str]:
    """Name of each world -> SHA-256 of its first messages after the profiles, and of its truth."""
    found = {}
    for name, world in WORLDS.items():
        scale = scale_of(name)
        state = hashlib.sha256(repr(world.truth(seed, scale)).encode())
        happening = (one for one in world.made(seed, scale).messages() if one.noun != "customer")
        for arrival in islice(happening, MESSAGES):
            state.update(repr(tuple(arrival)).encode())
        found[name] = state.hexdigest()
    for name, counts in COUNT_WORLDS.items():
        text = json.dumps(list(islice(counts.counts(seed, SCALE), MESSAGES)))
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]))))
