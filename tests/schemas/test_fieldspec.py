"""The table for the native decoder says everything that the model says, or refuses the model."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, ConfigDict, Field, create_model, field_validator

from schemas.events import Contact, Customer, Heartbeat, Order, Record, Telemetry
from schemas.fieldspec import field_specs


def test_rows_follow_the_fields_of_the_model() -> None:
    rows = {row[0]: row[1:] for row in field_specs(Telemetry)}
    assert list(rows) == list(Telemetry.model_fields)
    assert rows["event_id"] == ("text", 1, 128, True, [], False, "required", None, [])
    assert rows["error_code"] == ("text", 0, 128, True, [], True, "none", None, [])
    assert rows["latency_ms"] == ("float", 0.0, 1e9, False, [], True, "none", None, [])
    assert rows["attributes"] == ("map", 0, 30, False, [], False, "empty", None, [(1, 64, True), (0, 128, True)])
    assert rows["outcome"][:5] == ("choice", -math.inf, math.inf, False, ["ok", "failed", "abandoned"])


def test_defaults_and_versions_are_kept() -> None:
    rows = {row[0]: row[1:] for row in field_specs(Order)}
    assert rows["amount_cents"][-3:-1] == ("int", 0)
    assert rows["currency"] == ("text", 0, 3, True, [], False, "text", "", [])
    assert rows["schema_version"] == ("int", 1, 2, False, [], False, "int", 1, [])
    assert rows["cancelled_by"][4:] == (["customer", "company"], True, "none", None, [])


def test_a_list_of_texts_is_a_row() -> None:
    rows = {row[0]: row[1:] for row in field_specs(Contact)}
    assert rows["subject_ids"] == ("texts", 0, 16, False, [], False, "empty", None, [(1, 128, True)])


def test_open_limits_are_closed() -> None:
    model = create_model("M", __base__=Record, a=(Annotated[int, Field(gt=1, lt=5)], ...),
                         b=(Annotated[float, Field(gt=0.0, lt=1.0)], ...), c=(int, ...), d=(str, ...), e=(bool, ...))
    low_high = {row[0]: row[2:4] for row in field_specs(model)}
    assert low_high["a"] == (2, 4)
    assert low_high["b"] == (5e-324, math.nextafter(1.0, 0.0))
    assert low_high["c"] == (-(2**63), 2**63 - 1)
    assert low_high["d"] == (0, 2**31 - 1)


class _Checked(Record):
    a: int

    @field_validator("a")
    @classmethod
    def _even(cls, value: int) -> int:
        return value


class _Closed(Record):
    model_config = ConfigDict(extra="forbid")
    a: int


WRONG: list[Any] = [
    (list[int], ...), (dict[str, int], ...), (dict[str, str | None], ...), (tuple[str, ...], ...),
    (Annotated[tuple[str], Field(strict=False)], ...), (Annotated[tuple[int, ...], Field(strict=False)], ...),
    (Annotated[tuple[str, str], Field(strict=False)], ...), (Annotated[str, Field(strict=False)], ...),
    (Annotated[dict[str, str], Field(pattern="^x$")], ...), (Annotated[dict[str, str], Field(ge=1)], ...),
    (Order, ...), (Literal[True], True), (Literal[1, 2], 1), (int | str, 1),
    (Annotated[str, Field(pattern="^x$")], ...), (Annotated[int, Field(multiple_of=2)], ...), (float, 0.5),
    (bool, False),
    (Annotated[str, AfterValidator(str.lower)], ...), (Annotated[str, Field(alias="b")], ...), (bytes, ...),
    (Annotated[Annotated[int, Field(ge=1)] | None, Field(ge=2)], None), (Annotated[bool, Field(ge=0)], True),
]


@pytest.mark.parametrize("field", WRONG)
def test_what_a_row_cannot_say_is_refused(field: Any) -> None:
    with pytest.raises(TypeError):
        field_specs(create_model("M", __base__=Record, a=field))


@pytest.mark.parametrize("model", [Customer, Heartbeat, _Checked, _Closed])
def test_models_that_are_not_flat_or_have_rules_of_their_own_are_refused(model: type[Record]) -> None:
    with pytest.raises(TypeError):
        field_specs(model)
