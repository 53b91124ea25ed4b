"""Messages: what a customer reads. Templates per signal, stage and language, rendered in a sandbox, refused by a lint.

Research on complaints asks for four parts: one sentence of apology, the cause in plain words, what happens next, and
when. A template that lacks one of them cannot be used; one that promises money or goods cannot either, and what was
rendered is looked at again: a notice that would promise says the cause without details, or is refused. Templates come
from this package, or from the company's own folder, which is checked alike; what comes from events is data to them and
stays inert.

Each file ``<signal>.<stage>@<version>.<language>.txt`` defines the blocks of ``BLOCKS``. Text is plain, so nothing is
escaped in it; the body of a webhook is JSON, which escapes it as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from importlib import resources
from pathlib import Path

from jinja2 import DictLoader, StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from schemas.errors import ConfigError, CxError
from schemas.zones import zone
from streams.core.outreach.ledger_records import Notice
from streams.core.outreach.wording import cause_words, promises, speak, title_words

BLOCKS = ("subject", "apology", "cause", "next_step", "time")
PARTS = BLOCKS[1:]
"""The four parts of the text, in this order."""
VARIABLES = {"title", "cause_text", "as_of", "update_by"}
"""What a template may use: plain text all of it."""
FOLDER = resources.files("streams.sinks") / "templates"

_SORRY = re.compile(r"\b(sorry|apologi[sz]e|apologies|tut uns leid|entschuldig)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
_SAMPLE = {"title": "Sample", "cause_text": "a fault", "as_of": "2026-01-01 12:00", "update_by": "2026-01-01 18:00"}
_DATES = {"en": "%Y-%m-%d %H:%M", "de": "%d.%m.%Y %H:%M Uhr"}


class TemplateRefused(CxError):
    """A template is missing, broken or lacks a part; nothing is sent with it. The text names the template."""


@dataclass(frozen=True, slots=True)
class NoticeText:
    """A rendered message: plain text, no control characters except the line breaks between the parts."""

    subject: str
    text: str


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox: no attribute of our values can be changed or reached, a missing variable is an error."""

    def __init__(self) -> None:
        """Plain text, hence no escaping here; no globals, no other template to include or extend."""
        super().__init__(loader=DictLoader({}), undefined=StrictUndefined, autoescape=False)
        self.globals.clear()


def lint(name: str, source: str) -> list[str]:
    """Everything that is wrong with a template, in words; empty if it may be used."""
    environment = Environment()
    try:
        tree = environment.parse(source)
        blocks = {block.name: block for block in tree.find_all(nodes.Block)}
        unknown = meta.find_undeclared_variables(tree) - VARIABLES
        wrong = [f"{name}: uses unknown {variable}" for variable in sorted(unknown)]
        wrong += [f"{name}: has no {part}" for part in BLOCKS if part not in blocks]
        if wrong:
            return wrong
        rendered = _render(environment.from_string(source), _SAMPLE)
    except TemplateError as error:
        return [f"{name}: cannot be read ({type(error).__name__})"]
    return [f"{name}: {problem}" for problem in _problems(blocks, rendered)]


def _problems(blocks: Mapping[str, nodes.Block], rendered: Mapping[str, str]) -> list[str]:
    uses = {name: {node.name for node in block.find_all(nodes.Name)} for name, block in blocks.items()}
    apology = rendered["apology"]
    checks = {
        "an empty part": all(rendered[part] for part in BLOCKS),
        "an apology that is no apology": bool(_SORRY.search(apology)),
        "an apology that is not one sentence": len(_SENTENCE_END.findall(apology)) == 1,
        "a cause without cause_text": "cause_text" in uses["cause"],
        "a time without as_of or update_by": bool(uses["time"] & {"as_of", "update_by"}),
        "a promise of money or goods": not any(map(promises, rendered.values())),
        "a subject of more than 100 characters": len(rendered["subject"]) <= 100,
    }
    return [f"has {problem}" for problem, fine in checks.items() if not fine]


