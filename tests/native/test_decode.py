"""The native decoder may only be stricter: what it accepts, the reference accepts and reads alike."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import HOT, encode, reference_decode
from schemas.errors import MalformedEvent
from schemas.events import Record
from schemas.fieldspec import field_specs
from tests.schemas.bad import ACCEPTED, BAD_VALUES, REFUSED, SUBJECTS, VALID, with_field
from tests.schemas.strategies import FRAGMENTS, damaged, junk, lists_as_text, maps_as_text, records

native: Any = pytest.importorskip("cxwatch_native", reason="the native accelerator is not installed (`make native`)")

NOUNS = sorted(HOT)
TABLES = {noun: field_specs(HOT[noun]) for noun in NOUNS}
STRICTER = {"escaped names", "duplicate name, equal values", "duplicate name, equal in another spelling",
            "duplicate unknown name, equal values", "duplicate attribute, equal values",
            "large integer in an unknown field", "150 levels",
            "60,000 names", "100,000 equal names", "minus zero"}
"""What only the reference takes: rare, and cheaper to hand over than to be sure about."""


def by_native(noun: str, *values: bytes) -> list[Any]:
    """Per message the values and the number of unknown fields, or None."""
    found: list[Any] = native.decode_rows(TABLES[noun], list(values))
    return found


def by_reference(noun: str, value: bytes) -> tuple[Any, ...] | None:
    """The same by the definition."""
    try:
        record, unknown = reference_decode(noun, value, max(1, len(value)))
    except MalformedEvent:
        return None
    return row_of(record, unknown)


def row_of(record: Record, unknown: int = 0) -> tuple[Any, ...]:
    """The row of a record."""
    return (*(_flat(getattr(record, name)) for name in type(record).model_fields), unknown)


def _flat(value: Any) -> Any:
    """A map as its names and values in turn."""
    return tuple(text for pair in value.items() for text in pair) if isinstance(value, dict) else value


def check(noun: str, *values: bytes) -> list[bool]:
    """Judge messages one after the other; return which ones were accepted."""
    found = by_native(noun, *values)
    for value, row in zip(values, found, strict=True):
        if row is not None:
            # As text, because 1 == 1.0 == True and 0.0 == -0.0.
            assert repr(row) == repr(by_reference(noun, value)), value
    return [row is not None for row in found]


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_canonical_bytes_of_every_valid_record_are_accepted_and_read_back(noun: str, data: st.DataObject) -> None:
    bodies = data.draw(st.lists(records(HOT[noun]), min_size=1, max_size=4))
    models = [HOT[noun].model_validate(body) for body in bodies]
    found = by_native(noun, *map(encode, models))
    assert repr(found) == repr([row_of(model) for model in models])


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("name", sorted(BAD_VALUES.keys() - {"tombstone"}))
def test_the_corpus_of_bad_input_is_judged_like_the_reference_or_stricter(noun: str, name: str) -> None:
    value = BAD_VALUES[name](noun)
    assert value is not None
    first, accepted, last = check(noun, VALID[noun], value, VALID[noun])
    assert first
    assert last
    if name in REFUSED:
        assert not accepted
    elif name not in STRICTER:
        assert accepted


@pytest.mark.parametrize("noun", NOUNS)
@given(value=maps_as_text())
@settings(max_examples=150, deadline=None)
def test_attributes_of_every_sort_are_judged_like_the_reference_or_stricter(noun: str, value: bytes) -> None:
    check(noun, VALID[noun], with_field(noun, "attributes", value), VALID[noun])


@given(value=lists_as_text)
@settings(max_examples=150, deadline=None)
def test_subjects_of_every_sort_are_judged_like_the_reference_or_stricter(value: bytes) -> None:
    check("contact", with_field("contact", "subject_ids", value))


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_the_corpus_of_subjects_is_judged_as_it_says(name: str) -> None:
    value, is_accepted = SUBJECTS[name]
    assert check("contact", with_field("contact", "subject_ids", value)) == [is_accepted]


def test_an_attribute_named_twice_is_left_to_the_reference() -> None:
    for value in (b'{"plan": "a", "plan": "b"}', b'{"plan": "a", "pl\\u0061n": "a"}'):
        assert check("order", with_field("order", "attributes", value)) == [False]


def test_every_exception_is_still_in_the_corpus() -> None:
    assert ACCEPTED.keys() >= STRICTER


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_messages_are_never_accepted_against_the_reference(noun: str, data: st.DataObject) -> None:
    check(noun, *data.draw(st.lists(damaged(HOT[noun]), min_size=1, max_size=4)))


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_field_is_never_accepted_against_the_reference(noun: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([*HOT[noun].model_fields, "extra", "specversion", "data", "kind"]))
    check(noun, with_field(noun, field, json.dumps(data.draw(junk), ensure_ascii=data.draw(st.booleans())).encode()))


def _number(dice: random.Random) -> str:
    def digits(most: int) -> str:
        return "".join(dice.choices("0123456789", k=dice.randint(0, most)))

    whole = dice.choice(("0", "1", "9", "00", "01", "", digits(2), digits(8), digits(20)))
    exponent = dice.choice(("", "", "e", "E")) and f"e{dice.choice(('', '+', '-'))}{digits(4)}"
    decimals = dice.choice(("", ".", "." + digits(4), "." + digits(24)))
    return dice.choice(("", "", "-", "+")) + whole + decimals + exponent


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("seed", range(5))
def test_every_spelling_of_a_number_is_read_like_the_reference(noun: str, seed: int) -> None:
    for field in [*(row[0] for row in TABLES[noun] if row[1] in ("int", "float")), "extra"]:
        dice = random.Random(f"{seed} {field}")  # whatever other fields there are
        accepted = check(noun, *(with_field(noun, field, _number(dice).encode()) for _ in range(300)))
        hardly_ever_hit = field in ("event_time_ms", "arrived_at_ms", "promised_at_ms", "schema_version")
        assert any(accepted) or hardly_ever_hit


@given(number=st.floats(0, 1e9), form=st.sampled_from(["{!r}", "{:.3f}", "{:.17f}", "{:e}", "{:.20e}", "{:.0f}"]))
@settings(max_examples=300, deadline=None)
def test_floats_are_read_to_the_nearest_value(number: float, form: str) -> None:
    text = form.format(number)
    row = by_native("telemetry", with_field("telemetry", "latency_ms", text.encode()))[0]
    if row is None:
        assert text.startswith("-") or float(text) > 1e9
        return
    assert repr(row[list(HOT["telemetry"].model_fields).index("latency_ms")]) == repr(float(text))


def _spelled(dice: random.Random, value: Any) -> str:
    """JSON of a value with blanks, and with some characters as escapes."""
    def blank() -> str:
        return dice.choice(("", "", "", " ", "\n", "\t \r"))

    if isinstance(value, dict):
        parts = [f"{blank()}{json.dumps(name, ensure_ascii=False)}{blank()}:{blank()}{_spelled(dice, part)}{blank()}"
                 for name, part in value.items()]
        return "{" + (",".join(parts) or blank()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(blank() + _spelled(dice, part) + blank() for part in value) or blank()) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    odds = dice.choice((0.0, 0.1, 1.0))
    return '"' + "".join(_escaped(one) if dice.random() < odds else json.dumps(one, ensure_ascii=False)[1:-1]
                         for one in value) + '"'


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    if character == "/":
        return "\\/"
    return "".join(f"\\u{int.from_bytes(units[at:at + 2]):04x}" for at in range(0, len(units), 2))


unknown_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3),
    max_leaves=8,
)


names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\'), max_size=40)
RESERVED = {"specversion", "data", "kind", "schema_version"}


@st.composite
def respelled(draw: st.DrawFn, model: type[Record]) -> list[bytes]:
    """Spellings of a valid message: fields in any order, unknown ones between them, blanks and escapes anywhere."""
    taken = {*model.model_fields, *RESERVED}
    extra = draw(st.dictionaries(names.filter(lambda name: name not in taken), unknown_values, max_size=3))
    items = [*draw(records(model)).items(), *extra.items()]
    dice = random.Random(draw(st.integers(0, 2**32)))
    return [_spelled(dice, dict(dice.sample(items, len(items)))).encode() for _ in range(8)]


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_valid_messages_are_accepted_in_any_spelling_and_order(noun: str, data: st.DataObject) -> None:
    assert all(check(noun, *data.draw(respelled(HOT[noun]))))


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_message_is_read_alike_whatever_came_before_it(noun: str, data: st.DataObject) -> None:
    values = [*data.draw(respelled(HOT[noun])), data.draw(damaged(HOT[noun])), *data.draw(respelled(HOT[noun]))]
    assert repr(by_native(noun, *values)) == repr([by_native(noun, value)[0] for value in values])


@pytest.mark.parametrize("noun", NOUNS)
def test_no_beginning_of_a_message_is_accepted(noun: str) -> None:
    value = with_field(noun, "extra", b'{"a": [1, -2.5e3, "x\\n", true, null, {"b": []}]}')
    assert check(noun, *(value[:end] for end in range(len(value) + 1))) == [False] * len(value) + [True]


@pytest.mark.parametrize("noun", NOUNS)
def test_any_byte_anywhere_is_judged_like_the_reference_or_stricter(noun: str) -> None:
    value = with_field(noun, "region", b'"K\xc3\xb6ln \\u00e9"')
    changed = [value[:at] + bytes((byte,)) + value[at + 1:] for at in range(len(value)) for byte in range(256)]
    accepted = check(noun, *changed)
    assert sum(accepted) > len(value) * 10  # most changes inside texts are harmless


@pytest.mark.parametrize("noun", NOUNS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_bytes_at_random_places_are_judged_like_the_reference_or_stricter(noun: str, data: st.DataObject) -> None:
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    for value in data.draw(respelled(HOT[noun])):
        changed = value
        for _ in range(dice.randint(1, 3)):
            start = dice.randint(0, len(changed))
            piece = dice.choice((*FRAGMENTS, *dice.choices(value.split(b","), k=3), dice.randbytes(2)))
            changed = changed[:start] + piece + changed[start + dice.choice((0, 0, 1, 5)):]
            check(noun, changed)


@given(value=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(value: bytes) -> None:
    assert by_native("telemetry", value) == [None]


@pytest.mark.parametrize("size", range(1, 40))
def test_texts_of_every_length_end_where_they_end(size: int) -> None:
    rest = "x" * (size - 1)
    texts = [rest + "x", rest + "ö", "ö" + rest, rest + '"', rest + "\\"]
    values = [json.dumps({"region": text, **json.loads(VALID["order"]), "sku": text}, ensure_ascii=False).encode()
              for text in texts]
    assert all(check("order", *values))


@pytest.mark.parametrize("noun", NOUNS)
def test_unknown_fields_are_counted_by_name_up_to_a_limit(noun: str) -> None:
    body = json.loads(VALID[noun])
    counts = [0, 1, 32, 33]
    values = [json.dumps(body | {f"u{number}": number for number in range(count)}).encode() for count in counts]
    assert [row and row[-1] for row in by_native(noun, *values)] == [0, 1, 32, None]
    assert by_native(noun, VALID[noun][:-1] + b',"u":1,"u":2}') == [None]


def test_what_the_reference_looks_at_first_is_left_to_it() -> None:
    for name in (b"specversion", b"data", b"kind"):
        assert by_native("order", with_field("order", name.decode(), b'"1.0"')) == [None]


@pytest.mark.parametrize("wrong", [[("a",)], [("a", "list", 0, 0, False, [], False, "none", None, [])],
                                   [("a", "int", 0, 1, False, [], False, "float", 1.5, [])],
                                   [("a", "map", 0, 1, False, [], False, "empty", None, [(0, 1, True)])],
                                   [("a", "texts", 0, 1, False, [], False, "empty", None, [])], 7])
def test_a_table_that_makes_no_sense_is_an_error(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        native.decode_rows(wrong, [])


def test_more_fields_than_there_is_room_for_refuse_everything() -> None:
    table: list[Any] = [(f"f{number}", "text", 0, 9, True, [], False, "text", "", []) for number in range(65)]
    assert native.decode_rows(table, [b"{}"]) == [None]
    assert native.decode_rows(table[:64], [b"{}"]) == [("",) * 64 + (0,)]
