"""The incident library: repeatable, valid by contract, and each truth is borne out by the events of its world."""

from __future__ import annotations

import hashlib
from itertools import islice

import pytest

from schemas import codec
from schemas.events import HEARTBEAT_KEY
from streams.simulate.library.truth import WorldTruth
from streams.simulate.library.world import WORLDS, World

SMALL = 0.1
EVERY = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())


def digest(world: World, seed: int) -> str:
    state = hashlib.sha256()
    for arrival in islice(world.play(seed, 2, SMALL), 5_000):
        state.update(repr(tuple(arrival)).encode())
    return state.hexdigest()


@EVERY
def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(world: World) -> None:
    assert digest(world, 3) == digest(world, 3)
    assert digest(world, 3) != digest(world, 4)


@EVERY
def test_messages_pass_the_contract(world: World) -> None:
    values: dict[str, list[bytes]] = {}
    for arrival in islice(world.play(7, 2, SMALL), 20_000):
        if arrival.key != HEARTBEAT_KEY:
            values.setdefault(arrival.noun, []).append(arrival.value)
    assert values.keys() >= {"customer"}
    for noun, found in values.items():
        assert len(codec.decode(noun, found).records) == len(found), noun


def test_a_truth_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    truth = WORLDS["bad_release"].truth(7, SMALL)
    truth.write(path)
    assert WorldTruth.read(path) == truth
