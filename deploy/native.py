"""Builds the optional native implementation (``native/``) by maturin and installs it into ``.venv``.

``python deploy/native.py [--remove]``. Everything works without it, only slower; where it cannot be built for want of a
tool or of the network, one sentence says so and the exit status is 0. Wheels are kept in a cache of the user
(``cxwatch/native`` in ``$XDG_CACHE_HOME`` or ``~/.cache``), named after the sources, so that only changed sources are
compiled anew, whichever checkout they lie in.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATE = ROOT / "native"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MATURIN = VENV / "bin" / "maturin"
STAMP = VENV / ".native"
"""What is installed: the hash of its sources and its list of files."""
CACHED_WHEELS = 5
RUSTUP = "install Rust from https://rustup.rs, then `make native`"
OBSTACLES = {
    r"linker `\S+` not found": "a C linker is needed: `sudo apt-get install gcc` (macOS: `xcode-select --install`), "
                               "then `make native`",
    r"failed to (download|get|fetch|query)|Could ?n.t resolve host|network failure|--offline":
        "the crates it needs cannot be fetched: connect once, then `make native`",
    r"No space left on device": "the disk is full: make room (about 500 MB), then `make native`",
}
"""What cargo says -> what to do; anything else is a fault of ours and fails."""


def main() -> int:
    """Build and install, or remove."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--remove", action="store_true", help="uninstall the native implementation")
    remove = parser.parse_args().remove
    if not PYTHON.exists():
        print("native: there is no environment yet; `make setup` first", file=sys.stderr)
        return 1
    if remove:
        uninstall()
        print("native implementation removed; everything runs in Python")
        return 0
    sources = key(CRATE)
    if STAMP.exists() and STAMP.read_text("utf-8") == stamp(sources):
        return 0
    uninstall()  # one made of other sources must not stay
    try:
        install(cached(sources) or build(sources), sources)
    except LeftOut as reason:
        print(f"native implementation left out (everything works without it, slower): {reason}")
    except BuildError as error:
        print(f"native: {error}", file=sys.stderr)
        return 1
    return 0


class LeftOut(Exception):
    """What is missing and how to get it, one sentence."""


class BuildError(Exception):
    """The sources do not compile, or what they became cannot be installed."""


