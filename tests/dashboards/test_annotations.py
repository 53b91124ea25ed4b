"""Issues and changes are marked in Grafana once, whatever Grafana does meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from schemas import findings
from schemas.errors import ConfigError, SinkUnavailable
from schemas.events import Change
from streams.agents.store import Store
from streams.cli.annotate import EVERY_S, LONGEST_S, annotator_of, keep_marking
from streams.cli.run import programs_of
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.grafana import Grafana, GrafanaError
from streams.sinks.grafana_annotations import A_ROUND, TAG_LENGTH, Annotator, marks
from streams.stack import Endpoints
from tests.dashboards.grafana_server import EDITOR, VIEWER, FakeGrafana, running
from tests.dashboards.seed import MINUTE, NOW, TROUBLES, appended
from tests.docs.words import ROOT
from tests.patience import Deadline, patience
from tests.sinks.conftest import migrated
from tests.sinks.examples import batch, issue

pytestmark = [pytest.mark.clickhouse, pytest.mark.loopback]
DAY = 24 * 60 * MINUTE


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    """A running server."""
    with running() as made:
        yield made


@pytest.fixture
def stored(clickhouse: Endpoints, afternoon: str) -> ClickHouse:
    """The reader on the afternoon."""
    return ClickHouse(login(clickhouse, "reader", afternoon))


def annotator(server: FakeGrafana, client: ClickHouse, token: str = EDITOR, timeout_s: float = 5.0) -> Annotator:
    """As the command makes it."""
    return Annotator(Grafana(server.url, SecretStr(token), timeout_s=timeout_s, repeats=0), client)


def keys(server: FakeGrafana) -> list[str]:
    """The pairs of tags that Grafana holds, in the order of their time."""
    return [" ".join(one["tags"][1:]) for one in sorted(server.annotations, key=lambda one: one["time"])]


def test_every_issue_is_marked_once_over_rounds_and_restarts(server: FakeGrafana, stored: ClickHouse) -> None:
    first = annotator(server, stored)
    assert first.write_missing() == len(marks(stored))
    assert first.write_missing() == annotator(server, stored).write_missing() == 0
    assert [key for key in keys(server) if key.startswith("issue:")] == [
        "issue:i-pay state:opened", "issue:i-depot state:opened", "issue:i-pay state:resolved",
        "issue:i-app state:opened", "issue:i-app state:escalated",
    ]
    opened = next(one for one in server.annotations if "issue:i-app" in one["tags"])
    app = TROUBLES[0]
    asked = "SELECT toUnixTimestamp64Milli(shown_at) FROM issue_latest WHERE issue_id = 'i-app'"
    ((shown,),) = stored.query(asked).rows
    assert opened["time"] == shown
    assert opened["text"] == f"Issue opened: {app.title}, {app.affected} customers affected"


def test_two_writers_make_no_mark_twice(server: FakeGrafana, stored: ClickHouse) -> None:
    one, other = annotator(server, stored), annotator(server, stored)
    assert one.write_missing() + other.write_missing() == len(set(keys(server))) == len(server.annotations)


def test_a_mark_whose_answer_was_lost_is_not_made_again(server: FakeGrafana, stored: ClickHouse) -> None:
    marking = annotator(server, stored)
    server.lose_answers = True
    with pytest.raises(GrafanaError, match="504"):
        marking.write_missing()
    server.lose_answers = False
    marking.write_missing()
    assert len(server.annotations) == len(set(keys(server))) == len(marks(stored))


@pytest.mark.parametrize("answer", [
    (401, b'{"message": "Invalid API key"}'), (500, b"oops"), (200, b"<html>log in</html>"), (200, b'{"a": 1}'),
    (429, b'{"message": "slow down"}'),
])
def test_odd_answers_are_one_error_and_nothing_is_lost(
    server: FakeGrafana, stored: ClickHouse, answer: tuple[int, bytes]
) -> None:
    marking = annotator(server, stored)
    server.failures = [answer]
    with pytest.raises(GrafanaError):
        marking.write_missing()
    assert marking.write_missing() == len(marks(stored))


def test_a_viewer_is_told_which_role_is_needed(server: FakeGrafana, stored: ClickHouse) -> None:
    with pytest.raises(GrafanaError, match=r"annotations:create \(role Editor\)"):
        annotator(server, stored, VIEWER).write_missing()


def test_a_server_that_does_not_answer_is_given_up_and_asked_again(server: FakeGrafana, stored: ClickHouse) -> None:
    marking = annotator(server, stored, timeout_s=0.2)
    server.hold.clear()
    with pytest.raises(GrafanaError, match="no readable answer"):
        marking.write_missing()
    server.hold.set()
    assert annotator(server, stored).write_missing() == len(marks(stored))


def test_a_server_that_is_away_is_an_error_too(stored: ClickHouse) -> None:
    with running() as gone:
        pass
    with pytest.raises(GrafanaError):
        annotator(gone, stored).write_missing()


@pytest.fixture(scope="module")
def own(clickhouse: Endpoints) -> Iterator[ClickHouse]:
    """The writer on a database of this module's own: many issues, changes, and what must not be marked."""
    with migrated(clickhouse) as name:
        client = ClickHouse(login(clickhouse, "writer", name))
        many = [issue(issue_id=f"i-{number:03d}", root_id=f"i-{number:03d}", detected_at_ms=NOW - number * MINUTE,
                      title="<b>5.2.0</b> & more") for number in range(A_ROUND + 10)]
        hidden = [
            issue(issue_id="i-suspected", root_id="i-suspected", state="suspected", detected_at_ms=NOW),
            issue(issue_id="i-withdrawn", root_id="i-withdrawn", state="resolved", detected_at_ms=NOW,
                  resolved_at_ms=NOW, end_reason="withdrawn"),
            issue(issue_id="i-old", root_id="i-old", detected_at_ms=NOW - 9 * DAY),
        ]
        made = [Change(change_id="r" * 120, changed_at_ms=NOW - MINUTE, change_kind="release", title="Release <5.3>")]
        clock = batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=NOW)])
        Store(client).write([clock, batch("issue", [*many, *hidden]), appended(batch("change", made))])
        yield client


