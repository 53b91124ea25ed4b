"""``cxwatch init``: a folder of a company's own to edit - mapping, settings, words, texts of messages - and its README.

Everything in it is a copy of what cxwatch would use anyway, or a comment, so that the folder works before it is
edited. Nothing that exists is overwritten.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import ConfigError
from streams.settings import PREFIX, Settings
from streams.sinks.messages import read_sources
from streams.sources.shipped import ShippedMapping

_EDITED = (
    "partitions", "currency", "impact_margin_cents", "impact_contact_cents", "approval_above", "holdout_ratio",
    "outreach_zones", "telemetry_disorder_ms", "order_disorder_ms", "contact_disorder_ms",
)  # fmt: skip
"""Settings that a company most often makes its own; each stands in the file as a comment with its default."""

_README = """\
# Your cxwatch project

| file | what |
|---|---|
| `mapping.yaml` | how the rows of your file become events; made from `{name}` |
| `settings.env` | your settings with their meaning, and the key of the pseudonyms: keep it safe, and for ever |
| `words.yaml` | your words for values in messages, such as the name of a depot |
| `templates/` | the texts that customers get; each is checked when the sender starts |

Run everything in this folder. Read the settings into your shell first:

```sh
set -a; . ./settings.env; set +a
cxwatch play mapping.yaml FILE --check   # what would become of each row; writes nothing
cxwatch up && cxwatch topics create && cxwatch tables migrate
cxwatch run --board                      # in a second shell, with the same settings
cxwatch play mapping.yaml FILE
cxwatch issues
```
"""

_WORDS = """\
# Your words for values of attributes, as customers read them: attribute, then value, then words (or words by language).
# A value that is not here is named to customers only if many of them had it before. No promises of money or goods.
# carrier: {dhl: DHL}
# warehouse: {HAM-2: {en: our depot in Hamburg, de: unser Lager in Hamburg}}
{}
"""


def write_new(files: Mapping[Path, str], private: frozenset[Path] = frozenset()) -> None:
    """Write all of these files, or none: raises ConfigError naming the first that exists. ``private``: mode 600."""
    for file in files:
        if file.exists():
            raise ConfigError(f"{file} exists already and is not overwritten; nothing was written.")
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as target:
                if file in private:
                    file.chmod(0o600)
                target.write(text)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from None


def write_project(folder: Path, mapping: ShippedMapping) -> list[Path]:
    """Write a project into a folder; the files, in the order of its README. Raises ConfigError if one exists."""
    settings = folder / "settings.env"
    files = {
        folder / "README.md": _README.format(name=mapping.name),
        folder / "mapping.yaml": mapping.text,
        settings: _settings(),
        folder / "words.yaml": _WORDS,
        folder / ".gitignore": "settings.env\n.cxwatch/\n",
        **{folder / "templates" / f"{name}.txt": text for name, text in sorted(read_sources().items())},
    }
    write_new(files, private=frozenset({settings}))
    return list(files)


def _settings() -> str:
    lines = [
        "# Settings of this project, for the shell: set -a; . ./settings.env; set +a",
        "# `cxwatch settings` lists all of them; a line that begins with # leaves its default.",
        "",
        "# Key of the pseudonyms that replace e-mail addresses and the like: keep it secret, and the same for ever.",
        f"CX_PSEUDONYM_KEY={secrets.token_urlsafe(32)}",
        "# Your own texts and words of messages.",
        "CX_OUTREACH_TEMPLATES=templates",
        "CX_OUTREACH_NAMES=words.yaml",
    ]
    for field in _EDITED:
        info = Settings.model_fields[field]
        default = "" if info.default in (None, ()) else info.default
        lines += ["", f"# {info.description}.", f"#{PREFIX}{field.upper()}={default}"]
    lines += [
        "", "# Where notices are posted, and the secret that signs them; without both nothing is sent.",
        "#CX_WEBHOOK_URL=", "#CX_WEBHOOK_SECRET=", "",
    ]  # fmt: skip
    return "\n".join(lines)
