"""The rights come from the catalogue: page and commands follow it, and they keep apart what has to be apart."""

from __future__ import annotations

import itertools
import shlex
from typing import get_args

from deploy.reference import RIGHTS, with_rights
from streams.security.access import ROLES, Grant, Kind, Role, acl_commands, grants, principal
from streams.settings import Settings
from streams.topics import catalogue


def writers(name: str) -> set[Role]:
    """Who may write a topic."""
    on_it = [grant for grant in grants() if (grant.kind, grant.name) == ("topic", name)]
    return {grant.role for grant in on_it if "Write" in grant.operations}


def test_the_page_is_as_the_catalogue_says() -> None:
    page = RIGHTS.read_text(encoding="utf-8")
    assert page == with_rights(page), "run `make reference`"


def test_every_topic_of_the_catalogue_has_a_writer_and_nothing_else_is_granted() -> None:
    names = {wanted.name for wanted in catalogue(Settings())}
    literal = {grant.name for grant in grants() if grant.kind == "topic" and not grant.prefixed}
    assert literal == names
    assert all(writers(name) for name in names)


def test_orders_findings_and_deliveries_have_one_writer_each() -> None:
    assert {name: writers(name) for name in ("cx.command.v1", "cx.control.v1")} == {
        "cx.command.v1": {"operator"}, "cx.control.v1": {"operator"},
    }  # fmt: skip
    assert writers("cx.delivery.v1") == writers("cx.send.state.v1") == {"sender"}
    assert writers("cx.issue.v1") == writers("cx.outreach.v1") == {"worker"}
    assert {grant.role for grant in grants() if grant.name == "cx.send.state.v1"} == {"sender"}
    assert not [grant for grant in grants() if grant.role == "reader" and "Write" in grant.operations]


def test_the_commands_give_exactly_these_rights() -> None:
    settings = Settings(topic_prefix="eu.")
    given: list[Grant] = []
    for line in acl_commands(settings):
        words = shlex.split(line)
        [role] = [role for role in ROLES if f"User:{principal(settings, role)}" in words]
        operations = tuple(value for name, value in itertools.pairwise(words) if name == "--operation")
        for kind in get_args(Kind):
            names = [value for name, value in itertools.pairwise(words) if name == f"--{kind}"]
            for name in names:
                assert name.startswith("eu.")
                given.append(Grant(role, kind, name.removeprefix("eu."), operations, "prefixed" in words))
    assert sorted(given) == sorted(grants())
