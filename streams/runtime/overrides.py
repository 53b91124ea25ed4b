"""Every private part of Faust and aiokafka that the runtime overrides, replaces or reads: ``docs/overrides.md``.

And every part of clickhouse-driver that the sinks' own inserts call or follow. All are pinned to exact versions. A test
hashes the source of each part listed here (its tokens, so that comments and layout do not count) and fails when
upstream changed it: then read the new source, decide whether our override still holds, and take over the new hash.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import io
import textwrap
import tokenize
from typing import Any

from streams.runtime.overridden import OVERRIDES, PINNED

_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def source_hash(part: str) -> str:
    """Hash of the source of a dotted path, without comments and layout."""
    source = textwrap.dedent(inspect.getsource(_resolve(part)))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    text = "".join(token.string for token in tokens if token.type not in _LAYOUT)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _resolve(part: str) -> Any:
    """Import the longest prefix that is a module, then walk the attributes."""
    names = part.split(".")
    for cut in range(len(names), 0, -1):
        try:
            module = importlib.import_module(".".join(names[:cut]))
        except ModuleNotFoundError:
            continue
        found: Any = module
        for name in names[cut:]:
            found = inspect.getattr_static(found, name)
            found = getattr(found, "__func__", found)
        return found
    raise ModuleNotFoundError(part)


def page() -> str:
    """Return ``docs/overrides.md``."""
    versions = ", ".join(f"{name} {version}" for name, version in PINNED.items())
    lines = [
        "# Private parts of Faust, aiokafka and clickhouse-driver",
        "",
        "Made from `streams/runtime/overridden.py` by `python -m streams.runtime.overrides > docs/overrides.md`; do",
        f"not edit. Hashes are of {versions}.",
        "`tests/runtime/test_overrides.py` fails when a part changes, when a version is not the pinned one, and when",
        "this page is not current. `CX_BULK_FETCH=false` does without the parts of `aiokafka.consumer.fetcher` (risk:",
        "high) for 1.6 times the CPU, `CX_NATIVE=off` without the parts of `clickhouse_driver`; the same tests pass.",
        "",
        "| part | ours | why | risk | source |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| `{one.part}` | {one.ours} | {one.why} | {one.risk} | `{one.sha}` |" for one in OVERRIDES]
    return "\n".join([*lines, ""])


def main() -> None:
    """Print the page."""
    print(page(), end="")


if __name__ == "__main__":
    main()
