"""Builds the optional accelerator (``native/``) and puts it into ``.venv``: ``python deploy/native.py [--remove]``.

Everything works without it, only slower; where it cannot be built for want of a tool or of the network, one sentence
says so and the exit status is 0. What was built is kept in a cache of the user (``cxwatch/native`` in
``$XDG_CACHE_HOME`` or ``~/.cache``), named after the sources, so that only changed sources are compiled anew.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATE = ROOT / "native"
PYTHON = ROOT / ".venv" / "bin" / "python"
NAME = "cxwatch_native.abi3.so"
"""File name of the module, for every Python from 3.11 on; Python wants it so on macOS, too."""
KEPT = 5
"""Builds of other versions of the sources that stay in the cache."""
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
    parser.add_argument("--remove", action="store_true", help="uninstall the accelerator")
    remove = parser.parse_args().remove
    if not PYTHON.exists():
        print("native: there is no environment yet; `make setup` first", file=sys.stderr)
        return 1
    target = site_packages() / NAME
    if remove:
        target.unlink(missing_ok=True)
        print("accelerator removed; everything runs in Python")
        return 0
    try:
        built = cached(CRATE) or build(CRATE)
    except LeftOut as reason:
        target.unlink(missing_ok=True)  # one made of other sources must not stay
        print(f"accelerator left out (everything works without it, slower): {reason}")
        return 0
    except BuildError as error:
        target.unlink(missing_ok=True)
        print(f"native: {error}", file=sys.stderr)
        return 1
    return install(built, target)


class LeftOut(Exception):
    """What is missing and how to get it, one sentence."""


class BuildError(Exception):
    """The sources do not compile."""


def site_packages() -> Path:
    """Folder of the environment for compiled modules."""
    ask = [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    return Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())


def key(crate: Path) -> str:
    """Name of a build: a hash of all that goes into it."""
    seen = hashlib.sha256(f"{NAME} {sys.platform} {platform.machine()}".encode())
    names = [crate / "Cargo.toml", crate / "Cargo.lock", crate / "build.rs", *sorted((crate / "src").rglob("*.rs"))]
    for path in filter(Path.exists, names):
        content = path.read_bytes()
        seen.update(f"\n{path.relative_to(crate).as_posix()} {len(content)}\n".encode() + content)
    return seen.hexdigest()[:20]


def cache() -> Path:
    """Folder of the user for builds, shared by all checkouts."""
    base = Path(os.environ["XDG_CACHE_HOME"]) if os.environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    return base / "cxwatch" / "native"


def cached(crate: Path) -> Path | None:
    """The module if these sources were built before."""
    path = cache() / key(crate) / NAME
    return path if path.exists() else None


def build(crate: Path) -> Path:
    """Compile into the cache. Raises LeftOut or BuildError."""
    cargo = find_cargo()
    least = require_version(cargo, crate)
    print(f"building the accelerator with {least}, once per version of its sources", flush=True)
    target = cache() / "target"
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PYO3_NO_PYTHON": "1"}
    if sys.platform == "darwin":  # the names of Python's own functions are found when it loads the module
        flags = os.environ.get("RUSTFLAGS", "") + " -C link-arg=-undefined -C link-arg=dynamic_lookup"
        environment["RUSTFLAGS"] = flags.strip()
    name = key(crate)
    command = [cargo, "build", "--release", "--locked", "--lib", "--manifest-path", str(crate / "Cargo.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise explain(done.stderr)
    found = next((path for suffix in ("so", "dylib")
                  if (path := target / "release" / f"libcxwatch_native.{suffix}").exists()), None)
    if found is None:
        raise BuildError("cargo built no library")
    if key(crate) != name:
        raise BuildError("the sources changed while they were compiled; try again")
    path = cache() / name / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    put(found, path)
    forget()
    return path


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
    return BuildError("the accelerator does not compile:\n  " + "\n  ".join(output.splitlines()[-25:]))


def put(source: Path, target: Path) -> None:
    """Copy so that the target is the old file or the whole new one, never less; a running process keeps the old one."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".cxwatch_native-")
    os.close(handle)
    try:
        shutil.copyfile(source, name)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def forget() -> None:
    """Keep the newest builds of the cache."""
    builds = sorted(cache().glob(f"*/{NAME}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[KEPT:]:
        shutil.rmtree(old.parent, ignore_errors=True)


def install(built: Path, target: Path) -> int:
    """Put the module into the environment and see whether Python can load it."""
    if target.exists() and target.read_bytes() == built.read_bytes():
        return 0
    put(built, target)
    tried = subprocess.run([str(PYTHON), "-P", "-c", "import cxwatch_native"],
                           capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        target.unlink(missing_ok=True)
        print("native: this Python cannot load what was built: " + tried.stderr.strip()[-300:], file=sys.stderr)
        return 1
    print("accelerator installed; `python deploy/native.py --remove` takes it out again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
