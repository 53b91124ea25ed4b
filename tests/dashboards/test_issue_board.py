"""The board of one issue, its figures worked out a second time from the records of the made-up afternoon."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dashboards.boards import ISSUE
from dashboards.boards.runbooks import RUNBOOKS
from dashboards.grafana import dashboard
from dashboards.macros import Range, expand
from dashboards.palette import TONES
from schemas import events, findings
from schemas.currencies import money_text
from schemas.fields import Money
from schemas.issues import Issue
from schemas.signals import SIGNALS
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.seed import MINUTE, NOW, TROUBLES, Trouble, appended, batches, region_of, segment_of, value_of
from tests.sinks.examples import CAUSE, DAY, EVIDENCE, batch, euros, impact, issue, outreach

pytestmark = pytest.mark.clickhouse
SPAN = Range.ending(NOW, 6)
APP, _, PAY = TROUBLES
PROSE = ("headline", "later")
HOSTILE = ("it's \\' OR 1 = 1 --", "i-nobody")
Row = dict[str, Any]


def ask(client: ClickHouse, slug: str, chosen: str = "i-app", span: Range = SPAN) -> list[Row]:
    """Rows of one panel for one issue."""
    return client.query(expand(ISSUE.panel(slug).sql, span, {"issue": (chosen,)})).dicts()


def texts(client: ClickHouse, slug: str, chosen: str = "i-app") -> dict[str, str]:
    """A panel of items and what is said about each."""
    return {row["item"]: row["text"] for row in ask(client, slug, chosen)}


@cache
def afternoon_by_noun() -> dict[str, list[Row]]:
    """Every record of the afternoon, as it was written."""
    found: dict[str, list[Row]] = defaultdict(list)
    for one in batches():
        found[one.topic] += [json.loads(value) for value in one.values if value]
    return found


def recorded(noun: str) -> list[Row]:
    return afternoon_by_noun()[noun]


def of(noun: str, issue_id: str) -> list[Row]:
    return [row for row in recorded(noun) if row["issue_id"] == issue_id]


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def apart(ms: int) -> str:
    """A length of time below two hours, as the board puts it."""
    seconds = abs(ms) // 1000
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


def leaves(from_ms: int, to_ms: int) -> Iterator[tuple[int, bool, dict[str, str], int, int]]:
    """(bin, whether it has the cause of the app's issue, attributes, exposed, failed) of every leaf."""
    for record in recorded("cohort_count"):
        for leaf in record.get("leaves", ()):
            values = dict(zip(record["attributes"], leaf["values"], strict=True))
            if from_ms <= record["bin_ms"] < to_ms:
                inside = APP.cause.items() <= values.items()
                yield record["bin_ms"], inside, values, leaf["exposed"], len(leaf["failed"])


BEGAN = NOW - APP.began_min * MINUTE


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.issue_id)
def test_the_headline_says_what_since_when_who_what_it_costs_and_what_was_sent(
    seeded: ClickHouse, trouble: Trouble
) -> None:
    ((tone, sentence),) = [tuple(row.values()) for row in ask(seeded, "headline", trouble.issue_id)]
    cost = of("impact", trouble.issue_id)[-1]
    sent = len(of("delivery", trouble.issue_id))
    assert tone == ("plain" if trouble.over_min else "bad")
    assert sentence.startswith(f"{trouble.title}, shop. ")
    assert f"{trouble.affected} customers affected, {trouble.affected - trouble.contacted} of them silent." in sentence
    assert money_text(cost["at_risk"][0]["minor"], "EUR") + " at risk" in sentence
    assert ("more with every minute" in sentence) == (trouble.over_min is None)
    assert f"{sent} delivered" in sentence
    decided = Counter(row["decision"] for row in of("outreach", trouble.issue_id))
    for decision, words in (("hold", "held"), ("refuse", "refused"), ("hold_out", "held out")):
        assert f"{decided[decision]} {words}" in sentence


