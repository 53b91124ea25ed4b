"""Which implementation of a pure room is tested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.join.world import IMPLEMENTATIONS, choose_stage


@pytest.fixture(scope="module", params=sorted(IMPLEMENTATIONS))
def stage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Play the join room's worlds with each implementation in turn: ``pytest.mark.usefixtures("stage")``."""
    choose_stage(IMPLEMENTATIONS[request.param])
    yield
    choose_stage(IMPLEMENTATIONS["python"])
