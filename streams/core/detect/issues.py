"""The life of an issue: suspected -> open -> escalating -> recovering -> resolved, and regressed on a new onset.

    suspected   an alarm; cause revised with every failure; dropped if the evidence fades (it stays suspected, with a
                time of resolution, so that it can be told from an issue that was shown)
    open        shown and acted on: enough customers, EB05 >= 2, the cause settled; the cause is frozen
    escalating  the last 15 minutes are at least twice as bad as at opening
    recovering  normal is e^3 times as likely as half the incident's rate; back to open if failures return
    resolved    recovering for the hold time, and normal e^3 times as likely as a rate still 3 times normal (or an hour
                without any failure): "recovered". Or an operator said so ("resolved"), or it lasted so long that it is
                taken as the new normal ("accepted"); a suspicion that was never shown ends as "withdrawn"
    regressed   like open, when a resolved cause alarms again within two weeks: new onset, same root

Sequential likelihood ratios for the way down as for the way up (Wald 1945); hysteresis keeps it from flapping.
"""

from __future__ import annotations

import math
from dataclasses import replace

from schemas.events import Change
from schemas.issues import EndReason
from streams.core.detect.cusum import eb05
from streams.core.detect.explain import Explanation, explain
from streams.core.detect.familiar import Familiar
from streams.core.detect.family import Alarm, Family, Seen
from streams.core.detect.lattice import LINE
from streams.core.detect.live import Live, candidates, fingerprint, named_by
from streams.core.detect.rules import DAY_MS, HOUR_MS, MINUTE_MS, DetectRules

STILL_BAD = 3.0
"""Multiple of the usual rate against which "normal again" has to win before an issue is resolved."""
RECENT_MS = 15 * MINUTE_MS


