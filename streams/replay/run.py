"""A whole run: open the source, replay it, leave a folder with findings and manifest; and take up one that was left."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from schemas.errors import ConfigError
from streams.core.join.native import wanted as native_wanted
from streams.replay.configuration import configuration, configured
from streams.replay.cuts import cuts_of
from streams.replay.engine import Progress, ReplayOptions, ReplayOutcome, replay, summary
from streams.replay.folder import MANIFEST, WORK, Manifest, write_findings, write_manifest
from streams.replay.opening import LIVE, SourceRequest, open_source
from streams.replay.plan import ROOMS
from streams.replay.recording import write_atomically
from streams.replay.report.page import write_report
from streams.replay.source import Source
from streams.settings import Settings
from streams.sources.spans import moment_ms

REQUEST = "request.json"
LIBRARIES = ("msgspec", "numpy", "pydantic", "scipy", "xxhash")
"""Libraries that work on events."""
WOULD_HAVE = "outreach says what would have been decided: a replay sends nothing"


@dataclass(frozen=True)
class ReplayRequest:
    """What was asked for. Kept in the folder of a run, so that it can be resumed; it holds no secret."""

    source: str
    files: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    partitions: int | None = None
    config: str | None = None
    given: tuple[str, ...] = ()
    """``NAME=VALUE`` of --set."""
    rooms: tuple[str, ...] = ROOMS
    processes: int = 1
    snapshot: str | None = None
    """Folder of the snapshot that the rooms begin with."""


def run(
    request: ReplayRequest, folder: Path, watch: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Manifest, ReplayOutcome]:  # fmt: skip
    """Replay into a folder, which must not hold a run already. Raises ConfigError, Stopped; see ``engine.replay``.

    A run that was left, or killed, is taken up where its last checkpoint stands; the same request has to be given. One
    that was not finished (:func:`finish`), because its database could not be filled, is read from its checkpoints.
    """
    if (folder / MANIFEST).exists() and not (folder / WORK / REQUEST).exists():
        raise ConfigError(f"{folder} holds a run already: name another folder")
    settings = configured(Path(request.config) if request.config else None, request.given)
    wanted = SourceRequest(request.source, request.files, request.start, request.end, request.partitions)
    source = open_source(wanted, settings)
    request = fixed(request, source)
    work = folder / WORK
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(work / REQUEST, msgspec.json.encode(request))
    begin = Path(request.snapshot) if request.snapshot else None
    outcome = replay(source, settings, ReplayOptions(request.rooms, request.processes, work, watch, stop, begin))
    manifest = manifest_of(outcome, outcome.line.source, settings, request)
    findings = write_findings(folder, {noun: outcome.findings(noun) for noun in outcome.nouns})
    manifest = msgspec.structs.replace(manifest, findings=findings)
    write_manifest(folder, manifest)
    write_report(folder)
    return manifest, outcome


def finish(folder: Path) -> None:
    """Remove what only a run that has not ended needs."""
    shutil.rmtree(folder / WORK, ignore_errors=True)


def left(folder: Path) -> ReplayRequest:
    """The request of a run that was left. Raises ConfigError if there is none to take up."""
    try:
        return msgspec.json.decode((folder / WORK / REQUEST).read_bytes(), type=ReplayRequest)
    except (OSError, msgspec.DecodeError):
        done = (folder / MANIFEST).exists()
        raise ConfigError(f"{folder} {'is a finished run' if done else 'holds no run that was left'}") from None


def fixed(request: ReplayRequest, source: Source) -> ReplayRequest:
    """The request with the ends of live topics as they are now, so that going on reads to the same ends."""
    if request.source != LIVE:
        files = tuple(_absolute(file) for file in request.files)
        here = Path(request.source)
        config = str(Path(request.config).absolute()) if request.config else None
        name = str(here.absolute()) if here.exists() else request.source
        return replace(request, source=name, files=files, config=config)
    offsets: dict[str, list[int]] = source.describe()["offsets"]
    start, end = (",".join(f"{name}={found[at]}" for name, found in sorted(offsets.items())) for at in (0, 1))
    return replace(request, start=start, end=end, config=request.config and str(Path(request.config).absolute()))


def manifest_of(outcome: ReplayOutcome, source: Source, settings: Settings, request: ReplayRequest) -> Manifest:
    """What the run says of itself, findings left empty."""
    cuts = sum(len(cuts_of(source, room, number)) for room, number in _tasks(source))
    notes = [WOULD_HAVE]
    if "control" in source.nouns() or "command" in source.nouns():
        how = "where the live line let them in" if cuts else "at their own times; no signature was checked"
        notes.append(f"orders of operators count {how}")
    return Manifest(
        start="snapshot" if request.snapshot else "cold", source=source.describe(),
        from_ms=_time(request.start), until_ms=_time(request.end), configuration=configuration(settings),
        rooms=request.rooms, partitions=source.partitions, native=native_wanted(settings.native), cuts=cuts,
        notes=tuple(notes), counts=summary(outcome), findings={},
        versions=versions(), seconds=round(outcome.seconds, 3), cpu_seconds=round(outcome.cpu_seconds, 3),
    )  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of cxwatch, Python and the libraries that work on events."""
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for name in ("cxwatch", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "checkout"
    return found


def _tasks(source: Source) -> list[tuple[str, int]]:
    return [("detect", 0), *(("outreach", number) for number in range(source.partitions))]


def _time(text: str | None) -> int | None:
    return None if text is None or "=" in text else moment_ms(text, 0)


def _absolute(file: str) -> str:
    """A file, or MAPPING=FILE, from wherever the run is taken up."""
    own, equals, name = file.rpartition("=")
    rules = str(Path(own).absolute()) if own and Path(own).exists() else own
    return f"{rules}{equals}{Path(name).absolute()}"


