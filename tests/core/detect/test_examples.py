"""The examples in the docstrings of detection run and are true."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from streams.core.detect import baseline, cusum, explain, lattice, live


@pytest.mark.parametrize("module", [baseline, cusum, explain, lattice, live], ids=lambda m: m.__name__)
def test_examples_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