def test_a_round_is_bounded_and_the_rest_follows(server: FakeGrafana, own: ClickHouse) -> None:
    marking = annotator(server, own)
    rounds = [marking.write_missing() for _ in range(3)]
    assert rounds == [A_ROUND, 11, 0]
    assert {key.split()[0] for key in keys(server)} == {mark.whose for mark in marks(own)}


def test_a_round_is_left_once_the_process_is_told_to_end(server: FakeGrafana, own: ClickHouse) -> None:
    grafana = Grafana(server.url, SecretStr(EDITOR))
    stopped = Annotator(grafana, own, lambda: len(server.annotations) == 3)
    assert stopped.write_missing() == 3
    assert len(server.annotations) == 3


def test_changes_are_marked_and_hidden_issues_are_not(own: ClickHouse) -> None:
    found = {mark.whose: mark for mark in marks(own)}
    hidden = {"issue:i-suspected", "issue:i-withdrawn", "issue:i-old"} & set(found)
    assert hidden == set()
    (change,) = [mark for mark in found.values() if mark.whose.startswith("change:")]
    assert change.text == "Change: Release &lt;5.3&gt; (release)"
    assert (change.state, change.at_ms, len(change.whose)) == ("state:made", NOW - MINUTE, TAG_LENGTH)
    assert "<" not in found["issue:i-000"].text


def _waits(delays: list[float], rounds: int) -> Callable[[float], bool]:
    def wait(delay_s: float) -> bool:
        delays.append(delay_s)
        return len(delays) == rounds

    return wait


def test_failures_are_said_once_and_asked_ever_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[Exception | int] = [
        3, *[GrafanaError(500, "oops")] * 6, SinkUnavailable("ClickHouse"), 0, GrafanaError(500, "oops"),
    ]
    delays: list[float] = []

    def write_missing() -> int:
        outcome = outcomes[len(delays)]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with caplog.at_level("INFO", "cx.annotate"):
        keep_marking(write_missing, _waits(delays, len(outcomes)))
    assert delays == [EVERY_S, 20, 40, 80, 160, LONGEST_S, LONGEST_S, LONGEST_S, EVERY_S, 20]
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(":")[0] for message in messages] == [
        "marked 3", "nothing is marked", "nothing is marked", "marking again", "nothing is marked"]


def test_it_runs_only_with_a_grafana_and_beside_the_store() -> None:
    grafana = Settings(grafana_url="http://grafana:3000", grafana_token=SecretStr("glsa_x"))
    assert [one.name for one in programs_of(grafana, ("join", "detect,store"), board=False)][-1] == "annotate"
    assert all(one.name != "annotate" for one in programs_of(grafana, ("join",), board=False))
    half = Settings(grafana_url="http://grafana:3000")
    assert all(one.name != "annotate" for one in programs_of(half, ("store",), board=False))
    with pytest.raises(ConfigError, match="CX_GRAFANA_TOKEN"):
        annotator_of(half, lambda: False)


def test_the_process_marks_what_is_there_and_ends_when_it_is_told_to(
    server: FakeGrafana, stored: ClickHouse, stack_settings: Settings, afternoon: str
) -> None:
    named = {"CX_STATE_DIR": str(stack_settings.state_dir), "CX_CLICKHOUSE_DATABASE": afternoon,
             "CX_GRAFANA_URL": server.url, "CX_GRAFANA_TOKEN": EDITOR, "PYTHONPATH": str(ROOT)}
    if stack_settings.clickhouse_url:
        named["CX_CLICKHOUSE_URL"] = stack_settings.clickhouse_url.get_secret_value()
    command = [sys.executable, "-c", "import sys; from streams.cli.main import main; sys.exit(main(['annotate']))"]
    with subprocess.Popen(command, env={**os.environ, **named}) as process:
        deadline = Deadline(20)
        while len(server.annotations) < len(marks(stored)) and process.poll() is None and not deadline.over:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(patience(20)) == 0
    assert {one["tags"][1] for one in server.annotations} == {mark.whose for mark in marks(stored)}
