"""A mapping fills the company's own dimensions of an event, and what a contact is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.codec import decode
from schemas.errors import ConfigError
from streams.sources import parse_mapping
from tests.sources.test_mapping import mapped

CONTACT = """
name: desk
input: {format: ndjson}
customer: "{who}"
events:
  - to: contact
    id: "{no}"
    time: {field: at}
    fields:
      contact_id: "{no}"
      channel: email
      order_id: "{order}"
      attributes: {plan: "{plan}", text: "{shop.name}", lot: {field: lot, default: none}, desk: north}
      subject_ids: ["{order}", "{ticket}", "k-{thread}"]
"""
HEAD = '"who":"c-1","no":"k-1","at":"2026-03-10T12:00:00Z"'


def contact(tmp_path: Path, rest: str) -> Any:
    """The contact that one row makes, as rooms read it."""
    events, _, rejected = mapped(CONTACT, tmp_path, "{" + HEAD + rest + "}\n")
    assert not rejected, rejected[0].headers
    decoded = decode("contact", [json.dumps(one).encode() for one in events])
    assert not decoded.rejects, decoded.rejects[0].error
    return decoded.records[0]


@pytest.mark.parametrize(
    ("rest", "attributes", "subjects"),
    [
        ("", {"lot": "none", "desk": "north"}, ()),
        (',"plan":"family","shop":{"name":"Ulm"},"lot":7,"order":"o-1","ticket":"t-1","thread":9',
         {"plan": "family", "text": "Ulm", "lot": "7", "desk": "north"}, ("o-1", "t-1", "k-9")),
        (',"plan":"","shop":{},"ticket":"t-1","thread":null', {"lot": "none", "desk": "north"}, ("t-1",)),
    ],
)
def test_absent_values_are_left_out(
    rest: str, attributes: dict[str, str], subjects: tuple[str, ...], tmp_path: Path
) -> None:
    found = contact(tmp_path, rest)
    assert (found.attributes, found.subject_ids) == (attributes, subjects)


def test_a_row_may_bring_its_own_list_of_subjects(tmp_path: Path) -> None:
    text = CONTACT.replace('["{order}", "{ticket}", "k-{thread}"]', "{field: about}")
    for about, subjects in (('["o-1","",7]', ["o-1", "7"]), ('"o-2"', ["o-2"]), ("[]", [])):
        events, _, rejected = mapped(text, tmp_path, "{" + HEAD + f',"about":{about}' + "}\n")
        assert not rejected, rejected[0].headers
        assert events[0].get("subject_ids", []) == subjects


def test_a_row_that_breaks_a_limit_is_a_dead_letter_with_the_rule(tmp_path: Path) -> None:
    events, _, rejected = mapped(CONTACT, tmp_path, "{" + HEAD + ',"plan":"%s"' % ("x" * 129) + "}\n")
    assert events == []
    headers = dict(rejected[0].headers)
    assert headers["dlq.field"].endswith(b"attributes.*")
    assert headers["dlq.rule"] == b"should have at most 128 characters"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"x" * 65: "{plan}"}, r"attributes\.x+: its name should have at most 64 characters"),
        ({"": "{plan}"}, r"attributes\.: its name should have at least 1 character"),
        ({f"a{number}": "{plan}" for number in range(31)}, "has 31 names; allowed are at most 30"),
        (["{plan}"], "must be a mapping of names to values, not a list"),
        ("{plan}", "must be a mapping of names to values, not text"),
    ],
)
def test_attributes_that_no_row_could_have_stop_the_start(attributes: Any, message: str) -> None:
    body = yaml.safe_load(CONTACT)
    body["events"][0]["fields"]["attributes"] = attributes
    with pytest.raises(ConfigError, match=message):
        parse_mapping(body, "m.yaml")
