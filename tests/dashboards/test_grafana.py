"""The adapter to Grafana against a small real HTTP server that answers as Grafana does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from dashboards.boards import BOARDS
from schemas.errors import ConfigError
from streams.sinks.clickhouse import Login
from streams.sinks.grafana import Grafana, GrafanaError

pytestmark = pytest.mark.loopback
TOKEN = "glsa_secret"
LOGIN = Login("127.0.0.1", 9000, "reader", SecretStr("hush"), "cx")


class FakeGrafana(ThreadingHTTPServer):
    """Folders, data sources and dashboards by uid, as Grafana's HTTP API keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.held: dict[str, Any] = {}
        self.log: list[tuple[str, str]] = []
        self.failures: list[tuple[int, bytes]] = []
        """Answers to give first, instead of the right one."""

    @property
    def url(self) -> str:
        """Address, with a path prefix in front of the API."""
        return f"http://127.0.0.1:{self.server_port}/grafana"


class Handler(BaseHTTPRequestHandler):
    """The routes that the adapter uses."""

    server: FakeGrafana

    def answer(self) -> None:
        """Serve one request."""
        path = self.path.removeprefix("/grafana/api")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        self.server.log.append((self.command, path))
        if self.server.failures:
            status, text = self.server.failures.pop(0)
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, text = 401, b'{"message": "Unauthorized"}'
        else:
            status, text = self.route(path, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def route(self, path: str, body: Any) -> tuple[int, bytes]:
        """Status and answer."""
        held = self.server.held
        if path == "/health":
            return 200, b'{"version": "12.4.0", "database": "ok"}'
        if self.command == "GET":
            return (200, json.dumps(held[path]).encode()) if path in held else (404, b'{"message": "not found"}')
        if path == "/dashboards/db":
            board = {**body["dashboard"], "id": 7, "version": 1}
            held[f"/dashboards/uid/{board['uid']}"] = {"dashboard": board, "meta": {"folderUid": body["folderUid"]}}
        elif path == "/folders":
            held[f"/folders/{body['uid']}"] = body
        else:
            held[f"/datasources/uid/{body['uid']}"] = body
        return 200, b'{"status": "success"}'

    def log_message(self, *_arguments: Any) -> None:
        """Nothing on standard error."""


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    """A running fake."""
    made = FakeGrafana()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def grafana(server: FakeGrafana) -> Grafana:
    """The adapter on it."""
    return Grafana(server.url, SecretStr(TOKEN))


def test_pushing_writes_folder_source_and_boards_and_pushing_again_changes_no_board(
    grafana: Grafana, server: FakeGrafana
) -> None:
    uids = [board.uid for board in BOARDS]
    assert grafana.push(LOGIN) == ["folder", "data source", *uids]
    assert grafana.push(LOGIN) == ["data source"]
    assert grafana.push() == []
    held = server.held["/dashboards/uid/cx-operations"]
    assert held["meta"]["folderUid"] == "cxwatch"
    assert len(held["dashboard"]["panels"]) == len(BOARDS[0].panels)
    source = server.held["/datasources/uid/cx-clickhouse"]
    assert source["secureJsonData"] == {"password": "hush"}
    assert isinstance(source["jsonData"]["port"], int)


def test_a_board_that_was_changed_by_hand_is_written_again(grafana: Grafana, server: FakeGrafana) -> None:
    grafana.push()
    server.held["/dashboards/uid/cx-operations"]["dashboard"]["title"] = "mine"
    assert grafana.push() == ["cx-operations"]


def test_a_read_is_repeated_after_a_bad_gateway_and_a_write_is_not(grafana: Grafana, server: FakeGrafana) -> None:
    server.failures = [(503, b"{}")]
    assert grafana.version() == "12.4.0"
    assert server.log == [("GET", "/health")] * 2
    server.failures = [(503, b"{}")]
    with pytest.raises(GrafanaError):
        grafana.call("post", "folders", json={"uid": "x", "title": "x"})
    assert server.log.count(("POST", "/folders")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>log in</html>"),
        (200, b""),
        (200, b"[]"),
        (500, b"<html>there is no message here</html>"),
        (400, b'{"message": "bad"}'),
    ],
)
def test_an_answer_that_is_not_grafanas_is_one_kind_of_error(
    grafana: Grafana, server: FakeGrafana, answer: tuple[int, bytes]
) -> None:
    server.failures = [answer]
    with pytest.raises(GrafanaError):
        grafana.upsert_folder("cxwatch", "Customer trouble")


def test_no_server_and_no_right_are_told_without_the_token(server: FakeGrafana) -> None:
    with pytest.raises(GrafanaError, match="401") as refused:
        Grafana(server.url, SecretStr("glsa_other")).push()
    assert "glsa" not in str(refused.value)
    server.shutdown()
    server.server_close()
    with pytest.raises(GrafanaError, match="no readable answer") as gone:
        Grafana(server.url, SecretStr(TOKEN)).call("post", "folders", json={})
    assert "glsa" not in str(gone.value)


def test_path_parts_are_quoted(grafana: Grafana, server: FakeGrafana) -> None:
    with pytest.raises(GrafanaError):
        grafana.call("get", "folders", "a/b?c")
    assert server.log[-1] == ("GET", "/folders/a%2Fb%3Fc")


@pytest.mark.parametrize("url", ["ftp://grafana", "http://", "grafana:3000"])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="CX_GRAFANA_URL"):
        Grafana(url, SecretStr(TOKEN))
