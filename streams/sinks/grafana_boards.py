"""What Grafana should hold (folders, data source, boards, alert rules), what it holds, and making it so.

Everything is read and compared first, by uid; applying the same again changes nothing. What Grafana loads from files of
its own server is theirs: it is never written here, and said instead. Contact points and notification policies are left
alone: writing a policy replaces all of them, other people's included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dashboards import alerts
from dashboards.boards import BOARDS
from dashboards.grafana import DATASOURCE_UID, FOLDER_UID, PLUGIN, PLUGIN_VERSION, dashboard
from streams.sinks.clickhouse import Login
from streams.sinks.grafana import FORBIDDEN, Grafana, GrafanaError, Json, release

FOLDER_TITLE = "Customer trouble"
LEAST_GRAFANA, LEAST_PLUGIN = (11, 6, 0), (4, 14, 0)
State = Literal["same", "missing", "different", "unknown"]
_NUMBERED = ("id", "version", "pluginVersion", "updated", "provenance")
"""What Grafana fills in by itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that Grafana should hold, compared with what it holds.

    ``lines``: what differs, one sentence each. ``owner``: where else it is kept ("" if it may be written from here).
    ``write``: makes it so.
    """

    name: str
    state: State
    lines: tuple[str, ...] = ()
    owner: str = ""
    write: Callable[[], None] | None = None


def items(grafana: Grafana, reader: Login | None, group: Json | None) -> list[Item]:
    """Everything, in the order in which it has to be written. ``reader``: login of the data source, None to leave it
    alone; ``group``: alert rules as ``dashboards.alerts.rule_group`` makes them, or None. Raises GrafanaError."""
    found = [_folder(grafana, FOLDER_UID, FOLDER_TITLE)]
    if reader is not None:
        found.append(_datasource(grafana, reader))
    found += [_board(grafana, dashboard(board)) for board in BOARDS]
    return [*found, *(_alerts(grafana, group) if group is not None else ())]


def push(grafana: Grafana, reader: Login | None, group: Json | None) -> tuple[list[str], list[Item]]:
    """Write what differs; returns what was written, and what differs and belongs to others. Raises GrafanaError."""
    written: list[str] = []
    others = []
    for item in items(grafana, reader, group):
        if item.owner and item.state != "same":
            others.append(item)
        elif item.write is not None:
            item.write()
            written.append(item.name)
    return written, others


def conditions(grafana: Grafana) -> list[Item]:
    """Whether Grafana, the plugin and the data source can show the boards at all. Raises GrafanaError."""
    return [_at_least("Grafana", grafana.version(), LEAST_GRAFANA), _plugin(grafana), _health(grafana)]


def differences(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """What differs, one line each with the place; what Grafana adds by itself, or adds empty, does not count."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [line for name in sorted({*theirs, *ours}) for line in _one(theirs, ours, name, path)]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = enumerate(zip(theirs, ours, strict=True))
        return [line for at, (their, our) in pairs for line in differences(their, our, f"{path}[{at}]")]
    if theirs == ours and isinstance(theirs, bool) == isinstance(ours, bool):
        return []
    return [f"{path}: {_short(theirs)} -> {_short(ours)}"]


def _one(theirs: Json, ours: Json, name: str, path: str) -> list[str]:
    where = f"{path}.{name}" if path else name
    if name not in ours:
        ignored = name in _NUMBERED or theirs[name] in (None, False, "", 0) or theirs[name] in ([], {})
        return [] if ignored else [f"{where}: only in Grafana ({_short(theirs[name])})"]
    if name not in theirs:
        ignored = ours[name] in (None, False, "", 0) or ours[name] in ([], {})
        return [] if ignored else [f"{where}: not in Grafana ({_short(ours[name])})"]
    return differences(theirs[name], ours[name], where)


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _folder(grafana: Grafana, uid: str, title: str) -> Item:
    name = f"folder {title}"
    if grafana.get("folders", uid) is not None:
        return Item(name, "same")
    return Item(name, "missing", write=lambda: _write(grafana, "post", "folders", body={"uid": uid, "title": title}))


def _board(grafana: Grafana, ours: Json) -> Item:
    uid = str(ours["uid"])
    body = {"dashboard": {**ours, "id": None}, "folderUid": FOLDER_UID, "overwrite": True, "message": "cxwatch"}

    def write() -> None:
        _write(grafana, "post", "dashboards", "db", body=body)

    stored = grafana.get("dashboards", "uid", uid)
    if stored is None:
        return Item(uid, "missing", write=write)
    meta = stored.get("meta") or {}
    owner = f"file {meta.get('provisionedExternalId') or '(unnamed)'} of the Grafana server" * bool(
        meta.get("provisioned")
    )
    lines = _board_lines(stored.get("dashboard") or {}, ours)
    if meta.get("folderUid") not in (FOLDER_UID, None) and not owner:
        lines.append(f"folder: {meta['folderUid']!r} -> {FOLDER_UID!r}")
    return Item(uid, "different" if lines else "same", tuple(lines), owner, write if lines else None)


def _board_lines(theirs: Json, ours: Json) -> list[str]:
    """Differences of a dashboard: first the board's own, then panel by panel in our order."""
    lines = differences({**theirs, "panels": []}, {**ours, "panels": []})
    there = {panel.get("id"): panel for panel in theirs.get("panels") or []}
    for panel in ours["panels"]:
        name = f"panel {panel['id']} {panel['title']!r}"
        stored = there.pop(panel["id"], None)
        if stored is None:
            lines.append(f"{name}: not in Grafana")
        else:
            lines += [f"{name}: {line}" for line in differences({**stored, "id": 0}, {**panel, "id": 0})]
    return lines + [f"panel {number} {panel.get('title')!r}: only in Grafana" for number, panel in there.items()]


