"""Fetches the pinned jars of the JVM peers and compiles their sources: ``prepare.py CACHE``.

A jar is used only if it has the size and sha256 of ``jars.lock``. Sources are compiled anew when they or the lock
changed; otherwise a second call does nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "jars.lock"
ENGINES = ("streams", "flink")
_LINE = re.compile(r"([0-9a-f]{64}) +(\d+) (\w+) +([\w.-]+):([\w.-]+):([\w.-]+)")


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    sha256: str
    size_bytes: int
    engine: str
    group: str
    artifact: str
    version: str

    def path_in(self, cache: Path) -> Path:
        """Where the class path expects it."""
        return cache / "jars" / self.engine / f"{self.artifact}-{self.version}.jar"

    def is_good(self, path: Path) -> bool:
        """True if the file is this jar, byte for byte."""
        if not path.is_file() or path.stat().st_size != self.size_bytes:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256


def read_lock() -> list[Jar]:
    """The locked jars. Raises ValueError if a line is damaged."""
    jars = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError(f"{LOCK.name} is damaged: {line!r}")
        sha256, size, *names = found.groups()
        jars.append(Jar(sha256, int(size), *names))
    return jars


def fetch(jars: list[Jar], cache: Path) -> None:
    """Download what is missing; drop what is no longer locked."""
    paths = {jar.path_in(cache) for jar in jars}
    for old in set((cache / "jars").glob("*/*.jar")) - paths:
        old.unlink()
    missing = [jar for jar in jars if not jar.is_good(jar.path_in(cache))]
    if not missing:
        return
    for engine in ENGINES:
        (cache / "jars" / engine).mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="part-", dir=cache))
    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda jar: _download(jar, cache, scratch / jar.engine), missing))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download(jar: Jar, cache: Path, scratch: Path) -> None:
    maven = importlib.import_module("jgo.maven")  # half a second that a second run need not pay
    context = maven.MavenContext(resolver=maven.PythonResolver(), repo_cache=scratch, timeout=60)
    arrived = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    if not jar.is_good(arrived):
        raise ValueError(f"{arrived.name} is not the jar that {LOCK.name} names")
    arrived.replace(jar.path_in(cache))


def link_jdk(cache: Path) -> Path:
    """Link ``jdk`` in the cache to the development kit of JAVA_HOME, else of the path; what compiles also runs."""
    home = os.environ.get("JAVA_HOME") or Path(shutil.which("javac") or sys.exit("no javac")).resolve().parent.parent
    link = cache / "jdk"
    link.unlink(missing_ok=True)
    link.symlink_to(home)
    return link


def build(cache: Path) -> None:
    """Compile each engine's peers against its jars."""
    compiler = link_jdk(cache) / "bin" / "javac"
    for engine in ENGINES:
        sources = sorted(path for folder in ("common", engine) for path in (HERE / folder).glob("*.java"))
        inputs = b"\0".join(path.read_bytes() for path in [LOCK, *sources])
        classes = cache / "classes" / engine
        stamp = classes / "made-from"
        made_from = hashlib.sha256(inputs).hexdigest()
        if stamp.is_file() and stamp.read_text() == made_from:
            continue
        shutil.rmtree(classes, ignore_errors=True)
        classes.mkdir(parents=True)
        class_path = f"{cache / 'jars' / engine}/*"
        options: list[str | Path] = ["--release", "17", "-Xlint:-classfile", "-cp", class_path, "-d", classes]
        subprocess.run([compiler, *options, *sources], check=True)
        stamp.write_text(made_from)


def main() -> None:
    """Fetch, then compile."""
    cache = Path(sys.argv[1]).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    fetch(read_lock(), cache)
    build(cache)


if __name__ == "__main__":
    main()
