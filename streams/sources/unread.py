"""What a proposed mapping leaves to a person: texts that begin with ``TODO:``. A mapping that has one does not load."""

from __future__ import annotations

from streams.sources.node import Node

MARK = "TODO:"


def refuse_undecided(node: Node) -> None:
    """Raise ConfigError at the first text that is still to be decided, with its place and what is asked there."""
    if isinstance(node.value, str) and node.value.startswith(MARK):
        node.refuse(f"to be decided by you - {node.value.removeprefix(MARK).strip()}")
    if isinstance(node.value, dict):
        for name, value in node.value.items():
            refuse_undecided(node.child(str(name), value))
    elif isinstance(node.value, list):
        for inner in node.items():
            refuse_undecided(inner)
