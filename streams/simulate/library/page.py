"""The page about the incident library in docs/reference: every world with what is true about it."""

from __future__ import annotations

from collections.abc import Iterator

from streams.simulate.library.counts import COUNT_WORLDS
from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Outage, Reportable, Surge, Wrong
from streams.simulate.library.make import shown_by
from streams.simulate.library.world import WORLDS

_INTRODUCTION = """# Worlds of the incident library

Made by `make reference` from `streams/simulate/library`; do not edit.

A world is a made-up company for some time, with the truth about it. It follows from its name and a seed, byte for byte,
and its code shares nothing with what finds incidents. `cxwatch simulate --world NAME --out FOLDER` writes one as a
recording with `truth.json` beside it; `cxwatch replay world:NAME` replays it; `cxwatch evaluate` judges all. Worlds
marked *quick* run with the tests. Hours count from the start of the world. What shows an incident: failures; promises
that pass without a word (overdue); events that do not come (missing); contacts alone."""
_HEAD = "| world | family | days | what happens | to be reported | wrong to report |"


def page() -> str:
    """The page, in Markdown."""
    lines = [_INTRODUCTION, "", f"## {len(WORLDS)} worlds of events", ""]
    lines += [_HEAD, "|---|---|---|---|---|---|"]
    lines += [_row(world) for world in WORLDS.values()]
    lines += ["", f"## {len(COUNT_WORLDS)} null worlds of counts", ""]
    lines += [
        "Closed counts per bin for detection alone, without any incident: the false alarms of years. Failure rates",
        "wander from hour to hour, and some customers fail again and again.",
        "",
        "| world | days | signal | what it is | exposed an hour | failing |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{one.name}` | {one.days} | {one.signal} | {one.says} | {one.per_hour:g} | {one.failing:.1%} |"
        for one in COUNT_WORLDS.values()
    ]
    return "\n".join(lines) + "\n"


def _row(world: World) -> str:
    name = f"`{world.name}`" + (" *quick*" if "quick" in world.tags else "")
    true = "<br>".join(text for firm in world.firms for text in _incidents(firm))
    wrong = "<br>".join(text for firm in world.firms for text in _wrong(firm))
    days = f"{world.firms[0].days:g}"
    return f"| {name} | {world.family} | {days} | {world.says} | {true or 'nothing'} | {wrong} |"


def _incidents(firm: Firm) -> Iterator[str]:
    for one in firm.of(Reportable):
        if one.part_of:
            continue
        signals, evidence = shown_by(one)
        what = "/".join(signals) or "any signal"
        where = ", ".join(f"{name} {' or '.join(values)}" for name, values in one.where.items()) or "everywhere"
        weight = "severe" if one.severe else "minor"
        yield f"{one.id} ({weight}): {firm.line} {what}, {where}, h {one.starts:g} to {one.ends:g}, by {evidence}"


def _wrong(firm: Firm) -> Iterator[str]:
    for one in firm.happens:
        if isinstance(one, Wrong | Surge):
            yield f"h {one.starts:g} to {one.ends:g}: {one.why}"
        elif isinstance(one, Outage):
            yield f"h {one.starts:g} to {one.ends:g}: {one.noun} data are missing"
