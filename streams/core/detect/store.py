"""What the detect room keeps over a restart: changed keys only, msgpack, exact.

Keys are msgpack tuples ``(kind, ...)``: ``meta``; ``pending`` counts not yet stepped; per line and family ``fam``
(clock, running excursions), ``norm`` (dispersion, daily rates), ``leaves`` (numbered tuples, 256 a key), ``row`` (one
hour), ``block`` (5 minutes of evidence), ``wait`` (values without a place); ``lines`` without a place; ``seen`` (the
first customers of a value); ``issue``; ``change``. Everything else is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from schemas.codec import decode, encode
from schemas.drills import is_drill
from schemas.events import Change
from streams.core.detect.baseline import Dispersion, Row
from streams.core.detect.cusum import Cusum, Floats
from streams.core.detect.explain import Explanation
from streams.core.detect.family import LEAVES_A_KEY as CHUNK
from streams.core.detect.family import Family
from streams.core.detect.live import Live
from streams.core.detect.state import DetectState, Kept, Line
from streams.core.detect.window import Block, Failure

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_APART = ("pairs", "cohort", "cause", "changes")
_LIVE = tuple(name for name in Live.__dataclass_fields__ if name not in _APART)
_CAUSE = tuple(Explanation.__dataclass_fields__)[1:]


def save(state: DetectState) -> list[tuple[bytes, bytes | None]]:
    """Changed keys with their values (None: gone), sorted; marks the state clean."""
    kept = state.kept
    out: dict[bytes, bytes | None] = {}
    if kept.meta:
        out[_encode(("meta",))] = _encode((state.partitions, sorted(state.through.items()), state.clock_ms))
    for bin_ms, line, family, partition in kept.pending:
        record = state.pending.get(bin_ms, {}).get((line, family), {}).get(partition)
        packed = None if record is None else encode(record)
        out[_encode(("pending", bin_ms, line, family, partition))] = packed
    for key in kept.families:
        _save_family(state.families[key], out)
    if kept.lines:
        out[_encode(("lines",))] = _encode(state.waiting.saved())
    for issue_id in state.book.dirty:
        live = state.book.issues.get(issue_id)
        out[_encode(("issue", issue_id))] = None if live is None else _encode(_pack_live(live))
    for change_id in kept.changes:
        change = state.book.changes.get(change_id)
        out[_encode(("change", change_id))] = None if change is None else change.model_dump_json().encode()
    familiar = state.book.familiar
    for seen in familiar.changed:
        first = familiar.first.get(seen)
        out[_encode(("seen", *seen))] = None if first is None else _encode(first)
    familiar.changed.clear()
    state.book.dirty.clear()
    state.kept = Kept()
    return sorted(out.items())


def _save_family(family: Family, out: dict[bytes, bytes | None]) -> None:
    name = (family.line, family.family)
    cusums = [_pack_cusum(c) for c in (family.fast, family.slow, family.daily.cusum)]
    head = (
        family.lattice.attributes,
        family.as_of_ms,
        family.daily.day_ms,
        family.baseline.first_ms,
        family.explained,
        family.looked_e.tobytes(),
    )
    out[_encode(("fam", *name))] = _encode((head, cusums))
    for kind, number in family.changed:
        key = _encode((kind, *name, number))
        if kind == "norm":
            seen = (family.baseline.hourly, family.daily.seen)
            pairs = [a.tobytes() for d in seen for a in (d.excess, d.weight)]
            days = (family.daily.rate, family.daily.info, family.daily.stat)
            out[key] = _encode((pairs, [a.tobytes() for a in days]))
        elif kind == "row":
            row = family.baseline.rows.get(number)
            fields = None if row is None else (row.e.tobytes(), row.y.tobytes(), row.m.tobytes(), row.done)
            out[key] = None if fields is None else _encode(fields)
        elif kind == "wait":
            out[key] = _encode(family.admission.saved())
        elif kind == "block":
            block = family.window.blocks.get(number)
            out[key] = None if block is None else _encode(_pack_block(block))
        else:
            first = number * CHUNK
            leaves = family.lattice.leaves[first : first + CHUNK]
            out[key] = _encode(list(zip(leaves, family.lattice.minted[first : first + CHUNK], strict=True)))
    family.changed.clear()


def _pack_cusum(cusum: Cusum) -> tuple[Any, ...]:
    at = np.flatnonzero(cusum.live)
    return at.tolist(), cusum.y[:, at].tolist(), cusum.m[:, at].tolist(), cusum.start[:, at].tolist()


def _pack_block(block: Block) -> tuple[Any, ...]:
    failures = [(f.bin_ms, f.leaf, f.who, f.counted, f.explained) for f in block.failures]
    return block.exposed.tobytes(), failures, None if block.m is None else block.m.tobytes()


def _pack_live(live: Live) -> dict[str, Any]:
    packed = {name: getattr(live, name) for name in _LIVE}
    cause = [getattr(live.cause, name) for name in _CAUSE]
    return packed | {
        "pairs": live.pairs,
        "cohort": live.cohort,
        "changes": live.changes,
        "cause": cause,
        "cause_pairs": live.cause.pairs,
    }


def load(state: DetectState, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Fill an empty state from saved pairs, in any order."""
    kinds: dict[str, list[tuple[list[Any], bytes]]] = {}
    for key, value in items:
        kind, *rest = _decode(key)
        kinds.setdefault(kind, []).append((rest, value))
    for _, value in kinds.get("meta", []):
        state.partitions, through, state.clock_ms = _decode(value)
        state.through = dict(through)
        state.announced_ms = state.clock_ms
    for _, value in kinds.get("lines", []):
        state.waiting.load(_decode(value))
    for (bin_ms, line, family, partition), value in kinds.get("pending", []):
        (record,) = decode("cohort_count", (value,)).records
        state.pending.setdefault(bin_ms, {}).setdefault((line, family), {})[partition] = record
    state.bins = sorted(state.pending)
    for (line, name), value in kinds.get("fam", []):
        mine = {
            kind: {rest[2]: v for rest, v in kinds.get(kind, []) if rest[:2] == [line, name]}
            for kind in ("norm", "row", "block", "leaves", "wait")
        }
        family = _load_family(state, (line, name), _decode(value), mine)
        state.families[line, name] = family
        state.minted += sum(family.lattice.minted) if not is_drill(line) else 0
    for _, value in kinds.get("issue", []):
        live = _unpack_live(_decode(value))
        state.book.issues[live.issue_id] = live
    for (line, name, attribute, found), value in kinds.get("seen", []):
        state.book.familiar.first[line, name, attribute, found] = [(at, who) for at, who in _decode(value)]
    for (change_id,), value in kinds.get("change", []):
        state.book.changes[change_id] = Change.model_validate_json(value)


