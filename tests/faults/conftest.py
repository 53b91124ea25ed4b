"""Which faults run and how large, and the servers they share.

``CX_TEST_FAULTS=full`` (what ``make faults`` sets) runs the long ones too, and all in the sizes of the documentation;
``CX_TEST_FAULT=7`` runs only what is marked ``fault(7)``. Without either, ``make test`` gets small versions.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings
from streams.stack import Endpoints
from tests.faults.harness import Deployment, deployment

ONLY = "CX_TEST_FAULT"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the faults that were not asked for by number."""
    only = os.environ.get(ONLY)
    if not only:
        return
    gone = [item for item in items if not any(int(only) in mark.args for mark in item.iter_markers("fault"))]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


@dataclass
class Arena:
    """Makes deployments on the session's servers."""

    settings: Settings
    endpoints: Endpoints
    folder: Path

    def deployment(self, stored: bool = True, **settings: Any) -> AbstractContextManager[Deployment]:
        """A deployment of its own; see :func:`tests.faults.harness.deployment`."""
        return deployment(self.settings, self.endpoints, self.folder, stored, **settings)


@pytest.fixture
def arena(stack_settings: Settings, clickhouse: Endpoints, kafka: str, tmp_path: Path) -> Arena:
    """The session's Kafka and ClickHouse."""
    return Arena(stack_settings, replace(clickhouse, kafka_bootstrap=kafka), tmp_path)


@pytest.fixture
def kafka_arena(stack_settings: Settings, kafka: str, tmp_path: Path) -> Arena:
    """The session's Kafka only: deployments without ``stored``."""
    return Arena(stack_settings, Endpoints(kafka, "", 0, 0, {}), tmp_path)
