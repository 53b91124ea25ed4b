"""Bad and odd input: one builder per fault, for every hot topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

TIME = 1_767_225_600_000
_ENVELOPE: dict[str, Any] = {"event_id": "e-1", "event_time_ms": TIME, "customer_id": "c-000421", "source": "app"}
_OWN: dict[str, dict[str, Any]] = {
    "telemetry": {"product": "shop", "event_name": "checkout", "outcome": "ok", "latency_ms": 12.5},
    "order": {"order_id": "o-1", "status": "placed", "product": "shop", "amount_cents": 4_990},
    "contact": {"contact_id": "k-1", "channel": "phone", "product": "shop", "wait_ms": 1.0, "text": "Hello"},
}
_NUMBER = {"telemetry": "latency_ms", "order": "amount_cents", "contact": "wait_ms"}
_MANDATORY = {"telemetry": "event_name", "order": "order_id", "contact": "contact_id"}
BODY: dict[str, dict[str, Any]] = {noun: {**_ENVELOPE, **own} for noun, own in _OWN.items()}
VALID: dict[str, bytes] = {noun: json.dumps(body).encode() for noun, body in BODY.items()}


def with_field(noun: str, name: str, raw: bytes) -> bytes:
    """The valid message of ``noun`` with field ``name`` set to the JSON text ``raw``."""
    body = {key: value for key, value in BODY[noun].items() if key != name}
    return json.dumps(body).encode()[:-1] + b', "' + name.encode() + b'": ' + raw + b"}"


def _without(noun: str, name: str) -> bytes:
    return json.dumps({key: value for key, value in BODY[noun].items() if key != name}).encode()


def _field(name: str, raw: bytes) -> Callable[[str], bytes | None]:
    return lambda noun: with_field(noun, name, raw)


def _number(raw: bytes) -> Callable[[str], bytes | None]:
    return lambda noun: with_field(noun, _NUMBER[noun], raw)


def _attributes(count: int) -> Callable[[str], bytes | None]:
    return _field("attributes", json.dumps({f"a{number}": f"{number}" for number in range(count)}).encode())


def _twice(more: bytes) -> Callable[[str], bytes | None]:
    return lambda noun: VALID[noun][:-1] + b", " + more + b"}"


def _raw(value: bytes | None) -> Callable[[str], bytes | None]:
    return lambda _noun: value


REFUSED: dict[str, tuple[Callable[[str], bytes | None], str]] = {
    "tombstone": (_raw(None), "tombstone"),
    "empty": (_raw(b""), "json"),
    "blank": (_raw(b" \n\t"), "json"),
    "no json": (_raw(b"hello"), "json"),
    "cut off": (lambda noun: VALID[noun][:-1], "json"),
    "trailing bytes": (lambda noun: VALID[noun] + b"x", "json"),
    "trailing NUL": (lambda noun: VALID[noun] + b"\x00", "json"),
    "two objects": (lambda noun: VALID[noun] * 2, "json"),
    "trailing comma": (lambda noun: VALID[noun][:-1] + b",}", "json"),
    "single quotes": (lambda noun: VALID[noun].replace(b'"', b"'"), "json"),
    "comment": (lambda noun: VALID[noun] + b"// hi", "json"),
    "byte order mark": (lambda noun: b"\xef\xbb\xbf" + VALID[noun], "json"),
    "utf-16": (lambda noun: VALID[noun].decode().encode("utf-16"), "utf8"),
    "latin-1": (_field("region", '"Köln"'.encode("latin-1")), "utf8"),
    "latin-1 in an unknown field": (_field("extra", '"Köln"'.encode("latin-1")), "utf8"),
    "overlong utf-8": (_field("region", b'"\xc0\x80"'), "utf8"),
    "surrogate in utf-8": (_field("region", b'"\xed\xa0\x80"'), "utf8"),
    "array": (lambda noun: b"[" + VALID[noun] + b"]", "schema"),
    "null": (_raw(b"null"), "schema"),
    "number": (_raw(b"1"), "schema"),
    "text": (_raw(b'"x"'), "schema"),
    "empty object": (_raw(b"{}"), "schema"),
    "no event id": (lambda noun: _without(noun, "event_id"), "schema"),
    "no time": (lambda noun: _without(noun, "event_time_ms"), "schema"),
    "no customer": (lambda noun: _without(noun, "customer_id"), "schema"),
    "a mandatory field of its own missing": (lambda noun: _without(noun, _MANDATORY[noun]), "schema"),
    "event id null": (_field("event_id", b"null"), "schema"),
    "event id empty": (_field("event_id", b'""'), "schema"),
    "event id number": (_field("event_id", b"7"), "schema"),
    "event id too long": (_field("event_id", b'"' + b"x" * 129 + b'"'), "schema"),
    "customer object": (_field("customer_id", b'{"id": 1}'), "schema"),
    "time text": (_field("event_time_ms", b'"1767225600000"'), "schema"),
    "time float": (_field("event_time_ms", b"1767225600000.0"), "schema"),
    "time exponent": (_field("event_time_ms", b"1767225600e3"), "schema"),
    "time true": (_field("event_time_ms", b"true"), "schema"),
    "time in seconds": (_field("event_time_ms", b"1767225600"), "time"),
    "time in microseconds": (_field("event_time_ms", b"1767225600000000"), "time"),
    "time in nanoseconds": (_field("event_time_ms", b"1767225600000000000"), "time"),
    "time zero": (_field("event_time_ms", b"0"), "time"),
    "time negative": (_field("event_time_ms", b"-1767225600000"), "time"),
    "time beyond 64 bits": (_field("event_time_ms", b"9" * 30), "time"),
    "5,000-digit time": (_field("event_time_ms", b"9" * 5_000), "json"),
    "5,000-digit number": (_number(b"9" * 5_000), "json"),
    "5,000-digit number in an unknown field": (_field("extra", b"9" * 5_000), "json"),
    "NaN": (_number(b"NaN"), "json"),
    "Infinity": (_number(b"Infinity"), "json"),
    "minus Infinity": (_number(b"-Infinity"), "json"),
    "NaN in an unknown field": (_field("extra", b"NaN"), "json"),
    "1e999": (_number(b"1e999"), "schema"),
    "negative number": (_number(b"-1e13"), "schema"),
    "number as text": (_number(b'"12"'), "schema"),
    "number true": (_number(b"true"), "schema"),
    "leading zero": (_number(b"01"), "json"),
    "plus sign": (_number(b"+1"), "json"),
    "hexadecimal": (_number(b"0x10"), "json"),
    "lone high surrogate": (_field("region", b'"\\ud800"'), "json"),
    "lone low surrogate": (_field("region", b'"\\udc00"'), "json"),
    "swapped surrogates": (_field("region", b'"\\ude00\\ud83d"'), "json"),
    "lone surrogate in an unknown field": (_field("extra", b'"\\ud800"'), "json"),
    "lone surrogate as a name": (lambda noun: VALID[noun][:-1] + b',"\\ud800":1}', "json"),
    "raw control character": (_field("region", b'"a\nb"'), "json"),
    "NUL in a label": (_field("region", b'"a\\u0000b"'), "schema"),
    "line feed in a label": (_field("region", b'"a\\nb"'), "schema"),
    "escape code in a label": (_field("region", b'"\\u001b[31m"'), "schema"),
    "DEL in a label": (_field("region", b'"\x7f"'), "schema"),
    "C1 control in a label": (_field("region", "\"\x9b31m\"".encode()), "schema"),
    "bidi override in a label": (_field("region", '"\u202eED"'.encode()), "schema"),
    "escaped bidi override in a label": (_field("region", b'"\\u202EED"'), "schema"),
    "bidi isolate in a token": (_field("event_id", '"\u2066e"'.encode()), "schema"),
    "arabic letter mark in a label": (_field("region", '"\u061c"'.encode()), "schema"),
    "line separator in a label": (_field("region", '"\u2028"'.encode()), "schema"),
    "label too long": (_field("region", b'"' + b"x" * 129 + b'"'), "schema"),
    "label array": (_field("region", b'["DE"]'), "schema"),
    "50,000 levels": (_field("extra", b"[" * 50_000 + b"]" * 50_000), "json"),
    "50,000 levels unclosed": (_raw(b"[" * 50_000), "json"),
    "50,000 objects deep": (_field("extra", b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "json"),
    "300 levels": (_field("extra", b"[" * 300 + b"]" * 300), "json"),
    "1 MB label": (_field("region", b'"' + b"x" * 1_000_000 + b'"'), "schema"),
    "2 MB message": (_field("region", b'"' + b"x" * 2_000_000 + b'"'), "too_large"),
    "duplicate name, last one wrong": (lambda noun: VALID[noun][:-1] + b',"event_id":7}', "ambiguous"),
    "duplicate name, last one right": (lambda noun: VALID[noun].replace(b"{", b'{"event_id": 7, ', 1), "ambiguous"),
    "duplicate name, spelled with an escape": (_twice(b'"\\u0065vent_id": "e-2"'), "ambiguous"),
    "duplicate name, a blank before its colon": (_twice(b'"event_id" : "e-2"'), "ambiguous"),
    "duplicate unknown name": (_twice(b'"x": 1, "x": 2'), "ambiguous"),
    "duplicate unknown name, true and 1": (_twice(b'"x": 1, "x": true'), "ambiguous"),
    "duplicate unknown name, 1 and 1.0": (_twice(b'"x": 1, "x": 1.0'), "ambiguous"),
    "duplicate unknown name, null and text": (_twice(b'"x": null, "x": "None"'), "ambiguous"),
    "duplicate unknown name, colons in the text": (_twice(b'"u": "a:b:c", "x": ":", "x": "::"'), "ambiguous"),
    "duplicate unknown name, escaped colons": (_twice(b'"u": "\\u003a\\u003A", "x": "", "x": "y"'), "ambiguous"),
    "duplicate version": (_twice(b'"schema_version": 1, "schema_version": 2'), "ambiguous"),
    "duplicate attribute": (_field("attributes", b'{"plan": "a", "plan": "b"}'), "ambiguous"),
    "duplicate attributes": (_twice(b'"attributes": {"plan": "a"}, "attributes": {"plan": "b"}'), "ambiguous"),
    "duplicate name in the data of a CloudEvent": (_raw(
        b'{"specversion": "1.0", "id": "e", "data": {"product": "a", "product": "b"}}'), "ambiguous"),
    "version zero": (_field("schema_version", b"0"), "schema"),
    "version text": (_field("schema_version", b'"2"'), "schema"),
    "version true": (_field("schema_version", b"true"), "schema"),
    "version 3": (_field("schema_version", b"3"), "future_schema"),
    "version 3 of something else": (_raw(b'{"schema_version": 3, "anything": [1]}'), "future_schema"),
    "attributes null": (_field("attributes", b"null"), "schema"),
    "attributes array": (_field("attributes", b'["plan", "family"]'), "schema"),
    "attributes text": (_field("attributes", b'"plan"'), "schema"),
    "attribute without a name": (_field("attributes", b'{"": "family"}'), "schema"),
    "attribute's name too long": (_field("attributes", b'{"' + b"x" * 65 + b'": "y"}'), "schema"),
    "attribute's name with a line feed": (_field("attributes", b'{"a\\nb": "y"}'), "schema"),
    "attribute's name reversed": (_field("attributes", '{"\u202eED": "y"}'.encode()), "schema"),
    "attribute null": (_field("attributes", b'{"plan": null}'), "schema"),
    "attribute number": (_field("attributes", b'{"plan": 7}'), "schema"),
    "attribute object": (_field("attributes", b'{"plan": {"name": "family"}}'), "schema"),
    "attribute too long": (_field("attributes", b'{"plan": "' + b"x" * 129 + b'"}'), "schema"),
    "attribute with a NUL": (_field("attributes", b'{"plan": "a\\u0000"}'), "schema"),
    "attribute with a lone surrogate": (_field("attributes", b'{"plan": "\\ud800"}'), "json"),
    "attribute in latin-1": (_field("attributes", '{"stadt": "Köln"}'.encode("latin-1")), "utf8"),
    "attributes cut off": (_field("attributes", b'{"plan": "family"'), "json"),
    "attributes with a comma at the end": (_field("attributes", b'{"plan": "family",}'), "json"),
    "31 attributes": (_attributes(31), "schema"),
    "version beyond 64 bits": (_field("schema_version", b"9" * 40), "future_schema"),
}
"""Name -> (message, reason with which it is refused)."""

ACCEPTED: dict[str, Callable[[str], bytes | None]] = {
    "version 2": _field("schema_version", b"2"),
    "no attributes": _field("attributes", b"{ }"),
    "30 attributes": _attributes(30),
    "attribute without a value": _field("attributes", b'{"plan": ""}'),
    "attribute spelled with escapes": _field("attributes", b'{"pl\\u0061n": "f\\u00e4mily \\ud83d\\ude00"}'),
    "attribute with blanks": _field("attributes", b' {\n"plan"\t: "family" , "lot":"24-118"\r} '),
    "attribute's name of 64 characters": _field("attributes", ('{"' + "\U0001f600" * 64 + '":""}').encode()),
    "attributes named like fields": _field("attributes", b'{"event_id": "x", "attributes": "y", "data": "z"}'),
    "white space around": lambda noun: b" \r\n\t" + VALID[noun] + b"\n",
    "escaped names": lambda noun: VALID[noun].replace(b"event_id", b"\\u0065vent_id"),
    "duplicate name, equal values": _twice(b'"event_id": "e-1"'),
    "duplicate name, equal in another spelling": _twice(b'"\\u0065vent_id" :\n"\\u0065-1"'),
    "duplicate unknown name, equal values": _twice(b'"x": [1, {"y": 2}], "x": [1,{"y":2}]'),
    "duplicate attribute, equal values": _field("attributes", b'{"plan": "a", "plan": "a"}'),
    "duplicate name inside an unknown field": _field("extra", b'{"x": 1, "x": 2}'),
    "colons in texts": _field("source", b'"a:b\\"c\\":d"'),
    "emoji": _field("region", '"\U0001f600"'.encode()),
    "escaped emoji": _field("region", b'"\\ud83d\\ude00"'),
    "escaped backslash": _field("region", b'"a\\\\u0000"'),
    "umlaut": _field("region", '"Köln"'.encode()),
    "arabic": _field("region", '"القاهرة"'.encode()),
    "label of 128 characters of 4 bytes": _field("region", ('"' + "\U0001f600" * 128 + '"').encode()),
    "1e999 in an unknown field": _field("extra", b"1e999"),
    "large integer in an unknown field": _field("extra", b"9" * 400),
    "NUL in an unknown field": _field("extra", b'"\\u0000"'),
    "150 levels": _field("extra", b"[" * 150 + b"]" * 150),
    "60,000 names": lambda noun: VALID[noun][:-1] + b"".join(b',"k%d":1' % i for i in range(60_000)) + b"}",
    "100,000 equal names": lambda noun: VALID[noun][:-1] + b',"k":1' * 100_000 + b"}",
    "name of a method": _field("__class__", b'"x"'),
    "names of struct and model internals": lambda noun: VALID[noun][:-1] + b',"__struct_fields__":[],"model_dump":1}',
    "faust name": _field("__faust", b'{"ns":"os.system"}'),
    "time at the lower end": _field("event_time_ms", b"946684800000"),
    "time at the upper end": _field("event_time_ms", b"4102444800000"),
    "minus zero": _number(b"-0"),
    "integer where a number is asked": _number(b"5"),
}

BAD_VALUES: dict[str, Callable[[str], bytes | None]] = {**{name: pair[0] for name, pair in REFUSED.items()}, **ACCEPTED}
"""Everything, by name."""

SUBJECTS: dict[str, tuple[bytes, bool]] = {
    "none": (b"[ ]", True),
    "one": (b'["o-1"]', True),
    "one of all": (b' [ "o-1" ,\n"t-1"\t, "\\u0061" ] ', True),
    "twice the same": (b'["o-1", "o-1"]', True),
    "16": (json.dumps([f"t-{number}" for number in range(16)]).encode(), True),
    "17": (json.dumps([f"t-{number}" for number in range(17)]).encode(), False),
    "one of 128 characters": (b'["' + b"x" * 128 + b'"]', True),
    "one of 129 characters": (b'["' + b"x" * 129 + b'"]', False),
    "an empty one": (b'["o-1", ""]', False),
    "a number": (b"[7]", False),
    "null inside": (b"[null]", False),
    "null": (b"null", False),
    "a text": (b'"o-1"', False),
    "an object": (b'{"o-1": 1}', False),
    "a list inside": (b'[["o-1"]]', False),
    "a line feed": (b'["o\\n1"]', False),
    "reversed": ('["\u202eo"]'.encode(), False),
    "cut off": (b'["o-1"', False),
    "a comma at the end": (b'["o-1",]', False),
    "no comma": (b'["o-1" "o-2"]', False),
}
"""Name -> (``subject_ids`` of a contact as JSON text, is it accepted)."""
