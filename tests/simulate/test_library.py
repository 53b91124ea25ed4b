"""The incident library: repeatable, valid by contract, and each truth is borne out by the events of its world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas import codec
from schemas.errors import ConfigError
from schemas.topics import HOUR_MS
from streams.cli.main import build_app
from streams.cli.worlds import write_world
from streams.replay.source import RecordingSource
from streams.simulate.library.truth import TrueIncident, WorldTruth
from streams.simulate.library.world import COUNT_WORLDS, WORLDS, CountWorld, World
from streams.sources.arrivals import Arrival
from tests.simulate.library_digest import SCALE, digests, scale_of

ROOT = Path(__file__).resolve().parents[2]
USUAL = {"TIMEOUT", "DECLINED_05"}
EVERY = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
EVERY_COUNTED = pytest.mark.parametrize("world", COUNT_WORLDS.values(), ids=COUNT_WORLDS.keys())


@cache
def played(name: str) -> dict[str, list[tuple[Arrival, Any]]]:
    """Noun -> messages in arrival order, each with its decoded record; whatever breaks the contract is missed."""
    values: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in WORLDS[name].made(7, scale_of(name)).messages():
        values[arrival.noun].append(arrival)
    return {
        noun: list(zip(found, codec.decode(noun, [one.value for one in found]).records, strict=True))
        for noun, found in values.items()
    }


def records(name: str, noun: str) -> list[Any]:
    return [record for _, record in played(name).get(noun, [])]


def value(record: Any, attribute: str) -> str:
    own = getattr(record, attribute, None)
    return str(record.attributes.get(attribute, "") if own is None else own)


def inside(record: Any, incident: TrueIncident) -> bool:
    return all(value(record, name) in values for name, values in incident.cohort.items())


def test_there_are_at_least_forty_worlds_and_a_quick_subset() -> None:
    assert len(WORLDS) >= 40
    assert 8 <= sum("quick" in world.tags for world in WORLDS.values()) <= 12
    assert len({world.says for world in WORLDS.values()}) == len(WORLDS)


def test_another_process_with_another_hash_seed_makes_the_same_bytes() -> None:
    command = [sys.executable, "-P", "-m", "tests.simulate.library_digest", "3"]
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert json.loads(other.stdout) == digests(3)


def test_another_seed_makes_other_bytes() -> None:
    for world in islice(WORLDS.values(), 5):
        assert list(world.made(3, SCALE).messages()) != list(world.made(4, SCALE).messages())


@EVERY
def test_every_message_passes_the_contract_and_lies_in_the_span(world: World) -> None:
    truth = world.truth(7, scale_of(world.name))
    for noun, found in played(world.name).items():
        times = [arrival.at_ms for arrival, _ in found]
        assert times == sorted(times)
        if noun in ("telemetry", "order", "contact"):
            assert truth.starts_ms <= times[0]


@EVERY
def test_ids_are_given_once(world: World) -> None:
    for noun in ("telemetry", "order", "contact"):
        by_id: dict[str, set[bytes]] = defaultdict(set)
        for arrival, record in played(world.name).get(noun, []):
            by_id[record.event_id].add(arrival.value)
        assert all(len(values) == 1 for values in by_id.values())


@EVERY
def test_the_truth_lies_in_the_span_and_lists_each_customer_once(world: World) -> None:
    truth = world.truth(7, scale_of(world.name))
    for incident in truth.incidents:
        ids = [customer for customer, _ in incident.customers]
        assert ids == sorted(set(ids))
        assert truth.starts_ms <= incident.starts_ms < incident.ends_ms <= truth.ends_ms
        assert all(incident.starts_ms <= at_ms < truth.ends_ms for _, at_ms in incident.customers)
        assert all(set(also) <= set(incident.cohort) | {"region", "carrier", "warehouse", "platform", "app_version",
                                                        "payment_provider"} for also in incident.also)  # fmt: skip
    for wrong in truth.wrong:
        assert truth.starts_ms <= wrong.starts_ms < wrong.ends_ms <= truth.ends_ms
        assert wrong.why


@EVERY
def test_who_fails_by_the_fault_is_who_the_truth_names(world: World) -> None:
    """App and payment failures carry the code of what broke, so the events alone say who was hit, and when first."""
    truth = world.truth(7, scale_of(world.name))
    first: dict[str, int] = {}
    failing = [one for one in records(world.name, "telemetry") if one.outcome == "failed"]
    failing += [one for one in records(world.name, "order") if one.status == "payment_failed"]
    for record in failing:
        if record.error_code not in USUAL:
            known = first.get(record.customer_id, record.event_time_ms)
            first[record.customer_id] = min(known, record.event_time_ms)
            assert any(inside(record, one) and one.starts_ms <= record.event_time_ms < one.ends_ms
                       for one in truth.incidents if one.evidence == "failed")  # fmt: skip
    stated: dict[str, int] = {}
    for incident in truth.incidents:
        if incident.signals in (("app",), ("payment",)):
            for customer, at_ms in incident.customers:
                stated[customer] = min(stated.get(customer, at_ms), at_ms)
    if world.name != "data_outage_hides_trouble":
        assert first == stated
    assert set(first) <= set(stated)


@EVERY
def test_promises_of_those_hit_are_broken(world: World) -> None:
    orders: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for record in records(world.name, "order"):
        orders[record.customer_id, record.order_id][record.status] = record
    broken: dict[str, set[int]] = defaultdict(set)
    for (customer, _), events in orders.items():
        paid, done = events.get("paid"), events.get("delivered")
        if paid is not None and paid.promised_at_ms and (done is None or done.event_time_ms > paid.promised_at_ms):
            broken[customer].add(paid.promised_at_ms)
        taken_back = events.get("cancelled")
        if taken_back is not None and taken_back.cancelled_by == "company":
            broken[customer].add(taken_back.event_time_ms)
    for incident in world.truth(7, scale_of(world.name)).incidents:
        if incident.evidence == "failed" and "delivery" in incident.signals:
            assert incident.customers or not incident.severe
            assert all(at_ms in broken[customer] for customer, at_ms in incident.customers)


@EVERY
def test_what_is_missing_is_not_there(world: World) -> None:
    for incident in world.truth(7, scale_of(world.name)).incidents:
        if incident.evidence != "missing" or incident.id == "fewer orders":
            continue
        noun, name = ("order", "placed") if "orders" in incident.id else ("telemetry", "report")
        hit = {customer for customer, _ in incident.customers}
        assert hit
        seen = [one for one in records(world.name, noun) if name in (getattr(one, "status", ""),
                                                                     getattr(one, "event_name", ""))]  # fmt: skip
        during = {one.customer_id for one in seen if incident.starts_ms <= one.event_time_ms < incident.ends_ms}
        assert during
        assert not during & hit


@EVERY
def test_who_only_gets_in_touch_does(world: World) -> None:
    opened: dict[str, set[int]] = defaultdict(set)
    for record in records(world.name, "contact"):
        if record.status == "opened":
            opened[record.customer_id].add(record.event_time_ms)
            assert bool(record.text) == bool(world.firms[0].words)
            assert bool(record.reason) != bool(record.text)
    for incident in world.truth(7, scale_of(world.name)).incidents:
        if incident.evidence == "contact":
            assert incident.customers
            assert {customer for customer, _ in incident.customers} <= opened.keys()


@pytest.mark.parametrize("name", ["words_only_en", "words_only_de", "words_only_zh", "words_only_mixed"])
def test_words_come_in_the_languages_named_and_in_many_ways(name: str) -> None:
    texts = {(one.language, one.text) for one in records(name, "contact") if one.text}
    assert {language for language, _ in texts} == set(WORLDS[name].firms[0].words)
    assert len(texts) > 40


def test_an_outage_loses_or_delays_data_and_nothing_fails_more() -> None:
    lost, late = WORLDS["data_outage"].truth(7, SCALE).wrong[0], WORLDS["data_outage_made_up"].truth(7, SCALE).wrong[0]
    during = [one for one in records("data_outage", "telemetry") if lost.starts_ms <= one.event_time_ms < lost.ends_ms]
    assert during == []
    delays = [arrival.at_ms - record.event_time_ms for arrival, record in played("data_outage_made_up")["order"]
              if late.starts_ms <= record.event_time_ms < late.ends_ms]  # fmt: skip
    assert min(delays) >= 5 * HOUR_MS


def test_batches_come_once_a_day_and_some_days_late() -> None:
    delays = [arrival.at_ms - record.event_time_ms for arrival, record in played("batches_days_late")["order"]]
    assert max(delays) > 48 * HOUR_MS
    assert len({arrival.at_ms // HOUR_MS for arrival, _ in played("batches_days_late")["order"]}) <= 12


def test_clocks_are_wrong_both_ways_and_floods_flood() -> None:
    off = [record.event_time_ms - arrival.at_ms for arrival, record in played("wrong_clocks")["telemetry"]]
    assert min(off) < -24 * HOUR_MS
    assert max(off) > 2 * HOUR_MS
    telemetry = records("duplicate_flood", "telemetry")
    assert len(telemetry) > 1.1 * len({one.event_id for one in telemetry})
    versions = {one.app_version for one in records("attribute_flood", "telemetry") if one.source == "partner-feed"}
    assert len(versions) > 500


def test_currencies_have_two_none_and_three_decimals() -> None:
    orders = records("currencies", "order")
    assert {one.currency for one in orders} == {"EUR", "JPY", "KWD", "USD"}
    assert all(one.amount_cents % 100 == 0 for one in orders if one.currency == "JPY")


@EVERY_COUNTED
def test_counts_pass_the_contract_and_nobody_fails_who_was_not_exposed(world: CountWorld) -> None:
    found = [json.dumps(body).encode() for _, body in islice(world.counts(7, 0.05), 4_000)]
    decoded = codec.decode("cohort_count", found).records
    assert len(decoded) == len(found)
    counts = [one for one in decoded if one.kind == "cohort_count"]
    assert [one.bin_ms for one in counts] == sorted({one.bin_ms for one in counts})
    leaves = [leaf for one in counts for leaf in one.leaves]
    assert all(len(leaf.failed) <= leaf.exposed for leaf in leaves)
    share = sum(len(leaf.failed) for leaf in leaves) / sum(leaf.exposed for leaf in leaves)
    assert 0.5 * world.failing < share < 1.5 * world.failing
    assert world.truth().quiet


def test_real_counts_vary_more_than_coins_do() -> None:
    """Hourly failures of one leaf over what a Poisson process with the same exposure would have."""
    world = COUNT_WORLDS["null_shop_half_year"]
    hourly: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for _, body in world.counts(7, 0.08):
        for leaf in body.get("leaves", ())[:1]:
            hour = hourly[body["bin_ms"] // HOUR_MS]
            hour[0] += leaf["exposed"]
            hour[1] += len(leaf["failed"])
    share = sum(failed for _, failed in hourly.values()) / sum(exposed for exposed, _ in hourly.values())
    excess = [(failed - exposed * share) ** 2 / (exposed * share) for exposed, failed in hourly.values()]
    assert sum(excess) / len(excess) > 1.3


def test_a_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    truth = WORLDS["bad_release"].truth(7, SCALE)
    truth.write(tmp_path / "truth.json")
    assert WorldTruth.read(tmp_path / "truth.json") == truth


def test_the_nth_customer_and_the_length_of_a_world() -> None:
    truth = WORLDS["bad_release"].truth(7, 0.5)
    incident = truth.incidents[0]
    times = sorted(at_ms for _, at_ms in incident.customers)
    assert incident.nth_ms(5) == times[4]
    assert incident.nth_ms(len(times) + 1) is None
    assert (truth.days, truth.quiet) == (2.0, False)


@pytest.mark.parametrize(("seed", "scale"), [(-1, 1.0), (2**32, 1.0), (7, 0.0)])
def test_impossible_worlds_are_refused(seed: int, scale: float) -> None:
    with pytest.raises(ConfigError, match="must be"):
        WORLDS["quiet_1"].made(seed, scale)


def test_a_world_is_written_as_a_recording_with_its_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNT_WORLDS, "null_short", replace(COUNT_WORLDS["null_sparse_five_years"], days=20))
    app = build_app("simulate")
    done = CliRunner().invoke(app, ["simulate", "--world", "null_short", "--out", str(tmp_path / "null")])
    assert done.exit_code == 0, done.output
    source = RecordingSource(tmp_path / "null")
    values = [value for batch in source.batches("cohort_count", 0) for value in batch.values]
    expected = [arrival.value for arrival in COUNT_WORLDS["null_short"].play()]
    assert values == expected
    assert WorldTruth.read(tmp_path / "null" / "truth.json").quiet


def test_worlds_are_listed_and_an_unknown_one_or_a_full_folder_is_refused(tmp_path: Path) -> None:
    listed = CliRunner().invoke(build_app("simulate"), ["simulate", "--world", "list"]).output
    assert all(name in listed for name in (*WORLDS, *COUNT_WORLDS))
    with pytest.raises(ConfigError, match="no such world"):
        write_world("atlantis", tmp_path / "new", 7, 4)
    with pytest.raises(ConfigError, match="needs --out"):
        write_world("quiet_1", None, 7, 4)
    (tmp_path / "full").write_text("")
    with pytest.raises(ConfigError, match="empty folder"):
        write_world("quiet_1", tmp_path, 7, 4)
