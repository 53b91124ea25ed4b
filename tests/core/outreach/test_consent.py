"""Withdrawals, grants, wrong clocks, erasures: what a customer allows after any sequence of records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.events import Address, Consent, Customer
from streams.core.context import CustomerUpdate, Erasure, Unreadable
from streams.core.outreach.consent import CLOCK_TOLERANCE_MS, Profile, newer, profile_after, profile_of
from streams.core.outreach.policy import Way, way_to
from streams.core.outreach.preferences import Astray, Home, Preferences, ReadUpdate
from tests.core.match.world import DAY, HOUR, MINUTE, T0, customer

WEBHOOK = ("webhook",)
YES, NO = (Consent(channel="webhook", granted=True),), (Consent(channel="webhook", granted=False),)
SURE = CLOCK_TOLERANCE_MS + 1


def after(*records: CustomerUpdate) -> Profile:
    """What is known after these records, appended one a minute."""
    known: Profile | None = None
    for number, update in enumerate(records):
        known = profile_after(known, update, T0 + DAY + number * MINUTE)
    assert known is not None
    return known


def reach(*records: CustomerUpdate) -> str:
    """The reason why not, or the address."""
    way = way_to(after(*records), WEBHOOK)
    return way.address if isinstance(way, Way) else way


def at(minutes: int, **fields: Any) -> Customer:
    """A profile stamped so many minutes after midnight."""
    return customer(updated_at_ms=T0 + minutes * MINUTE, **fields)


def test_everything_but_a_withdrawal_is_that_of_the_newest_stamp() -> None:
    old, new = Profile(T0, language="de"), Profile(T0 + HOUR, language="fr")
    assert newer(old, new).language == newer(new, old).language == "fr"
    assert newer(None, old) == old


@pytest.mark.parametrize(
    ("withdrawal", "reason"),
    [({"opted_out": True}, "opted_out"), ({"consents": NO}, "no_consent"), ({"consents": ()}, "no_consent")],
)
def test_a_withdrawal_holds_until_a_grant_is_appended_after_it_and_stamped_surely_later(
    withdrawal: dict[str, Any], reason: str
) -> None:
    no, stamp = at(60, **withdrawal), T0 + 60 * MINUTE
    first = at(0)
    assert reach(first, no) == reason
    assert reach(first, no, at(30)) == reason, "a stale grant"
    assert reach(first, no, customer(updated_at_ms=stamp + CLOCK_TOLERANCE_MS)) == reason, "within the doubt"
    assert reach(first, no, customer(updated_at_ms=stamp + SURE)) == "a-c-1"
    assert reach(first, at(90), no) == reason, "the grant was appended before, whatever its stamp says"
    assert reach(first, at(90), no, at(90)) == "a-c-1"


def test_a_consent_that_never_was_there_is_no_withdrawal() -> None:
    assert reach(at(0, consents=()), at(1)) == "a-c-1"


def test_each_channel_is_withdrawn_and_granted_for_itself() -> None:
    def both(webhook: bool, email: bool) -> dict[str, Any]:
        return {"consents": (Consent(channel="webhook", granted=webhook), Consent(channel="email", granted=email))}

    known = after(at(0, **both(True, True)), at(60, **both(False, True)), at(120, **both(True, False)))
    assert known.withdrawals == {"email": T0 + 120 * MINUTE}
    assert way_to(known, WEBHOOK) == Way("webhook", "a-c-1")


def test_a_profile_of_2099_in_an_old_state_hides_no_later_opt_out() -> None:
    masked = profile_of(customer(updated_at_ms=T0 + 73 * 365 * DAY))
    known = newer(masked, profile_of(at(60, opted_out=True)), T0 + HOUR)
    assert way_to(known, WEBHOOK) == "opted_out"
    assert known.updated_at_ms == T0 + HOUR
    later = newer(known, profile_of(at(120)), T0 + 2 * HOUR)
    assert way_to(later, WEBHOOK) == Way("webhook", "a-c-1")


def test_an_opt_out_of_2099_in_an_old_state_holds_until_a_later_grant_but_not_for_ever() -> None:
    masked = profile_of(customer(updated_at_ms=T0 + 73 * 365 * DAY, opted_out=True))
    first = newer(masked, profile_of(at(60)), T0 + HOUR)
    assert way_to(first, WEBHOOK) == "opted_out", "it was appended at some time before"
    assert way_to(newer(first, profile_of(at(70)), T0 + 70 * MINUTE), WEBHOOK) == Way("webhook", "a-c-1")


def test_an_unreadable_profile_blocks_until_a_readable_one_newer_than_the_last_known() -> None:
    unreadable = Unreadable("c-1")
    assert reach(at(60), unreadable) == "unreadable"
    assert reach(at(60), unreadable, at(60)) == "unreadable"
    assert reach(at(60), unreadable, at(30)) == "unreadable"
    assert reach(at(60), unreadable, at(61)) == "a-c-1"
    assert reach(unreadable) == "unreadable"
    assert reach(unreadable, at(0)) == "a-c-1"
    assert reach(at(0, opted_out=True), unreadable) == "opted_out"


def test_an_erasure_leaves_only_that_there_is_nobody_to_tell_and_a_stale_profile_brings_nothing_back() -> None:
    gone = Erasure("c-1", T0 + HOUR)
    known = after(at(0), gone)
    assert known == Profile(T0 + HOUR, erased=True)
    assert way_to(known, WEBHOOK) == "erased"
    assert after(at(0), gone, at(30)) == known
    assert after(at(0), gone, customer(updated_at_ms=T0 + HOUR + CLOCK_TOLERANCE_MS)) == known
    assert reach(at(0), gone, customer(updated_at_ms=T0 + HOUR + SURE)) == "a-c-1", "a new customer of that name"


# ---- any sequence, read live, after restarts, and compacted -------------------------------------------------------


class Reader:
    """The sender's view: it keeps what its preferences say has to be kept, and reads the log anew after a restart."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.preferences = Preferences()
        self.read = 0

    def hear(self, log: list[ReadUpdate]) -> None:
        """Read on to the end."""
        for row in log:
            if row.offset >= self.read:
                kept = self.preferences.take(row)
                self.read = row.offset + 1
                if kept is not None:
                    self.kept[row.update.customer_id] = kept

    def restart(self) -> None:
        """Lose everything but what was kept."""
        self.preferences, self.read = Preferences(), 0
        for name, kept in self.kept.items():
            self.preferences.restore(name, kept)

    def way(self) -> Way | str:
        """May the customer be told?"""
        profile = self.preferences.profiles.get("c-1")
        return "no_profile" if profile is None else way_to(profile, WEBHOOK)


