"""Writes ``native/src/wire.rs`` from ``streams/core/join/contract.py``: ``python native/wire.py [--check]``.

One struct per record that the join room writes, with one field per field of the model. A field that is new in the model
is missing wherever Rust makes the record, so that the crate does not compile before somebody says what it holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "native" / "src" / "wire.rs"
HEAD = """\
//! Made by `python native/wire.py` from `streams/core/join/contract.py`; do not edit. Fields are in wire order.

use crate::pack::{Json, Write};

/// Hash of all that Python and this crate have to agree on. Python uses no module with another one.
pub const CONTRACT: &str = "%s";
"""
TYPES = {"text": "&'a str", "int": "i64", "bool": "bool", "int?": "Option<i64>"}
"""Type on the wire -> Rust type; lists are parameters of the struct."""


def main() -> int:
    """Write the file, or say with ``--check`` whether it is current."""
    sys.path.insert(0, str(ROOT))
    from streams.core.join.native import agreed  # noqa: PLC0415 - the checkout is on the path only now

    text = rust(agreed())
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text("utf-8") == text:
            return 0
        print(f"{TARGET.relative_to(ROOT)} is not current: run `python native/wire.py`", file=sys.stderr)
        return 1
    TARGET.write_text(text, "utf-8")
    return 0


def rust(agreed: Mapping[str, Any]) -> str:
    """Return the file for a specification (``streams.core.join.contract.specification``)."""
    from streams.core.join.contract import fingerprint  # noqa: PLC0415 - as above

    parts = [HEAD % fingerprint(agreed) + "".join(_drills(agreed["drills"], agreed["drill_lines"]))]
    parts += ["\n".join(_record(name, **one)) + "\n" for name, one in agreed["messages"].items()]
    return "\n".join(parts)


def _drills(names: Mapping[str, str], lines: Sequence[str]) -> Iterator[str]:
    yield "\n// `schemas.drills`.\n"
    yield from (f'pub const DRILL_{name}: &str = "{text}";\n' for name, text in names.items())
    listed = "".join(f'    "{line}",\n' for line in lines)
    yield f"pub const DRILL_LINES: [&str; {len(lines)}] = [\n{listed}];\n"


def _record(name: str, kind: str | None, fields: Sequence[tuple[str, str]]) -> Iterator[str]:
    lists = {field: _camel(field) for field, form in fields if form.startswith("[")}
    borrows = any(form == "text" for _, form in fields)
    parameters = ", ".join([*(["'a"] if borrows else []), *lists.values()])
    bounds = ", ".join(f"{one}: Write" for one in lists.values())
    arguments = ", ".join([*(["'_"] if borrows else []), *lists.values()])
    yield f"/// `schemas.findings.{name}`."
    yield f"pub struct {name}{_angled(parameters)} {{"
    yield from (f"    pub {field}: {lists.get(field) or TYPES[form]}," for field, form in fields)
    yield "}"
    yield ""
    yield f"impl{_angled(bounds)} Write for {name}{_angled(arguments)} {{"
    yield "    fn write(self, json: &mut Json) {"
    lead = "{" if kind is None else f'{{\\"kind\\":\\"{kind}\\"'
    for index, (field, _) in enumerate(fields):
        comma = "," if index or kind is not None else ""
        yield f'        json.raw("{lead}{comma}\\"{field}\\":").value(self.{field});'
        lead = ""
    yield '        json.raw("}");'
    yield "    }"
    yield "}"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _angled(inner: str) -> str:
    return f"<{inner}>" if inner else ""


if __name__ == "__main__":
    sys.exit(main())
