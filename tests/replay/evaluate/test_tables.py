"""How figures are written: what rests on nothing is a dash, counts and intervals stand beside shares."""

from __future__ import annotations

import json

import pytest

from streams.replay.evaluate import rivals, tables
from streams.replay.evaluate.results import OURS, WorldResult
from streams.replay.evaluate.score import Figures, Saving
from streams.replay.evaluate.shares import DailyRate, Share
from streams.replay.evaluate.tables import UNDEFINED
from tests.replay.evaluate.worked import incident, report, truth

FOUND = WorldResult(
    world="worked", key="", truth=truth(incident(), incident("b", starts=600, ends=700)), events=1_234,
    reports={OURS: (report(70), report(400)), "never fires": ()},
)  # fmt: skip
FAILED = WorldResult(world="broken", key="", error="its process ended")


def test_shares_rates_and_money_in_words() -> None:
    assert tables.share_text(Share(9, 10)) == "90 % (9 of 10; 60-98 %)"
    assert tables.share_text(Share(0, 0)) == tables.plain_share(Share(0, 0)) == UNDEFINED
    assert tables.plain_share(Share(983, 1_000)) == "98.3 %"
    assert tables.rate_text(DailyRate(2, 4.0)) == "0.50 (2 in 4 days; 0.06-1.81)"
    assert tables.rate_text(DailyRate(0, 0.0)) == UNDEFINED
    money = {"EUR": Saving(300_000, 500_000), "JPY": Saving(70, 70), "KWD": Saving(0, 0)}
    assert tables.money_text(Figures(money=money)) == "EUR 3,000 (60 %), JPY 70 (100 %)"
    assert tables.money_text(Figures()) == UNDEFINED


@pytest.mark.parametrize(
    ("ms", "text"),
    [(90_000, "1.5 min"), (-7_500_000, "-2.1 h"), (3_600_000, "1.0 h"), (200_000_000, "2.3 d"), (None, UNDEFINED)],
)
def test_durations_in_words(ms: float | None, text: str) -> None:
    assert tables.duration(ms) == text


def test_the_table_of_worlds_says_what_was_missed_and_what_was_wrong() -> None:
    found, failed = tables.worlds([FOUND, FAILED]).rows
    assert found == ("worked", "1,234", "1 of 2", "b", "10.0 min", "right", "1 (nothing was wrong there)", "0", "1")
    assert failed[2] == "could not be played: its process ended"


def test_a_detector_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "installed", lambda name: name not in rivals.NEED_RIVER)
    rows = {row[0]: row[1:] for row in tables.detectors([FOUND, FAILED]).rows}
    assert list(rows) == [OURS, *rivals.RIVALS]
    assert all(rows[name][0] == tables.NOT_INSTALLED for name in rivals.NEED_RIVER)
    assert rows[OURS][0] == "50 % (1 of 2; 9-91 %)"
    assert rows["never fires"][0] == UNDEFINED
    assert set(tables.as_json([FOUND])["not_installed"]) == rivals.NEED_RIVER


def test_markdown_and_json_hold_the_same_figures() -> None:
    text = tables.worlds([FOUND]).markdown().splitlines()
    assert text[0].startswith("| world | events |")
    assert text[1].startswith("| --- | --- |")
    body = json.loads(json.dumps(tables.as_json([FOUND, FAILED])))
    ours = body["detectors"][OURS]
    assert ours["recall"] == {"value": 0.5, "hits": 1, "of": 2, "interval": list(Share(1, 2).interval or ())}
    assert body["detectors"]["never fires"]["precision"]["value"] is None
    assert ours["money"] == {"EUR": {"saved": 3_000, "total": 10_000}}
    assert body["worlds"][1] == {"world": "broken", "error": "its process ended"}
