"""Case 12: exports repeat columns, or leave their names out. Only a repeated column that is used is refused."""

from __future__ import annotations

from pathlib import Path

from tests.cases.files import outcome, refused

JIRA = """
name: jira
input: {format: csv}
zone: Europe/Berlin
customer: "{Reporter Id}"
events:
  - to: contact
    time: {field: Created, format: "%%d/%%b/%%y %%I:%%M %%p"}
    id: "{Issue key}"
    fields: {contact_id: "{Issue key}", channel: web, text: "%s"}
"""
ROWS = (
    "Issue key,Summary,Created,Reporter Id,Labels,Labels,Labels,Comment,Comment,,\n"
    'PROJ-1,Fix it,02/Mar/26 10:15 AM,u-1,backend,urgent,,"02/Mar/26 10:20 AM;a1;Deploy at 9;30; then check logs",,,\n'
    "PROJ-2,Parcel late,02/Mar/26 11:15 AM,u-2,delivery,,,,,,\n"
)


def test_columns_that_are_not_used_may_repeat_or_have_no_name(tmp_path: Path) -> None:
    found = outcome(JIRA % "{Summary}", ROWS, tmp_path)
    assert [(event["event_id"], event["text"]) for event in found.events] == [
        ("PROJ-1", "Fix it"), ("PROJ-2", "Parcel late"),
    ]  # fmt: skip
    assert found.dead_letters == []


def test_a_used_column_that_repeats_is_refused_by_name(tmp_path: Path) -> None:
    location = "named by m.yaml events[0].fields"
    for text, times in (("{Labels}", 3), ("{Summary} {Comment}", 2)):
        name = text.rpartition("{")[2].removesuffix("}")
        error = refused(JIRA % text, ROWS, tmp_path)
        assert error.startswith(f"column {name}, {location}")
        assert error.endswith(f"is in the header {times} times: rename all but one of them.")