def key(crate: Path) -> str:
    """Name of a build: a hash of all that goes into it."""
    seen = hashlib.sha256(f"{sys.platform} {platform.machine()}".encode())
    names = [crate / name for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml", "build.rs")]
    for path in filter(Path.exists, [*names, *sorted((crate / "src").rglob("*.rs"))]):
        content = path.read_bytes()
        seen.update(f"\n{path.relative_to(crate).as_posix()} {len(content)}\n".encode() + content)
    return seen.hexdigest()[:20]


def stamp(sources: str) -> str:
    """What the stamp holds while the build of these sources is installed as it was made."""
    records = VENV.glob("lib/python3*/site-packages/cxwatch_native-*.dist-info/RECORD")
    return "\n".join([sources, *(path.read_text("utf-8") for path in records)])


def cache() -> Path:
    """Folder of the user for builds, shared by all checkouts."""
    base = Path(os.environ["XDG_CACHE_HOME"]) if os.environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    return base / "cxwatch" / "native"


def cached(sources: str) -> Path | None:
    """The wheel if these sources were built before."""
    return next((cache() / sources).glob("*.whl"), None)


def build(sources: str) -> Path:
    """Build the wheel in the cache, while no other checkout builds there. Raises LeftOut or BuildError."""
    cargo = find_cargo()
    least = require_version(cargo, CRATE)
    if not MATURIN.exists():
        raise LeftOut("maturin is missing in .venv: `make setup`, then `make native`")
    print(f"building the native implementation with {least}, once per version of its sources", flush=True)
    cache().mkdir(parents=True, exist_ok=True)
    path = [str(Path(cargo).parent), os.environ.get("PATH", "")]
    environment = os.environ | {"CARGO_TARGET_DIR": str(cache() / "target"), "PATH": os.pathsep.join(path)}
    made = cache() / f"{sources}.new"
    command: list[str | Path] = [MATURIN, "build", "--release", "--locked", "--interpreter", PYTHON, "--out", made]
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(made, ignore_errors=True)
        done = subprocess.run([*command, "--manifest-path", CRATE / "Cargo.toml"],
                              capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            shutil.rmtree(made, ignore_errors=True)
            raise explain(done.stderr)
        if key(CRATE) != sources:
            raise BuildError("the sources changed while they were compiled; try again")
        shutil.rmtree(cache() / sources, ignore_errors=True)
        made.rename(cache() / sources)
        forget()
    wheel = cached(sources)
    if wheel is None:
        raise BuildError("maturin built no wheel")
    return wheel


def find_cargo() -> str:
    """Path of cargo, also where rustup puts it without being on PATH."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    found = shutil.which("cargo") or shutil.which("cargo", path=str(home / "bin"))
    if found is None:
        raise LeftOut(f"cargo is missing: {RUSTUP}")
    return found


def require_version(cargo: str, crate: Path) -> str:
    """Return cargo's name and version; raises LeftOut if it is older than the crate asks for."""
    stated = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    have = re.search(r"(\d+)\.(\d+)", stated)
    need = re.search(r'^rust-version\s*=\s*"(\d+)\.(\d+)', (crate / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
    if have is None:
        raise LeftOut(f"cargo does not start: {RUSTUP}")
    if need and tuple(map(int, have.groups())) < tuple(map(int, need.groups())):
        raise LeftOut(f"{stated} is older than {need[1]}.{need[2]}: {RUSTUP}")
    return " ".join(stated.split()[:2])


def explain(output: str) -> LeftOut | BuildError:
    """What cargo's failure means."""
    for pattern, sentence in OBSTACLES.items():
        if re.search(pattern, output):
            return LeftOut(sentence)
    return BuildError("the native implementation does not compile:\n  " + "\n  ".join(output.splitlines()[-25:]))


def forget() -> None:
    """Keep the newest wheels of the cache."""
    wheels = sorted(cache().glob("*/*.whl"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in wheels[CACHED_WHEELS:]:
        shutil.rmtree(old.parent, ignore_errors=True)


def install(wheel: Path, sources: str) -> None:
    """Install a wheel and see whether Python can load it. Raises BuildError."""
    complaint = uv("install", "--no-deps", "--offline", str(wheel))
    tried = subprocess.run([str(PYTHON), "-P", "-c", "import cxwatch_native"],
                           capture_output=True, text=True, check=False)
    if complaint or tried.returncode != 0:
        uninstall()
        raise BuildError("this Python cannot load what was built: " + (complaint or tried.stderr.strip())[-300:])
    STAMP.write_text(stamp(sources), "utf-8")
    print("native implementation installed; `python deploy/native.py --remove` takes it out again")


def uninstall() -> None:
    """Take out what is installed, if anything is."""
    STAMP.unlink(missing_ok=True)
    for bare in VENV.glob("lib/python3*/site-packages/cxwatch_native*.so"):
        bare.unlink()  # installed as a file before there were wheels; Python would load it where the wheel is missing
    if any(VENV.glob("lib/python3*/site-packages/cxwatch_native-*.dist-info")):
        uv("uninstall", "cxwatch-native")


def uv(command: str, *arguments: str) -> str:
    """Run a command of ``uv pip`` on the environment; returns what it complained of if it failed."""
    asked = [sys.executable, str(ROOT / "deploy" / "setup_venv.py"), "--uv"]
    program = subprocess.run(asked, capture_output=True, text=True, check=False)
    if program.returncode != 0:
        return program.stderr.strip()
    call = [program.stdout.strip(), "pip", command, "--quiet", "--python", str(PYTHON), *arguments]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    return done.stderr.strip() or f"uv pip {command} failed" if done.returncode != 0 else ""


if __name__ == "__main__":
    sys.exit(main())
