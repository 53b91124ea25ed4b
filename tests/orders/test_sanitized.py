"""Text of people fits every record, whatever it is."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.events import Command
from streams.security.sanitized import LABEL_CHARACTERS, sanitized


@given(st.text())
@example("x" * 200)
@example("rolled\nback")
@example("\u202egnol\x00\x85\u2028")
@example("\ud800")
@example("\x1b[31mred")
def test_any_text_becomes_a_reason_and_an_actor_that_a_record_takes(text: str) -> None:
    stored = sanitized(text)
    made = Command(command_id="k", issued_at_ms=1_767_225_600_000, action="stop", actor=stored, reason=stored)
    assert made.reason == stored
    assert len(stored) <= LABEL_CHARACTERS
    assert sanitized(stored) == stored


def test_words_stay_and_what_would_forge_a_line_becomes_a_blank() -> None:
    assert sanitized("  rolled\r\nback\tat\u2028noon \u202e") == "rolled back at noon"
    assert sanitized("Störung “behoben” 👍") == "Störung “behoben” 👍"
    assert sanitized("a" * 127 + " b") == "a" * 127
