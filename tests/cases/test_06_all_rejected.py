"""Case 06: every row was rejected, and neither the reason nor an exit code told. Both do, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli import play as play_commands
from streams.cli.main import build_app
from streams.settings import Settings
from streams.sources.arrivals import Arrival
from streams.sources.producer import Played, PlaySpeed

MAPPING = """
name: ga4
input: {format: ndjson}
source: ga4
customer: "{user_pseudo_id}"
events:
  - to: telemetry
    when: {field: platform, in: [WEB, IOS]}
    time: {field: event_timestamp, format: epoch_ms}
    fields:
      product: shop
      platform: {field: platform, case: lower}
      app_version: "{app_info.version}"
      event_name: "{event_name}"
      outcome: {field: event_name, table: {app_exception: failed}, default: ok}
"""
MICROSECONDS, MILLISECONDS = "1772445600123456", "1772445600123"


def row(timestamp: str, platform: str = "WEB") -> str:
    return json.dumps(
        {"event_timestamp": timestamp, "event_name": "purchase", "user_pseudo_id": "anna", "platform": platform}
    )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Arrival]:
    """What would have been written."""
    kept: list[Arrival] = []

    def run(arrivals: Iterable[Arrival], settings: Settings, pace: PlaySpeed) -> Played:
        kept.extend(arrivals)
        return Played()

    monkeypatch.setattr(play_commands, "run", run)
    return kept


def play(folder: Path, rows: Sequence[str], *options: str) -> Result:
    (folder / "ga4.yaml").write_text(MAPPING)
    (folder / "ga4.ndjson").write_text("".join(f"{one}\n" for one in rows))
    words = ("play", str(folder / "ga4.yaml"), str(folder / "ga4.ndjson"), *options)
    return CliRunner().invoke(build_app("play"), words)


@pytest.mark.parametrize("options", [("--check",), ()])
def test_the_first_screen_tells_line_field_and_rule_and_the_exit_code_is_65(
    options: tuple[str, ...], tmp_path: Path, written: list[Arrival]
) -> None:
    done = play(tmp_path, [row(MICROSECONDS)] * 5, *options)
    assert done.exit_code == 65
    assert written == []
    shown = " ".join(done.output.split())
    assert "no row could be mapped: all 5 were rejected" in shown
    assert [line.split()[:3] for line in done.output.splitlines() if "is a time of format" in line] == [
        [line, "events[0]", "time"] for line in "123"
    ]
    assert "epoch_us" in shown
    assert "anna" not in shown
    assert MICROSECONDS not in shown


def test_a_field_that_no_row_has_is_a_warning_with_its_place(tmp_path: Path, written: list[Arrival]) -> None:
    done = play(tmp_path, [row(MILLISECONDS)] * 1_200, "--check")
    assert done.exit_code == 0
    location = "field app_info.version, named by ga4.yaml events[0].fields.app_version"
    assert f"{location}, is in none of the first 1,000 rows" in " ".join(done.output.split())


def test_more_rejects_than_allowed_stop_before_anything_is_written(tmp_path: Path, written: list[Arrival]) -> None:
    rows = [row(MILLISECONDS)] * 8 + [row(MICROSECONDS)]
    for options in ((), ("--check",)):
        done = play(tmp_path, rows, *options)
        assert done.exit_code == 65
        assert "1 of 9 rows were rejected (11.1 %), --max-rejects allows 10 %" in " ".join(done.output.split())
        assert written == []
    assert play(tmp_path, rows, "--max-rejects", "12%").exit_code == 0
    assert [one.headers != () for one in written].count(True) == 1


def test_exactly_the_allowed_share_is_allowed(tmp_path: Path, written: list[Arrival]) -> None:
    assert play(tmp_path, [row(MILLISECONDS)] * 9 + [row(MICROSECONDS)]).exit_code == 0
    assert play(tmp_path, [row(MILLISECONDS)] * 9 + [row(MICROSECONDS)], "--max-rejects", "0").exit_code == 65


def test_one_reject_in_three_rows_is_a_third(tmp_path: Path, written: list[Arrival]) -> None:
    rows = [row(MILLISECONDS)] * 2 + [row(MICROSECONDS)]
    done = play(tmp_path, rows)
    assert done.exit_code == 65
    assert "--max-rejects 34%" in " ".join(done.output.split())
    assert play(tmp_path, rows, "--max-rejects", "34%").exit_code == 0


def test_with_all_rejects_allowed_the_dead_letters_are_written_and_the_exit_code_still_tells(
    tmp_path: Path, written: list[Arrival]
) -> None:
    assert play(tmp_path, [row(MICROSECONDS)] * 2, "--max-rejects", "100%").exit_code == 65
    assert len(written) == 2
    assert all(one.headers for one in written)


def test_a_when_that_never_holds_is_told(tmp_path: Path, written: list[Arrival]) -> None:
    done = play(tmp_path, [row(MILLISECONDS, "ANDROID")] * 2, "--check")
    assert done.exit_code == 65
    assert "for none of the 2 a `when` holds" in " ".join(done.output.split())


def test_an_empty_file_is_no_error_and_told(tmp_path: Path, written: list[Arrival]) -> None:
    done = play(tmp_path, [], "--check")
    assert done.exit_code == 0
    assert "ga4.ndjson has no rows" in done.output


def test_a_span_without_events_is_no_error_and_rejects_count_among_all_rows(
    tmp_path: Path, written: list[Arrival]
) -> None:
    done = play(tmp_path, [row(MILLISECONDS)] * 30 + [row(MICROSECONDS)], "--check", "--from", "2027-01-01")
    assert done.exit_code == 0
    assert "no event lies between --from and --to" in done.output


@pytest.mark.parametrize("share", ["101%", "-1%", "0.1", "ten", "10%%", ""])
def test_a_share_that_is_none_is_refused(share: str, tmp_path: Path, written: list[Arrival]) -> None:
    done = play(tmp_path, [row(MILLISECONDS)], "--check", "--max-rejects", share)
    assert "allowed are shares from 0% to 100%" in str(done.exception)
