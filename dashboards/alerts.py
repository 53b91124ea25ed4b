"""The alert rules, said once: as files that Grafana loads (``rules_file``) and as the body of its API (``rule_group``).

Neither text holds a ``$``: Grafana fills in variables of its environment in files, and reads the same text from the API
as it stands, so templates say ``.Labels.x`` instead. Nothing is said about who is told: contact points and policies
belong to whoever runs Grafana (``dashboards/provisioning/alerting/*.template``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import yaml

from dashboards import alerts_sql as sql
from dashboards.boards import BOARDS
from dashboards.grafana import DATASOURCE_UID, PLUGIN, PLUGIN_VERSION

Json = dict[str, Any]
Severity = Literal["critical", "warning"]
Answer = Literal["OK", "Alerting", "KeepLast"]

FOLDER_UID, FOLDER_TITLE = "cxwatch-alerts", "Customer trouble alerts"
"""A folder of its own: which of rules and boards Grafana loads first, and so which makes the folder, differs."""
GROUP = "cxwatch"
EVERY_S = 30
"""Time between two evaluations."""
LIMITS: Mapping[str, float] = MappingProxyType(
    {"CHF": 100, "CNY": 750, "EUR": 100, "GBP": 100, "JPY": 15_000, "USD": 100}
)
"""Money per minute, of all open issues together, above which somebody is told; in the currency's main unit."""

RUNBOOK = "{{ if .Labels.signal }}runbooks/{{ .Labels.signal }}.md{{ else }}alerts.md#new-open-issue{{ end }}"
"""That of the issue's signal; an alert without an answer has none."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule. ``queries``: SQL per letter; A decides: an instance fires while its value is above ``over``."""

    uid: str
    title: str
    severity: Severity
    queries: tuple[tuple[str, str], ...]
    over: float
    summary: str
    """The summary while it fires: two sentences, a Go template over .Labels and .Values."""
    key: str
    """A label that every real instance has; without it there was no answer ("" if the rule has one instance only)."""
    means: str
    no_data: Answer
    why_no_data: str
    board: str
    panel: str
    """Slug of the panel that shows the same."""
    runbook: str
    """Page below docs/ that says what to do."""
    for_s: int = 0
    """Seconds that it has to hold before somebody is told."""
    on_error: Answer = "KeepLast"


class _Lines(yaml.SafeDumper):
    """Texts of several lines are written as such, so that SQL can be read."""


def _lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Lines.add_representer(str, _lines)


def alerts(limits: Mapping[str, float] = LIMITS) -> tuple[Alert, ...]:
    """Every alert rule. ``limits``: money per minute in the main unit of each currency."""
    return (*_trouble(limits), *_line(), *_telling())


def rule_group(docs: str = "", limits: Mapping[str, float] = LIMITS) -> Json:
    """The group as the provisioning API takes it. ``docs``: address of the folder docs/, for links to runbooks."""
    rules = [
        {**_rule(alert, docs), "orgID": 1, "folderUID": FOLDER_UID, "ruleGroup": GROUP} for alert in alerts(limits)
    ]
    for alert, rule in zip(alerts(limits), rules, strict=True):
        rule["annotations"] |= {"__dashboardUid__": alert.board, "__panelId__": str(_panel_id(alert))}
    return {"title": GROUP, "folderUid": FOLDER_UID, "interval": EVERY_S, "rules": rules}


def rules_file(docs: str = "", limits: Mapping[str, float] = LIMITS) -> str:
    """The text of the file that Grafana loads from ``provisioning/alerting``."""
    rules = [{**_rule(alert, docs), "dashboardUid": alert.board, "panelId": _panel_id(alert)}
             for alert in alerts(limits)]
    group = {"orgId": 1, "name": GROUP, "folder": FOLDER_TITLE, "interval": f"{EVERY_S}s", "rules": rules}
    content = {"apiVersion": 1, "groups": [group]}
    text = yaml.dump(content, Dumper=_Lines, sort_keys=False, allow_unicode=True, width=120)
    return f"# Made by `cxwatch boards export` from dashboards/alerts.py; what each rule means: docs/alerts.md.\n{text}"