def _render(template: Template, values: Mapping[str, str]) -> dict[str, str]:
    """Each block as one line without control or direction characters."""
    context = template.new_context(dict(values))
    return {name: _one_line("".join(block(context))) for name, block in template.blocks.items()}


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


class Library:
    """Every template of the package, linted when the library is opened: a bad one refuses the start."""

    def __init__(self, sources: Mapping[str, str] | None = None) -> None:
        """Compile ``sources`` (name with language -> text), by default the files of the package.

        Raises TemplateRefused naming every template that lacks a part, or promises money or goods.
        """
        texts = read_sources() if sources is None else sources
        wrong = [problem for name, text in sorted(texts.items()) for problem in lint(name, text)]
        if wrong:
            raise TemplateRefused("; ".join(wrong))
        environment = Environment()
        self._templates = {name: environment.from_string(text) for name, text in texts.items()}

    @property
    def names(self) -> list[str]:
        """All templates, as ``<signal>.<stage>@<version>.<language>``."""
        return sorted(self._templates)

    def render(self, notice: Notice) -> NoticeText:
        """The message of a notice in its language and zone, the same at every attempt.

        Raises TemplateRefused: then nothing may be sent.
        """
        language = speak(notice.language)
        template = self._templates.get(f"{notice.template}.{language}")
        if template is None:
            raise TemplateRefused(f"there is no template {notice.template} in {language}")
        values = {
            "title": notice.title,
            "cause_text": notice.cause_text,
            "as_of": _moment(notice.decided_ms, notice, language),
            "update_by": _moment(notice.deadline_ms, notice, language),
        }
        for changed in ({}, _without_details(notice, language)):
            rendered = self._rendered(template, values | changed, f"{notice.template} in {language}")
            if not any(map(promises, rendered.values())):
                return NoticeText(rendered["subject"], "\n".join(rendered[part] for part in PARTS))
        raise TemplateRefused(f"{notice.template} in {language} would promise money or goods")

    def _rendered(self, template: Template, values: Mapping[str, str], name: str) -> dict[str, str]:
        try:
            return _render(template, values)
        except TemplateError as error:
            raise TemplateRefused(f"{name} failed ({type(error).__name__})") from None


def _without_details(notice: Notice, language: str) -> dict[str, str]:
    """Title and cause as the signal alone has them, in which no event had a hand."""
    signal = notice.template.partition(".")[0]
    return {"title": title_words(signal, language), "cause_text": cause_words(signal, {}, language)}


def _moment(time_ms: int, notice: Notice, language: str) -> str:
    """A local time with its zone's name; UTC if the zone is unknown."""
    timezone: tzinfo = zone(notice.time_zone) or UTC
    local = datetime.fromtimestamp(time_ms // 1000, timezone).strftime(_DATES[language])
    return f"{local} ({notice.time_zone if zone(notice.time_zone) else 'UTC'})"


def read_sources(own: Path | None = None) -> dict[str, str]:
    """The package's templates by name, each replaced by the company's own in the folder ``own``, if it has one.

    Raises ConfigError for a folder that cannot be read, or a file in it that replaces nothing.
    """
    files = (entry for entry in FOLDER.iterdir() if entry.name.endswith(".txt"))
    found = {entry.name.removesuffix(".txt"): entry.read_text(encoding="utf-8") for entry in files}
    for name, text in _own_sources(own).items() if own is not None else ():
        if name not in found:
            raise ConfigError(f"CX_OUTREACH_TEMPLATES: {name}.txt replaces no text. Names: {', '.join(sorted(found))}.")
        found[name] = text
    return found


def _own_sources(folder: Path) -> dict[str, str]:
    try:
        files = sorted(entry for entry in folder.iterdir() if entry.name.endswith(".txt"))
        return {entry.name.removesuffix(".txt"): entry.read_text(encoding="utf-8") for entry in files}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"CX_OUTREACH_TEMPLATES cannot be read ({type(error).__name__})") from None
