"""A new user's walk: own orders (CSV) and own tickets (JSON lines), a dozen commands, the issue found and shown.

The commands are those of the guide (docs/guide-sources.md); beside them a person only decides what a proposal asks.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from streams.stack.ports import any_free
from tests.docs.guide import first_commands
from tests.patience import Deadline, patience

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
MOST_COMMANDS = 12
BERLIN = ZoneInfo("Europe/Berlin")
HOURS = 40
LATE_FROM = 30
"""Orders of one carrier from this hour on are not delivered in time."""
COMMAND = [sys.executable, "-c", "import sys; from streams.cli.main import main; sys.exit(main())"]


class Walk:
    """The new user's shell: a folder, its settings, and the commands that were typed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.typed: list[str] = []

    def command(self, line: str, *, begin: bool = False) -> Any:
        """Run ``cxwatch LINE`` and return what it printed; ``begin``: leave it running and return the process."""
        self.typed.append(line)
        words = [*COMMAND, *line.split()]
        if begin:
            log = (self.folder / "run.log").open("w")
            return subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=patience(120),
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
        return done.stdout

    def again(self, line: str) -> str:
        """The same command once more: somebody waits."""
        if line in self.typed:
            self.typed.remove(line)
        return str(self.command(line))


@pytest.fixture
def walk(kafka: str, clickhouse: Endpoints, stack_settings: Settings, tmp_path: Path) -> Iterator[Walk]:
    """A folder of the user's own on the servers of this session, with topics and tables of its own."""
    name, url = f"walk{uuid.uuid4().hex[:8]}", stack_settings.clickhouse_url
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "CX_STATE_DIR": str(stack_settings.state_dir),
        "CX_KAFKA_BOOTSTRAP": stack_settings.kafka_bootstrap or "",
        "CX_CLICKHOUSE_URL": url.get_secret_value() if url else "",
        "CX_CLICKHOUSE_HTTP_PORT": str(stack_settings.clickhouse_http_port),
        "CX_TOPIC_PREFIX": f"{name}.",
        "CX_CLICKHOUSE_DATABASE": f"cx_{name}",
        "CX_INSTANCE": name,
        "CX_PARTITIONS": "1",
        "CX_BOARD_PORT": str(any_free(set())),
    }
    try:
        yield Walk(tmp_path, environment)
    finally:
        (stack_settings.state_dir / "last-run.json").unlink(missing_ok=True)  # other tests share the state folder
        ClickHouse(login(clickhouse, "migrator", "default")).query(f"DROP DATABASE IF EXISTS cx_{name}")


def write_exports(folder: Path) -> None:
    """Forty hours of a shop that promises delivery within six; swiftpost does not keep it at the end."""
    dice = random.Random(13)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS + 16)

    def local(at: datetime) -> str:
        return at.astimezone(BERLIN).strftime("%d.%m.%Y %H:%M")

    tickets: list[dict[str, Any]] = []
    with (folder / "orders.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["Order no", "Customer id", "Total", "Currency", "Carrier", "Country", "Created at", "Paid at",
                        "Promised by", "Delivered at"])  # fmt: skip
        for number in range(HOURS * 60):
            created = start + timedelta(minutes=number)
            carrier = dice.choice(("swiftpost", "northmail", "parcelo"))
            late = dice.random() < (0.8 if carrier == "swiftpost" and number >= LATE_FROM * 60 else 0.01)
            delivered = created + timedelta(minutes=dice.randrange(150, 330) + (420 if late else 0))
            customer = f"C{dice.randrange(20_000):05}"
            total = f"{dice.randrange(10, 1_999):,}".replace(",", ".") + f",{dice.randrange(100):02}"
            order = [f"A-{number:05}", customer, total, "EUR", carrier, dice.choice(("DE", "AT"))]
            times = (created, created + timedelta(minutes=1), created + timedelta(hours=6), delivered)
            table.writerow([*order, *map(local, times)])
            if late and dice.random() < 0.2:
                opened = created + timedelta(hours=6, minutes=dice.randrange(5, 60))
                tickets.append(ticket(len(tickets), customer, f"A-{number:05}", opened))
    with (folder / "tickets.ndjson").open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in tickets)


