"""What a customer allows, worked out from the records about that customer in the order in which they were appended.

A withdrawal (opted out, a consent refused, a consent that was there and is absent now) holds whatever its time says,
until a grant is appended after it that is stamped more than :data:`CLOCK_TOLERANCE_MS` later: clocks differ, and where
it is undecided which of the two came first, nobody is contacted. Everything else about a profile is that of the newest
stamp. A record that cannot be read may be a withdrawal: it blocks until a readable one newer than the last known one.
An erasure leaves only that there is nobody to contact.
"""

from __future__ import annotations

import msgspec

from schemas.events import Customer
from streams.core.context import CustomerUpdate, Erasure, Unreadable

CLOCK_TOLERANCE_MS = 300_000
"""Clocks of two producers may differ by this much; what is closer counts in favour of the withdrawal."""
ALL = "*"
"""The scope of ``opted_out``; every other scope is a channel."""


class Profile(msgspec.Struct, frozen=True):
    """The part of a customer's profile that decides about contact. Addresses are opaque tokens."""

    updated_at_ms: int
    language: str = "en"
    time_zone: str = ""
    opted_out: bool = False
    consents: tuple[tuple[str, bool], ...] = ()
    """Channel -> granted, for purpose ``service``; one refusal of a channel beats every grant of it."""
    addresses: tuple[tuple[str, str], ...] = ()
    """Channel -> token, in the customer's order of preference."""
    withdrawn: tuple[tuple[str, int], ...] = ()
    """Scope -> time of its withdrawal, for those that an earlier record made and that still hold."""
    unreadable: bool = False
    """A later record cannot be read: it may be a withdrawal."""
    erased: bool = False
    """Everything about the customer was erased by ``updated_at_ms`` (append time); nothing else is kept."""

    @property
    def withdrawals(self) -> dict[str, int]:
        """Scope -> time of every withdrawal that holds."""
        found = {channel: self.updated_at_ms for channel, granted in self.consents if not granted}
        if self.opted_out:
            found[ALL] = self.updated_at_ms
        for scope, at_ms in self.withdrawn:
            found[scope] = max(at_ms, found.get(scope, at_ms))
        return found


def profile_of(customer: Customer) -> Profile:
    """Reduce a customer record to its contact policy."""
    granted: dict[str, bool] = {}
    for consent in customer.consents:
        if consent.purpose == "service":
            granted[consent.channel] = granted.get(consent.channel, True) and consent.granted
    return Profile(
        updated_at_ms=customer.updated_at_ms,
        language=customer.language,
        time_zone=customer.time_zone,
        opted_out=customer.opted_out,
        consents=tuple(sorted(granted.items())),
        addresses=tuple((address.channel, address.token) for address in customer.addresses),
    )


def profile_after(old: Profile | None, update: CustomerUpdate, appended_ms: int | None = None) -> Profile:
    """What is known after one more record, appended after everything in ``old`` (at ``appended_ms``, if known)."""
    if isinstance(update, Unreadable):
        return msgspec.structs.replace(old or Profile(0), unreadable=True)
    if isinstance(update, Erasure):
        at_ms = max(update.erased_at_ms, old.updated_at_ms if old and old.erased else 0)
        return Profile(at_ms, erased=True)
    return newer(old, profile_of(update), appended_ms)


def newer(old: Profile | None, new: Profile, appended_ms: int | None = None) -> Profile:
    """:func:`profile_after` for a readable record.

    ``appended_ms`` unmasks an ``old`` profile that claims to be from the future of the new one (earlier versions kept
    such): it hides nothing.
    """
    if old is None:
        return new
    if old.erased:
        return _after_erasure(old, new)
    if appended_ms is not None and old.updated_at_ms > appended_ms + CLOCK_TOLERANCE_MS:
        old = _dated(old, appended_ms)
    base = new if new.updated_at_ms >= old.updated_at_ms else old
    return msgspec.structs.replace(
        base,
        withdrawn=tuple(sorted(_withdrawn(old, new).items())),
        unreadable=old.unreadable and new.updated_at_ms <= old.updated_at_ms,
    )


def _after_erasure(old: Profile, new: Profile) -> Profile:
    """Only a profile that is surely later starts afresh; of any other only its withdrawals count."""
    if new.updated_at_ms > old.updated_at_ms + CLOCK_TOLERANCE_MS:
        return new
    return Profile(max(old.updated_at_ms, new.updated_at_ms), erased=True) if new.withdrawals else old


def read_again(old: Profile, update: CustomerUpdate) -> Profile:
    """What is known after a record that ``old`` already takes into account as far as it withdraws or grants.

    For a reader that keeps withdrawals but reads profiles anew: only the newest profile is taken over.
    """
    if not isinstance(update, Customer) or old.erased or update.updated_at_ms < old.updated_at_ms:
        return old
    held = tuple(sorted(old.withdrawals.items()))
    return msgspec.structs.replace(profile_of(update), withdrawn=held, unreadable=old.unreadable)


def _dated(old: Profile, at_ms: int) -> Profile:
    """A profile with an impossible time: its withdrawals count from now, anything newer replaces the rest."""
    held = {scope: min(stamp, at_ms) for scope, stamp in old.withdrawals.items()}
    return msgspec.structs.replace(old, updated_at_ms=0, withdrawn=tuple(sorted(held.items())))


def _withdrawn(old: Profile, new: Profile) -> dict[str, int]:
    """The withdrawals that hold after ``new``, but for those that say so themselves by being in it."""
    at_ms, stated = new.updated_at_ms, dict(new.consents)
    grants = {channel for channel, granted in new.consents if granted} | (set() if new.opted_out else {ALL})
    held = {
        scope: stamp
        for scope, stamp in old.withdrawals.items()
        if scope not in grants or at_ms <= stamp + CLOCK_TOLERANCE_MS
    }
    refused = {channel for channel, granted in new.consents if not granted} | ({ALL} if new.opted_out else set())
    absent = {channel for channel, granted in old.consents if granted and channel not in stated}
    for scope in refused | absent:
        held[scope] = max(at_ms, held.get(scope, at_ms))
    return held
