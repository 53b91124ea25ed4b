"""Findings as structs: the same bytes, the same attributes, the same judgement as the pydantic models."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import findings, issues
from schemas.codec import canonical, decode, encode
from schemas.events import Record
from schemas.hotfindings import NOUNS, STRUCTS, FindingsDecoder, as_struct, cohort_count, leaf_count, struct_of
from schemas.reference import reference_decode
from schemas.topics import BY_NOUN
from tests.schemas.strategies import records

T0 = 1_767_225_600_000
PAIRS = [(noun, model) for noun in sorted(NOUNS) for model in BY_NOUN[noun].records]


def test_every_record_that_comes_in_numbers_is_read_as_a_struct() -> None:
    counts = {"cohort_count", "source_count"}
    assert set(NOUNS) == {*counts, "episode", "affected", "late", "contact_case", "order_outcome"}


@pytest.mark.parametrize("model", STRUCTS)
def test_a_struct_has_the_fields_of_its_model_in_the_order_of_the_model(model: type[Record]) -> None:
    names = [name for name in model.model_fields if name != "kind"]
    assert list(struct_of(model).__struct_fields__) == names
    kind = model.model_fields.get("kind")
    assert kind is None or getattr(struct_of(model), "kind", None) == kind.default


@pytest.mark.parametrize("model", STRUCTS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_struct_and_model_are_written_as_the_same_bytes(model: type[Record], data: st.DataObject) -> None:
    record = model.model_validate_json(json.dumps(data.draw(records(model))))
    struct = as_struct(record)
    assert isinstance(struct, msgspec.Struct)
    assert encode(struct) == encode(record)
    assert canonical(struct) == canonical(record)


@pytest.mark.parametrize(("noun", "model"), PAIRS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_a_room_writes_takes_the_short_cut_and_is_read_as_the_reference_reads_it(
    noun: str, model: type[Record], data: st.DataObject
) -> None:
    record = model.model_validate_json(json.dumps(data.draw(records(model, complete=True))))
    value = encode(as_struct(record))
    found = FindingsDecoder(noun).decode_all([value, value])
    assert reference_decode(noun, value)[0] == record
    if b"\\" not in value:
        assert found == [as_struct(record)] * 2
    assert decode(noun, [value, value]).records == [as_struct(record)] * 2


def cohort(failed: tuple[int, ...]) -> Any:
    """One leaf with these failed customers."""
    leaf = leaf_count(("5.2.0", "DE"), 9, failed)
    return cohort_count("shop", "app", T0, 10_000, 0, ("app_version", "region"), (leaf,), True)


@pytest.mark.parametrize("customer", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_hashes_of_customers_use_all_64_bits(customer: int) -> None:
    record = cohort((customer,))
    [read] = FindingsDecoder("cohort_count").decode_all([encode(record)]) or []
    assert read == record
    assert read.leaves[0].failed == (customer,)


def test_a_count_of_many_customers_takes_the_short_cut_too() -> None:
    record = cohort(tuple(range(2**63, 2**63 + 5_000)))
    assert FindingsDecoder("cohort_count").decode_all([encode(record)]) == [record]


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1}, {"kind": "other"}, {"line": "a\u202eb"}, {"line": "x" * 129}, {"bin_ms": 1}, {"partition": -1},
        {"closed": 1}, {"signal": ""}, {"attributes": "abc"}, {"leaves": [{"values": ["\x7f"]}]}, {"width_ms": 1.0},
    ],
)  # fmt: skip
def test_the_short_cut_refuses_what_it_cannot_decide(change: dict[str, Any]) -> None:
    body = {**json.loads(encode(cohort((1,)))), **change}
    for ascii_only in (True, False):
        value = json.dumps(body, ensure_ascii=ascii_only).encode()
        assert FindingsDecoder("cohort_count").decode_all([value]) is None
        assert FindingsDecoder("cohort_count").decode_some([value, encode(cohort((1,)))]) == [None, cohort((1,))]


def test_a_field_of_a_newer_build_is_ignored_and_counted_as_before() -> None:
    newer = {**json.loads(encode(cohort((1,)))), "more": {"x": [1]}}
    decoded = decode("cohort_count", [json.dumps(newer).encode(), encode(cohort((2,)))])
    assert decoded.records == [cohort((1,)), cohort((2,))]
    assert decoded.unknown_fields == 1


def test_a_record_with_a_default_left_out_is_completed_by_the_reference() -> None:
    body = json.loads(encode(as_struct(findings.Watermark(partition=2, through_ms=T0))))
    assert decode("episode", [json.dumps(body).encode()]).records[0].kind == "watermark"
    value = b'{"topic":"telemetry","source":"a","partition":0,"bin_ms":%d,"width_ms":10000,"events":3}' % T0
    (record,) = decode("source_count", [value]).records
    assert (record.kind, record.late, record.duplicates) == ("source_count", 0, 0)
    assert isinstance(record, msgspec.Struct)


def test_models_that_no_struct_can_hold_are_refused_when_they_are_generated() -> None:
    with pytest.raises(TypeError, match="no struct can hold"):
        struct_of(findings.Tick)
    with pytest.raises(TypeError, match="no struct can hold"):
        struct_of(issues.Issue)


def test_structs_do_not_change() -> None:
    with pytest.raises(AttributeError):
        cohort((1,)).line = "other"
