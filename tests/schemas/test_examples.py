"""Every example message decodes, survives the wire and equals its golden form."""

from __future__ import annotations

import pytest

from schemas.codec import decode, encode
from schemas.export import files
from schemas.topics import BY_NOUN, TOPICS
from tests.schemas.golden import EXAMPLES, GOLDEN, decoded, golden, load

NOUNS = [topic.noun for topic in TOPICS]


@pytest.mark.parametrize("noun", NOUNS)
def test_every_example_is_accepted(noun: str) -> None:
    result = decoded(noun)
    assert [str(reject.error) for reject in result.rejects] == []
    assert len(result.records) == len(load(noun).values) >= 3


@pytest.mark.parametrize("noun", NOUNS)
def test_every_example_survives_the_wire(noun: str) -> None:
    examples, first = load(noun), decoded(noun).records
    again = decode(noun, [encode(record) for record in first], examples.keys)
    assert again.records == first
    assert again.unknown_fields == 0
    assert [encode(record) for record in again.records] == [encode(record) for record in first]


@pytest.mark.parametrize("noun", NOUNS)
def test_every_example_equals_its_golden_form(noun: str) -> None:
    assert (GOLDEN / f"{noun}.jsonl").read_text() == golden(noun), "run `python -m tests.schemas.golden` and look at it"


@pytest.mark.parametrize("noun", NOUNS)
def test_every_record_type_of_a_topic_has_an_example(noun: str) -> None:
    shown = {type(record).__name__ for record in decoded(noun).records}
    assert shown == {model.__name__ for model in BY_NOUN[noun].records}


def test_there_is_a_file_for_every_topic_and_none_besides() -> None:
    for folder in (EXAMPLES, GOLDEN):
        assert {path.stem for path in folder.glob("*.jsonl")} == set(NOUNS)
    assert {name.split(".")[0] for name in files()} == set(NOUNS)


@pytest.mark.parametrize("noun", NOUNS)
def test_examples_say_what_they_show(noun: str) -> None:
    about = load(noun).about
    assert all(about)
    assert len(set(about)) == len(about)
