"""``cxwatch mappings`` and ``cxwatch init``: what comes along is to be read, copied and edited."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigError
from streams.cli.main import build_app
from streams.rules import read_names
from streams.settings import load_settings
from streams.sinks.messages import Library, TemplateRefused, read_sources
from streams.sources import load_mapping
from streams.sources.shipped import all_shipped, shipped_names

KEY = b"a key for tests only"


def command(*words: str) -> str:
    done = CliRunner().invoke(build_app(words[0]), words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refusal(*words: str) -> str:
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(build_app(words[0]), words, catch_exceptions=False)
    return str(refused.value)


def test_the_list_names_every_mapping_and_says_in_one_line_what_it_reads() -> None:
    lines = command("mappings", "list").splitlines()
    assert [line.split()[0] for line in lines] == shipped_names()
    assert all(len(line) <= 80 for line in lines), lines
    assert [json.loads(line)["name"] for line in command("mappings", "list", "--json").splitlines()] == shipped_names()


@pytest.mark.parametrize("name", shipped_names())
def test_each_mapping_is_shown_copied_and_loads_under_its_own_name(name: str, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert str(target) in command("mappings", "init", name, str(target))
    assert target.read_text() == command("mappings", "show", name)
    assert load_mapping(target, KEY).name == load_mapping(name, KEY).name


def test_a_copy_overwrites_nothing_and_an_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("mine")
    assert "is not overwritten" in refusal("mappings", "init", "shop", str(target))
    assert target.read_text() == "mine"
    assert "Did you mean shop?" in refusal("mappings", "show", "shops")


def test_the_head_of_each_mapping_says_what_a_new_user_must_know() -> None:
    for one in all_shipped():
        assert one.summary, one.name
        if one.name not in ("flights", "shop"):
            for word in ("Get it:", "Needs:", "Failure:"):
                assert word in one.head, f"{one.name}: {word}"


def test_a_project_works_as_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    command("init", str(folder), "--mapping", "shop")
    lines = (folder / "README.md").read_text().splitlines()
    assert len(lines) <= 25
    assert Library(read_sources(folder / "templates")).names == Library().names
    assert read_names(folder / "words.yaml") == {}
    assert load_mapping(folder / "mapping.yaml", KEY).name == "shop"
    assert "settings.env" in (folder / ".gitignore").read_text().split()
    assert (folder / "settings.env").stat().st_mode & 0o077 == 0


def test_the_settings_of_a_project_are_read_by_a_shell_also_with_every_line_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("init", str(tmp_path))
    file = tmp_path / "settings.env"
    file.write_text(file.read_text().replace("\n#CX_", "\nCX_"))
    shell = subprocess.run(
        ["sh", "-c", "set -a; . ./settings.env; env"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = dict(line.split("=", 1) for line in shell.stdout.splitlines() if line.startswith("CX_"))
    assert len(found) > 10
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.outreach_templates == Path("templates")
    assert len(settings.pseudonym_bytes() or b"") >= 32


def test_a_project_overwrites_nothing_and_writes_nothing_beside_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("mine")
    assert "words.yaml exists already" in refusal("init", str(tmp_path))
    assert os.listdir(tmp_path) == ["words.yaml"]
    assert (tmp_path / "words.yaml").read_text() == "mine"


def test_a_text_of_ones_own_replaces_the_package_s_and_is_checked_alike(tmp_path: Path) -> None:
    name = "delivery.notice@1.en"
    own = read_sources()[name].replace("is not on time", "is late")
    (tmp_path / f"{name}.txt").write_text(own)
    assert read_sources(tmp_path) == read_sources() | {name: own}
    (tmp_path / f"{name}.txt").write_text(own.replace("We are sorry", "A voucher"))
    with pytest.raises(TemplateRefused, match=name):
        Library(read_sources(tmp_path))


def test_a_folder_of_texts_that_is_not_there_or_replaces_nothing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CX_OUTREACH_TEMPLATES cannot be read"):
        read_sources(tmp_path / "nowhere")
    (tmp_path / "delivry.notice@1.en.txt").write_text("x")
    with pytest.raises(ConfigError, match="replaces no text"):
        read_sources(tmp_path)


def test_only_true_and_false_are_truth_values_in_a_mapping_file(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(
        "name: m\ncustomer: '{who}'\njoins: {items: {on: no}}\nevents:\n  - to: order\n    time: {field: at}\n"
        "    when: {field: items.sku, present: true}\n"
        "    fields: {order_id: '{no}', product: y, status: placed, region: {field: c, table: {NO: Norway}}}\n"
    )
    mapping = load_mapping(file)
    assert set(mapping.joins) == {"items"}
    values = {one.name: one.value for one in mapping.events[0].fields}
    assert values["region"]({"c": "NO"}) == "Norway"
    assert values["product"]({}) == "y"