def _load_family(state: DetectState, key: Line, saved: Any, mine: dict[str, dict[int, bytes]]) -> Family:
    (attributes, as_of_ms, day_ms, first_ms, explained, looked), cusums = saved
    family = Family(*key, tuple(attributes), state.rules)
    for _, value in sorted(mine["leaves"].items()):
        for values, minted in _decode(value):
            family.lattice.leaf(tuple(values), minted)
    for _, waiting in _sorted(mine["wait"]):
        family.admission.load(waiting)
    rows = {
        hour: Row(_floats(packed[0]), _floats(packed[1]), _floats(packed[2]), packed[3])
        for hour, packed in _sorted(mine["row"])
    }
    hourly = Dispersion()
    for _, (pairs, days) in _sorted(mine["norm"]):
        arrays = [_floats(a) for a in pairs]
        hourly, family.daily.seen = Dispersion(*arrays[:2]), Dispersion(*arrays[2:])
        family.daily.rate, family.daily.info, family.daily.stat = map(_floats, days)
    family.baseline.restore(rows, hourly, first_ms)
    family.window.blocks = {start: _unpack_block(start, packed) for start, packed in _sorted(mine["block"])}
    family.window.recall()
    family.as_of_ms, family.daily.day_ms = as_of_ms, day_ms
    family.explained = [_pairs(pairs) for pairs in explained]
    family.looked_e = _floats(looked)
    family.restore_hidden()
    family.renew()
    for cusum, packed in zip((family.fast, family.slow, family.daily.cusum), cusums, strict=True):
        _unpack_cusum(cusum, packed)
    return family


def _sorted(packed: dict[int, bytes]) -> list[tuple[int, Any]]:
    return [(number, _decode(value)) for number, value in sorted(packed.items())]


def _unpack_cusum(cusum: Cusum, packed: Any) -> None:
    at, y, m, start = packed
    if at:
        cusum.y[:, at], cusum.m[:, at], cusum.start[:, at] = np.array(y), np.array(m), np.array(start)
        cusum.live[at] = True


def _unpack_block(start: int, packed: Any) -> Block:
    exposed, failures, m = packed
    leaves = np.frombuffer(exposed, dtype="<i8").copy()
    return Block(start, leaves, [Failure(*f) for f in failures], None if m is None else _floats(m))


def _unpack_live(packed: dict[str, Any]) -> Live:
    cause = Explanation(_pairs(packed.pop("cause_pairs")), *packed.pop("cause"))
    packed["recent"] = [tuple(r) for r in packed["recent"]]
    packed["changes"] = tuple(packed["changes"])
    packed["seen"], packed["named"] = tuple(packed.get("seen", ())), tuple(packed.get("named", ()))
    packed["pairs"], packed["cohort"] = _pairs(packed["pairs"]), _pairs(packed["cohort"])
    return Live(cause=cause, **packed)


def _pairs(packed: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in packed)


def _floats(packed: bytes) -> Floats:
    return np.frombuffer(packed, dtype="<f8").copy()