class Book:
    """Every issue of the room that is live or may regress, and those that changed since they were last handed out."""

    def __init__(self, rules: DetectRules) -> None:
        """Start empty."""
        self.rules = rules
        self.issues: dict[str, Live] = {}
        self.changes: dict[str, Change] = {}
        self.familiar = Familiar()
        self.publish: set[str] = set()
        self.dirty: set[str] = set()

    # -- looking up -------------------------------------------------------------------------------------------------

    def of(self, family: Family) -> list[Live]:
        """Issues of a family that are not resolved, oldest first."""
        mine = [i for i in self.issues.values() if (i.line, i.family) == (family.line, family.family)]
        return sorted((i for i in mine if i.resolved_at_ms is None), key=lambda i: (i.detected_at_ms, i.issue_id))

    def _elsewhere(self, family: Family, now_ms: int) -> bool:
        """Is another family of the line in trouble, or was it until recently? Then contacts belong to that."""
        since = now_ms - self.rules.contact_tail_ms
        return any(
            i.line == family.line
            and i.family != "contact"
            and (i.resolved_at_ms is None or (i.resolved_at_ms >= since and i.rate > 0))
            for i in self.issues.values()
        )

    # -- one bin ----------------------------------------------------------------------------------------------------

    def review(self, family: Family, seen: Seen, end_ms: int) -> None:
        """After one bin of a family: follow its issues, judge its suspicion, take up its alarms."""
        for live in self.of(family):
            if live.shown:
                self._follow(live, family, seen, end_ms)
            elif live.scale_ms != DAY_MS and self._due(live, seen, end_ms):
                self._judge(live, family, end_ms)
        self._take_up(family, end_ms)

    def pass_time(self, family: Family, end_ms: int) -> None:
        """At the end of a block: the steps of the life cycle that need no failure."""
        self._take_up(family, end_ms)
        for live in self.of(family):
            if live.shown:
                self._age(live, family, end_ms)
            elif live.scale_ms != DAY_MS or end_ms % HOUR_MS == 0:
                self._judge(live, family, end_ms)
        for old in [i for i in self.issues.values() if self._forgotten(i, end_ms)]:
            del self.issues[old.issue_id]
            self.dirty.add(old.issue_id)

    def _due(self, live: Live, seen: Seen, end_ms: int) -> bool:
        """Is there something new about a suspicion: a failure, or its cause has just been the same for long enough?"""
        return bool(seen.failures) or live.updated_at_ms < live.settled_ms + self.rules.settle_ms <= end_ms

    def _forgotten(self, live: Live, end_ms: int) -> bool:
        keep = self.rules.regress_ms if live.rate > 0 else self.rules.window_ms
        told = live.issue_id not in self.publish
        return told and live.resolved_at_ms is not None and live.resolved_at_ms + keep < end_ms

    def _take_up(self, family: Family, end_ms: int) -> None:
        alarms, family.alarms = family.alarms, []
        if not alarms:
            return
        # One suspicion at a time, as each is explained by the strongest cause; a slow one must not hold up a fast one.
        waiting = {i.scale_ms == DAY_MS for i in self.of(family) if not i.shown}
        alarms = [a for a in alarms if (a.scale_ms == DAY_MS) not in waiting]
        if not alarms:
            return
        if family.family == "contact" and self._elsewhere(family, end_ms):
            return
        alarm = max(alarms, key=lambda a: (a.excess, -a.cohort))
        live = self._suspect(family, alarm, end_ms)
        if live.issue_id not in self.issues:
            self.issues[live.issue_id] = live
            self._judge(live, family, end_ms)

    def _suspect(self, family: Family, alarm: Alarm, end_ms: int) -> Live:
        cohort = family.lattice.cohorts[alarm.cohort]
        issue_id = fingerprint(family.line, family.family, cohort, end_ms - self.rules.bin_ms)
        nothing = Explanation((), 1.0, 1.0, 1.0, 0.0, 0, 0, 0.0)
        onset = max(alarm.onset_ms, end_ms - self.rules.window_ms)
        return Live(
            issue_id,
            issue_id,
            1,
            family.line,
            family.family,
            "suspected",
            (),
            nothing,
            cohort,
            onset,
            end_ms,
            end_ms,
            alarm.scale_ms,
            family.baseline.provisional,
            settled_ms=end_ms,
        )

    # -- suspected --------------------------------------------------------------------------------------------------

    def _judge(self, live: Live, family: Family, end_ms: int) -> None:
        """Explain the suspicion anew; open it when it passes the gate, drop it when nothing alarms any more."""
        rules = self.rules
        if live.scale_ms == DAY_MS:
            live.opened_at_ms = max(live.opened_at_ms, end_ms - rules.window_ms)
        table = family.table(live.opened_at_ms, family.rates(live.scale_ms))
        cause = explain(family.lattice.attributes, table, rules.explain)
        if cause.pairs != live.pairs or not live.settled_customers:
            live.pairs, live.settled_ms, live.settled_customers = cause.pairs, end_ms, max(cause.failed, 1)
        live.cause, live.observed, live.expected = cause, cause.failed, cause.expected
        live.changes = candidates(list(self.changes.values()), live, rules)
        self._recognise(live)
        self._touch(live, end_ms)
        if self._passes(live, family, end_ms):
            self._open(live, family, end_ms)
        elif self._idle(live, end_ms) or not self._alarming(live, family):
            live.resolved_at_ms, live.end_reason = end_ms, "withdrawn"
            family.forget(live.cohort)

    def _idle(self, live: Live, end_ms: int) -> bool:
        """Did the suspicion have its time? A daily one has all of it: to start anew would lose the ramp's foot."""
        return live.scale_ms != DAY_MS and end_ms - live.detected_at_ms > self.rules.suspect_ms

    def _alarming(self, live: Live, family: Family) -> bool:
        """Is the cohort that alarmed, or the present cause, still at half its threshold or more?"""
        index, half = family.lattice.cohort_index, family.limits[live.scale_ms] / 2
        cohorts = sorted({index.get(live.cohort, LINE), index.get(live.pairs, LINE)})
        return any(family.evidence(c, live.scale_ms, live.opened_at_ms) > half for c in cohorts)

    def _passes(self, live: Live, family: Family, end_ms: int) -> bool:
        rules, cause = self.rules, live.cause
        settled = (
            end_ms - live.settled_ms >= rules.settle_ms
            or cause.failed - live.settled_customers >= rules.settle_customers
        )
        if cause.failed < rules.customers or not settled or cause.open_question:
            return False
        if eb05(cause.failed, cause.expected) < rules.ratio_low:
            return False
        cohort = family.lattice.cohort_index.get(live.pairs, LINE)
        return family.evidence(cohort, live.scale_ms, live.opened_at_ms) > family.limits[live.scale_ms] / 2

    def _open(self, live: Live, family: Family, end_ms: int) -> None:
        index = family.lattice.cohort_index.get(live.pairs, LINE)
        starts = [s for c in (family.fast, family.slow) if (s := family.onset(c, index)) is not None]
        earliest = max(min([live.opened_at_ms, *starts]), end_ms - self.rules.window_ms)
        live.opened_at_ms = family.change_point(index, earliest)
        live.rate = max(float(family.rates(live.scale_ms)[index]), 1e-9)
        live.ratio = max(live.cause.failed / max(live.cause.expected, 1e-9), self.rules.ratio_low)
        live.last_failure_ms = end_ms
        live.state, live.shown_at_ms = "open", end_ms
        root = self._root(live)
        if root is not None:
            live.root_id, live.onset, live.state = root.root_id, root.onset + 1, "regressed"
        self._recognise(live)
        family.explain_away(live.pairs, live.opened_at_ms)
        self._touch(live, end_ms)

    def _root(self, live: Live) -> Live | None:
        """The latest resolved onset of the same cause, if it is recent enough."""
        same = [
            i
            for i in self.issues.values()
            if i.resolved_at_ms is not None
            and i.rate > 0
            and i.issue_id != live.issue_id
            and (i.line, i.family, i.pairs) == (live.line, live.family, live.pairs)
            and i.resolved_at_ms + self.rules.regress_ms >= live.opened_at_ms
        ]
        return max(same, key=lambda i: (i.onset, i.resolved_at_ms or 0), default=None)

    # -- open and after ---------------------------------------------------------------------------------------------

    def _follow(self, live: Live, family: Family, seen: Seen, end_ms: int) -> None:
        """Count one bin of an open issue."""
        cohort = family.lattice.cohort_index.get(live.pairs, LINE)
        inside = (family.lattice.rows[seen.leaves] == cohort).any(axis=1)
        exposed = float(seen.exposed[inside].sum())
        if exposed == 0:
            return
        failed = sum(1 for f in seen.failures if cohort in f.counted)
        common = float(family.mean[cohort] / family.base[cohort])
        usual = exposed * live.rate
        m = usual * common
        live.observed += failed
        live.expected += usual
        live.cause = replace(live.cause, exposed=live.cause.exposed + int(exposed), failed=live.cause.failed + failed)
        half = max(live.ratio / 2, self.rules.ratio_low)
        live.fading = max(live.fading + (half - 1) * m - failed * math.log(half), 0.0)
        live.normal = max(live.normal + (STILL_BAD - 1) * m - failed * math.log(STILL_BAD), 0.0)
        live.recent.append((end_ms, failed, usual))
        if failed:
            live.last_failure_ms = end_ms
        self.dirty.add(live.issue_id)

    def _age(self, live: Live, family: Family, end_ms: int) -> None:
        """Move an open issue through its states; once per block. A muted one keeps its state and goes on counting."""
        rules = self.rules
        live.recent = [r for r in live.recent if r[0] > end_ms - RECENT_MS]
        if not live.muted:
            self._move(live, family, end_ms)
        if live.shown and end_ms - live.detected_at_ms > rules.accept_ms:
            self._resolve(live, family, end_ms, "accepted")
        self._touch(live, end_ms)

    def _move(self, live: Live, family: Family, end_ms: int) -> None:
        rules = self.rules
        if live.state == "recovering":
            if live.fading < rules.all_clear / 2:
                live.state, live.recovering_ms = "open", 0
            elif end_ms - live.recovering_ms >= self._hold(live) and self._over(live, end_ms):
                self._resolve(live, family, end_ms, "recovered")
        elif live.fading >= rules.all_clear:
            live.state, live.recovering_ms = "recovering", end_ms
        elif live.state in ("open", "regressed"):
            y, as_before = sum(r[1] for r in live.recent), sum(r[2] for r in live.recent) * live.ratio
            if y >= max(rules.customers, rules.escalate * as_before) and eb05(y, as_before, prior=4.0) >= 1.0:
                live.state = "escalating"

    def _hold(self, live: Live) -> int:
        """What took a day to see takes a day to be called over; a quiet hour of a noisy day proves nothing."""
        return DAY_MS if live.scale_ms == DAY_MS else self.rules.hold_ms

    def _over(self, live: Live, end_ms: int) -> bool:
        rules = self.rules
        silent = end_ms - live.last_failure_ms >= rules.quiet_ms and live.fading >= 2 * rules.all_clear
        return live.normal >= rules.all_clear or silent

    def _resolve(self, live: Live, family: Family, end_ms: int, reason: EndReason) -> None:
        live.state, live.resolved_at_ms, live.end_reason = "resolved", end_ms, reason
        family.readmit(live.pairs)
        self._touch(live, end_ms)

    # -- from outside -----------------------------------------------------------------------------------------------

    def resolve(self, issue_id: str, family: Family, at_ms: int) -> None:
        """An operator says that an issue is over."""
        live = self.issues[issue_id]
        if live.shown:
            self._resolve(live, family, at_ms, "resolved")
        elif live.resolved_at_ms is None:
            live.resolved_at_ms, live.end_reason = at_ms, "withdrawn"
            self._touch(live, at_ms)

    def learn(self, change: Change) -> None:
        """A change was announced: it may be a candidate cause of what is live."""
        self.changes[change.change_id] = change
        for live in self.issues.values():
            found = candidates(list(self.changes.values()), live, self.rules)
            named = named_by(self.changes.values(), live)
            if (found, named) != (live.changes, live.named):
                live.changes, live.named = found, named
                self._touch(live, live.updated_at_ms)

    def _recognise(self, live: Live) -> None:
        """Which values of the cause are the company's or its customers' own, not somebody's invention."""
        keys = {name: (live.line, live.family, name, value) for name, value in live.pairs}
        live.seen = tuple(name for name, key in keys.items() if self.familiar.before(key, live.opened_at_ms))
        live.named = named_by(self.changes.values(), live)

    def _touch(self, live: Live, end_ms: int) -> None:
        live.updated_at_ms = end_ms
        self.publish.add(live.issue_id)
        self.dirty.add(live.issue_id)