def test_grafana_colours_the_headline_as_its_tone_says(seeded: ClickHouse) -> None:
    (panel,) = [one for one in dashboard(ISSUE)["panels"] if one["title"] == "The issue"]
    defaults = panel["fieldConfig"]["defaults"]
    rules = [(one["options"]["pattern"], one["options"]["result"]["color"]) for one in defaults["mappings"]]
    ((other,),) = [[step["color"] for step in defaults["thresholds"]["steps"]]]
    for chosen in ("i-app", "i-pay", "i-nobody"):
        (row,) = ask(seeded, "headline", chosen)
        colour = next((colour for pattern, colour in rules if re.search(pattern, row["sentence"])), other)
        assert colour == TONES[row["tone"]], chosen


@pytest.mark.parametrize("chosen", HOSTILE)
def test_of_an_id_that_nobody_knows_nothing_is_shown_and_that_is_said(seeded: ClickHouse, chosen: str) -> None:
    (row,) = ask(seeded, "headline", chosen)
    assert row["tone"] == "warn"
    assert row["sentence"].startswith(f"No issue has the id {chosen}. ")
    for panel in ISSUE.panels:
        if panel.kind not in ("text", "status") and panel.slug not in PROSE:
            assert not ask(seeded, panel.slug, chosen), panel.slug
            assert not panel.band or not seeded.query(expand(panel.band, SPAN, {"issue": (chosen,)})).rows
    for mark in ISSUE.annotations:
        seeded.query(expand(mark.sql, SPAN, {"issue": (chosen,)}))


def test_the_timeline_is_in_order_with_minutes_and_with_the_lead_over_the_first_complaint(seeded: ClickHouse) -> None:
    rows = ask(seeded, "timeline")
    complained = min(row["contacted_at_ms"] for row in of("affected", "i-app") if row["contacted_at_ms"])
    (change,) = [row for row in recorded("change") if row["change_id"] == "rel-5.2.0"]
    expected = {
        "change": change["changed_at_ms"], "onset": BEGAN, "detected": BEGAN + 4 * MINUTE,
        "shown": BEGAN + 4 * MINUTE + 30_000, "first contact": complained,
        "first notice": min(row["done_at_ms"] for row in of("delivery", "i-app")),
    }
    assert {row["step"]: row["at"] for row in rows if row["at"]} == {step: at(ms) for step, ms in expected.items()}
    in_order = sorted(expected, key=lambda step: expected[step])
    assert [row["step"] for row in rows] == [*in_order, "recovering", "resolved"]
    for row in rows[:6]:
        ms = expected[row["step"]]
        assert row["minutes"] == pytest.approx((ms - BEGAN) / MINUTE, abs=1 / 60)
        side = "before" if ms < complained else "after"
        words = "the first complaint" if ms == complained else f"{apart(ms - complained)} {side} the first complaint"
        assert row["lead"] == words
    assert [(row["at"], row["what"]) for row in rows[6:]] == [(None, "not yet")] * 2


def test_what_is_over_has_its_recovery_from_the_history_of_its_states_and_no_change_if_none_is_known(
    seeded: ClickHouse,
) -> None:
    rows = {row["step"]: row for row in ask(seeded, "timeline", "i-pay")}
    over = NOW - (PAY.over_min or 0) * MINUTE
    assert rows["recovering"]["at"] == at(over - 15 * MINUTE)
    assert (rows["resolved"]["at"], rows["resolved"]["what"]) == (at(over), "normal again")
    assert (rows["change"]["at"], rows["change"]["what"]) == (None, "no change is known near the onset")


