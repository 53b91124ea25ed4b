"""Styles and scripts of a report, from the boards' own page, as one text each: the file loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_MODULES = ("format.js", "chart.js", "report.js")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(async )?(function|const|let|class)\b)", re.MULTILINE)
_PAGE = files("dashboards").joinpath("page")
_OWN = files(__package__ or "streams.replay.report")


@dataclass(frozen=True, slots=True)
class Scripts:
    """What the page runs: the theme before anything is drawn, the library of charts, the report's own."""

    theme: str
    uplot: str
    report: str


@cache
def page_template() -> str:
    """The page, as a template of Jinja. Only what this module gives goes into it unescaped."""
    return _OWN.joinpath("page.html").read_text(encoding="utf-8")


@cache
def style() -> str:
    """All styles."""
    parts = (_PAGE.joinpath("vendor", "uplot", "uPlot.min.css"), _PAGE.joinpath("board.css"),
             _OWN.joinpath("report.css"))  # fmt: skip
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


@cache
def scripts() -> Scripts:
    """All scripts. The modules become one, which a page from the file system may run."""
    uplot = _PAGE.joinpath("vendor", "uplot", "uPlot.iife.min.js").read_text(encoding="utf-8")
    theme = _PAGE.joinpath("theme.js").read_text(encoding="utf-8")
    return Scripts(theme, uplot, bundled())


def bundled() -> str:
    """The modules one after the other, without their imports from each other."""
    texts = [(_OWN if name == "report.js" else _PAGE).joinpath(name).read_text(encoding="utf-8") for name in _MODULES]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


@cache
def policy() -> str:
    """The content security policy: these scripts and styles by their hashes, and nothing else from anywhere."""
    ours = scripts()
    allowed = " ".join(_hash(text) for text in (ours.theme, ours.uplot, ours.report))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style())}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
