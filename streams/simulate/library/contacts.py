"""Who gets in touch with the company, about what, and how it ends: by reason codes or in words only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from schemas.topics import MINUTE_MS
from streams.simulate.library.draws import Draws, Ints
from streams.simulate.library.firm import Scene, combined
from streams.simulate.library.happens import REASON_OF, Complaints, Fault, Missing, Overload, Reportable, Surge
from streams.simulate.library.rhythm import moments
from streams.simulate.library.rows import Coded, Rows, Written, inside_json
from streams.simulate.library.texts import LANGUAGES, TOPICS, texts

CHANNELS = {"phone": 0.40, "chat": 0.30, "email": 0.22, "social": 0.08}
COMPLAINTS = {"delivery": 0.36, "app": 0.24, "payment": 0.20, "complaint": 0.14, "technical": 0.06}
_PATIENCE_MS = 6 * MINUTE_MS
_WAIT_MS = 90_000.0
_CHANNELS = tuple(CHANNELS)


class Inquiries(NamedTuple):
    """Contacts in columns: topics and channels are indexes."""

    at_ms: Ints
    who: Ints
    topic: Ints
    channel: Ints


def contacts(scene: Scene) -> list[Rows]:
    """Everyday contacts, surges, complaints, and those whom an incident struck. Made last: others note who that is."""
    draws = scene.draws("contact reasons")
    found = [_everyday(scene, draws), *(_complaints(scene, one) for one in scene.firm.of(Complaints))]
    struck = [one for kind in (Fault, Missing) for one in scene.firm.of(kind)]
    found += [_about(scene, one) for one in struck]
    asked = Inquiries(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
    order = np.argsort(asked.at_ms, kind="stable")
    asked = Inquiries(*(column[order] for column in asked))
    return _events(scene, draws, asked)


def _everyday(scene: Scene, draws: Draws) -> Inquiries:
    at_ms, who, why = scene.moments("contacts", scene.firm.contacts)
    weights = [COMPLAINTS.get(topic, 0.0) * scene.firm.complaint_share for topic in TOPICS]
    weights[TOPICS.index("question")] = 1.0 - scene.firm.complaint_share
    topic, channel = draws.pick(weights, len(at_ms)), draws.pick(list(CHANNELS.values()), len(at_ms))
    for number, surge in enumerate(scene.firm.of(Surge)):
        topic = np.where(why == number, TOPICS.index(surge.topic), topic)
        if surge.channel:
            channel = np.where(why == number, _CHANNELS.index(surge.channel), channel)
    return Inquiries(at_ms, who, topic, channel)


def _complaints(scene: Scene, one: Complaints) -> Inquiries:
    """Contacts are all that shows it, and everybody who gets in touch is hit."""
    draws, firm = scene.draws(f"complaints {one.id}"), scene.firm
    at_ms = moments(draws, firm.rhythm, one.per_hour * scene.scale, firm.at(one.starts), firm.at(one.ends))
    who = scene.people.who(draws, len(at_ms), scene.people.those(one.where))
    scene.hit(one, who, at_ms)
    topic = np.full(len(at_ms), TOPICS.index(one.reason), dtype=np.int64)
    channel = draws.pick([float(name == one.channel or not one.channel) for name in _CHANNELS], len(at_ms))
    return Inquiries(at_ms, who, topic, channel)


def _about(scene: Scene, one: Reportable) -> Inquiries:
    """Some of those struck get in touch, minutes after their first failure; most stay silent."""
    draws = scene.draws(f"about {one.id}")
    who, first_ms = scene.first_hits(one)
    calls = draws.chance(one.contact_share, len(who))
    at_ms = first_ms + draws.whole(2 * MINUTE_MS, 40 * MINUTE_MS, len(who))
    reason = REASON_OF[one.trouble] if isinstance(one, Fault) else "technical"
    topic = np.where(draws.chance(0.15, len(who)), TOPICS.index("complaint"), TOPICS.index(reason))
    channel = draws.pick(list(CHANNELS.values()), len(who))
    return Inquiries(at_ms[calls], who[calls], topic[calls], channel[calls])


def _events(scene: Scene, draws: Draws, asked: Inquiries) -> list[Rows]:
    """Opened, then answered and resolved, or abandoned because nobody answers."""
    count = len(asked.at_ms)
    wait_ms = draws.waits(_WAIT_MS, count)
    for overload in scene.firm.of(Overload):
        busy = scene.during(overload, asked.at_ms)
        wait_ms = np.where(busy, wait_ms * overload.slower, wait_ms)
        lost = busy & (wait_ms > _PATIENCE_MS)
        scene.hit(overload, asked.who[lost], asked.at_ms[lost] + _PATIENCE_MS)
    lost = wait_ms > _PATIENCE_MS
    wait = np.minimum(wait_ms, _PATIENCE_MS).astype(np.int64)
    handle = 60_000 + draws.waits(240_000.0, count).astype(np.int64)
    body, numbers = _bodies(scene, asked), np.arange(count)
    columns = {"region": scene.people.region.at(asked.who), "reason": Coded(TOPICS, asked.topic)}
    late_ms = asked.at_ms + wait
    parts = []
    for prefix, status, rows, at_ms, name, value in (
        ("ko", "opened", numbers, asked.at_ms, "", wait),
        ("kb", "abandoned", np.flatnonzero(lost), late_ms, "wait_ms", wait),
        ("ka", "answered", np.flatnonzero(~lost), late_ms, "wait_ms", wait),
        ("kr", "resolved", np.flatnonzero(~lost), late_ms + handle, "handle_ms", handle),
    ):
        template = inside_json({"status": status, "source": "desk"})
        template += b',"contact_id":"k%d-%%d",%%b' % scene.number
        own: tuple[Ints | Written, ...] = (rows, Written(body.texts, body.codes[rows]))
        if name:
            template, own = template + b',"%b":%%d' % name.encode(), (*own, value[rows])
        else:
            template, own = template + b"%b", (*own, _words(scene, asked))
        picked = {key: column.at(rows) for key, column in columns.items()}
        made = Rows("contact", scene.prefix(prefix), at_ms[rows], asked.who[rows], template, own, picked)
        made.ids = scene.people.ids
        parts.append(made.sent(scene.draws(f"network {prefix}"), scene.firm.ends_ms))
    return parts


def _bodies(scene: Scene, asked: Inquiries) -> Written:
    """What every event of a contact says."""
    region, line = scene.people.region.at(asked.who), scene.firm.line
    names, codes = combined((Coded(_CHANNELS, asked.channel), Coded(TOPICS, asked.topic), region))
    bodies = []
    for channel, topic, code in names:
        body = {"channel": channel, "product": line, "region": code}
        bodies.append(inside_json(body if scene.firm.words else {**body, "reason": topic}))
    return Written(bodies, codes)


def _words(scene: Scene, asked: Inquiries) -> Written:
    """The words of those who write, where contacts have no reason codes."""
    count = len(asked.at_ms)
    if not scene.firm.words:
        return Written([b""], np.zeros(count, dtype=np.int64))
    draws = scene.draws("words")
    spoken = np.array([LANGUAGES.index(one) for one in scene.firm.words])
    language = spoken[draws.whole(0, len(spoken), len(scene.people.ids))][asked.who]
    unit, codes, ready = draws.unit(count), np.zeros(count, dtype=np.int64), list[bytes]()
    for topic, name in enumerate(TOPICS):
        for number in spoken.tolist():
            choices = texts(name, LANGUAGES[number])
            rows = (asked.topic == topic) & (language == number)
            codes[rows] = len(ready) + (unit[rows] * len(choices)).astype(np.int64)
            ready += [b"," + inside_json({"text": one, "language": LANGUAGES[number]}) for one in choices]
    return Written(ready, codes)