def compacted(log: list[ReadUpdate], upto: int) -> list[ReadUpdate]:
    """The log after the cleaner went over its first ``upto`` records: the last of the one key among them stays."""
    return [*log[:upto][-1:], *log[upto:]]


stamps = st.sampled_from([0, 1, 4, 5, 6, 10, 60, 61, 66, 120, 50 * 525_600]) | st.integers(0, 200)
records: st.SearchStrategy[CustomerUpdate] = st.one_of(
    st.builds(at, stamps),
    st.builds(lambda minute: at(minute, opted_out=True), stamps),
    st.builds(lambda minute: at(minute, consents=NO), stamps),
    st.builds(lambda minute: at(minute, consents=()), stamps),
    st.just(Erasure("c-1", 0)),
    st.just(Unreadable("c-1")),
)


def appended(updates: list[CustomerUpdate]) -> list[ReadUpdate]:
    """A log of these, one every 20 minutes, as it is read: what claims to be from the future is not."""
    rows = []
    for offset, one in enumerate(updates):
        at_ms = T0 + offset * 20 * MINUTE
        read: CustomerUpdate = Erasure("c-1", at_ms) if isinstance(one, Erasure) else one
        if isinstance(one, Customer) and one.updated_at_ms > at_ms + CLOCK_TOLERANCE_MS:
            read = Unreadable("c-1")
        rows.append(ReadUpdate(read, offset, at_ms))
    return rows


def forbidden(log: list[ReadUpdate]) -> bool:
    """The rule said a second time, without folding: some withdrawal that nothing appended after it takes back."""
    for index, row in enumerate(log):
        later = [one.update for one in log[index + 1 :]]
        grants = [update for update in later if isinstance(update, Customer)]
        if isinstance(row.update, Erasure) and not any(
            update.updated_at_ms > row.update.erased_at_ms + CLOCK_TOLERANCE_MS for update in grants
        ):
            return True
        if isinstance(row.update, Customer) and (row.update.opted_out or row.update.consents == NO):
            wanted = [one for one in grants if not one.opted_out and (row.update.opted_out or one.consents == YES)]
            erased = any(isinstance(update, Erasure) for update in later)  # an erasure ends what was before it
            since_ms = row.update.updated_at_ms + CLOCK_TOLERANCE_MS
            if not erased and not any(update.updated_at_ms > since_ms for update in wanted):
                return True
    return False


