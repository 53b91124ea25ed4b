"""A digest of each world of the incident library, as JSON: ``python -m tests.simulate.library_digest SEED SCALE``."""

from __future__ import annotations

import hashlib
import json
import sys
from itertools import islice

from streams.simulate.library.world import COUNT_WORLDS, WORLDS

MESSAGES = 600


def digests(seed: int, scale: float) -> dict[str, str]:
    """Name of each world -> SHA-256 of its first messages after the profiles, and of its truth."""
    found = {}
    for name, world in WORLDS.items():
        state = hashlib.sha256(repr(world.truth(seed, scale)).encode())
        happening = (one for one in world.made(seed, scale).messages() if one.noun != "customer")
        for arrival in islice(happening, MESSAGES):
            state.update(repr(tuple(arrival)).encode())
        found[name] = state.hexdigest()
    for name, counts in COUNT_WORLDS.items():
        text = json.dumps(list(islice(counts.counts(seed, scale), MESSAGES)))
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]), float(sys.argv[2]))))
