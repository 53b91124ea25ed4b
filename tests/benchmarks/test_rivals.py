"""Peers are found, described rightly, and run as programs of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rivals
from benchmarks.rivals import Peer, PeerError, discover, lacking, run
from benchmarks.run import _wanted


def described(folder: Path, *stated: dict[str, Any]) -> Path:
    """A folder of peers with one description."""
    (folder / "some").mkdir()
    (folder / "some" / "peer.json").write_text(json.dumps(stated))
    return folder


def test_a_description_becomes_a_peer_with_defaults(tmp_path: Path) -> None:
    steps = [["make", "it"], ["test", "it"]]
    described(tmp_path, {"name": "b", "run": ["run"]}, {"name": "a", "run": ["{python}", "x"], "prepare": steps})
    first, second = discover(tmp_path)
    assert (first.name, first.prepare, first.check) == ("a", (("make", "it"), ("test", "it")), "exact")
    assert (second.name, second.prepare, second.events, second.needs) == ("b", (), None, ())
    assert second.folder == tmp_path / "some"


def test_one_step_needs_no_list_of_steps(tmp_path: Path) -> None:
    described(tmp_path, {"name": "b", "run": ["run"], "prepare": ["make", "it"]})
    assert discover(tmp_path)[0].prepare == (("make", "it"),)


@pytest.mark.parametrize(
    "stated", [{"name": "a"}, {"name": "a", "run": ["x"], "nedds": []}, {"name": "a", "run": ["x"], "check": "roughly"}]
)
def test_a_wrong_description_names_its_file(tmp_path: Path, stated: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match=r"some/peer\.json"):
        discover(described(tmp_path, stated))


def test_two_peers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="same name"):
        discover(described(tmp_path, {"name": "a", "run": ["x"]}, {"name": "a", "run": ["y"]}))


def test_the_peers_of_this_repository_are_described_rightly() -> None:
    names = [peer.name for peer in discover()]
    assert "floor-confluent" in names
    assert all(peer.about for peer in discover())


def test_a_missing_jdk_leaves_its_peers_out_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer("flink", "", tmp_path, ("x",), needs=("java17",))
    monkeypatch.setattr(rivals, "jdk", lambda: None)
    assert "JDK 17" in lacking(peer)
    monkeypatch.setattr(rivals, "jdk", lambda: tmp_path)
    assert lacking(peer) == ""


def test_a_run_sees_only_what_it_is_told_and_reports_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CX_TOPIC_PREFIX", "secret.")
    code = (
        "import json, os; print('noise'); assert 'CX_TOPIC_PREFIX' not in os.environ; "
        "print('RESULT', json.dumps({'events': int(os.environ['BENCH_EVENTS']), 'wall_s': 2, 'cpu_s': 1, "
        "'rss_mb': 50, 'warm_cpu_s_per_million': 3.5}))"
    )
    peer = Peer("toy", "", tmp_path, (sys.executable, "-c", code))
    figure = run(peer, {"BENCH_EVENTS": "1000"}, tmp_path / "log")
    assert (figure.events, figure.cpu_s_per_million, figure.events_per_s) == (1_000, 1_000.0, 500.0)
    assert figure.warm_cpu_s_per_million == 3.5


@pytest.mark.parametrize("code", ["print('RESULT {}'); raise SystemExit(3)", "print('nothing to tell')"])
def test_a_run_that_fails_or_reports_nothing_is_an_error_with_its_last_lines(tmp_path: Path, code: str) -> None:
    with pytest.raises(PeerError, match="exit code"):
        run(Peer("toy", "", tmp_path, (sys.executable, "-c", code)), {}, tmp_path / "log")


@pytest.mark.parametrize(
    ("name", "only", "chosen"),
    [("cxwatch", ["cxwatch"], True), ("cxwatch+raw", ["cxwatch"], False), ("floor-aiokafka", ["floor"], True),
     ("kafka-streams-eos", ["kafka-streams"], True), ("flink-tuned", ["floor"], False), ("anything", [], True)],
)
def test_rows_are_chosen_by_name_or_by_the_first_part_of_it(name: str, only: list[str], chosen: bool) -> None:
    assert _wanted(name, only) is chosen
