"""Kafka's jars: named and hashed in a committed lock, downloaded once per user, verified before they are used.

A jar is downloaded into a scratch folder, checked against its sha256, and only then moved to its place. A download that
was cut off therefore never lies where the class path looks; a jar that was damaged later is fetched again.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import StackError
from streams.stack.folders import Machine, deploy_file
from streams.stack.guard import full_disk_in_words

KAFKA_VERSION = "4.2.2"
INPUTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
"""What the lock is resolved from. slf4j-simple, because log4j's binding makes the resolver pick older clients."""

LOCK_NAME = "kafka-jars.lock"
_CUT_OFF = ("ChunkedEncodingError", "ContentDecodingError")
Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) as jars arrive."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    sha256: str
    size_bytes: int
    coordinate: str
    """group:artifact:version"""

    @property
    def file(self) -> str:
        """File name of the jar."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path | None = None) -> tuple[Jar, ...]:
    """The locked jars. Raises StackError if the lock is damaged or does not hold the right kafka-clients."""
    lock = path or deploy_file(LOCK_NAME)
    jars: list[Jar] = []
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("#") or not line.strip():
            continue
        found = re.fullmatch(r"([0-9a-f]{64}) +(\d+) ([\w.-]+:[\w.-]+:[\w.-]+)", line)
        if not found:
            raise StackError(f"{lock.name} line {number} is damaged; get the file back from version control")
        jars.append(Jar(found[1], int(found[2]), found[3]))
    if f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}" not in {jar.coordinate for jar in jars}:
        raise StackError(f"{lock.name} does not hold kafka-clients {KAFKA_VERSION}; run `make lock`")
    return tuple(jars)


def folder_for(jars: Iterable[Jar], machine: Machine) -> Path:
    """Folder in the user's cache for exactly this lock, shared by all checkouts."""
    digest = hashlib.sha256("\n".join(f"{jar.sha256} {jar.coordinate}" for jar in jars).encode()).hexdigest()
    return machine.cache / "jars" / digest[:16]


def is_good(path: Path, jar: Jar) -> bool:
    """True if ``path`` is there and is the locked jar, byte for byte."""
    try:
        if path.stat().st_size != jar.size_bytes:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


def missing(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Jars that are absent, cut short or damaged."""
    return [jar for jar in jars if not is_good(folder / jar.file, jar)]


def ensure(
    jars: tuple[Jar, ...],
    machine: Machine,
    maven_url: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Path:
    """Folder with all jars, verified; downloads what is missing. Raises StackError with the ways out.

    ``maven_url`` is a mirror to ask instead of Maven Central.
    """
    folder = folder_for(jars, machine)
    wanted = missing(jars, folder)
    if not wanted:
        return folder
    with full_disk_in_words(folder):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="part-", dir=folder))
        try:
            _download_all(wanted, folder, _Source(scratch, maven_url), progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class _Source:
    """Where jars come from and where they lie until they are checked."""

    scratch: Path
    maven_url: str | None

    def fetch(self, coordinate: str) -> Path:
        """Download one jar into the scratch folder."""
        maven = importlib.import_module("jgo.maven")  # half a second that `status` need not pay
        remotes = {"mirror": self.maven_url} if self.maven_url else None
        context = maven.MavenContext(
            resolver=maven.PythonResolver(), repo_cache=self.scratch, remote_repos=remotes, timeout=30
        )
        group, artifact, version = coordinate.split(":")
        return Path(context.project(group, artifact).at_version(version).artifact().resolve())


def _download_all(wanted: list[Jar], folder: Path, source: _Source, progress: Progress) -> None:
    done, total = 0, sum(jar.size_bytes for jar in wanted)
    progress(done, total)
    pool = ThreadPoolExecutor(max_workers=6)
    try:
        jobs = {pool.submit(_download, jar, folder, source): jar for jar in wanted}
        for job in as_completed(jobs):
            job.result()
            done += jobs[job].size_bytes
            progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _download(jar: Jar, folder: Path, source: _Source) -> None:
    """Fetch one jar, check it, move it into place."""
    try:
        arrived = source.fetch(jar.coordinate)
    except OSError as error:
        kind = type(error)
        if not kind.__module__.startswith(("requests", "urllib3")):
            raise  # the disk's, not the network's
        if kind.__name__ in _CUT_OFF:
            raise StackError(_damaged(jar)) from error
        raise StackError(_unreachable([jar], kind.__name__)) from error
    except RuntimeError as error:
        raise StackError(_unreachable([jar], "it is not there")) from error
    if not is_good(arrived, jar):
        raise StackError(_damaged(jar))
    arrived.replace(folder / jar.file)


def _damaged(jar: Jar) -> str:
    return (
        f"{jar.file} arrived with other contents than {LOCK_NAME} names (cut off, or changed on the way); "
        "it was not installed, try again"
    )


def _unreachable(wanted: list[Jar], why: str) -> str:
    return (
        f"Kafka's jars are not in the cache ({len(wanted)} missing, first {wanted[0].file}) "
        f"and Maven Central cannot be reached ({why}). Two ways out: name a Kafka of your own in CX_KAFKA_BOOTSTRAP, "
        f"or unpack Apache Kafka {KAFKA_VERSION} and name its folder in KAFKA_HOME"
    )