@pytest.mark.parametrize("hours", [6, 1])
def test_rates_are_those_of_the_counts_and_every_point_has_at_least_20_exposed(seeded: ClickHouse, hours: int) -> None:
    span = Range.ending(NOW, hours)
    found = ask(seeded, "cohort", span=span)
    counted = list(leaves(span.from_ms, span.to_ms + 1))
    inside = sum(exposed for _, within, _, exposed, _ in counted if within)
    covered_s = (max(one[0] for one in counted) - min(one[0] for one in counted)) // 1000 + 10
    width_ms = max(span.interval_s, 10 * -(-4 * covered_s // inside)) * 1000
    exposed_at: Counter[tuple[int, str]] = Counter()
    failed_at: Counter[tuple[int, str]] = Counter()
    for bin_ms, within, _, exposed, failed in counted:
        key = bin_ms // width_ms * width_ms, "with the cause" if within else "everybody else"
        exposed_at[key] += exposed
        failed_at[key] += failed
    kept = {(at(ms), cohort): failed_at[ms, cohort] / exposed for (ms, cohort), exposed in exposed_at.items()
            if exposed >= 20}  # fmt: skip
    points = {(row["time"], row["cohort"]): row["failure_rate"] for row in found if row["failure_rate"] is not None}
    assert points == pytest.approx(kept)
    assert len(points) > 100
    assert width_ms == {6: 120_000, 1: 50_000}[hours]


def test_the_usual_range_is_that_of_the_day_before_the_onset(seeded: ClickHouse) -> None:
    rows = seeded.query(expand(ISSUE.panel("cohort").band, SPAN, {"issue": ("i-app",)})).rows
    before = [one for one in leaves(0, BEGAN - 5 * MINUTE) if one[1]]
    rate = (sum(one[4] for one in before) + 0.5) / (sum(one[3] for one in before) + 1)
    exposed: Counter[datetime] = Counter()
    for bin_ms, within, _, count, _ in leaves(0, NOW):
        exposed[at(bin_ms // 120_000 * 120_000)] += count if within else 0
    for time, low, high in rows:
        reach = 1.96 * (rate * (1 - rate) / exposed[time]) ** 0.5
        assert (low, high) == pytest.approx((max(0, rate - reach), min(1, rate + reach)))
    assert len(rows) >= 180


def test_the_own_stream_speaks_for_an_issue_whose_streams_were_not_asked(seeded: ClickHouse) -> None:
    (row,) = ask(seeded, "evidence")
    assert (row["stream"], row["signal"], row["since"]) == ("telemetry", "app", at(BEGAN))
    assert (row["expected"], row["observed"], row["ratio"]) == (12.5, APP.affected, APP.affected / 12.5)
    assert "other streams were not asked" in row["basis"]


def test_the_explanation_and_what_speaks_against_it_have_the_figures_of_the_issue_and_of_the_counts(
    seeded: ClickHouse,
) -> None:
    stated = texts(seeded, "explanation")
    assert stated["risk ratio"] == "11.2 times the failure rate of everybody else (95 % interval 8.1 to 15.6)"
    assert stated["had the cause"] == f"{APP.affected} of 1180 exposed failed ({100 * APP.affected / 1180:.1f} %)"
    assert stated["named changes"] == "rel-5.2.0"
    against = texts(seeded, "counter")
    spared = 1180 - APP.affected
    spared_words = f"{spared} of 1180 exposed ({100 * spared / 1180:.1f} %)"
    assert against["had the cause and did not fail"].startswith(spared_words)
    for item, within, since, until in (
        ("had the cause and failed", True, BEGAN, NOW), ("had it not and failed", False, BEGAN, NOW),
        ("had the cause and failed the day before", True, 0, BEGAN - 5 * MINUTE),
    ):
        counted = [one for one in leaves(since, until) if one[1] == within]
        exposed, failed = sum(one[3] for one in counted), sum(one[4] for one in counted)
        assert against[item].startswith(f"{failed} of {exposed} exposed ("), item
    assert "too few for a rate" in texts(seeded, "counter", "i-pay")["had the cause and failed"]


def test_other_attributes_are_held_against_the_cause(seeded: ClickHouse) -> None:
    counted: dict[tuple[str, bool], list[int]] = defaultdict(lambda: [0, 0])
    for _, within, values, exposed, failed in leaves(BEGAN, NOW):
        counted[values["region"], within][0] += exposed
        counted[values["region"], within][1] += failed
    rows = ask(seeded, "others")
    assert {row["value"] for row in rows} == {"DE", "FR"}
    for row in rows:
        (with_exposed, with_failed), (without_exposed, without_failed) = (
            counted[row["value"], within] for within in (True, False))
        assert row["attribute"] == "region"
        assert (row["with_exposed"], row["without_exposed"]) == (with_exposed, without_exposed)
        assert row["with_rate"] == pytest.approx(with_failed / with_exposed)
        assert row["without_rate"] == pytest.approx(without_failed / without_exposed)
        assert row["verdict"].startswith("does not explain it")


def test_a_change_that_fits_the_cause_is_a_candidate(seeded: ClickHouse) -> None:
    rows = {row["change"]: (row["minutes"], row["verdict"]) for row in ask(seeded, "changes")}
    assert rows == {"Android 5.2.0": (-2.0, "candidate: fits the cause")}


def test_who_is_hit_is_counted_by_segment_region_and_value(seeded: ClickHouse) -> None:
    hit: dict[str, Counter[str]] = {"segments": Counter(), "regions": Counter(), "values": Counter()}
    silent: dict[str, Counter[str]] = {name: Counter() for name in hit}
    bands = {3_000: "below 50 EUR", 12_000: "50 to 200 EUR", 60_000: "200 to 1000 EUR", 250_000: "from 1000 EUR",
             None: "not known"}  # fmt: skip
    for number in range(APP.affected):
        value = value_of(number)
        groups = {"segments": (value and segment_of(number)) or "not known", "regions": region_of(APP, number),
                  "values": bands[value]}  # fmt: skip
        for name, group in groups.items():
            hit[name][group] += 1
            silent[name][group] += number >= APP.contacted
    for name, counted in hit.items():
        rows = {row["label"]: (row["affected"], row["silent"]) for row in ask(seeded, name)}
        assert rows == {group: (count, silent[name][group]) for group, count in counted.items()}, name


def test_the_funnel_counts_each_step_once_per_customer(seeded: ClickHouse) -> None:
    rows = {row["label"]: row["customers"] for row in ask(seeded, "funnel")}
    assert rows == {
        "exposed to the cause": 1180, "failed with the cause": APP.affected, "affected": APP.affected,
        "contacted us": APP.contacted, "got a notice": len({row["customer_id"] for row in of("delivery", "i-app")}),
        "put right": sum(row["put_right_ms"] is not None for row in of("affected", "i-app")),
    }


def test_money_has_its_range_and_says_where_an_assumption_is_in_it(seeded: ClickHouse) -> None:
    cost = of("impact", "i-app")[-1]

    def words(name: str) -> str:
        return " + ".join(money_text(one["minor"], one["currency"]) for one in cost[name])

    rows = {row["term"]: row for row in ask(seeded, "money")}
    assert {term: row["amount"] for term, row in rows.items()} == {
        "at risk": words("at_risk"), "one more minute": words("per_minute"), "handling contacts": words("service"),
        "orders at stake": words("amounts"),
    }
    low, high = (words(f"at_risk_{end}") for end in ("low", "high"))
    assert rows["at risk"]["bounds"] == f"{low.removesuffix(' EUR')} to {high}"
    assert (rows["at risk"]["basis"], rows["orders at stake"]["basis"]) == ("assumed", "measured")
    listed = [(row["value"].split()[0], row["basis"] == "assumed") for row in ask(seeded, "assumptions")]
    scale = {"ratio": 100, "cents": 0.01}
    terms = cost["assumptions"]
    assert listed == [(f"{one['value'] * scale[one['unit'].split()[0]]:g}", one["assumed"]) for one in terms]


def test_customers_have_pseudonyms_and_the_words_of_their_notice(seeded: ClickHouse) -> None:
    def pseudonym(token: str) -> str:
        return "p-" + hashlib.sha256(token.encode()).hexdigest()[:10]

    rows = {row["customer"]: row for row in ask(seeded, "customers", "i-pay")}
    hit = {pseudonym(row["customer_id"]): row for row in of("affected", "i-pay")}
    latest = sorted(hit, key=lambda name: -hit[name]["first_failed_ms"])[:50]
    assert [*rows] == latest
    decided = {pseudonym(row["customer_id"]): row for row in of("outreach", "i-pay")}
    sent = {pseudonym(row["customer_id"]): row for row in of("delivery", "i-pay")}
    for name, row in rows.items():
        assert row["first_failed_at"] == at(hit[name]["first_failed_ms"])
        assert (row["told_at"] is not None) == (name in sent) == (row["notice"] == "delivered")
        if decided[name]["decision"] == "hold":
            assert row["notice"] == "held: it is night there"


def test_no_panel_shows_a_token_of_a_customer(seeded: ClickHouse) -> None:
    for panel in ISSUE.panels:
        if panel.kind not in ("text", "status"):
            assert not re.findall(r"c-app-\d+", str(ask(seeded, panel.slug))), panel.slug


def test_the_choice_has_what_costs_most_first_and_what_is_over_last(seeded: ClickHouse) -> None:
    (variable,) = [one for one in ISSUE.variables if one.name == "issue"]
    assert [row[0] for row in seeded.query(variable.sql).rows] == ["i-app", "i-depot", "i-pay"]
    assert not variable.every
    assert not variable.multi


def test_every_signal_has_a_runbook_that_begins_as_the_board_does_and_names_what_stops_outreach() -> None:
    folder = Path(__file__).parents[2] / "docs" / "runbooks"
    assert list(RUNBOOKS) == [signal.name for signal in SIGNALS]
    for name, runbook in RUNBOOKS.items():
        text = " ".join((folder / f"{name}.md").read_text(encoding="utf-8").split())
        assert f"**What it means.** {runbook.means}" in text
        for command in ("mute ISSUE", "stop", "resolve ISSUE"):
            assert f"`cxwatch {command}`" in text


def again(number: int, **changes: object) -> Issue:
    """One onset of an issue that came back; the first is its own root."""
    opened_at_ms = DAY + number * 60 * MINUTE
    return issue(issue_id=f"i-{number}", root_id="i-1", onset=number, opened_at_ms=opened_at_ms, **changes)


def test_a_second_onset_has_its_own_times_and_the_notices_of_the_first(writer: ClickHouse, reader: ClickHouse) -> None:
    first = again(1, state="resolved", resolved_at_ms=DAY + 90 * MINUTE, end_reason="recovered")
    hits = [
        findings.Affected(
            issue_id=f"i-{number}", root_id="i-1", customer_id=f"c-{who}", line="shop", signal="app",
            known_at_ms=DAY + number * 60 * MINUTE, first_failed_ms=DAY + number * 60 * MINUTE,
            last_failed_ms=DAY + number * 60 * MINUTE, value_cents=None,
        )
        for number in (1, 2) for who in range(3)
    ]  # fmt: skip
    decision = outreach(customer_id="c-0")
    done = findings.Delivery(outreach_id="o-1", issue_id="i-1", customer_id="c-0", stage="notice", channel="webhook",
                             outcome="delivered", attempts=1, claimed_at_ms=DAY, done_at_ms=DAY + 61 * MINUTE)
    second = again(2, state="regressed", evidence=EVIDENCE)
    Store(writer).write([batch("issue", [first, second]), batch("affected", hits), batch("outreach", [decision]),
                         batch("delivery", [done])])
    assert [(row["issue_id"], row["onset"]) for row in ask(reader, "onsets", "i-1")] == [("i-2", 2), ("i-1", 1)]
    assert ask(reader, "onsets", "i-1") == ask(reader, "onsets", "i-2")
    steps = {number: {row["step"]: row for row in ask(reader, "timeline", f"i-{number}")} for number in (1, 2)}
    assert steps[1]["first notice"]["at"] == at(DAY + 61 * MINUTE)
    assert (steps[2]["first notice"]["at"], steps[2]["first notice"]["what"]) == (
        None, "no notice of this onset was delivered")
    assert steps[2]["onset"]["lead"] == "nobody has complained so far"
    assert steps[2]["shown"]["what"] == "did not happen, or was not recorded"
    assert sorted(row["notice"] for row in ask(reader, "customers", "i-2")) == [
        "delivered", "nothing decided yet", "nothing decided yet"]
    assert [row["sentence"].split(" customers")[0][-1] for row in ask(reader, "headline", "i-2")] == ["3"]
    names = ("stream", "signal", "expected", "observed")
    stated = [tuple(row[name] for name in names) for row in ask(reader, "evidence", "i-2")]
    assert stated == [(one.topic, one.signal, one.expected, one.observed) for one in EVIDENCE]


def new_release() -> Iterator[findings.CohortCount]:
    """Counts of the 5 minutes after the onset of ``issue()``; nobody had its release before."""
    for start in range(DAY, DAY + 5 * MINUTE, 10_000):
        yield findings.CohortCount(
            line="shop", signal="app", bin_ms=start, width_ms=10_000, partition=0, closed=True,
            attributes=("app_version", "platform", "region"), leaves=(
                findings.LeafCount(values=("5.1.0", "android", "IT"), exposed=25, failed=()),
                findings.LeafCount(values=("5.2.0", "android", "DE"), exposed=30, failed=(1, 2, 3)),
            ),
        )  # fmt: skip


def test_a_signal_that_this_build_does_not_know_and_a_cause_that_is_the_whole_line_are_told_as_such(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    whole = CAUSE.model_copy(update={"attributes": {}, "changes": ("gone",)})
    known = [issue(issue_id=f"i-{signal.name}", signal=signal.name) for signal in SIGNALS]
    odd = issue(issue_id="i-odd", signal="returns", cause=whole, state="suspected")
    changes = [events.Change(change_id=f"r-{line}-{minutes}", changed_at_ms=DAY + minutes * MINUTE, product=line,
                             change_kind="price", attributes={"region": "IT"})
               for line, minutes in (("shop", -30), ("", 1), ("shop", -121), ("shop", 2), ("cars", -30))]
    yen = impact(issue_id="i-odd", at_risk=(Money(currency="JPY", minor=500),), service=euros(0), assumptions=(
        findings.Assumption(name="margin_known", value=1_234.0, unit="cents per customer and year", source="profiles",
                            assumed=False),
        findings.Assumption(name="contact_cost", value=500.0, unit="cents per contact", source="configured",
                            assumed=False)))  # fmt: skip
    Store(writer).write([batch("issue", [*known, odd]), batch("impact", [yen]), batch("cohort_count", [*new_release()]),
                         appended(batch("change", changes))])
    assert [(row["change"], row["minutes"], row["verdict"]) for row in ask(reader, "changes", "i-odd")] == [
        (change, minutes, "near the onset, does not fit the cause")
        for change, minutes in (("r--1", 1.0), ("r-shop--30", -30.0))]
    assert {row["value"]: row["verdict"] for row in ask(reader, "others", "i-app")} == {
        "DE": "too few to say", "IT": "nobody with the cause has it"}
    hour, usual = Range.ending(DAY + 10 * MINUTE, 1), 3.0 / 800
    band = reader.query(expand(ISSUE.panel("cohort").band, hour, {"issue": ("i-app",)})).rows
    assert band
    assert band[0][2] == pytest.approx(usual + 1.96 * (usual * (1 - usual) / 60) ** 0.5)
    for signal in SIGNALS:
        assert [row["stream"] for row in ask(reader, "evidence", f"i-{signal.name}")] == [signal.topic]
        assert texts(reader, "runbook", f"i-{signal.name}")["more"] == f"docs/runbooks/{signal.name}.md"
    assert [row["stream"] for row in ask(reader, "evidence", "i-odd")] == ["stream not known"]
    assert texts(reader, "runbook", "i-odd")["more"] == "There is none for this signal."
    assert texts(reader, "explanation", "i-odd")["risk ratio"].startswith("none: no part of the line stands out")
    outside = texts(reader, "counter", "i-odd")["had it not and failed"]
    assert outside == "nobody is outside: the cause is the whole line"
    (headline,) = ask(reader, "headline", "i-odd")
    assert headline["tone"] == "warn"
    assert "Only suspected so far" in headline["sentence"]
    (change,) = [row for row in ask(reader, "timeline", "i-odd") if row["step"] == "change"]
    assert (change["at"], change["what"]) == (None, "gone: not kept any more")
    assert [(row["name"], row["value"], row["basis"]) for row in ask(reader, "assumptions", "i-odd")] == [
        ("margin of customers with a profile", "12.34 JPY per customer and year", "measured"),
        ("cost of one contact", "5 JPY per contact", "set by the company")]
    assert {row["basis"] for row in ask(reader, "money", "i-odd")} == {"measured or set", "measured"}


def test_of_several_issues_that_another_board_hands_over_the_first_is_shown(seeded: ClickHouse) -> None:
    for panel in ISSUE.panels:
        if panel.sql:
            found = seeded.query(expand(panel.sql, SPAN, {"issue": ("i-app", "i-pay")})).rows
            assert found == seeded.query(expand(panel.sql, SPAN, {"issue": ("i-app",)})).rows, panel.slug


def test_nothing_is_chosen_on_an_empty_database(reader: ClickHouse) -> None:
    (row,) = ask(reader, "headline", "")
    assert (row["tone"], row["sentence"]) == ("warn", "No issue is chosen.")
