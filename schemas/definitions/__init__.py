"""The catalogue of figures: what each is, who answers for it, its unit, formula and SQL, each said once.

Every panel of a board names the definition of what it shows. Made from this catalogue are the SQL of the boards,
``docs/reference/definitions.md`` and the board of definitions.
"""

from __future__ import annotations

from schemas.definitions.definition import ENOUGH, Definition
from schemas.definitions.experience import EXPERIENCE
from schemas.definitions.issues import ISSUES
from schemas.definitions.outreach import OUTREACH
from schemas.definitions.pipeline import PIPELINE

__all__ = ["BY_DEFINITION", "DEFINITIONS", "ENOUGH", "Definition", "page"]

CHAPTERS: dict[str, tuple[Definition, ...]] = {
    "Issues": ISSUES, "Experience": EXPERIENCE, "Outreach": OUTREACH, "Pipeline": PIPELINE,
}
DEFINITIONS: tuple[Definition, ...] = tuple(one for chapter in CHAPTERS.values() for one in chapter)
"""Every definition, in the order of the boards."""

BY_DEFINITION: dict[str, Definition] = {one.name: one for one in DEFINITIONS}


def page() -> str:
    """Return ``docs/reference/definitions.md``."""
    lines = [
        "# Definitions", "", "Made by `make reference` from `schemas/definitions`; do not edit. Every panel of a board",
        "names the definition of what it shows; the board `cx-definitions` shows the same text.",
    ]
    for title, chapter in CHAPTERS.items():
        lines += ["", f"## {title}"]
        for one in chapter:
            lines += ["", f"### {one.name}: {one.title}", "", one.formula, "", *_facts(one)]
    return "\n".join([*lines, ""])


def _facts(one: Definition) -> list[str]:
    return [
        f"- **Owner** {one.owner}", f"- **Unit** {one.unit}", f"- **Freshness** {one.freshness}",
        *([f"- **Least exposure** {one.least} (`{one.exposed}`)"] if one.least else []),
        *(["", "```sql", one.sql, "```"] if one.sql else []),
    ]
