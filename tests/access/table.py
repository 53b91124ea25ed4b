"""Writes the table of rights into docs/security.md: ``python -m tests.access.table``."""

from __future__ import annotations

from pathlib import Path

from streams.security.access import ROLES, table

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
_BEGIN, _END = "<!-- rights:", "<!-- end of rights -->"


def rights() -> str:
    """Roles and what each may do, as Markdown."""
    lines = ["| principal | who that is |", "|---|---|"]
    lines += [f"| {role} | {who} |" for role, who in ROLES.items()]
    lines += ["", "| principal | may | on |", "|---|---|---|"]
    lines += [f"| {role} | {right} | {names} |" for role, right, names in table()]
    return "\n".join(lines)


def filled(text: str) -> str:
    """The page with the table of now."""
    before, _, rest = text.partition(_BEGIN)
    mark, _, rest = rest.partition("\n")
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{mark}\n{rights()}\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