def _trouble(limits: Mapping[str, float]) -> tuple[Alert, ...]:
    return (
        Alert(
            "cx-issue-open", "New open issue", "critical",
            (("A", sql.ISSUE_AFFECTED), ("B", sql.ISSUE_SILENT), ("D", sql.ISSUE_COST), ("E", sql.ISSUE_SENT)), -1,
            '{{ .Labels.title }}: {{ printf "%.0f" .Values.A.Value }} customers affected, '
            '{{ printf "%.0f" .Values.B.Value }} of them silent. '
            '{{ if .Labels.currency }}Every minute costs {{ printf "%.2f" .Values.D.Value }} {{ .Labels.currency }} '
            '({{ .Labels.basis }}){{ else }}What it costs is not known yet{{ end }}; '
            '{{ printf "%.0f" .Values.E.Value }} notices were sent.',
            "issue", "An issue is open: it fires when the issue is first shown and ends when the issue does.",
            "OK", "No row means that no issue is open; whether that can be believed is said by the rule about rooms.",
            "cx-operations", "issues", RUNBOOK,
        ),
        Alert(
            "cx-money-per-minute", "Money per minute over the limit", "critical",
            (("A", sql.money_over(limits)), ("B", sql.money_per_minute())), 0,
            'Open issues cost {{ printf "%.2f" .Values.B.Value }} {{ .Labels.currency }} a minute. '
            'That is {{ printf "%.2f" .Values.A.Value }} {{ .Labels.currency }} above the limit, '
            "as far as can be estimated.",
            "currency", "All open issues together cost more a minute, in one currency, than its limit allows; a "
            "currency without a limit has the limit 0, because nobody has said what is much.",
            "OK", "No row means that no open issue costs money.",
            "cx-operations", "per_minute", "alerts.md#money-per-minute-over-the-limit", for_s=60,
        ),
    )


def _line() -> tuple[Alert, ...]:
    never = f"{sql.NEVER_HEARD_S - 1}.0"
    return (
        Alert(
            "cx-stream-silent", "Stream silent", "critical", (("A", sql.STREAM_SILENT),), 0,
            '{{ .Labels.stream }} has given no data for {{ printf "%.0f" .Values.A.Value }} s. '
            "What happens there is not seen, and no issue can be found in it.",
            "stream", "A producer has been silent for longer than its usual rate explains.",
            "OK", "No row means that no producer was ever heard of; that the newest event is old, or that there is "
            "none, is said by the rule about rooms.",
            "cx-pipeline", "streams", "alerts.md#stream-silent", for_s=60,
        ),
        Alert(
            "cx-room-behind", "Room behind", "critical", (("A", sql.ROOM_LAG),), sql.ROOM_LAG_OVER_S,
            f"{{{{ .Labels.room }}}} {{{{ if gt .Values.A.Value {never} }}}}was never heard of{{{{ else }}}}"
            'is {{ printf "%.0f" .Values.A.Value }} s behind{{ end }}. '
            "Figures of the boards are older than they look, and customers are not told in time.",
            "room", "A room of the line, or the newest event, is more than ten minutes behind, or was never heard of.",
            "Alerting", "There is a row for every room even in an empty database: no answer is itself the trouble.",
            "cx-pipeline", "rooms", "alerts.md#room-behind", for_s=60, on_error="Alerting",
        ),
        Alert(
            "cx-dead-letter-share", "Dead-letter share", "warning", (("A", sql.DEAD_LETTER_SHARE),), 0.05,
            'Of the {{ .Labels.topic }} messages of the last 15 minutes, {{ humanizePercentage .Values.A.Value }} were '
            "refused. Whatever they say is missing from every figure until they are fed back.",
            "topic", "More than 5 % of a stream's messages of the last 15 minutes became dead letters, of at least 20.",
            "OK", "No row means fewer than 20 messages in 15 minutes; a stream without data is said by its own rule.",
            "cx-pipeline", "dead_letters", "alerts.md#dead-letter-share", for_s=120,
        ),
    )


