"""JSON Schema of every record, for producers and consumers in other languages.

The schemas are open, like the decoders: unknown fields are allowed. They say what JSON Schema can say; that a message
is UTF-8, RFC 8259 JSON, of a known version and no larger than its topic allows is said in ``schemas.reference``.
"""

from __future__ import annotations

import json
from pathlib import Path

from schemas.topics import TOPICS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def files() -> dict[str, str]:
    """Return file name -> contents, one file per topic and record type (``<noun>.<Record>.json``)."""
    texts: dict[str, str] = {}
    for topic in TOPICS:
        for model in topic.records:
            identity = f"urn:cxwatch:{topic.name}:{model.__name__}"
            schema = {"$schema": DIALECT, "$id": identity, **model.model_json_schema()}
            texts[f"{topic.noun}.{model.__name__}.json"] = json.dumps(schema, indent=2, ensure_ascii=True) + "\n"
    return texts


def export(folder: Path, write: bool = True) -> list[str]:
    """Bring ``folder`` up to date and return the names that were not current; with ``write=False`` only tell.

    Raises OSError if the folder cannot be read or written. Schema files of records that no longer exist are removed.
    """
    wanted = files()
    there = {path.name: path.read_text() for path in folder.glob("*.json")} if folder.is_dir() else {}
    changed = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        for name in changed:
            if name in wanted:
                (folder / name).write_text(wanted[name])
            else:
                (folder / name).unlink()
    return changed