def _datasource(grafana: Grafana, reader: Login) -> Item:
    name = "data source cxwatch"
    ours = {
        "uid": DATASOURCE_UID, "name": "cxwatch", "type": PLUGIN, "access": "proxy",
        "jsonData": {
            "host": reader.host, "port": reader.port, "protocol": "native", "username": reader.user,
            "defaultDatabase": reader.database, "version": PLUGIN_VERSION,
        },
    }
    body = {**ours, "secureJsonData": {"password": reader.password.get_secret_value()}}
    stored = grafana.get("datasources", "uid", DATASOURCE_UID)
    if stored is None:
        return Item(name, "missing", write=lambda: _write(grafana, "post", "datasources", body=body))
    compared = {key: stored.get(key) for key in ours}
    compared["jsonData"] = {key: (stored.get("jsonData") or {}).get(key) for key in ours["jsonData"]}
    lines = tuple(differences(compared, ours))
    owner = "a file below provisioning/datasources of the Grafana server" * bool(stored.get("readOnly"))
    # Its password cannot be read back, so what may be written is always written.
    return Item(name, "different" if lines else "same", lines, owner, None if owner else lambda: _write(
        grafana, "put", "datasources", "uid", DATASOURCE_UID, body=body))


def _alerts(grafana: Grafana, group: Json) -> list[Item]:
    """The folder of the rules, and the rules, which are written as one group."""
    name, lines, owner = "alert rules", [], ""
    for rule in group["rules"]:
        stored = grafana.get("v1", "provisioning", "alert-rules", rule["uid"])
        if stored is None:
            lines.append(f"{rule['title']}: not in Grafana")
            continue
        if stored.get("provenance") == "file":
            owner = "a file below provisioning/alerting of the Grafana server"
        lines += [f"{rule['title']}: {line}" for line in _rule_lines(stored, rule)]
    if owner:
        return [Item(name, "different" if lines else "same", tuple(lines), owner)]

    def write() -> None:
        # Without provenance whoever runs Grafana may edit and pause them there, and load them from files later.
        _write(grafana, "put", "v1", "provisioning", "folder", alerts.FOLDER_UID, "rule-groups", group["title"],
               body=group, headers={"X-Disable-Provenance": "true"})

    missing = len(lines) == len(group["rules"]) and all(line.endswith(": not in Grafana") for line in lines)
    state: State = "missing" if missing else "different" if lines else "same"
    folder = _folder(grafana, alerts.FOLDER_UID, alerts.FOLDER_TITLE)
    return [folder, Item(name, state, tuple(lines), write=write if lines else None)]


def _rule_lines(stored: Json, ours: Json) -> list[str]:
    """Differences of a rule. A file names a folder by its title, and keeps the link to a panel apart."""
    if stored.get("provenance") != "file":
        wanted = {key: value for key, value in ours.items() if key != "orgID"}
    else:
        wanted = {key: value for key, value in ours.items() if key not in ("orgID", "folderUID")}
        wanted["annotations"] = {key: value for key, value in ours["annotations"].items() if not key.startswith("__")}
    theirs = {key: stored.get(key) for key in wanted}
    if isinstance(theirs["annotations"], dict):
        theirs["annotations"] = {key: value for key, value in theirs["annotations"].items()
                                 if key in wanted["annotations"] or not key.startswith("__")}
    return differences(theirs, wanted)


def _plugin(grafana: Grafana) -> Item:
    name = f"plugin {PLUGIN}"
    try:
        found = grafana.get("plugins", PLUGIN, "settings")
    except GrafanaError as error:
        if error.status != FORBIDDEN:
            raise
        return Item(name, "unknown", (str(error),))
    if found is None:
        return Item(name, "missing", (f"install it on the Grafana server: grafana cli plugins install {PLUGIN}",))
    return _at_least(name, str((found.get("info") or {}).get("version", "")), LEAST_PLUGIN)


def _health(grafana: Grafana) -> Item:
    """The data source asks ClickHouse; an answer other than OK says why."""
    name = "data source answers"
    try:
        found = grafana.get("datasources", "uid", DATASOURCE_UID, "health")
    except GrafanaError as error:
        return Item(name, "unknown" if error.status == FORBIDDEN else "different", (str(error),))
    if found is None:
        return Item(name, "missing", (f"there is no data source with uid {DATASOURCE_UID}",))
    if found.get("status") == "OK":
        return Item(name, "same")
    return Item(name, "different", (str(found.get("message", "it is not well")),))


def _at_least(name: str, version: str, least: tuple[int, ...]) -> Item:
    known = release(version)
    wanted = ".".join(str(part) for part in least[:2])
    if not known:
        return Item(name, "unknown", (f"its version is not told; {wanted} or later is needed",))
    if known < least:
        return Item(f"{name} {version}", "different", (f"{wanted} or later is needed",))
    return Item(f"{name} {version}", "same")


def _write(
    grafana: Grafana, method: str, *path: str, body: Mapping[str, Any], headers: dict[str, str] | None = None
) -> None:
    grafana.call(method, *path, json=dict(body), headers=headers)


def unequal(found: Iterable[Item]) -> list[Item]:
    """Those that are not as they should be, or cannot be seen."""
    return [item for item in found if item.state != "same"]
