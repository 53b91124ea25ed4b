"""A line of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Line


@pytest.fixture
def line(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Line]:
    """Topics under a prefix of their own; worker processes are ended after the test."""
    made = Line(kafka, topic_prefix, tmp_path)
    made.create_topics()
    yield made
    made.stop()
