"""The adapter to Grafana against a small real HTTP server that answers as Grafana does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from schemas.errors import ConfigError
from streams.sinks.grafana import Grafana, GrafanaError, release
from tests.dashboards.grafana_server import ADMIN, EDITOR, VIEWER, FakeGrafana, running

pytestmark = pytest.mark.loopback
FOLDER = {"uid": "x", "title": "x"}


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    """A running server."""
    with running() as made:
        yield made


@pytest.fixture
def grafana(server: FakeGrafana) -> Grafana:
    """The adapter on it."""
    return Grafana(server.url, SecretStr(ADMIN))


def test_a_read_is_repeated_after_a_bad_gateway_and_a_write_is_not(grafana: Grafana, server: FakeGrafana) -> None:
    server.failures = [(502, b"<html>bad gateway</html>")]
    assert grafana.version() == "12.4.0"
    assert server.log == [("GET", "/health")] * 2
    server.failures = [(503, b"{}")]
    with pytest.raises(GrafanaError, match="503"):
        grafana.call("post", "folders", json=FOLDER)
    assert server.writes() == [("POST", "/folders")]


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<!doctype html><title>Log in</title>"),
        (200, b""),
        (200, b"[]"),
        (500, b"<html>there is no message here</html>"),
        (400, b'{"message": "bad"}'),
        (412, b'{"message": "changed by someone else", "status": "version-mismatch"}'),
    ],
)
def test_an_answer_that_is_not_grafanas_is_one_kind_of_error(
    grafana: Grafana, server: FakeGrafana, answer: tuple[int, bytes]
) -> None:
    server.failures = [answer]
    with pytest.raises(GrafanaError):
        grafana.get("folders", "cxwatch")


def test_a_login_page_in_place_of_an_answer_is_said(grafana: Grafana, server: FakeGrafana) -> None:
    server.failures = [(200, b"<!doctype html><title>Log in</title>")]
    with pytest.raises(GrafanaError, match="login page"):
        grafana.version()


@pytest.mark.parametrize("answer", [b'{"ok": true}', b"{}"])
def test_what_is_not_grafana_is_said(grafana: Grafana, server: FakeGrafana, answer: bytes) -> None:
    server.failures = [(200, answer)]
    with pytest.raises(GrafanaError, match="not Grafana's health"):
        grafana.version()


def test_no_server_and_no_right_are_told_without_the_token(server: FakeGrafana) -> None:
    with pytest.raises(GrafanaError, match="401") as refused:
        Grafana(server.url, SecretStr("glsa_other")).get("folders", "x")
    assert "glsa" not in str(refused.value)
    server.shutdown()
    server.server_close()
    with pytest.raises(GrafanaError, match="no readable answer") as gone:
        Grafana(server.url, SecretStr(ADMIN), repeats=0).call("post", "folders", json={})
    assert "glsa" not in str(gone.value)


@pytest.mark.parametrize(
    ("token", "method", "path", "role"),
    [
        (EDITOR, "get", ("datasources", "uid", "x"), "datasources:read (role Admin"),
        (EDITOR, "put", ("datasources", "uid", "x"), "datasources:create and datasources:write (role Admin"),
        (VIEWER, "post", ("folders",), "folders:create (role Editor"),
        (VIEWER, "post", ("dashboards", "db"), "dashboards:write on the folder (role Editor"),
        (VIEWER, "post", ("annotations",), "annotations:create (role Editor"),
        (EDITOR, "put", ("v1", "provisioning", "folder", "x", "rule-groups", "x"),
         "alert.provisioning:write (role Admin"),
    ],
)
def test_a_refusal_names_the_permission_and_the_role(
    server: FakeGrafana, token: str, method: str, path: tuple[str, ...], role: str
) -> None:
    with pytest.raises(GrafanaError, match=re.escape(role)) as refused:
        Grafana(server.url, SecretStr(token)).call(method, *path, json={**FOLDER, "dashboard": FOLDER})
    assert refused.value.status == 403


def test_path_parts_and_queries_are_quoted(grafana: Grafana, server: FakeGrafana) -> None:
    assert grafana.get("folders", "a/b?c") is None
    assert server.log[-1] == ("GET", "/folders/a%2Fb%3Fc")
    server.annotations = [{"tags": ["a b", "c&d"], "time": 5}, {"tags": ["a b"], "time": 6}]
    assert len(grafana.call("get", "annotations", query={"tags": ["a b", "c&d"], "limit": 10})) == 1


@pytest.mark.parametrize("url", ["ftp://grafana", "http://", "grafana:3000"])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="CX_GRAFANA_URL"):
        Grafana(url, SecretStr(ADMIN))


def test_versions_are_compared_as_numbers() -> None:
    assert release("12.4.0-pre+security-01") == (12, 4, 0)
    assert release("11.6") == (11, 6, 0) < release("11.10.1")
    assert release("") == release("unknown") == ()
