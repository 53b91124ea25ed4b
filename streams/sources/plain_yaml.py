"""YAML as people read it: only ``true`` and ``false`` are truth values (YAML 1.2).

PyYAML follows YAML 1.1, to which ``NO`` in a table of countries is false, and the key ``on`` true.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_TRUTH = "tag:yaml.org,2002:bool"


class _PlainLoader(yaml.SafeLoader):
    """The safe loader with its own rules for what looks like a truth value."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != _TRUTH]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(_TRUTH, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str) -> Any:
    """The one document in a text. Raises yaml.YAMLError."""
    loader = _PlainLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
