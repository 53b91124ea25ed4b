"""Several identifiers, one customer: which link decides, what is told, and that nothing is keyed anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from streams.sources import MappedFile, parse_mapping, read
from streams.sources.beside import AskedBeside, shared_out
from streams.sources.identity import Identifier, IdentityCounts, link_together, resolve, root
from streams.sources.values import pseudonym

KEY = b"sixteen bytes or more"
MAPPING = """
name: track
input: {format: ndjson}
customer:
  identity:
    - {kind: account, value: "{user}"}
    - {kind: email, pseudonym: "{email}", case: lower}
    - {kind: device, value: "{device}"}
links: {when: {field: event, equals: login}}
events:
  - to: telemetry
    time: {field: at, format: epoch_s}
    id: "{id}"
    fields: {product: app, event_name: "{event}", outcome: ok}
"""
ANN = pseudonym(KEY, "ann@example.org")


def rows(*found: str) -> list[dict[str, Any]]:
    """``tap d-1 ann@.. u-1``: event, then identifiers told apart by their look."""
    made = []
    for number, line in enumerate(found):
        event, *names = line.split()
        row: dict[str, Any] = {"at": 1_772_445_600 + number, "id": f"e-{number}", "event": event}
        for name in names:
            row["email" if "@" in name else "user" if name.startswith("u-") else "device"] = name
        made.append(row)
    return made


def played(
    folder: Path, found: list[dict[str, Any]], links_file: Path | None = None, **changes: Any
) -> tuple[MappedFile, list[str]]:
    file = folder / "track.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in found))
    rules = parse_mapping({**yaml.safe_load(MAPPING), **changes}, pseudonym_key=KEY)
    reading = read(rules, file, beside=AskedBeside(links=links_file))
    events = [one for one in reading.arrivals() if not one.headers]
    assert all(json.loads(one.value)["customer_id"].encode() == one.key for one in events)
    return reading, [(one.key or b"").decode() for one in events]


def test_a_file_reads_its_links_first_and_follows_them_to_the_end(tmp_path: Path) -> None:
    found = rows(
        "tap d-1", "tap d-2", "login d-1 Ann@example.org", "login ann@example.org u-1", "tap d-1", "tap u-1 d-2"
    )
    reading, keys = played(tmp_path, found)
    assert keys == ["u-1", "d-2", "u-1", "u-1", "u-1", "u-1"]
    assert reading.notes == ["identity: 2 links; 1 of 6 rows (16.7 %) are keyed by an identifier without a link"]


def test_only_rows_of_the_link_rule_link(tmp_path: Path) -> None:
    found = rows("tap d-1", "tap d-1 u-1")
    assert played(tmp_path, found)[1] == ["d-1", "u-1"]
    assert played(tmp_path, found, links=True)[1] == ["u-1", "u-1"]


def test_the_strongest_identifier_that_has_a_link_decides(tmp_path: Path) -> None:
    found = rows("login d-1 u-1", "login ann@example.org u-2", "tap d-1 bob@example.org", "tap d-1 ann@example.org")
    assert played(tmp_path, found)[1] == ["u-1", "u-2", "u-1", "u-2"]


def test_an_account_is_a_key_by_itself_whoever_used_its_device_before(tmp_path: Path) -> None:
    reading, keys = played(tmp_path, rows("login d-1 u-1", "login d-1 u-2", "tap d-1", "tap d-1 u-2"))
    assert keys == ["u-1", "u-2", "u-1", "u-2"]
    assert "1 links, 1 contradict earlier ones (the first counts)" in reading.notes[0]


def test_a_file_of_links_comes_first(tmp_path: Path) -> None:
    links = tmp_path / "links.csv"
    links.write_text("email,user,device\nann@example.org,u-1,\n,u-9,d-9\n")
    reading, keys = played(tmp_path, rows("tap ANN@example.org", "login d-9 u-1", "tap d-9", "tap d-3"), links)
    assert keys == ["u-1", "u-1", "u-9", "d-3"]
    assert "2 links, 1 contradict" in reading.notes[0]


def test_a_file_of_links_that_links_nothing_refuses_the_start(tmp_path: Path) -> None:
    links = tmp_path / "links.csv"
    links.write_text("E-Mail,user\nann@example.org,u-1\n")
    with pytest.raises(ConfigError, match="two of the columns device, email, user are needed"):
        played(tmp_path, rows("tap d-1"), links)


def test_links_need_identifiers(tmp_path: Path) -> None:
    body = {**yaml.safe_load(MAPPING), "customer": "{user}"}
    with pytest.raises(ConfigError, match=r"links: needs customer\.identity"):
        parse_mapping(body, pseudonym_key=KEY)
    del body["links"]
    with pytest.raises(ConfigError, match=r"--links: mapping track has no customer\.identity"):
        list(read(parse_mapping(body), tmp_path / "x", beside=AskedBeside(links=tmp_path)).arrivals())


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ([], "identity needs a list of identifiers"),
        ([{"value": "{user}"}], r"customer.identity\[0\]: kind is missing"),
        ([{"kind": "E-Mail", "value": "{user}"}], "must be a word of small letters"),
        ([{"kind": "account", "value": "{user}", "case": "lower"}], "value stands alone beside kind"),
        ([{"kind": "account", "vlaue": "{user}"}], "vlaue is not known here"),
    ],
)
def test_a_wrong_identity_is_refused_with_its_place(identity: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_mapping({**yaml.safe_load(MAPPING), "customer": {"identity": identity}}, pseudonym_key=KEY)


@pytest.mark.parametrize("clear", ["ann@example.org", "+49301234567"])
def test_an_identifier_that_names_a_person_is_a_dead_letter_without_its_value(clear: str, tmp_path: Path) -> None:
    file = tmp_path / "track.ndjson"
    file.write_text(json.dumps({**rows("login u-1")[0], "device": clear}) + "\n")
    reading = read(parse_mapping(yaml.safe_load(MAPPING), pseudonym_key=KEY), file)
    dead_letters = [dict(one.headers) for one in reading.arrivals()]
    assert [one["dlq.field"] for one in dead_letters] == [b"customer.identity[2]"]
    assert clear not in str([list(one.values()) for one in dead_letters])


class Memory(dict[str, str]):
    """Links in a dictionary."""

    def target(self, name: str) -> str | None:
        return self.get(name)

    def link(self, name: str, target: str) -> None:
        assert name not in self
        self[name] = target


KINDS = ("account", "email", "device")
named = st.lists(
    st.sets(st.tuples(st.integers(0, 2), st.sampled_from("abcd")), min_size=1, max_size=4).map(
        lambda found: [Identifier(rank, KINDS[rank], value) for rank, value in sorted(found)]
    ),
    max_size=30,
)


@given(named)
def test_links_form_no_circle_never_change_and_lead_to_one_customer(found: list[list[Identifier]]) -> None:
    table, counts = Memory(), IdentityCounts()
    for row in found:
        before = dict(table)
        link_together(row, table, counts)
        assert {name: table[name] for name in before} == before, "the first link stays"
        key = resolve(row, table, counts)
        assert key == resolve(row, table, counts)
        if row[0].rank == 0:
            assert key == root(row[0].name, table).partition(":")[2]
    assert counts.links == len(table)
    for name in table:
        assert root(name, table) not in table


TICKETS = """
name: desk
input: {format: ndjson}
customer: {identity: [{kind: email, pseudonym: "{from}", case: lower}]}
events:
  - to: contact
    time: {field: at, format: epoch_s}
    fields: {contact_id: "{no}", channel: other}
"""


@pytest.mark.parametrize("listed", [False, True])
def test_files_that_are_played_together_share_their_links(listed: bool, tmp_path: Path) -> None:
    tickets, track, links = (tmp_path / name for name in ("tickets.ndjson", "track.ndjson", "links.csv"))
    tickets.write_text('{"at":1772445600,"no":"k-1","from":"Ann@example.org"}\n')
    track.write_text("".join(json.dumps(row) + "\n" for row in rows("tap d-1", "login ann@example.org u-1")))
    links.write_text("user,device\nu-1,d-1\n")
    rules = [parse_mapping(yaml.safe_load(text), pseudonym_key=KEY) for text in (TICKETS, MAPPING)]
    asked = shared_out(AskedBeside(links=links if listed else None), rules, [tickets, track])
    readings = [read(rule, file, beside=one) for rule, file, one in zip(rules, (tickets, track), asked, strict=True)]
    keys = [[(one.key or b"").decode() for one in reading.arrivals() if not one.headers] for reading in readings]
    assert keys == [["u-1"], ["u-1" if listed else "d-1", "u-1"]]
