"""Worlds that show in contacts: complaints in codes or in words, crowds that mean no harm, a call centre too small."""

from __future__ import annotations

from dataclasses import replace

from schemas.topics import MINUTE_MS
from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Announced, Batches, Complaints, Overload, Surge
from streams.simulate.library.rhythm import OFFICE_DAY, OFFICE_WEEK, Rhythm

QUICK = frozenset({"quick"})
DESK = Firm(days=4.0, sessions=120.0, orders=30.0, contacts=150.0)
COMPLAINTS_ONLY = Firm(
    line="bank", days=120.0, contacts=14.0, complaint_share=1.0, rhythm=Rhythm(OFFICE_DAY, OFFICE_WEEK),
    beat_ms=10 * MINUTE_MS,
)


def _in_words(language: str, says: str, topic: str, languages: tuple[str, ...]) -> World:
    trouble = Complaints(id="in words", starts=33.0, ends=39.0, per_hour=90.0, reason=topic, where={"region": ("DE",)})
    return World(
        f"words_only_{language}", "contacts", says, (replace(DESK, days=2.0, words=languages, happens=(trouble,)),),
        QUICK if language == "de" else frozenset(),
    )


WORLDS = (
    World(
        "complaints_only_in_codes", "contacts", "Nothing but contacts about the app says that it is broken in France.",
        (replace(DESK, happens=(
            Complaints(id="app", starts=60.0, ends=66.0, per_hour=80.0, reason="app", where={"region": ("FR",)}),
        )),),
    ),
    _in_words("en", "Contacts without reason codes: in English, that paying fails.", "payment", ("en",)),
    _in_words("de", "Contacts without reason codes: in German, that parcels are lost.", "delivery", ("de",)),
    _in_words("zh", "Contacts without reason codes: in Chinese, that the app crashes.", "app", ("zh",)),
    _in_words("mixed", "Contacts without reason codes, in three languages.", "app", ("en", "de", "zh")),
    World(
        "call_centre_overload", "contacts", "For an evening nobody answers: waits are twelve times as long.",
        (replace(DESK, happens=(Overload(id="overload", starts=64.0, ends=69.0, severe=False, cost=900),)),),
    ),
    World(
        "complaint_feed", "contacts", "A feed of complaints alone, four months as they usually are.",
        (COMPLAINTS_ONLY,),
    ),
    World(
        "complaint_feed_in_trouble", "contacts", "Complaints alone; for three days they triple in one country.",
        (replace(COMPLAINTS_ONLY, happens=(
            Complaints(id="fees", starts=2_000.0, ends=2_072.0, per_hour=14.0, where={"region": ("DE",)},
                       severe=False),
        )),),
    ),
    World(
        "contacts_days_late", "contacts", "Contacts come once a day, each fourth batch two days late; the app fails.",
        (replace(DESK, days=8.0, sessions=60.0, orders=15.0, contacts=80.0, happens=(
            Batches("contact", 24.0, 48.0),
            Complaints(id="app", starts=100.0, ends=110.0, per_hour=70.0, reason="app", where={"region": ("FR",)}),
        )),),
    ),
    World(
        "campaign", "crowds", "A campaign brings four times the orders and questions in one country.",
        (replace(DESK, days=2.0, happens=(
            Announced("campaign", 33.0, "Spring campaign", {"region": "FR"}),
            Surge("orders", 33.0, 39.0, 120.0, "a campaign", where={"region": ("FR",)}),
            Surge("sessions", 33.0, 39.0, 500.0, "a campaign", where={"region": ("FR",)}),
            Surge("contacts", 33.0, 39.0, 200.0, "a campaign", topic="campaign", where={"region": ("FR",)}),
        )),), QUICK,
    ),
    World(
        "praise", "crowds", "Many people say at once how happy they are.",
        (replace(DESK, words=("en", "de"), happens=(
            Surge("contacts", 60.0, 66.0, 400.0, "praise", topic="praise"),
        )),),
    ),
    World(
        "prize_draw", "crowds", "A prize draw: thousands of mails with an answer.",
        (replace(DESK, happens=(
            Surge("contacts", 60.0, 84.0, 500.0, "a prize draw", topic="prize", channel="email"),
        )),),
    ),
    World(
        "meme", "crowds", "A joke about the company goes round; it sounds like trouble.",
        (replace(DESK, words=("en",), happens=(
            Surge("contacts", 62.0, 68.0, 600.0, "a joke", topic="meme", channel="social"),
        )),),
    ),
)  # fmt: skip