def _telling() -> tuple[Alert, ...]:
    return (
        Alert(
            "cx-outreach-held", "Outreach held too long", "warning", (("A", sql.OUTREACH_HELD),), 0,
            '{{ .Labels.title }}: {{ printf "%.0f" .Values.A.Value }} customers wait for word. '
            "Held for more than half an hour because {{ .Labels.why }}.",
            "issue", "Customers of an issue could have been told half an hour ago, and an obstacle still holds it "
            "back.",
            "OK", "No row means that nothing is held too long.",
            "cx-outreach", "waiting", "alerts.md#outreach-held-too-long", for_s=60,
        ),
        Alert(
            "cx-channel-down", "Channel paused or gone", "critical", (("A", sql.CHANNEL_LEVEL),), 0,
            "Channel {{ .Labels.channel }} {{ if gt .Values.A.Value 1.0 }}is paused: its receiver is gone"
            "{{ else }}accepts nothing at the moment{{ end }}. Notices over it wait, and expire if it stays so.",
            "channel", "A channel is paused because its receiver is gone, or its receiver accepts nothing.",
            "OK", "No row means that nothing was ever sent.",
            "cx-pipeline", "channels", "alerts.md#channel-paused-or-gone", for_s=60,
        ),
        Alert(
            "cx-sender-down", "Sender down", "critical", (("A", sql.SENDER_PENDING),), 0,
            '{{ printf "%.0f" .Values.A.Value }} notices that were to be sent are taken by nobody. '
            "Customers are not told although everything allows it.",
            "", "Notices were decided five minutes ago or more, and the sender has not said what became of them.",
            "Alerting", "The answer is always one row: no answer is itself the trouble.",
            "cx-pipeline", "sender", "alerts.md#sender-down", for_s=120,
        ),
    )


def _rule(alert: Alert, docs: str) -> Json:
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "C",
        "data": [*(_query(letter, text) for letter, text in alert.queries), _threshold(alert.over)],
        "noDataState": alert.no_data,
        "execErrState": alert.on_error,
        "for": _duration(alert.for_s),
        "annotations": _annotations(alert, docs),
        "labels": {"severity": alert.severity, "product": "cxwatch"},
        "isPaused": False,
    }


def _annotations(alert: Alert, docs: str) -> dict[str, str]:
    found = {
        "summary": _summary(alert),
        "description": f"{alert.means} Without data: {alert.no_data}. {alert.why_no_data}",
        "runbook": f"docs/{alert.runbook}",
    }
    if alert.key == "issue":
        found["board"] = "d/cx-issue?var-issue={{ .Labels.issue }}"
    if docs:
        found["runbook_url"] = f"{docs.rstrip('/')}/{alert.runbook}"
    return found


def _summary(alert: Alert) -> str:
    """What is said also fits an instance without labels and values, which Grafana makes when there is no answer."""
    blind = f"{alert.title}: there was no answer, so nobody can say. Is ClickHouse there, and the data source right?"
    there = f".Labels.{alert.key}" if alert.key else ".Values.A"
    return f"{{{{ if {there} }}}}{alert.summary}{{{{ else }}}}{blind}{{{{ end }}}}"


def _query(letter: str, text: str) -> Json:
    model = {
        "refId": letter, "datasource": {"type": PLUGIN, "uid": DATASOURCE_UID}, "editorType": "sql",
        "pluginVersion": PLUGIN_VERSION, "format": 1, "queryType": "table", "rawSql": text.strip(),
        "intervalMs": 1000, "maxDataPoints": 43200,
    }
    return {"refId": letter, "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": DATASOURCE_UID,
            "model": model}


def _threshold(over: float) -> Json:
    model = {
        "refId": "C", "type": "threshold", "expression": "A", "datasource": {"type": "__expr__", "uid": "__expr__"},
        "conditions": [{"type": "query", "evaluator": {"type": "gt", "params": [over]}, "operator": {"type": "and"},
                        "query": {"params": ["C"]}, "reducer": {"type": "last", "params": []}}],
        "intervalMs": 1000, "maxDataPoints": 43200,
    }
    return {"refId": "C", "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": "__expr__", "model": model}


def _duration(seconds: int) -> str:
    """As Grafana writes it back: minutes where they are whole."""
    return f"{seconds // 60}m" if seconds and seconds % 60 == 0 else f"{seconds}s"


def _panel_id(alert: Alert) -> int:
    """The id behind a slug. Raises KeyError if the board has no such panel."""
    ids = {(board.uid, panel.slug): panel.id for board in BOARDS for panel in board.panels}
    return ids[alert.board, alert.panel]
