"""A small real HTTP server that answers as Grafana's documented API does: what it keeps, what it refuses, and how.

Versions 11.6 and 12.4 differ where we would notice. ``provision`` loads files as Grafana does at its start.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.patience import patience

Json = dict[str, Any]
ADMIN, EDITOR, VIEWER = "glsa_admin", "glsa_editor", "glsa_viewer"
RANK = {VIEWER: 0, EDITOR: 1, ADMIN: 2}
PLUGIN = "grafana-clickhouse-datasource"


class FakeGrafana(ThreadingHTTPServer):
    """Folders, data sources, boards, alert rules and annotations of one organisation."""

    def __init__(self, version: str = "12.4.0") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version = version
        self.plugins = {PLUGIN: "4.14.1"}
        self.folders: dict[str, Json] = {}
        self.sources: dict[str, Json] = {}
        self.boards: dict[str, Json] = {}
        """uid -> {"dashboard", "meta"}"""
        self.rules: dict[str, Json] = {}
        self.annotations: list[Json] = []
        self.health: tuple[int, Json] = (200, {"status": "OK", "message": "Data source is working"})
        self.log: list[tuple[str, str]] = []
        self.failures: list[tuple[int, bytes]] = []
        """Answers to give first, instead of the right one."""
        self.refuse_writes: int = 0
        """HTTP status of every answer to a write, which then changes nothing; 0: the right one."""
        self.lose_answers: bool = False
        """Do what a write asks, and answer as a proxy whose server did not."""
        self.hold = threading.Event()
        """Cleared: every answer waits."""
        self.hold.set()

    @property
    def url(self) -> str:
        """Address, with a path prefix in front of the API."""
        return f"http://127.0.0.1:{self.server_port}/grafana"

    def writes(self) -> list[tuple[str, str]]:
        """The requests that were meant to change something."""
        return [(method, path) for method, path in self.log if method != "GET"]

    def provision(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Load the provisioning files of a folder, and the boards where its provider says they lie."""
        for file in sorted(folder.rglob("*.yaml")):
            loaded = _expanded(yaml.safe_load(file.read_text(encoding="utf-8")), environment)
            for source in loaded.get("datasources", ()):
                if not isinstance(source["jsonData"]["port"], int):
                    raise ValueError("the plugin cannot read a port that is text")
                self.sources[source["uid"]] = {**source, "readOnly": not source["editable"]}
            for provider in loaded.get("providers", ()):
                self.folders[provider["folderUid"]] = {"uid": provider["folderUid"], "title": provider["folder"]}
                for board in sorted(Path(provider["options"]["path"]).glob("*.json")):
                    self._load_board(board, provider["folderUid"])
            for group in loaded.get("groups", ()):
                self._load_group(group)

    def _load_board(self, file: Path, folder: str) -> None:
        board = json.loads(file.read_text(encoding="utf-8"))
        meta = {"folderUid": folder, "provisioned": True, "provisionedExternalId": file.name}
        self.boards[board["uid"]] = {"dashboard": {**board, "id": 3, "version": 1}, "meta": meta}

    def _load_group(self, group: Json) -> None:
        for rule in group["rules"]:
            # The link to a panel is kept apart, and the folder of that title gets a uid of Grafana's own.
            kept = {key: value for key, value in rule.items() if key not in ("dashboardUid", "panelId")}
            self.rules[rule["uid"]] = {**kept, "orgID": 1, "folderUID": "bf-made-up", "ruleGroup": group["name"],
                                       "provenance": "file", "id": 9, "updated": "2026-01-02T12:00:00Z"}


