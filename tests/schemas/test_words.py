"""Every code that a board may meet has words in every language."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from schemas import experience, findings, issues, signals
from schemas.events import Channel
from schemas.wordlists import KINDS
from schemas.words import LANGUAGES, codes_without_words, words_of
from streams.core.join.rules import JoinRules
from streams.core.outreach.cases import REASONS

ROOT = Path(__file__).resolve().parents[2]
GIVERS = ("Close", "Wait", "Sent", "MalformedEvent")
"""What gives a reason as one of its arguments."""


@cache
def passed() -> dict[tuple[str, int], set[str]]:
    """(function, number of the argument) -> the texts that our code passes there."""
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for file in (file for folder in ("schemas", "streams") for file in (ROOT / folder).rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        if not any(f"{name}(" in source for name in GIVERS):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GIVERS:
                for number, given in enumerate(node.args):
                    if isinstance(given, ast.Constant) and isinstance(given.value, str):
                        found[node.func.id, number].add(given.value)
    return found


def codes() -> dict[str, set[str]]:
    """Kind of code -> the codes that rooms, sender and store can give."""
    sender = passed()["Close", 1] | passed()["Wait", 0] | passed()["Sent", 1]
    refused = passed()["MalformedEvent", 3] | {"schema", "time", "utf8", "unknown"}
    return {
        "reason": set(REASONS) | sender,
        "letter": refused,
        "attribute": {*KINDS["place"]} - {"", "*"},
        "signal": set(signals.NAMES),
        "state": set(get_args(issues.IssueState)),
        "end": set(get_args(issues.EndReason)),
        "severity": set(get_args(signals.Severity)),
        "element": set(get_args(signals.Element)),
        "decision": set(get_args(findings.Decision)),
        "stage": set(get_args(findings.Stage)),
        "status": {*get_args(findings.DeliveryOutcome), "sent", "pending", "held", "refused", "held out"},
        "wrong": set(get_args(experience.Wrong)),
        "channel": set(get_args(Channel)),
        "channel_state": {*get_args(findings.ChannelCondition), "ok", "gone", "accepts nothing"},
    }


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "place"])
def test_every_code_has_words_in_every_language(kind: str) -> None:
    found = codes()[kind]
    assert found
    assert codes_without_words(kind, found) == []
    assert all(words_of(kind, code, language) for code in found for language in LANGUAGES)


def test_every_attribute_of_a_count_is_named_and_placed() -> None:
    rules = JoinRules()
    counted = {name for rule in rules.signals for name in rule.attributes} | set(rules.promise.attributes)
    assert codes_without_words("attribute", counted) == codes_without_words("place", counted) == []
    assert list(KINDS["place"])[:2] == ["", "*"]


def test_codes_are_found_in_the_sources() -> None:
    assert {"deadline", "unconfirmed"} <= passed()["Close", 1]
    assert "astray" in passed()["Wait", 0]
    assert "unsigned" in passed()["MalformedEvent", 3]
