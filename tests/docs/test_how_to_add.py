"""Each diff of docs/how-to-add.md applies to this tree, and its commands show that it works there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.words import ROOT

PAGE = (ROOT / "docs" / "how-to-add.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
COPIED = (
    *("streams", "schemas", "dashboards", "tests", "docs", "deploy", "native", "benchmarks", "Makefile"),
    *("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "target")


def block(text: str, language: str) -> str:
    """Return the one block of a language in a section."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def run(command: list[str], tree: Path, text: str = "") -> str:
    """Run a command in the copy and return what it prints; what is imported comes from there."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the checks need."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=LEFT_OUT)
        else:
            shutil.copyfile(source, target)
    return tmp_path


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_what_the_page_tells_to_add_works(title: str, text: str, tree: Path) -> None:
    where = "import dashboards, schemas, streams; print(*map(lambda it: it.__file__, (dashboards, schemas, streams)))"
    assert run([sys.executable, "-c", where], tree).count(str(tree)) == 3
    run(["git", "apply", "--verbose", "-"], tree, block(text, "diff"))
    for line in block(text, "sh").replace("\\\n", " ").splitlines():
        program, *arguments = line.split()
        assert program in {"python", "cxwatch", "lint-imports"}, title
        quiet = ["-p", "no:cacheprovider"] if "pytest" in arguments else []
        run([str(Path(sys.executable).parent / program), *arguments, *quiet], tree)
