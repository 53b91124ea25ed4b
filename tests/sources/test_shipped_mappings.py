"""The mappings that come along read the exports that they name, and account for every row, whatever it holds."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from streams.sources import Mapping, load_mapping, parse_mapping, read
from streams.sources.plain_yaml import parse_yaml
from streams.sources.shipped import shipped, shipped_names
from tests.sources.samples import SAMPLES, SampleFile

KEY = b"a key for tests only"
DIRECT = ("anna", "ben@", "+49000000001")


def mapping_of(sample: SampleFile) -> Mapping:
    """The mapping, edited as its head tells for this variant."""
    text = shipped(sample.mapping).text
    if sample.edit is not None:
        assert text.count(sample.edit[0]) >= 1, sample
        text = text.replace(*sample.edit)
    return parse_mapping(parse_yaml(text), f"{sample.mapping}.yaml", KEY)


def summary(noun: str, event: dict[str, Any]) -> str:
    """Topic, status, time, and what tells events of one status apart."""
    at = datetime.fromtimestamp(event[next(name for name in event if name.endswith("_time_ms"))] / 1000, UTC)
    words = [noun, str(event.get("status") or event.get("outcome")), f"{at:%m-%d %H:%M}"]
    if noun == "telemetry":
        words.append(event["event_name"])
    elif noun == "contact":
        words += [event["reason"], event["channel"]]
    return " ".join(words)


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{at}-{one.mapping}" for at, one in enumerate(SAMPLES)])
def test_a_sample_of_each_variant_makes_the_events_that_it_tells_of(sample: SampleFile, tmp_path: Path) -> None:
    file = tmp_path / "export"
    file.write_text(sample.text, encoding="utf-8")
    reading = read(mapping_of(sample), file)
    arrivals = list(reading.arrivals())
    assert [dict(one.headers) for one in arrivals if one.headers] == []
    events = [(one.noun, json.loads(one.value)) for one in arrivals]
    short = [summary(*one) for one in events]
    assert [line[: len(have)] for line, have in zip(sample.events, short, strict=True)] == short
    for (_, event), line in zip(events, sample.events, strict=True):
        for word in line.split()[4:]:
            assert word in " ".join(map(str, event.values())), (line, event)
    assert (reading.tally.unmatched, reading.tally.rejected) == (sample.unmatched, sample.rejected)
    assert not any(name in str(events).lower() for name in DIRECT)


def test_every_mapping_has_a_sample() -> None:
    assert {one.mapping for one in SAMPLES} == set(shipped_names())


def events_of(number: int, folder: Path) -> list[dict[str, Any]]:
    (folder / "export").write_text(SAMPLES[number].text, encoding="utf-8")
    return [json.loads(one.value) for one in read(mapping_of(SAMPLES[number]), folder / "export").arrivals()]


def first(name: str) -> int:
    return next(at for at, one in enumerate(SAMPLES) if one.mapping == name)


def test_a_day_of_delivery_lasts_to_its_end(tmp_path: Path) -> None:
    promises = {one["promised_at_ms"] for one in events_of(first("aftership"), tmp_path)}
    assert promises == {round(datetime(2026, 3, 6, tzinfo=UTC).timestamp() * 1000) - 1}


def test_a_payment_that_fails_says_why_and_money_is_in_hundredths_of_a_unit(tmp_path: Path) -> None:
    events = events_of(first("stripe-events"), tmp_path)
    assert [one["error_code"] for one in events if "error_code" in one] == ["insufficient_funds"]
    assert [(one["amount_cents"], one["currency"]) for one in events[:3]] == [
        (6470, "EUR"), (555000, "JPY"), (1235, "KWD")
    ]  # fmt: skip


def test_what_a_device_did_before_the_login_belongs_to_its_user(tmp_path: Path) -> None:
    assert [one["customer_id"] for one in events_of(first("segment-track"), tmp_path)] == ["u-1"] * 4
    assert [one["customer_id"] for one in events_of(first("ga4-export"), tmp_path)] == ["u-1"] * 2


def test_a_parameter_is_found_by_its_key_wherever_it_stands(tmp_path: Path) -> None:
    assert [one["session_id"] for one in events_of(first("ga4-export"), tmp_path)] == ["1772445000"] * 2


# ---- every row is accounted for ----------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None, "", " ", "-", "x", "0", "-1", "1.234", "1,5", "1e400", "12345678901234567890", "not a time", "2026-02-30",
    "2026-03-02T10:00:00Z", "2026-03-29 02:30", "1772445600", 0, -1, 1.5, 1772445600, 10**15, 2**64, 1e308, True, False,
    [], {}, [None], [[]], [{}], {"a": 1}, "\x00", "\u202e", "é" * 3_000, "true", "EUR", "XTS", "a@example.invalid",
)  # fmt: skip
"""Values that a field of an export should never have, and some that it may."""
SIMPLE = [one for one in ODD if not isinstance(one, list | dict)]


def typical(name: str) -> list[Any]:
    """Rows of the samples of a mapping, as objects or as cells."""
    found: list[Any] = []
    for sample in SAMPLES:
        if sample.mapping == name and sample.edit is None:
            found += rows_of(sample)
    return found


def rows_of(sample: SampleFile) -> list[Any]:
    shape = load_mapping(sample.mapping, KEY).shape
    if shape.format == "csv":
        return list(csv.DictReader(io.StringIO(sample.text), delimiter=shape.delimiter or ","))
    whole = [json.loads(sample.text)] if sample.text[:3] in ("[\n ", "{\n ") else None
    documents = whole or [json.loads(line) for line in sample.text.splitlines()]
    found: list[Any] = []
    for document in documents:
        inner = document
        for step in shape.items:
            inner = inner[step]
        found += inner if isinstance(inner, list) else [inner]
    return found


def spoiled(row: Any, dice: random.Random, share: float) -> Any:
    """The row with some of its values, at any depth, odd or gone."""
    if dice.random() < share:
        return dice.choice(ODD)
    if isinstance(row, dict):
        return {key: spoiled(value, dice, share) for key, value in row.items() if dice.random() >= share / 2}
    if isinstance(row, list):
        return [spoiled(value, dice, share) for value in row]
    return row


def written(mapping: Mapping, rows: list[Any], folder: Path) -> Path:
    file = folder / "rows"
    if mapping.shape.format == "csv":
        header = list(dict.fromkeys(key for row in rows for key in row))
        with file.open("w", newline="", encoding="utf-8", errors="replace") as target:
            table = csv.writer(target, delimiter=mapping.shape.delimiter or ",")
            table.writerow(header)
            for row in rows:
                table.writerow(["" if row.get(key) is None else row.get(key) for key in header])
        return file
    body: Any = rows
    for step in reversed(mapping.shape.items):
        body = {step: body}
    file.write_text(json.dumps(body), encoding="utf-8")
    return file


def spoiled_cells(row: dict[str, str], dice: random.Random, share: float) -> dict[str, Any]:
    return {key: dice.choice(SIMPLE) if dice.random() < share else value for key, value in row.items()}


@pytest.mark.parametrize("name", shipped_names())
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), share=st.sampled_from((0.02, 0.1, 0.5)))
def test_every_row_becomes_events_a_dead_letter_or_a_skip_that_the_mapping_declares(
    name: str, seed: int, share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dice, mapping = random.Random(seed), load_mapping(name, KEY)
    pool = typical(name)
    spoil = spoiled_cells if mapping.shape.format == "csv" else spoiled
    rows = [spoil(dice.choice(pool), dice, share) for _ in range(dice.randrange(1, 40))]
    if mapping.shape.format == "csv":
        rows = [{key: str(value) if value is not None else "" for key, value in row.items()} for row in rows]
    file = written(mapping, rows, tmp_path_factory.mktemp("rows"))
    reading = read(mapping, file)
    arrivals, tally = list(reading.arrivals()), reading.tally
    dead_letters = [one for one in arrivals if one.headers]
    events = [one for one in arrivals if not one.headers]
    mapped = tally.rows - tally.rejected - tally.unmatched
    assert tally.rows >= sum(isinstance(row, dict) for row in rows)
    assert (tally.outside, len(dead_letters), len(events)) == (0, tally.rejected, sum(tally.events.values()))
    assert 0 <= mapped <= len(events) <= mapped * len(mapping.events)
    body = file.read_bytes()
    for rejected in dead_letters:
        assert rejected.value is not None
        assert rejected.value in body
        assert dict(rejected.headers)["dlq.rule"]
    for noun in tally.events:
        values = [one.value for one in events if one.noun == noun]
        assert codec.decode(noun, values).rejects == []
