"""The tables of docs/grafana.md and docs/alerts.md that are made of code, and the guide's blocks.

``python -m tests.dashboards.grafana_docs`` writes the tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from dashboards.alerts import alerts
from streams.sinks.grafana import NEEDS
from tests.docs.words import ROOT

GUIDE, ALERTS = ROOT / "docs" / "grafana.md", ROOT / "docs" / "alerts.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CALLS = {
    "dashboards": "boards", "folders": "folders", "annotations": "annotations", "datasources": "data source",
    "plugins": "version of the plugin", "v1": "alert rules",
}


def rules_table() -> str:
    """One row per alert rule."""
    head = "| rule | severity | after | fires | without data | ClickHouse away |\n|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| [{alert.title}](#{alert.title.lower().replace(' ', '-')}) | {alert.severity} | {alert.for_s} s "
        f"| {alert.means} | `{alert.no_data}`: {alert.why_no_data} | `{alert.on_error}` |\n" for alert in alerts()
    )


def permissions_table() -> str:
    """One row per kind of call."""
    head = "| call | permission | least role of Grafana's own |\n|---|---|---|\n"
    return head + "".join(f"| {'read' if method else 'write'} {_CALLS[area]} | `{permission}` | {role} |\n"
                          for method, area, permission, role in NEEDS)


def with_table(file: Path, name: str, table: str) -> str:
    """The text of a document with this table between its marks."""
    before, _, rest = file.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, _, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}<!-- {name} -->\n{table}<!-- /{name} -->{after}"


def blocks() -> list[tuple[str, list[str]]]:
    """Language and lines of every block of the guide, in order."""
    text = GUIDE.read_text(encoding="utf-8")
    return [(found[1], found[2].splitlines()) for found in _BLOCK.finditer(text)]


if __name__ == "__main__":
    GUIDE.write_text(with_table(GUIDE, "permissions", permissions_table()), encoding="utf-8")
    ALERTS.write_text(with_table(ALERTS, "rules", rules_table()), encoding="utf-8")
