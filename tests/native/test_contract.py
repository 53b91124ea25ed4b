"""One specification for both implementations: the encoders in Rust are generated from it, and its hash is compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import create_model

from schemas.events import Telemetry
from schemas.findings import Watermark
from streams.core.join.contract import CALLS, fingerprint, message, shape, specification
from streams.core.join.native import agreed, contract, table
from streams.core.join.promises import Promises
from streams.core.join.rules import JoinRules, Limits
from streams.core.join.sample import written
from streams.core.join.state import JoinState

SCRIPT = Path(__file__).resolve().parents[2] / "native" / "wire.py"


def test_the_generated_encoders_are_current() -> None:
    done = subprocess.run([sys.executable, "-P", str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installed_module_carries_the_contract_and_is_called_as_agreed() -> None:
    module = pytest.importorskip("cxwatch_native", reason="the accelerator is not installed")
    assert contract() == module.CONTRACT
    found = {}
    for name in CALLS:
        owner, _, method = name.partition(".")
        called = getattr(getattr(module, owner), method) if method else getattr(module, owner)
        found[name] = called.__text_signature__
    assert found == CALLS


def test_other_rules_are_the_same_contract() -> None:
    other = JoinRules(clock_customers=1, limits=Limits(leaves=7))
    assert fingerprint(specification(table(other))) == contract()


def changed(**parts: Any) -> str:
    return fingerprint({**agreed(), **parts})


def test_another_field_of_a_record_or_of_the_rules_is_another_contract() -> None:
    rules = dict(table(JoinRules()))
    more = fingerprint(specification({**rules, "extra": 1}))
    less = fingerprint(specification({name: rules[name] for name in rules if name != "bin_ms"}))
    deep = fingerprint(specification({**rules, "promise": {**rules["promise"], "extra": []}}))
    wider = create_model("Watermark", __base__=Watermark, extra=(int, 0))
    record = changed(messages={**agreed()["messages"], "Watermark": message(wider)})
    assert len({contract(), more, less, deep, record, changed(calls={})}) == 6


def test_every_kind_of_row_of_the_state_is_in_the_contract() -> None:
    kinds = {msgspec.msgpack.decode(key)[0] for noun, key, _ in written() if noun == "state"}
    documented = re.findall(r"``(\w)``", sys.modules[JoinState.__module__].__doc__ or "")
    assert kinds == set(documented)


def test_another_row_of_the_state_is_another_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(specification(table(JoinRules())))
    drain = Promises.drain_open
    monkeypatch.setattr(Promises, "drain_open", lambda self: ((key, [value, 0]) for key, value in drain(self)))
    assert fingerprint(specification(table(JoinRules()))) != before


def test_the_form_of_values_is_without_their_content() -> None:
    assert shape([{"a": 1, "b": [("x", 2)]}]) == shape([{"b": [("y", 3), ("z", None)], "a": 4}])
    assert shape([{"a": None}, {"a": 1}]) == {"a": ["int"]}
    assert shape([{"a": [(1, "x")]}]) != shape([{"a": [("x", 1)]}])


def test_a_record_that_the_encoders_cannot_write_is_refused() -> None:
    with pytest.raises(TypeError, match="attributes"):
        message(Telemetry)
