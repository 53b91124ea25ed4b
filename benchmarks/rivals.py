"""Finds the peers in ``benchmarks/peers/*/peer.json`` and gives each an environment of its own.

A peer is a program of its own: ``prepare`` builds it once, ``run`` is one measured run. Both are command lines
relative to the peer's folder. ``{python}`` stands for a virtual environment made from its (pinned)
``requirements.txt``, ``{cache}`` for a folder that is kept between runs. What a run is told and what it has to tell:
``docs/benchmarks.md``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.events import cache
from benchmarks.measure import Figure, peak_rss_mb_of

PEERS = Path(__file__).parent / "peers"
LOOK_S = 0.25
LIMIT_S = 1_800.0
"""Longest run."""
_RESULT = re.compile(r"^RESULT (\{.*\})$", re.MULTILINE)
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "XDG_CACHE_HOME")
"""What a peer sees of our environment: certificates and indexes of package clients come on top while it is prepared."""


class PeerError(Exception):
    """A peer could not be prepared, did not run through, or is described wrongly; one sentence and the way out."""


@dataclass(frozen=True)
class Peer:
    """One row of the table."""

    name: str
    about: str
    folder: Path
    run: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    events: int | None = None
    """Most events it is given (slow ones get fewer); None: all."""
    needs: tuple[str, ...] = ()
    check: Literal["exact", "sums", "none"] = "exact"
    """How its tables are compared with the truth; none: it stores nothing (a ceiling), only its count is checked."""


def discover(folder: Path = PEERS) -> list[Peer]:
    """Return every described peer, sorted by name. Raises PeerError naming the file that is wrong."""
    found = [
        _peer(file.parent, stated)
        for file in sorted(folder.glob("*/peer.json"))
        for stated in json.loads(file.read_text())
    ]
    names = [peer.name for peer in found]
    if len(set(names)) < len(names):
        raise PeerError(f"two peers have the same name: {', '.join(sorted(names))}")
    return sorted(found, key=lambda peer: peer.name)


def _peer(folder: Path, stated: Mapping[str, Any]) -> Peer:
    known = {"name", "about", "events", "prepare", "run", "needs", "check"}
    wrong = sorted(set(stated) - known) or sorted({"name", "run"} - set(stated))
    if wrong or stated.get("check", "exact") not in ("exact", "sums", "none"):
        raise PeerError(f"{folder.name}/peer.json: {', '.join(wrong) or 'check'} is wrong or missing")
    prepare = stated.get("prepare") or []
    steps = prepare if prepare and isinstance(prepare[0], list) else [prepare] if prepare else []
    return Peer(
        name=stated["name"],
        about=stated.get("about", ""),
        folder=folder,
        run=tuple(stated["run"]),
        prepare=tuple(map(tuple, steps)),
        events=stated.get("events"),
        needs=tuple(stated.get("needs", ())),
        check=stated.get("check", "exact"),
    )


def lacking(peer: Peer) -> str:
    """Empty if the machine has what the peer needs, else one sentence."""
    for need in peer.needs:
        if need == "java17" and not jdk():
            return f"{peer.name} is left out: it needs a JDK 17 or newer (javac); set JAVA_HOME or install one"
    return ""


def jdk() -> Path | None:
    """Home of a Java development kit, version 17 or newer: JAVA_HOME, else the compiler on the path."""
    home = os.environ.get("JAVA_HOME")
    compiler = Path(home) / "bin" / "javac" if home else Path(shutil.which("javac") or "/nonexistent")
    if not compiler.exists():
        return None
    stated = subprocess.run([str(compiler), "-version"], capture_output=True, text=True, check=False)
    version = re.search(r"javac (\d+)", stated.stdout + stated.stderr)
    return compiler.resolve().parent.parent if version and int(version[1]) >= 17 else None


def _filled(peer: Peer, argv: Sequence[str]) -> list[str]:
    kept = cache() / "peers" / peer.folder.name
    kept.mkdir(parents=True, exist_ok=True)
    python = str(_python(peer)) if any("{python}" in part for part in argv) else ""
    return [part.replace("{python}", python).replace("{cache}", str(kept)) for part in argv]


def _python(peer: Peer) -> Path:
    """The interpreter of the peer's environment; made at the first use, again when its requirements change."""
    wanted = peer.folder / "requirements.txt"
    if not wanted.exists():
        return Path(sys.executable)
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / "python" / f"{peer.folder.name}-{version}-{digest}"
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _do(peer, [sys.executable, "-m", "venv", str(folder)], dict(os.environ))
        _do(peer, [str(interpreter), "-m", "pip", "install", "-q", "-r", str(wanted)], dict(os.environ))
        (folder / "ready").touch()
    return interpreter


def prepare(peer: Peer) -> None:
    """Build the peer. Raises PeerError with the end of what the build said."""
    for step in peer.prepare:
        _do(peer, _filled(peer, step), dict(os.environ))
    _filled(peer, peer.run)


def _do(peer: Peer, argv: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        argv, cwd=peer.folder, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    if done.returncode:
        tail = "\n  ".join((done.stdout + done.stderr).splitlines()[-8:])
        raise PeerError(f"{peer.name} could not be prepared ({argv[0]}):\n  {tail}")


def run(peer: Peer, given: Mapping[str, str], log: Path) -> Figure:
    """Run the peer once. Raises PeerError if it fails, takes too long or reports nothing."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(given)
    environment["PYTHONPATH"] = str(PEERS)  # for what Python peers share: contract.py
    argv = _filled(peer, peer.run)
    with log.open("w") as output:
        process = subprocess.Popen(argv, cwd=peer.folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            rss_mb = _peak_until_end(peer, process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    text = log.read_text(errors="replace")
    found = _RESULT.findall(text)
    if process.returncode or not found:
        tail = "\n  ".join(text.splitlines()[-8:])
        stated = f"ended with exit code {process.returncode} and {len(found)} results"
        raise PeerError(f"{peer.name} {stated}; last lines:\n  {tail}")
    return figure_of(json.loads(found[-1]), rss_mb)


def _peak_until_end(peer: Peer, process: subprocess.Popen[bytes]) -> float:
    """Wait for the end; returns the largest resident memory seen, MB.

    Looked at from outside, because a child's own ``getrusage`` begins with its parent's memory.
    """
    rss_mb, end = 0.0, time.monotonic() + LIMIT_S
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            return rss_mb
        with contextlib.suppress(OSError, StopIteration):  # it may end between the two looks
            rss_mb = max(rss_mb, peak_rss_mb_of(process.pid))
        if time.monotonic() > end:
            raise PeerError(f"{peer.name} took longer than {LIMIT_S:.0f} s")


def figure_of(stated: Mapping[str, Any], rss_mb: float) -> Figure:
    """Return what a RESULT object says; a memory figure of our own (not 0) goes before the peer's."""
    warm = stated.get("warm_cpu_s_per_million")
    return Figure(
        int(stated["events"]), float(stated["wall_s"]), float(stated["cpu_s"]), rss_mb or float(stated["rss_mb"]),
        None if warm is None else float(warm),
    )
