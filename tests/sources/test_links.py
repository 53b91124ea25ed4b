"""The links that a follower keeps: the same keys after a crash, bounded, and forgotten with an erased customer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError
from streams.sources.identity import Identifier, IdentityCounts
from streams.sources.links import HOUR_MS, KeptLinks, NamedRow, links_file

KINDS = ("account", "email", "device")
START = 1_773_216_000_000
Opener = Callable[[], KeptLinks]


def row(offset: int, *names: str, part: int = 0, at_ms: int = START, links: bool = True) -> NamedRow:
    """``a1`` is an account, ``e1`` an e-mail, ``d1`` a device."""
    ranks = sorted(("aed".index(name[0]), name) for name in names)
    return NamedRow(part, offset, 0, at_ms, tuple(Identifier(rank, KINDS[rank], name) for rank, name in ranks), links)


def keys(table: KeptLinks, *rows: NamedRow, committed: dict[int, int] | None = None) -> list[str]:
    return table.keys(rows, committed or {}, {}, IdentityCounts())


def test_links_outlive_the_follower(tmp_path: Path) -> None:
    file = links_file(tmp_path, "acme.", "a/b track")
    first = KeptLinks(file, "t")
    assert keys(first, row(0, "d1"), row(1, "d1", "e1"), row(2, "e1", "a1"), row(3, "d1")) == ["d1", "e1", "a1", "a1"]
    first.close()
    assert keys(KeptLinks(file, "t"), row(4, "d1", links=False)) == ["a1"]
    assert file.parent == tmp_path / "links"


def test_a_list_of_links_counts_as_read_first_and_changes_no_link_that_exists(tmp_path: Path) -> None:
    table, counts = KeptLinks(tmp_path / "x.sqlite", "t"), IdentityCounts()
    keys(table, row(0, "d1", "a1"))
    for _ in range(2):
        table.add([row(0, "d1", "a2").identifiers, row(0, "d2", "a2").identifiers], counts)
    assert keys(table, row(1, "d1"), row(2, "d2")) == ["a1", "a2"]
    assert (counts.links, counts.conflicts) == (1, 2)


def test_offsets_of_another_topic_are_other_rows(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    assert keys(KeptLinks(file, "t"), row(0, "d1"), row(1, "d2", "a2")) == ["d1", "a2"]
    assert keys(KeptLinks(file, "u"), row(0, "d2"), row(1, "d3")) == ["a2", "d3"]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 40, None])
def test_a_file_that_cannot_be_used_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    if content is None:
        with sqlite3.connect(file) as table:
            table.execute("PRAGMA user_version = 9")
    else:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.sqlite"):
        KeptLinks(file, "t")


def test_too_many_links_are_dropped_by_when_they_were_used_last(tmp_path: Path) -> None:
    table = KeptLinks(tmp_path / "x.sqlite", "t", most=100)
    keys(table, *(row(n, f"d{n}", f"a{n}", at_ms=START + n * HOUR_MS) for n in range(100)))
    assert table.thin_out() == 0
    keys(table, row(100, "d0", at_ms=START + 200 * HOUR_MS), row(101, "d-new", "a-new", at_ms=START + 200 * HOUR_MS))
    assert (table.thin_out(), table.count, table.dropped) == (2, 99, 2)
    assert keys(table, *(row(200 + n, f"d{n}", links=False) for n in range(4))) == ["a0", "d1", "d2", "a3"]


def test_an_erased_customer_leaves_no_link_behind_not_even_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    table = KeptLinks(file, "t")
    keys(table, row(0, "d-secret", "e-secret"), row(1, "e-secret", "a-gone"), row(2, "d-other", "a-other"))
    assert table.erase("a-gone", KINDS) == 2
    assert table.erase("a-gone", KINDS) == 0
    assert keys(table, row(3, "d-secret", links=False), row(4, "d-other", links=False)) == ["d-secret", "a-other"]
    table.forget_keys({0: 5})
    table.close()
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"e-secret" not in left
    assert b"a-gone" not in left


names = st.sampled_from([f"{kind}{number}" for kind in "aed" for number in range(4)])
logs = st.lists(st.lists(st.lists(names, min_size=1, max_size=3, unique=True), max_size=15), min_size=1, max_size=3)


@settings(max_examples=15)
@given(data=st.data(), log=logs)
def test_rows_that_are_read_again_after_a_crash_get_the_same_keys(
    data: st.DataObject, log: list[list[list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Batches are written and only then committed; a crash between them repeats rows, merged in any other order."""
    file = tmp_path_factory.mktemp("links") / "x.sqlite"
    table, following = KeptLinks(file, "t"), dict.fromkeys(range(len(log)), 0)
    written: dict[tuple[int, int], str] = {}
    crashes = 0
    for turn in count():
        position = dict(following)
        batch: list[NamedRow] = []
        for _ in range(data.draw(st.integers(1, 6))):
            left = [part for part, rows in enumerate(log) if position[part] < len(rows)]
            if not left:
                break
            part = data.draw(st.sampled_from(left))
            batch.append(row(position[part], *log[part][position[part]], part=part, at_ms=START + turn))
            position[part] += 1
        if not batch:
            break
        for one, key in zip(batch, keys(table, *batch, committed=following), strict=True):
            assert written.setdefault((one.part, one.offset), key) == key
        if crashes < 5 and data.draw(st.booleans()):
            crashes += 1
            table.close()
            table = KeptLinks(file, "t")
        else:
            following = position
    table.close()
    assert len(written) == sum(map(len, log))
