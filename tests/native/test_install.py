"""`make native`: builds once per version of the sources, and leaves the accelerator out where it cannot be built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "native.py"
CARGO = 'if [ "$1" = --version ]; then echo "cargo 1.90.0 (x)"; fi'
MATURIN = """
cargo build || exit 1
echo "$@" >> {log}
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
cat {crate}/src/lib.rs > "$2/cxwatch_native-0.1.0-{tag}.whl"
"""
UV = """
case "$*" in
  *uninstall*) rm -r {site}/cxwatch_native* ;;
  *) mkdir -p {site}/cxwatch_native {site}/cxwatch_native-0.1.0.dist-info
     for wheel in "$@"; do :; done
     cat "$wheel" > {site}/cxwatch_native/module
     sum=$(cksum < "$wheel"); echo "module,$sum" > {site}/cxwatch_native-0.1.0.dist-info/RECORD ;;
esac
"""


@dataclass
class Checkout:
    """A checkout with a crate and an environment, and programs in place of cargo, maturin, uv and Python."""

    root: Path

    def __post_init__(self) -> None:
        self.site = self.root / ".venv" / "lib" / "python3.11" / "site-packages"
        self.module = self.site / "cxwatch_native" / "module"
        self.crate = self.root / "native"
        self.log = self.root / "maturin.log"
        for folder in ("deploy", "native/src", ".venv/bin", "bin"):
            (self.root / folder).mkdir(parents=True)
        self.site.mkdir(parents=True)
        shutil.copy(SCRIPT, self.root / "deploy")
        (self.crate / "Cargo.toml").write_text('[package]\nrust-version = "1.80"\n')
        (self.crate / "Cargo.lock").write_text("")
        self.python("exit 0")
        self.cargo(CARGO)
        self.maturin("linux_x86_64")
        self._program(self.root / "bin" / "uv", UV.format(site=self.site))
        (self.root / "deploy" / "setup_venv.py").write_text(f"print({str(self.root / 'bin' / 'uv')!r})")
        self.source("one")

    def source(self, text: str) -> None:
        (self.crate / "src" / "lib.rs").write_text(text)

    def cargo(self, text: str) -> None:
        self._program(self.root / "bin" / "cargo", text)

    def maturin(self, tag: str) -> None:
        text = MATURIN.format(log=self.log, crate=self.crate, tag=tag)
        self._program(self.root / ".venv" / "bin" / "maturin", text)

    def python(self, load: str) -> None:
        self._program(self.root / ".venv" / "bin" / "python", load)

    def _program(self, path: Path, text: str) -> None:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.root / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.root), "XDG_CACHE_HOME": str(self.root / "cache"),
        }
        command = [sys.executable, str(self.root / "deploy" / "native.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def builds(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("tag", ["cp311-abi3-manylinux_2_34_x86_64", "cp311-abi3-macosx_11_0_arm64"])
def test_it_is_built_from_the_locked_crates_and_installed(checkout: Checkout, tag: str) -> None:
    checkout.maturin(tag)
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    assert checkout.module.read_text() == "one"
    assert "--release --locked" in checkout.log.read_text()
    assert sorted(path.name for path in checkout.site.iterdir()) == ["cxwatch_native", "cxwatch_native-0.1.0.dist-info"]


def test_equal_sources_are_not_built_again_and_an_installed_one_says_nothing(checkout: Checkout) -> None:
    checkout.run()
    assert checkout.run().stdout == ""
    for path in checkout.site.iterdir():
        shutil.rmtree(path)
    assert "installed" in checkout.run().stdout
    assert checkout.module.exists()
    assert checkout.builds() == 1


def test_a_module_from_before_there_were_wheels_does_not_stay(checkout: Checkout) -> None:
    bare = checkout.site / "cxwatch_native.abi3.so"
    bare.write_text("old")
    checkout.run()
    assert (bare.exists(), checkout.module.exists()) == (False, True)


def test_what_somebody_else_installed_is_replaced(checkout: Checkout) -> None:
    checkout.run()
    checkout.module.write_text("other")
    next(checkout.site.glob("*.dist-info/RECORD")).write_text("module,other")
    assert "installed" in checkout.run().stdout
    assert (checkout.module.read_text(), checkout.builds()) == ("one", 1)


def test_changed_sources_are_built_and_old_ones_are_still_known(checkout: Checkout) -> None:
    checkout.run()
    checkout.source("two")
    checkout.run()
    assert (checkout.module.read_text(), checkout.builds()) == ("two", 2)
    checkout.source("one")
    checkout.run()
    assert (checkout.module.read_text(), checkout.builds()) == ("one", 2)
    (checkout.crate / "Cargo.lock").write_text("changed")
    checkout.run()
    assert checkout.builds() == 3


def test_the_cache_keeps_a_few_builds(checkout: Checkout) -> None:
    for number in range(8):
        checkout.source(str(number))
        checkout.run()
    assert len(list((checkout.root / "cache" / "cxwatch" / "native").glob("*/*.whl"))) == 5


FETCH = "error: failed to download from registry\\nCaused by: Couldn't resolve host name"
LINK = "error: linker \\`cc\\` not found"
LEFT_OUT = {
    "old": ("echo 'cargo 1.63.0'", "older than 1.80"),
    "broken": ("exit 1", "rustup"),
    "no network": (f'[ "$1" = --version ] && echo cargo 1.90.0 && exit; printf "{FETCH}" >&2; exit 101', "connect"),
    "no linker": (f'[ "$1" = --version ] && echo cargo 1.90.0 && exit; printf "{LINK}" >&2; exit 101', "gcc"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_without_what_it_needs_it_is_left_out_in_one_sentence(checkout: Checkout, name: str) -> None:
    checkout.run()
    checkout.source("two")
    program, mend = LEFT_OUT[name]
    checkout.cargo(program)
    done = checkout.run()
    assert done.returncode == 0
    assert [mend in line for line in done.stdout.splitlines() if "left out" in line] == [True]
    assert not checkout.module.exists(), "one made of other sources must not stay"


def test_an_environment_without_maturin_needs_to_be_set_up_again(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "bin" / "maturin").unlink()
    done = checkout.run()
    assert (done.returncode, checkout.module.exists()) == (0, False)
    assert "make setup" in done.stdout


def test_without_cargo_it_is_left_out(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout.root / "bin" / "cargo").unlink()
    if shutil.which("cargo", path="/usr/bin:/bin"):
        pytest.skip("this machine has cargo among the system's programs")
    done = checkout.run()
    assert (done.returncode, checkout.module.exists()) == (0, False)
    assert "rustup" in done.stdout


def test_sources_that_do_not_compile_are_a_failure(checkout: Checkout) -> None:
    checkout.cargo('[ "$1" = --version ] && echo cargo 1.90.0 && exit; echo "error[E0308]: mismatched" >&2; exit 101')
    done = checkout.run()
    assert done.returncode == 1
    assert "E0308" in done.stderr


def test_one_that_python_cannot_load_is_not_left_installed(checkout: Checkout) -> None:
    checkout.python("echo 'wrong architecture' >&2; exit 1")
    done = checkout.run()
    assert (done.returncode, checkout.module.exists()) == (1, False)
    assert "wrong architecture" in done.stderr


def test_it_can_be_removed(checkout: Checkout) -> None:
    checkout.run()
    assert checkout.run("--remove").returncode == 0
    assert not checkout.module.exists()
    assert checkout.run("--remove").returncode == 0


def test_without_an_environment_it_says_what_to_do_first(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root / ".venv")
    done = checkout.run()
    assert done.returncode == 1
    assert "make setup" in done.stderr