def ticket(number: int, customer: str, order: str, opened: datetime) -> dict[str, Any]:
    """A ticket as many help desks export it."""
    return {
        "ticket_id": 9_000 + number, "created_at": opened.isoformat(), "customer_id": customer, "order_id": order,
        "channel": "email" if number % 3 else "phone", "category": "delivery", "subject": "Where is my parcel?",
    }  # fmt: skip


def decide(file: Path, **answers: str) -> None:
    """Answer what the proposal asks, as a person with an editor does; every answer must have been asked for."""
    text = file.read_text(encoding="utf-8")
    for key, answer in answers.items():
        text, found = re.subn(rf'^(\s*{key}: )"TODO: .*"', rf"\g<1>{answer}", text, flags=re.MULTILINE)
        assert found == 1, (key, text)
    assert "TODO:" not in text, text
    file.write_text(text, encoding="utf-8")


def divided(lines: list[str]) -> tuple[list[str], list[str]]:
    """The guide's commands before the one that is left running, and from it to the one that lists the issues."""
    words = [line.removeprefix("cxwatch ") for line in lines]
    at = next(at for at, line in enumerate(words) if line.endswith("&"))
    assert words[-1] == "issues"
    return words[:at], [words[at].rstrip("& "), *words[at + 1 :]]


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(patience(60))
    finally:
        process.kill()


def test_two_own_files_and_a_dozen_commands_find_the_issue_and_the_board_shows_it(walk: Walk) -> None:
    write_exports(walk.folder)
    before, play = divided(first_commands())
    for line in before:
        shown = walk.command(line)
        if line.endswith("orders.yaml"):
            decide(walk.folder / "orders.yaml", name="orders", zone="Europe/Berlin")
        elif line.endswith("tickets.yaml"):
            decide(walk.folder / "tickets.yaml", name="tickets")
        elif line.endswith("--check"):
            assert "rejected rows 0" in shown
    running = walk.command(play[0], begin=True)
    try:
        for line in play[1:-1]:
            walk.command(line)
        issue = awaited_issue(walk)
        assert issue["line"] == "shop"
        assert "swiftpost" in json.dumps(issue["cause"])
        assert issue["affected"] > 50
        shown = on_the_board(walk, issue["id"])
        assert "swiftpost" in json.dumps(shown)
    finally:
        ended(running)
    assert len(walk.typed) <= MOST_COMMANDS, walk.typed


def awaited_issue(walk: Walk) -> dict[str, Any]:
    """The costliest issue, once match has come far enough: many are affected, and some of them contacted us."""
    deadline = Deadline(60)
    found: list[dict[str, Any]] = []
    while not deadline.over:
        found = [json.loads(line) for line in walk.again("issues --json").splitlines()]
        if found and found[0]["contacted"] > 0 and found[0]["affected"] > 50:
            return found[0]
        time.sleep(1)
    log = (walk.folder / "run.log").read_text()[-2_000:]
    raise AssertionError(f"no issue that is known well enough: {found}\n{log}")


def on_the_board(walk: Walk, issue_id: str) -> dict[str, Any]:
    """What the page shows of the issue; the page itself is there as well."""
    address = f"http://127.0.0.1:{walk.environment['CX_BOARD_PORT']}"
    deadline = Deadline(60)
    while True:
        try:
            with urllib.request.urlopen(f"{address}/", timeout=patience(10)) as page:
                assert b"<html" in page.read()
            with urllib.request.urlopen(f"{address}/api/board/operations", timeout=patience(10)) as answer:
                text = answer.read().decode()
        except OSError:
            text = ""
        if issue_id in text:
            return dict(json.loads(text))
        assert not deadline.over, f"the board does not show {issue_id}: {text[:2_000]}"
        time.sleep(1)
