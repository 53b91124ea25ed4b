"""The company's words for values of attributes: a YAML file, refused at start if it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from streams.rules import outreach_rules, read_names
from streams.settings import Settings


def written(tmp_path: Path, text: str) -> Path:
    """A names file."""
    file = tmp_path / "names.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_words_are_for_every_language_or_for_some(tmp_path: Path) -> None:
    file = written(tmp_path, "carrier:\n  c-7: Swift Parcel\n  c-8: {en: Blue Mail, de: Blaupost}\n")
    names = outreach_rules(Settings(outreach_names=file)).names
    assert names == {"carrier": {"c-7": {"": "Swift Parcel"}, "c-8": {"en": "Blue Mail", "de": "Blaupost"}}}
    assert outreach_rules(Settings()).names == {}
    assert read_names(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("carrier: [", "cannot be read"),
        ("- carrier", "should be attribute"),
        ("app_version: {5.20: five}", "quotes"),
        ("carrier: {c-7: {fr: Vite}}", "languages en, de"),
        ("carrier: {c-7: 50 Euro Gutschein}", "promises money or goods"),
        ("carrier: {c-7: '!!'}", "has no words"),
    ],
)
def test_a_table_that_cannot_be_used_refuses_the_start(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"CX_OUTREACH_NAMES.*{reason}"):
        read_names(written(tmp_path, text))


def test_a_file_that_is_not_there_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CX_OUTREACH_NAMES cannot be read"):
        read_names(tmp_path / "none.yaml")
