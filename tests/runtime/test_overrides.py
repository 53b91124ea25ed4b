"""The private parts that the runtime leans on are the ones we read."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from faust.transport.drivers import aiokafka as driver

from streams.runtime import overrides, transport
from streams.runtime.overridden import OVERRIDES, PINNED, Override
from streams.runtime.overrides import page, source_hash

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PINNED)
def test_the_pinned_version_is_installed(name: str) -> None:
    assert version(name) == PINNED[name], "read docs/overrides.md before moving to another version"


@pytest.mark.parametrize("one", OVERRIDES, ids=lambda one: one.part)
def test_upstream_is_what_we_read(one: Override) -> None:
    assert source_hash(one.part) == one.sha, f"{one.part} changed: does {one.ours} still hold?"


def test_comments_and_layout_do_not_count_and_code_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def hash_of(source: str) -> str:
        monkeypatch.setattr(inspect, "getsource", lambda _part: source)
        return source_hash("streams.runtime.overrides.page")

    plain = hash_of("def f(a):\n    return a + 1\n")
    assert plain == hash_of("def f( a ):\n\n  # why\n  return a+1  # here\n")
    assert plain != hash_of("def f(a):\n    return a + 2\n")


def test_every_overridden_method_is_listed() -> None:
    listed = {one.part.rsplit(".", 1)[1] for one in OVERRIDES}
    both = {transport.BatchConsumer: driver.Consumer, transport.BatchThread: driver.AIOKafkaConsumerThread}
    for ours, theirs in both.items():
        for name, found in vars(ours).items():
            if inspect.isfunction(found) and hasattr(theirs, name):
                assert name in listed, f"{ours.__name__}.{name} overrides a part of Faust that is not listed"


def own_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Methods, attributes of self and fields that our classes define."""
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    stored = {ast.unparse(node).removeprefix("self.") for node in nodes
              if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    fields = {ast.unparse(node.target) for node in nodes if isinstance(node, ast.AnnAssign)}
    return defined | stored | fields


def private_names() -> set[str]:
    """Private attributes that the runtime takes from objects which are not its own."""
    modules = [ast.parse(module.read_text(encoding="utf-8")) for module in (ROOT / "streams" / "runtime").glob("*.py")]
    nodes = [node for module in modules for node in ast.walk(module)]
    ours = own_names(nodes)
    return {
        node.attr for node in nodes
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr)
        and ast.unparse(node.value) not in ("os", "super()")
        and not (ast.unparse(node.value) == "self" and node.attr in ours)
    }


def test_every_private_name_that_we_read_occurs_in_a_part_that_is_hashed() -> None:
    hashed = "\n".join(inspect.getsource(overrides._resolve(one.part)) for one in OVERRIDES)
    read = private_names()
    assert "_subscription" in read
    assert sorted(name for name in read if not re.search(rf"\b{name}\b", hashed)) == []


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "overrides.md").read_text(encoding="utf-8") == page()


def test_every_place_of_ours_exists() -> None:
    for one in OVERRIDES:
        for word in one.ours.replace("(", " ").split():
            if word.startswith("sinks."):
                assert overrides._resolve(f"streams.{word}")
                continue
            module, _, rest = word.partition(".")
            if not rest or not (ROOT / "streams" / "runtime" / f"{module}.py").exists():
                continue
            found = importlib.import_module(f"streams.runtime.{module}")
            for name in rest.split("."):
                found = getattr(found, name)
    assert OVERRIDES
