"""What the app and the devices in homes tell: sessions of a few steps, and regular reports."""

from __future__ import annotations

import numpy as np

from streams.simulate.library.draws import Draws, Ints, Mask
from streams.simulate.library.firm import Scene, combined
from streams.simulate.library.happens import Fault, Flood, Missing, Release
from streams.simulate.library.rhythm import moments
from streams.simulate.library.rows import Coded, Rows, Written, inside_json

STEPS = (
    ("app_start", "home", "start"), ("search", "catalog", "find"), ("product_view", "catalog", "find"),
    ("add_to_cart", "checkout", "buy"), ("checkout_submit", "checkout", "buy"), ("track_order", "orders", "wait"),
)  # fmt: skip
SOURCES = {"android": "app-android", "ios": "app-ios", "web": "web"}
_OUTCOMES = (b'"outcome":"ok"', b'"outcome":"failed","error_code":"TIMEOUT"')
_HUB = "Hub 2"


def sessions(scene: Scene) -> list[Rows]:
    """Sessions of one to six steps; a step fails by itself now and then, or by a fault."""
    start_ms, visitor, _ = scene.moments("sessions", scene.firm.sessions)
    draws = scene.draws("steps")
    depth = np.minimum(1 + draws.waits(2.2, len(start_ms)).astype(np.int64), len(STEPS))
    session = np.repeat(np.arange(len(start_ms)), depth)
    step = np.arange(len(session)) - np.repeat(np.cumsum(depth) - depth, depth)
    pause = np.where(step > 0, 2_000 + draws.waits(30_000.0, len(session)), 0.0).astype(np.int64)
    gone_ms = np.cumsum(pause)
    first = gone_ms[np.flatnonzero(step == 0)]
    at_ms, who = start_ms[session] + gone_ms - first[session], visitor[session]
    columns = _attributes(scene, draws, at_ms, who, step)
    there = _there(scene, draws, "sessions", at_ms, who, columns)
    at_ms, who, session, step = at_ms[there], who[there], session[there], step[there]
    columns = {name: column.at(there) for name, column in columns.items()}
    outcome, texts = _outcomes(scene, "app", scene.firm.app_failing, at_ms, who, columns)
    names, codes = combined(columns[name] for name in ("app_version", "platform", "device_model", "region", "plan"))
    persons = [_person(scene.firm.line, *labels) for labels in names]
    steps = [inside_json({"event_name": n, "component": c, "journey_stage": s}) for n, c, s in STEPS]
    template = b'%%b,%%b,%%b,"session_id":"s%d-%%d"' % scene.number
    fields = (Written(persons, codes), Written(steps, step), Written(texts, outcome), session)
    return [_rows(scene, "t", at_ms, who, template, fields, columns)]


def reports(scene: Scene) -> list[Rows]:
    """Devices in homes report regularly, each with a phase of its own."""
    firm, draws, people = scene.firm, scene.draws("reports"), scene.people
    hubs = min(max(int(firm.hubs * scale_of(scene)), 20), len(people.ids))
    beats = np.arange(firm.at(firm.opens), firm.ends_ms, firm.report_ms)
    phase = draws.whole(0, firm.report_ms, hubs)
    at_ms = (beats[:, None] + phase[None, :]).ravel() + draws.whole(0, 2_000, len(beats) * hubs)
    who = np.tile(np.arange(hubs), len(beats))
    columns = {"region": people.region.at(who), "lot": people.lot.at(who), "firmware": people.firmware.at(who)}
    there = _there(scene, draws, "reports", at_ms, who, columns)
    at_ms, who = at_ms[there], who[there]
    columns = {name: column.at(there) for name, column in columns.items()}
    outcome, texts = _outcomes(scene, "report", firm.app_failing / 5.0, at_ms, who, columns)
    names, codes = combined(columns.values())
    homes = [_home(firm.line, *labels) for labels in names]
    fields = (Written(homes, codes), Written(texts, outcome))
    return [_rows(scene, "h", at_ms, who, b"%b,%b", fields, columns)]


