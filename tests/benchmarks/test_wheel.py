"""What is built for users holds the product and nothing that only measures or tests it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of all files in the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        return packed.namelist()


def test_benchmarks_and_tests_never_ship(names: list[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"streams", "schemas", "dashboards"}
    assert not [name for name in names if "bench" in name]


def test_the_wheel_holds_the_command_and_what_the_local_stack_needs(names: list[str]) -> None:
    assert "streams/cli/main.py" in names
    assert "streams/stack/local/server.properties" in names


def test_the_installed_command_knows_no_benchmark() -> None:
    code = "import sys; from streams.cli.main import main; sys.exit(main())"
    shown = subprocess.run([sys.executable, "-c", code, "--help"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "worker" in shown.stdout
    assert "bench" not in shown.stdout
