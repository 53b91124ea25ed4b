"""What customers allow, as the sender knows it: profiles from the topic, withdrawals also from its own state.

The sender reads the customer topic anew at every start. Compaction may by then have dropped an opt-out behind a stale
grant, so what withdraws is stored (:class:`StoredProfile`) with the offset of the record that changed it last: records
up to that offset add nothing about withdrawals. A record that lies on another partition than its customer's is waited
for: outreach writes it again to the right one, and until that copy was read nobody knows what it says.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import msgspec

from streams.core.context import CustomerUpdate
from streams.core.outreach.consent import CLOCK_TOLERANCE_MS, Profile, profile_after, read_again


@dataclass(frozen=True, slots=True)
class ReadUpdate:
    """An update of a customer, its offset on the customer's own partition and its append time, ms since 1970 UTC."""

    update: CustomerUpdate
    offset: int
    appended_ms: int


@dataclass(frozen=True, slots=True)
class Astray:
    """A record about ``customer_id`` lies on ``partition``, which is not the customer's."""

    customer_id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Home:
    """Everything on ``partition`` up to ``offset`` that was astray has been written again where it belongs."""

    partition: int
    offset: int


class StoredProfile(msgspec.Struct, frozen=True):
    """What the ledger stores of one customer who has withdrawn something, cannot be read, or was erased."""

    known_ms: int
    """Time of the newest profile known."""
    withdrawn: tuple[tuple[str, int], ...]
    unreadable: bool
    erased: bool
    offset: int
    """Offset of the update that changed it last."""
    appended_ms: int

    def profile(self) -> Profile:
        """The profile, as far as it is stored."""
        return Profile(self.known_ms, withdrawn=self.withdrawn, unreadable=self.unreadable, erased=self.erased)

    def means(self) -> tuple[object, ...]:
        """What it states; it is stored again when that changes."""
        blocked = self.unreadable or self.erased
        return self.withdrawn, self.unreadable, self.erased, self.known_ms if blocked else 0

    def covers(self, read: ReadUpdate) -> bool:
        """True if this already takes ``read`` into account (a topic made anew begins at 0 again, much later)."""
        return read.offset <= self.offset and read.appended_ms <= self.appended_ms + CLOCK_TOLERANCE_MS


HELD_BACK = ("withdrawn", "unreadable", "erased", "astray")
"""Something was withdrawn, cannot be read, everything was erased, or an update still lies on a wrong partition."""
NOTHING = StoredProfile(0, (), unreadable=False, erased=False, offset=0, appended_ms=0).means()


class Preferences:
    """Of the customers of one partition. Not shared between threads."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.profiles: dict[str, Profile] = {}
        self._held_back: Counter[str] = Counter()
        self._stored: dict[str, StoredProfile] = {}
        self._brought: dict[int, int] = {}
        self._astray: dict[int, deque[Astray]] = {}
        self._awaited: Counter[str] = Counter()

    def restore(self, customer: str, stored: StoredProfile) -> None:
        """Take over what an earlier owner of the partition stored."""
        self._stored[customer] = stored
        self._know(customer, stored.profile())

    def take(self, read: ReadUpdate) -> StoredProfile | None:
        """Take in one update of the own partition, in order; returns what is to be stored if that changed."""
        update = read.update
        old, stored = self.profiles.get(update.customer_id), self._stored.get(update.customer_id)
        if old is not None and stored is not None and stored.covers(read):
            self._know(update.customer_id, read_again(old, update))
            return None
        profile = profile_after(old, update, read.appended_ms)
        self._know(update.customer_id, profile)
        return self._keep(profile, read)

    def _know(self, customer: str, profile: Profile) -> None:
        old = self.profiles.get(customer)
        if old is not None:
            self._held_back[_reason(old)] -= 1
        self.profiles[customer] = profile
        self._held_back[_reason(profile)] += 1

    def _keep(self, profile: Profile, read: ReadUpdate) -> StoredProfile | None:
        name, before = read.update.customer_id, self._stored.get(read.update.customer_id)
        withdrawals = tuple(sorted(profile.withdrawals.items()))
        stored = StoredProfile(
            profile.updated_at_ms, withdrawals, profile.unreadable, profile.erased, read.offset, read.appended_ms
        )
        if stored.means() == (before.means() if before is not None else NOTHING):
            return None
        self._stored[name] = stored
        return stored

    def await_home(self, record: Astray) -> None:
        """A record was seen where it does not belong: it counts from when its copy is read."""
        if record.offset > self._brought.get(record.partition, -1):
            self._astray.setdefault(record.partition, deque()).append(record)
            self._awaited[record.customer_id] += 1

    def came_home(self, home: Home) -> set[str]:
        """A copy was read; copies come in the order of the originals. Returns customers that await no further copy."""
        if home.offset <= self._brought.get(home.partition, -1):
            return set()
        self._brought[home.partition] = home.offset
        awaited = self._astray.get(home.partition, deque())
        named = set()
        while awaited and awaited[0].offset <= home.offset:
            named.add(awaited[0].customer_id)
            self._forget(awaited.popleft().customer_id)
        return {name for name in named if not self.awaits(name)}

    def _forget(self, customer: str) -> None:
        self._awaited[customer] -= 1
        if not self._awaited[customer]:
            del self._awaited[customer]

    def awaits(self, customer: str) -> bool:
        """True while an update about the customer lies on a wrong partition and its copy was not read yet."""
        return customer in self._awaited

    def counts(self) -> dict[str, int]:
        """How many customers are held back, by every reason in :data:`HELD_BACK`."""
        return {**{reason: self._held_back[reason] for reason in HELD_BACK}, "astray": len(self._awaited)}


def _reason(profile: Profile) -> str:
    if profile.erased:
        return "erased"
    if profile.unreadable:
        return "unreadable"
    return "withdrawn" if profile.withdrawals else ""

