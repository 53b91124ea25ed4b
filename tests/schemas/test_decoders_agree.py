"""The hot decoder and the pydantic models accept and refuse exactly the same messages, and read them alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import HOT, canonical, decode, encode, reference_decode
from schemas.errors import MalformedEvent
from schemas.events import Record
from schemas.topics import TOPICS
from tests.schemas.bad import BAD_VALUES, SUBJECTS, VALID, with_field
from tests.schemas.strategies import damaged, junk, lists_as_text, maps_as_text, records

NOUNS = sorted(HOT)


def by_reference(noun: str, value: bytes | None) -> tuple[Any, Any]:
    """What the definition says: (canonical record, None) or (None, the error)."""
    try:
        return canonical(reference_decode(noun, value)[0]), None
    except MalformedEvent as error:
        return None, (error.field, error.rule, error.value_class, error.reason)


def by_codec(noun: str, values: list[bytes | None]) -> list[tuple[Any, Any]]:
    """What the codec says about each message of one slice."""
    decoded = decode(noun, values)
    result: list[tuple[Any, Any]] = [(None, None)] * len(values)
    for index, record in zip(decoded.index, decoded.records, strict=True):
        result[index] = (canonical(record), None)
    for reject in decoded.rejects:
        error = reject.error
        result[reject.index] = (None, (error.field, error.rule, error.value_class, error.reason))
    assert decoded.index == sorted(decoded.index)
    assert len(decoded.index) + len(decoded.rejects) == len(values)
    return result


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_valid_message_is_accepted_by_both_and_read_alike(noun: str, data: st.DataObject) -> None:
    body = data.draw(records(HOT[noun]))
    value = json.dumps(body, ensure_ascii=data.draw(st.booleans())).encode()
    expected = by_reference(noun, value)
    assert expected[1] is None
    assert by_codec(noun, [value]) == [expected]


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_messages_in_one_slice_are_judged_as_if_each_were_alone(noun: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(damaged(HOT[noun]), min_size=1, max_size=4))
    assert by_codec(noun, list(values)) == [by_reference(noun, value) for value in values]


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("name", sorted(BAD_VALUES))
def test_the_corpus_of_bad_input_is_judged_alike(noun: str, name: str) -> None:
    value = BAD_VALUES[name](noun)
    good = VALID[noun]
    expected = by_reference(noun, value)
    assert by_codec(noun, [value]) == [expected]
    assert by_codec(noun, [good, value, good]) == [by_reference(noun, good), expected, by_reference(noun, good)]


@pytest.mark.parametrize("noun", NOUNS)
@given(value=maps_as_text())
@settings(max_examples=150, deadline=None)
def test_attributes_of_every_sort_are_judged_alike(noun: str, value: bytes) -> None:
    message = with_field(noun, "attributes", value)
    assert by_codec(noun, [message, VALID[noun]]) == [by_reference(noun, message), by_reference(noun, VALID[noun])]


@given(value=lists_as_text)
@settings(max_examples=150, deadline=None)
def test_subjects_of_every_sort_are_judged_alike(value: bytes) -> None:
    message = with_field("contact", "subject_ids", value)
    assert by_codec("contact", [message]) == [by_reference("contact", message)]


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_the_corpus_of_subjects_is_judged_as_it_says(name: str) -> None:
    value, is_accepted = SUBJECTS[name]
    message = with_field("contact", "subject_ids", value)
    expected = by_reference("contact", message)
    assert by_codec("contact", [message]) == [expected]
    assert (expected[1] is None) == is_accepted


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_reference_agrees_with_pydantics_own_json_reader(noun: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(HOT[noun].model_fields)))
    value = with_field(noun, field, json.dumps(data.draw(junk)).encode())
    expected, problem = by_reference(noun, value)
    if problem and problem[3] == "future_schema":
        return
    try:
        read = canonical(HOT[noun].model_validate_json(value))
    except ValueError:
        read = None
    assert read == expected


OTHERS = [(topic.noun, model) for topic in TOPICS if topic.noun not in HOT for model in topic.records]


@pytest.mark.parametrize(("noun", "model"), OTHERS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_the_short_cut_of_every_other_record_judges_like_the_reference(
    noun: str, model: type[Record], data: st.DataObject
) -> None:
    values = data.draw(st.lists(damaged(model), min_size=1, max_size=3))
    assert by_codec(noun, list(values)) == [by_reference(noun, value) for value in values]


SPILLS = [
    # pieces of objects and strings that make a valid list when laid side by side with commas
    (b"1],[2",), (b"%s,%s",), (b"%s,%s", b""), (b"%s,%s", b" "), (b'{"a":"x', b'y"}', b"%s,%s"),
    (b'{"u":[{}', b'{"z":1}]}', b"%s,%s"),
    (b'{"u":"}', b'{"}', b"%s,%s"), (b"%s", b'"b":2}', b"%s"), (b"%s]", b"[%s"), (b"%s,", b"%s"), (b"%s}", b"{%s"),
    (b'{"u":{', b"}}", b"%s,%s"), (b"%s]", b"%s"), (b"[%s", b"%s]"), (b"[%s,%s]", b"%s"),
    (b"%s%s", b"%s"), (b"%s\n%s", b"%s"),
]


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("pieces", SPILLS)
def test_no_message_can_spill_over_into_its_neighbour(noun: str, pieces: tuple[bytes, ...]) -> None:
    good = VALID[noun]
    values: list[bytes | None] = [piece.replace(b"%s", good) for piece in pieces]
    assert by_codec(noun, values) == [by_reference(noun, value) for value in values]
    assert by_codec(noun, [good, *values, good])[1:-1] == [by_reference(noun, value) for value in values]


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_structs_and_models_are_written_as_the_same_bytes(noun: str, data: st.DataObject) -> None:
    value = json.dumps(data.draw(records(HOT[noun]))).encode()
    struct = decode(noun, [value]).records[0]
    model: Record = reference_decode(noun, value)[0]
    assert encode(struct) == encode(model)
    assert canonical(struct) == canonical(model)
    assert decode(noun, [encode(model)]).records == [struct]
