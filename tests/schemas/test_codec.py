"""What the codec does with whole slices: heartbeats, CloudEvents, refusals, unknown fields, bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from schemas import hotfindings
from schemas.codec import HOT, Decoded, canonical, decode, encode, hot_type, partition_of, partitions_of
from schemas.events import HEARTBEAT_KEY, Change, Customer, Heartbeat, Record
from schemas.findings import Episode, Watermark
from schemas.hot import HotDecoder
from schemas.partition import murmur2
from schemas.reference import SAMPLE
from schemas.topics import BY_NOUN, TOPICS
from tests.schemas.bad import ACCEPTED, BODY, REFUSED, TIME, VALID, with_field
from tests.schemas.strategies import records

NOUNS = sorted(HOT)
SECRET = "c-SECRET-Ada-Lovelace"


def _one(noun: str, value: bytes | None, **parallel: Any) -> Decoded:
    lists: dict[str, Any] = {name: [item] for name, item in parallel.items()}
    return decode(noun, [value], **lists)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_bad_input_is_refused_for_the_right_reason(noun: str, name: str) -> None:
    build, reason = REFUSED[name]
    decoded = _one(noun, build(noun))
    assert not decoded.records
    assert [reject.error.reason for reject in decoded.rejects] == [reason]


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_odd_but_valid_input_is_accepted(noun: str, name: str) -> None:
    decoded = _one(noun, ACCEPTED[name](noun))
    assert not decoded.rejects
    assert type(decoded.records[0]) is hot_type(noun)


@pytest.mark.parametrize("noun", NOUNS)
def test_ordinary_messages_take_the_hot_path(noun: str) -> None:
    hot = HotDecoder(HOT[noun])
    assert hot.decode_all([VALID[noun]] * 3) == decode(noun, [VALID[noun]] * 3).records
    assert hot.decode_one(VALID[noun][:-1] + b"}x") is None


@pytest.mark.parametrize("noun", NOUNS)
def test_a_refusal_names_field_rule_and_type_but_never_the_value(noun: str) -> None:
    secret = json.dumps(SECRET * 10).encode()
    for field in HOT[noun].model_fields:
        for raw in (secret, b"[" + secret + b"]", b'{"x":' + secret + b"}", b"9" * 40, b"true"):
            for reject in _one(noun, with_field(noun, field, raw)).rejects:
                error = reject.error
                assert "SECRET" not in f"{error} {error.field} {error.rule} {error.value_class}"
                assert "999999" not in str(error).replace("4102444800000", "")
                assert error.field.removesuffix(".*").removesuffix(".0") == field
                assert error.rule.startswith("should ")


def test_a_field_that_a_sender_named_is_not_repeated() -> None:
    body = {"change_id": "x", "changed_at_ms": TIME, "change_kind": "price", "attributes": {SECRET: 7}}
    (reject,) = _one("change", json.dumps(body).encode()).rejects
    assert reject.error.field == "attributes.*"


@pytest.mark.parametrize(
    ("noun", "value", "field"),
    [
        ("order", b'{"amount_cents": 1, "amount_cents": 2}', "amount_cents"),
        ("order", b'{"attributes": {"Ada": "x", "Ada": "y"}}', "attributes.*"),
        ("order", b'{"Ada": 1, "Ada": 2}', "*"),
        ("customer", b'{"opted_out": true, "opted_out": false}', "opted_out"),
        ("change", b'{"attributes": {"Ada": "x", "Ada": "y"}}', "attributes.*"),
        ("command", b'{"action": "stop", "action": "resume"}', "action"),
    ],
)
def test_one_name_with_two_values_is_refused_on_every_topic_that_others_write(
    noun: str, value: bytes, field: str
) -> None:
    (reject,) = _one(noun, value).rejects
    assert (reject.error.field, reject.error.reason) == (field, "ambiguous")


def test_a_heartbeat_with_two_times_is_refused() -> None:
    value = b'{"event_time_ms": 1767225600000, "event_time_ms": 1767225600001, "source": "app"}'
    (reject,) = decode("order", [value], [HEARTBEAT_KEY]).rejects
    assert (reject.error.field, reject.error.reason) == ("event_time_ms", "ambiguous")


@pytest.mark.parametrize(
    ("attributes", "field", "rule"),
    [
        ({"": "x"}, "attributes", "names should have at least 1 character"),
        ({SECRET * 10: "x"}, "attributes", "names should have at most 64 characters"),
        ({"plan": None}, "attributes.*", "should be a string"),
        ({"plan": SECRET * 20}, "attributes.*", "should have at most 128 characters"),
        (dict.fromkeys(map(str, range(31)), ""), "attributes",
         "should have at most 30 items after validation, not more"),
    ],
)
def test_a_wrong_attribute_is_told_from_a_wrong_name(attributes: Any, field: str, rule: str) -> None:
    (reject,) = _one("order", with_field("order", "attributes", json.dumps(attributes).encode())).rejects
    assert (reject.error.field, reject.error.rule) == (field, rule)


def test_an_unknown_kind_is_refused_without_repeating_it() -> None:
    (reject,) = _one("episode", json.dumps({"kind": SECRET}).encode()).rejects
    assert (reject.error.field, reject.error.rule) == ("kind", "should be one of episode, watermark")


def test_extra_fields_replace_no_attribute() -> None:
    value = VALID["telemetry"][:-1] + b',"__class__":"x","__eq__":1,"__struct_fields__":[]}'
    plain, extra = decode("telemetry", [VALID["telemetry"], value]).records
    assert plain == extra
    assert type(plain) is type(extra)


@pytest.mark.parametrize("noun", NOUNS)
def test_records_are_immutable_and_have_the_attributes_of_the_model(noun: str) -> None:
    record = decode(noun, [VALID[noun]]).records[0]
    model = HOT[noun].model_validate_json(VALID[noun])
    assert {name: getattr(record, name) for name in HOT[noun].model_fields} == dict(model)
    with pytest.raises(AttributeError):
        record.customer_id = "other"


@pytest.mark.parametrize("noun", NOUNS)
def test_heartbeats_are_known_by_their_key(noun: str) -> None:
    beat = encode(Heartbeat(event_time_ms=TIME, source="app"))
    decoded = decode(noun, [VALID[noun], beat, VALID[noun]], [b"c", HEARTBEAT_KEY, None])
    assert decoded.index == [0, 1, 2]
    assert decoded.records[1] == Heartbeat(event_time_ms=TIME, source="app")
    assert decode(noun, [beat], [b"c"]).rejects[0].error.field == "event_id"
    assert decode(noun, [b"{}"], [HEARTBEAT_KEY]).rejects[0].error.field == "event_time_ms"


def test_unknown_fields_are_exact_outside_the_hot_path_and_sampled_on_it() -> None:
    extra = VALID["order"][:-1] + b',"a":1,"b":2}'
    assert decode("order", [extra] * 10).unknown_fields == 20
    assert decode("order", [extra] + [VALID["order"]] * (SAMPLE - 1)).unknown_fields == 2 * SAMPLE
    assert decode("order", [VALID["order"]] * 100).unknown_fields == 0
    duplicate = VALID["order"].replace(b"{", b'{"event_id":"e-1","a":1,', 1)
    assert decode("order", [duplicate, VALID["order"]]).unknown_fields == 1
    change = Change(change_id="x", changed_at_ms=TIME, change_kind="price")
    assert decode("change", [encode(change)[:-1] + b',"a":1}']).unknown_fields == 1


def test_the_size_limit_can_be_lowered() -> None:
    size = len(VALID["order"])
    assert decode("order", [VALID["order"]], max_bytes=size).records
    assert decode("order", [VALID["order"]] * 2, max_bytes=size - 1).rejects[1].error.reason == "too_large"
    assert decode("change", [b"x" * 9], max_bytes=8).rejects[0].error.reason == "too_large"


def test_an_empty_slice_is_an_empty_answer() -> None:
    for topic in TOPICS:
        assert decode(topic.noun, []) == Decoded()


CE = [("ce_specversion", b"1.0"), ("ce_id", b"e-9"), ("ce_time", b"2026-01-01T01:00:00.1239+01:00"),
      ("ce_source", b"web"), ("ce_subject", b"c-7"), ("ce_type", b"x")]


def _but(name: str, value: bytes) -> list[tuple[str, bytes]]:
    """The headers with one of another value."""
    return [(one, value if one == name else found) for one, found in CE]


DATA = {"product": "shop", "event_name": "checkout", "outcome": "ok"}


def test_cloudevents_headers_fill_what_the_body_lacks() -> None:
    (record,) = _one("telemetry", json.dumps(DATA).encode(), headers=CE).records
    assert (record.event_id, record.event_time_ms) == ("e-9", TIME + 123)
    assert (record.customer_id, record.source) == ("c-7", "web")
    (record,) = _one("telemetry", json.dumps(DATA).encode(), headers=[*CE, ("ce_partitionkey", b"c-8")]).records
    assert record.customer_id == "c-8"


@pytest.mark.parametrize("noun", NOUNS)
def test_a_body_may_say_what_cloudevents_headers_say(noun: str) -> None:
    plain = decode(noun, [VALID[noun]]).records
    same = [("ce_id", b"e-1"), ("ce_time", b"2026-01-01T00:00:00.000999Z"), ("ce_source", b"app"),
            ("ce_subject", b"c-000421"), ("ce_id", b"e-1"), ("ce_type", b"x"), ("ce_type", b"y")]
    assert _one(noun, VALID[noun], headers=same).records == plain
    assert _one(noun, VALID[noun], headers=[*same, ("ce_partitionkey", b"c-000421"), CE[0]]).records == plain
    assert _one(noun, VALID[noun].replace(b"event_id", b"\\u0065vent_id"), headers=same).records == plain
    assert _one(noun, VALID[noun], headers=[("trace", b"x"), ("ce_id", b"\xff"), ("ce_time", None)]).records == plain


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ([("ce_id", b"e-2")], "event_id"),
        ([("ce_time", b"2026-01-01T00:00:00.001Z")], "event_time_ms"),
        ([("ce_time", b"never")], "event_time_ms"),
        ([("ce_source", b"web")], "source"),
        ([("ce_subject", b"c-2")], "customer_id"),
        ([("ce_subject", b"c-000421"), ("ce_partitionkey", b"c-2")], "customer_id"),
        ([("ce_id", b"e-1"), ("ce_id", b"e-2")], "id"),
        ([("ce_specversion", b"1.0"), ("ce_specversion", b"2.0")], "specversion"),
    ],
)
def test_cloudevents_headers_that_differ_from_the_body_are_refused(
    noun: str, headers: list[tuple[str, bytes]], field: str
) -> None:
    for value in (VALID[noun], VALID[noun].replace(b"_", b"\\u005f")):
        (reject,) = _one(noun, value, headers=headers).rejects
        assert (reject.error.field, reject.error.reason) == (field, "ambiguous")


def test_structured_cloudevents_are_flattened() -> None:
    event = {"specversion": "1.0", "id": "e-9", "time": "2026-01-01T00:00:00Z", "source": "web", "subject": "c-7",
             "type": "t", "datacontenttype": "application/json", "data": DATA}
    decoded = _one("telemetry", json.dumps(event).encode())
    (record,) = decoded.records
    assert (record.event_id, record.event_time_ms, record.customer_id, record.source) == ("e-9", TIME, "c-7", "web")
    assert decoded.unknown_fields == 0
    data = {**DATA, "customer_id": "c-7", "x": 1}
    decoded = _one("telemetry", json.dumps({**event, "more": 1, "data": data}).encode())
    assert (decoded.records[0].customer_id, decoded.unknown_fields) == ("c-7", 2)
    data = {**DATA, "customer_id": "c-own"}
    (reject,) = _one("telemetry", json.dumps({**event, "data": data}).encode()).rejects
    assert (reject.error.field, reject.error.reason) == ("customer_id", "ambiguous")


@pytest.mark.parametrize(
    ("headers", "field", "reason"),
    [
        ([("ce_specversion", b"2.0"), ("ce_id", b"x")], "specversion", "future_schema"),
        ([(n, v) for n, v in CE if n != "ce_time"], "event_time_ms", "schema"),
        (_but("ce_time", b"yesterday"), "event_time_ms", "schema"),
        (_but("ce_time", b"2026-01-01T00:00:00"), "event_time_ms", "schema"),
        (_but("ce_time", b"2026-02-30T00:00:00Z"), "event_time_ms", "schema"),
        (_but("ce_time", b"1970-01-01T00:00:00Z"), "event_time_ms", "time"),
        (_but("ce_time", b"9999-12-31T23:59:59-23:00"), "event_time_ms", "time"),
        (_but("ce_subject", b""), "customer_id", "schema"),
        ([*CE, ("ce_time", b"yesterday")], "time", "ambiguous"),
    ],
)
def test_wrong_cloudevents_are_refused(headers: list[tuple[str, bytes]], field: str, reason: str) -> None:
    (reject,) = _one("telemetry", json.dumps(DATA).encode(), headers=headers).rejects
    assert (reject.error.field, reject.error.reason) == (field, reason)


@pytest.mark.parametrize("body", [None, b"", b"{", b"[]", b"{}", b" {} ", b"{]", b'{"a":1', b"null", b"x"])
def test_a_body_that_headers_cannot_complete_is_refused(body: bytes | None) -> None:
    assert _one("telemetry", body, headers=CE).rejects


def test_a_structured_event_of_another_major_version_waits_for_an_upgrade() -> None:
    (reject,) = _one("order", b'{"specversion":"2.0","data":{}}').rejects
    assert reject.error.reason == "future_schema"


def test_two_kinds_share_a_topic() -> None:
    mark = Watermark(partition=0, through_ms=TIME)
    assert decode("episode", [encode(mark)]).records == [hotfindings.as_struct(mark)]
    assert decode("episode", [b'{"partition":0,"through_ms":1}']).rejects[0].error.field == "kind"
    assert decode("customer", [b'{"customer_id":"c","updated_at_ms":%d,"kind":"other"}' % TIME]).records[0] == Customer(
        customer_id="c", updated_at_ms=TIME
    )


@pytest.mark.parametrize(
    ("noun", "model"), [(topic.noun, model) for topic in TOPICS if topic.noun not in HOT for model in topic.records]
)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_other_record_survives_the_wire(noun: str, model: type[Record], data: st.DataObject) -> None:
    record = model.model_validate_json(json.dumps(data.draw(records(model))))
    decoded = decode(noun, [encode(record)])
    assert decoded.records == [hotfindings.as_struct(record) if noun in hotfindings.NOUNS else record]
    assert encode(decoded.records[0]) == encode(record)
    assert json.loads(canonical(record)) == json.loads(encode(record))
    assert list(json.loads(canonical(record))) == sorted(model.model_fields)


def test_bytes_are_compact_and_canonical_bytes_are_sorted() -> None:
    mark = Watermark(partition=3, through_ms=TIME)
    assert encode(mark) == b'{"kind":"watermark","partition":3,"through_ms":%d}' % TIME
    assert canonical(mark) == encode(mark)
    change = Change(change_id="x", changed_at_ms=TIME, change_kind="price", attributes={"b": "1", "a": "ü"})
    assert canonical(change).startswith('{"attributes":{"a":"ü","b":"1"},'.encode())


def test_a_derived_record_with_a_wrong_value_is_refused_with_its_path() -> None:
    episode = Episode(customer_id="c", line="l", signal="app", window_ms=TIME, attributes=("a",), leaves=(),
                      first_failed_ms=TIME, last_failed_ms=TIME, failures=1, evidence=("e",))
    body = {**json.loads(encode(episode)), "leaves": [{"values": ["x"], "first_ms": 1, "last_ms": TIME, "failures": 1}]}
    (reject,) = decode("episode", [json.dumps(body).encode()]).rejects
    assert (reject.error.field, reject.error.reason) == ("leaves.0.first_ms", "time")


JAVA_MURMUR2 = {  # from Kafka's own tests of Utils.murmur2
    b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829, b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", sorted(JAVA_MURMUR2))
def test_keys_hash_as_in_java(key: bytes) -> None:
    assert murmur2(key) == JAVA_MURMUR2[key] % 2**32


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 1_000))
def test_many_keys_get_the_partitions_that_kafkas_own_client_gives(keys: list[bytes], n: int) -> None:
    expected = [(kafka_murmur2(key) & 0x7FFFFFFF) % n for key in keys]
    assert [partition_of(key, n) for key in keys] == expected
    assert partitions_of(keys, n) == expected


def test_the_catalogue_is_consistent() -> None:
    assert len(BY_NOUN) == len(TOPICS) == len({topic.name for topic in TOPICS})
    assert set(BODY) == set(HOT)