def floods(scene: Scene) -> list[Rows]:
    """A producer gone wrong: each event has a version of its own."""
    found = []
    for number, flood in enumerate(scene.firm.of(Flood)):
        draws, firm = scene.draws(f"flood {number}"), scene.firm
        rate = flood.per_hour * scene.scale
        at_ms = moments(draws, firm.rhythm, rate, firm.at(flood.starts), firm.at(flood.ends))
        who = scene.people.who(draws, len(at_ms))
        body = {"source": "partner-feed", "product": firm.line, "event_name": "app_start", "outcome": "ok"}
        template = inside_json(body) + b',"app_version":"build-%d"'
        found.append(_rows(scene, f"f{number}", at_ms, who, template, (np.arange(len(at_ms)),), {}))
    return found


def scale_of(scene: Scene) -> float:
    """By how much the world is smaller than declared, at most as large."""
    return min(scene.scale, 1.0)


def _rows(
    scene: Scene, letter: str, at_ms: Ints, who: Ints, template: bytes, fields: tuple[Ints | Written, ...],
    columns: dict[str, Coded],
) -> Rows:  # fmt: skip
    rows = Rows("telemetry", scene.prefix(letter), at_ms, who, template, fields, columns, ids=scene.people.ids)
    return rows.sent(scene.draws(f"network {letter}"), scene.firm.ends_ms)


def _attributes(scene: Scene, draws: Draws, at_ms: Ints, who: Ints, step: Ints) -> dict[str, Coded]:
    people = scene.people
    return {
        "app_version": _version(scene, draws, at_ms, who),
        "platform": people.platform.at(who),
        "device_model": people.model.at(who),
        "region": people.region.at(who),
        "plan": people.plan.at(who),
        "component": Coded([component for _, component, _ in STEPS], step),
        "event_name": Coded([name for name, _, _ in STEPS], step),
    }


def _version(scene: Scene, draws: Draws, at_ms: Ints, who: Ints) -> Coded:
    """The version that each customer had at the time: releases reach one device after the other."""
    people = scene.people
    labels, codes = list(people.version.labels), people.version.codes[who]
    for release in scene.firm.of(Release):
        labels.append(release.version)
        waits = draws.waits(release.hours, len(people.ids))
        reached = scene.firm.at(release.starts) + (waits * 3_600_000).astype(np.int64)
        newer = (at_ms >= reached[who]) & people.platform.among((release.platform,))[who]
        codes = np.where(newer, len(labels) - 1, codes)
    return Coded(labels, codes)


def _there(
    scene: Scene, draws: Draws, stream: str, at_ms: Ints, who: Ints, columns: dict[str, Coded]
) -> Mask:  # fmt: skip
    """What comes at all."""
    there = np.ones(len(at_ms), dtype=np.bool_)
    for missing in scene.firm.of(Missing):
        if missing.stream == stream:
            gone = scene.concerned(missing, at_ms, columns) & draws.chance(missing.share, len(at_ms))
            scene.hit(missing, who[gone], at_ms[gone])
            there &= ~gone
    return there


def _outcomes(
    scene: Scene, trouble: str, usual: float, at_ms: Ints, who: Ints, columns: dict[str, Coded]
) -> tuple[Ints, list[bytes]]:
    """How each event ended, as a number, and what is written for each number."""
    draws, texts = scene.draws(f"{trouble} outcomes"), list(_OUTCOMES)
    outcome = draws.chance(usual, len(at_ms)).astype(np.int64)
    for fault in scene.firm.of(Fault):
        if fault.trouble == trouble:
            struck = scene.strike(fault, draws, at_ms, columns)
            scene.hit(fault, who[struck], at_ms[struck])
            outcome[struck] = len(texts)
            texts.append(inside_json({"outcome": "failed", "error_code": fault.code}))
    return outcome, texts


def _person(line: str, version: str, platform: str, model: str, region: str, plan: str) -> bytes:
    return inside_json({
        "source": SOURCES[platform], "product": line, "app_version": version, "platform": platform,
        "device_model": model, "region": region, "attributes": {"plan": plan},
    })  # fmt: skip


def _home(line: str, region: str, lot: str, firmware: str) -> bytes:
    return inside_json({
        "source": "gateway", "product": line, "component": "gateway", "platform": "hub", "device_model": _HUB,
        "region": region, "firmware": firmware, "attributes": {"lot": lot}, "event_name": "report",
    })  # fmt: skip