@given(st.lists(records, min_size=1, max_size=9), st.data())
@example([at(60, opted_out=True), at(0)], None)
@example([at(90), at(60, opted_out=True)], None)
def test_no_view_of_any_history_allows_a_send_after_a_withdrawal_that_holds(
    updates: list[CustomerUpdate], data: Any
) -> None:
    log = appended(updates)
    live, restarted = Reader(), Reader()
    for size in range(1, len(log) + 1):
        live.hear(log[:size])
        cleaned = data.draw(st.integers(0, size), "compacted up to") if data is not None else size
        restarted.hear(log[:size])
        restarted.restart()
        restarted.hear(compacted(log[:size], cleaned))
        for reader in (live, restarted):
            if forbidden(log[:size]):
                assert isinstance(reader.way(), str)


@given(st.lists(records, min_size=1, max_size=9))
def test_reading_the_whole_log_again_changes_nothing(updates: list[CustomerUpdate]) -> None:
    log = appended(updates)
    reader = Reader()
    reader.hear(log)
    before, kept = reader.way(), dict(reader.kept)
    for _ in range(2):
        reader.restart()
        reader.hear(log)
        assert (reader.way(), reader.kept) == (before, kept)


@given(st.lists(records, min_size=1, max_size=9))
def test_a_permission_that_is_given_can_be_traced_to_the_newest_readable_profile(updates: list[CustomerUpdate]) -> None:
    known: Profile | None = None
    read = [row.update for row in appended(updates)]
    for one in read:
        known = profile_after(known, one)
    assert known is not None
    if isinstance(way_to(known, WEBHOOK), Way):
        ends = [number for number, one in enumerate(read) if isinstance(one, Erasure)]
        profiles = [one for one in read[max(ends, default=0) :] if isinstance(one, Customer)]
        newest = max(one.updated_at_ms for one in profiles)
        assert any(not one.opted_out and one.consents == YES and one.updated_at_ms == newest for one in profiles)


# ---- astray ---------------------------------------------------------------------------------------------------------


def test_what_lies_astray_is_waited_for_until_its_copy_is_heard() -> None:
    preferences = Preferences()
    preferences.await_home(Astray("c-1", 2, 7))
    preferences.await_home(Astray("c-1", 2, 9))
    preferences.await_home(Astray("c-2", 3, 1))
    assert preferences.counts()["astray"] == 2
    preferences.came_home(Home(2, 7))
    assert (preferences.awaits("c-1"), preferences.awaits("c-2")) == (True, True)
    preferences.came_home(Home(2, 9))
    assert (preferences.awaits("c-1"), preferences.awaits("c-2")) == (False, True)
    preferences.await_home(Astray("c-1", 2, 8))
    assert not preferences.awaits("c-1"), "its copy was heard before it was seen itself"


def test_a_kept_withdrawal_does_not_outlive_a_topic_that_was_made_anew() -> None:
    preferences = Preferences()
    kept = preferences.take(ReadUpdate(at(60, opted_out=True), 500, T0 + HOUR))
    assert kept is not None
    again = Preferences()
    again.restore("c-1", kept)
    again.take(ReadUpdate(at(2_000), 0, T0 + 2_000 * MINUTE))
    assert way_to(again.profiles["c-1"], WEBHOOK) == Way("webhook", "a-c-1")


def test_held_back_customers_are_counted_by_reason_without_naming_them() -> None:
    preferences = Preferences()
    rows: list[Customer | Unreadable | Erasure] = [
        customer("c-1", opted_out=True), Unreadable("c-2"), Erasure("c-3", T0), customer("c-4"),
    ]
    for offset, update in enumerate(rows):
        preferences.take(ReadUpdate(update, offset, T0 + DAY))
    assert preferences.counts() == {"withdrawn": 1, "unreadable": 1, "erased": 1, "astray": 0}
    preferences.take(ReadUpdate(customer("c-2", updated_at_ms=T0), 9, T0 + DAY))
    preferences.take(ReadUpdate(Erasure("c-1", T0 + DAY), 10, T0 + DAY))
    assert preferences.counts() == {"withdrawn": 0, "unreadable": 0, "erased": 2, "astray": 0}


def test_addresses_of_an_erased_customer_are_not_kept() -> None:
    preferences = Preferences()
    preferences.take(ReadUpdate(customer(addresses=(Address(channel="webhook", token="secret-token"),)), 0, T0))
    kept = preferences.take(ReadUpdate(Erasure("c-1", T0 + HOUR), 1, T0 + HOUR))
    assert "secret-token" not in repr((kept, preferences.profiles))


