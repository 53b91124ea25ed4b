"""The join room in native code: an optional accelerator with the same rules, the same messages and the same state.

:class:`~streams.core.join.stage.JoinStage` defines what the room does; the crate in ``native/`` repeats it, from
decoding to encoding, without the interpreter lock. It may only refuse more: a message that it leaves undecided goes to
the reference implementation (``schemas.reference``), which hands it over in its canonical form. The same tests pass on
both, and each loads the other's state.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import repeat
from types import ModuleType
from typing import Any

from schemas.codec import HOT, encode
from schemas.currencies import DECIMALS
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY, Heartbeat
from schemas.fields import Signal
from schemas.fieldspec import field_specs
from schemas.signals import NAMES
from streams.core.eventtime import MAX_ARRIVAL_MS
from streams.core.join.contract import fingerprint, specification
from streams.core.join.repairs import TIME_BITS, leaving, naming, subject_naming
from streams.core.join.rules import FieldTest, JoinRules, RepairRule
from streams.core.recovery import ORIGINS
from streams.core.stage import Batch, Drained, Fed, Idle, RawPart


def agreed() -> Mapping[str, Any]:
    """Return all that this build and the native module have to agree on."""
    return specification(table(JoinRules()))


@cache
def contract() -> str:
    """Return the hash of :func:`agreed`; a module with another one is not used."""
    return fingerprint(agreed())


def find() -> ModuleType | None:
    """Return the native module, or None if it is not installed or belongs to another version of cxwatch."""
    found = _look()
    return None if isinstance(found, str) else found


def require() -> ModuleType:
    """Return the native module. Raises ConfigError, with the reason, if it cannot be used."""
    found = _look()
    if isinstance(found, str):
        raise ConfigError(f"the native implementation cannot be used, {found}: run `make native`, or set CX_NATIVE=off")
    return found


def wanted(setting: str) -> bool:
    """True if ``CX_NATIVE`` (auto, on, off) asks for the native module. Raises ConfigError for on without it."""
    if setting == "on":
        require()
    return setting != "off" and find() is not None


def unused(setting: str) -> str:
    """Return why everything runs in Python under this ``CX_NATIVE`` (auto, on, off); empty if native code runs."""
    if setting == "off":
        return "CX_NATIVE=off"
    found = _look()
    return found if isinstance(found, str) else ""


def _look() -> ModuleType | str:
    """Return the native module, or why it cannot be used."""
    try:
        found = importlib.import_module("cxwatch_native")
    except ModuleNotFoundError:
        return "none is installed"
    except ImportError as error:
        return f"Python cannot load it ({error})"
    theirs = getattr(found, "CONTRACT", None)
    if theirs != contract():
        return f"it was built for another version of cxwatch (contract {theirs}, here {contract()})"
    return found


class NativeJoinStage:
    """``core.stage.Stage`` and ``core.stage.RawStage`` over the accelerator; a state is opaque."""

    def __init__(self, rules: JoinRules | None = None) -> None:
        """Translate the rules (defaults: ``JoinRules()``). Raises ConfigError without the accelerator."""
        native = require()
        self.rules = rules or JoinRules()
        self._room = native.JoinRoom
        self._table = table(self.rules)

    def start(self, partition: int, partitions: int) -> Any:
        """Return the state of a partition that has seen nothing."""
        return self._room(self._table, partition, partitions)

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> Any:
        """Rebuild the state from the live pairs of its state topic, in any order."""
        state = self.start(partition, partitions)
        state.load(list(items))
        return state

    def feed(self, state: Any, part: RawPart, start: int, max_bytes: int, future_ms: int) -> Fed:
        """See ``core.stage.RawStage``."""
        return Fed(*state.feed(part, start, max_bytes, future_ms, HEARTBEAT_KEY))

    def step(self, state: Any, batch: Batch | Idle) -> None:
        """Fold one batch of one topic (or an idle passage) into the state."""
        if isinstance(batch, Idle):
            state.pass_idle(list(batch.topics), batch.event_time_ms)
            return
        stamps = batch.timestamps or repeat(MAX_ARRIVAL_MS, len(batch.records))
        for record, offset, appended_ms in zip(batch.records, batch.offsets, stamps, strict=True):
            if isinstance(record, Heartbeat):
                state.hear(batch.topic, min(record.event_time_ms, appended_ms))
            else:
                state.take(batch.topic, [(encode(record), offset, appended_ms)])
        state.take(batch.topic, [])

    def clock_ms(self, state: Any, topic: str) -> int:
        """How far a topic has come; 0 if nothing was heard."""
        return int(state.clock_ms(topic))

    def disorder_ms(self, topic: str) -> int:
        """How far behind its clock an event of a topic is on time."""
        return self.rules.bounds[topic].disorder_ms

    def drain(self, state: Any) -> Drained:
        """Return what changed since the last drain; its messages are encoded already."""
        messages, changes = state.drain()
        return Drained(changes, encoded=messages)


def table(rules: JoinRules) -> Mapping[str, Any]:
    """Return the rules as plain values; sets become sorted lists. Raises ConfigError for what only Python can do."""
    promise, contact, limits = rules.promise, rules.contact, rules.limits
    for rule in rules.signals:
        _require_texts(rule.topic, rule.attributes)
    _require_texts("order", promise.attributes)
    return {
        "signal_names": list(NAMES),
        "attributes": [list(rules.attributes.get(name, ())) for name in NAMES],
        "topics": [_topic(rules, topic) for topic in rules.bounds],
        "promise": {
            "signal": promise.signal,
            "attributes": list(promise.attributes),
            "kept": sorted(promise.kept),
            "broken": sorted(promise.broken),
            "cancelled": sorted(promise.cancelled),
            "dropped": sorted(promise.dropped),
            "memory_ms": promise.memory_ms,
            "horizon_ms": promise.horizon_ms,
            "leaving": _leaving(rules, "order", promise.signal),
        },
        "contact": {
            "opened": _field_test(contact.opened),
            "any_signal": sorted(contact.any_signal),
            "by_reason": [(reason, sorted(contact.signals(reason) or ())) for reason in sorted(contact.by_reason)],
            "before_ms": contact.before_ms,
            "after_ms": contact.after_ms,
            "order": next((_named(*found) for found in naming(rules, "order", "contact")), None),
            "by_subject": subject_naming(rules) is not None,
        },
        "limits": {name: getattr(limits, name) for name in limits.__slots__},
        "clock_customers": rules.clock_customers,
        "bin_ms": rules.bin_ms,
        "window_ms": rules.window_ms,
        "retention_ms": rules.retention_ms,
        "unrepaired_ms": rules.unrepaired_ms,
        "terms": [rules.terms(name) for name in NAMES],
        "origins": list(ORIGINS),
        "currencies": sorted(DECIMALS.items()),
        "attach_ms": rules.attach_ms,
    }


def _topic(rules: JoinRules, topic: str) -> Mapping[str, Any]:
    bounds = rules.bounds[topic]
    return {
        "name": topic,
        "fields": field_specs(HOT[topic]),
        "disorder_ms": bounds.disorder_ms,
        "lateness_ms": bounds.lateness_ms,
        "signals": [
            {
                "signal": rule.signal,
                "exposed": _field_test(rule.exposed),
                "failed": _field_test(rule.failed),
                "attributes": list(rule.attributes),
                "amount": rule.amount,
                "currency": rule.currency if rule.amount else None,
                "leaving": _leaving(rules, topic, rule.signal),
            }
            for rule in rules.signals
            if rule.topic == topic
        ],
        "success": _success(rules, topic),
        "reaches": list(rules.reaches(topic).items()) if _success(rules, topic) else [],
    }


def _success(rules: JoinRules, topic: str) -> Mapping[str, Any] | None:
    """How events of a topic put failures right, if they do."""
    return next(
        (
            {
                "field": rule.name,
                "kinds": [(value, rules.kinds[topic, value]) for value in rule.values],
                "same": list(rule.same),
                "seed": index,
                "width_ms": rule.width_ms,
                "time_bits": TIME_BITS[rule.width_ms],
            }
            for index, rule in enumerate(rules.repairs)
            if rule.topic == topic
        ),
        None,
    )


def _named(index: int, rule: RepairRule) -> Mapping[str, Any]:
    return {"same": list(rule.same), "seed": index}


def _leaving(rules: JoinRules, topic: str, signal: Signal) -> list[Mapping[str, Any]]:
    """The rules by which a failure of a topic and signal finds what it leaves, in the order in which they are tried."""
    return [
        {"same": list(rule.same), "seed": index, "mask": rules.mask(rule, signal), "reach_ms": reach_ms}
        for index, rule, reach_ms in leaving(rules, topic, signal)
    ]


def _field_test(test: FieldTest) -> tuple[str, list[str]]:
    return test.name, sorted(test.values)


def _require_texts(topic: str, names: tuple[str, ...]) -> None:
    """The accelerator reads attributes as texts that are never null, at most 16 of them."""
    kinds = {row[0]: (row[1], row[6]) for row in field_specs(HOT[topic])}
    if len(names) > 16 or any(kinds[name] not in (("text", False), ("choice", False)) for name in names):
        raise ConfigError(f"join rules: these attributes of {topic} need CX_NATIVE=off: {', '.join(names)}")