def _expanded(value: Any, environment: Mapping[str, str]) -> Any:
    """Variables of the environment, ``$$`` for a dollar, and numbers where nothing but a number is left."""
    if isinstance(value, dict):
        return {key: _expanded(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, environment) for item in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    parts = [re.sub(r"\$(\w+|\{\w+\})", lambda found: environment.get(found[1].strip("{}"), ""), part)
             for part in value.split("$$")]
    text = "$".join(parts)
    return int(text) if re.fullmatch(r"\d+", text) else text


class Handler(BaseHTTPRequestHandler):
    """The routes of the API that cxwatch uses."""

    server: FakeGrafana
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Head and body leave together: sent apart, the second waits for the reader's acknowledgement."""

    def answer(self) -> None:
        """Serve one request."""
        address = urlsplit(self.path.removeprefix("/grafana/api"))
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        self.server.log.append((self.command, address.path))
        self.server.hold.wait(patience(30))
        status, text = self._answer(address.path, parse_qs(address.query), body)
        if self.server.lose_answers and self.command != "GET":
            status, text = 504, b"<html>gateway timeout</html>"
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            self.close_connection = True  # who asked is gone

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_arguments: Any) -> None:
        """Nothing on standard error."""

    def _answer(self, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, bytes]:
        server = self.server
        if server.failures:
            return server.failures.pop(0)
        if server.refuse_writes and self.command != "GET":
            return server.refuse_writes, b'{"message": "not now"}'
        if path == "/health":
            return _answered(200, {"database": "ok", "version": server.version, "commit": "abc"})
        rank = RANK.get(self.headers["Authorization"].removeprefix("Bearer "))
        if rank is None:
            return _answered(401, {"message": "Invalid API key", "messageId": "api-key.invalid"})
        area, *rest = [unquote(part) for part in path.strip("/").split("/")]
        route = getattr(self, f"_{area}", None)
        if route is None:
            return _answered(404, {"message": "Not found"})
        found: tuple[int, bytes] = route(rest, query, body, rank)
        return found

    def _folders(self, rest: list[str], _query: Any, body: Any, rank: int) -> tuple[int, bytes]:
        if self.command == "GET":
            return _found(self.server.folders.get(rest[0]), "folder not found")
        if rank < 1:
            return _denied("folders:create")
        if body["uid"] in self.server.folders:
            return _answered(412, {"message": "a folder with that uid already exists", "status": "name-exists"})
        self.server.folders[body["uid"]] = {**body, "id": 5, "version": 1}
        return _answered(200, self.server.folders[body["uid"]])

    def _dashboards(self, rest: list[str], _query: Any, body: Any, rank: int) -> tuple[int, bytes]:
        server = self.server
        if rest[0] == "uid":
            return _found(server.boards.get(rest[1]), "Dashboard not found")
        if rank < 1:
            return _denied("dashboards:write")
        uid, stored = body["dashboard"]["uid"], server.boards.get(body["dashboard"]["uid"])
        if body["folderUid"] not in server.folders:
            return _answered(400, {"message": "folder not found", "status": "not-found"})
        if stored is not None and stored["meta"].get("provisioned"):
            return _answered(400, {"message": "Cannot save provisioned dashboard"})
        if stored is not None and not body["overwrite"]:
            return _answered(412, {"message": "changed by someone else", "status": "version-mismatch"})
        board = {**body["dashboard"], "id": 7, "version": 1}
        if server.version.startswith("12"):
            board |= {"preload": False, "weekStart": "", "timepicker": {}}
            board["panels"] = [{**panel, "pluginVersion": server.version} for panel in board["panels"]]
        server.boards[uid] = {"dashboard": board, "meta": {"folderUid": body["folderUid"], "provisioned": False}}
        return _answered(200, {"status": "success", "uid": uid, "version": 1})

    def _datasources(self, rest: list[str], _query: Any, body: Any, rank: int) -> tuple[int, bytes]:
        sources = self.server.sources
        if rest[-1:] == ["health"]:
            return _answered(*self.server.health) if rest[1] in sources else _found(None, "Data source not found")
        if rank < 2:
            return _denied("datasources:read" if self.command == "GET" else "datasources:write")
        if self.command == "GET":
            stored = sources.get(rest[1])
            return _found(stored and {key: value for key, value in stored.items() if key != "secureJsonData"},
                          "Data source not found")
        if self.command == "PUT" and sources.get(rest[1], {}).get("readOnly"):
            return _answered(403, {"message": "Cannot update read-only data source"})
        if any(one["name"] == body["name"] and uid != body["uid"] for uid, one in sources.items()):
            return _answered(409, {"message": "data source with the same name already exists"})
        sources[body["uid"]] = {**body, "id": 1, "readOnly": False}
        return _answered(200, {"message": "Datasource added"})

    def _plugins(self, rest: list[str], _query: Any, _body: Any, rank: int) -> tuple[int, bytes]:
        if rank < 2:
            return _denied("plugins:install")
        version = self.server.plugins.get(rest[0])
        return _found(version and {"id": rest[0], "type": "datasource", "info": {"version": version}},
                      "Plugin not found, no installed plugin with that id")

    def _v1(self, rest: list[str], _query: Any, body: Any, rank: int) -> tuple[int, bytes]:
        server = self.server
        if self.command == "GET":
            stored = server.rules.get(rest[-1])
            return _answered(200, stored) if stored else (404, b"")
        if rank < 2:
            return _denied("alert.provisioning:write")
        folder, group = rest[2], rest[4]
        if folder not in server.folders:
            return _answered(404, {"message": "folder not found"})
        if any(server.rules.get(rule["uid"], {}).get("provenance") == "file" for rule in body["rules"]):
            return _answered(409, {"message": "cannot change provenance from 'file' to ''"})
        gone = [uid for uid, one in server.rules.items() if (one["folderUID"], one["ruleGroup"]) == (folder, group)]
        for uid in gone:
            del server.rules[uid]
        for at, rule in enumerate(body["rules"]):
            server.rules[rule["uid"]] = {**rule, "id": at, "provenance": "", "updated": "2026-01-02T12:00:00Z"}
        return _answered(200, body)

    def _annotations(self, rest: list[str], query: dict[str, list[str]], body: Any, rank: int) -> tuple[int, bytes]:
        kept = self.server.annotations
        if self.command == "GET":
            tags, limit = set(query.get("tags", ())), int(query.get("limit", ["100"])[0])
            first, last = (int(query.get(name, [other])[0]) for name, other in (("from", "0"), ("to", "9" * 15)))
            return _answered(200, [one for one in reversed(kept)
                               if tags <= set(one["tags"]) and first <= one["time"] <= last][:limit])
        if rank < 1:
            return _denied("annotations:create")
        kept.append({**body, "id": len(kept) + 1})
        return _answered(200, {"message": "Annotation added", "id": len(kept)})


def _answered(status: int, body: Any) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()


def _found(body: Any, otherwise: str) -> tuple[int, bytes]:
    return _answered(200, body) if body else _answered(404, {"message": otherwise})


def _denied(permission: str) -> tuple[int, bytes]:
    return _answered(403, {"title": "Access denied", "accessErrorId": "ACE0000000000",
                       "message": "You'll need additional permissions to perform this action. "
                                  f"Permissions needed: {permission}"})


@contextmanager
def running(version: str = "12.4.0") -> Iterator[FakeGrafana]:
    """A server for the length of a ``with``."""
    made = FakeGrafana(version)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.hold.set()
        made.shutdown()
        made.server_close()
