"""Resolves Kafka's jars anew and prints their lock (``make lock``); the only place that resolves dependencies."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext, PythonResolver

from streams.stack.jars import INPUTS, KAFKA_VERSION


def resolve(scratch: Path) -> list[str]:
    """One lock line per jar: sha256, bytes, coordinate; sorted by coordinate."""
    context = MavenContext(resolver=PythonResolver(), repo_cache=scratch, timeout=60)
    inputs, others = context.resolver.resolve([context.create_dependency(text) for text in INPUTS])
    wanted = {
        found.artifact.key: found.artifact
        for found in [*inputs, *others]
        if found.scope in (None, "compile", "runtime")
    }
    with ThreadPoolExecutor(max_workers=6) as pool:
        lines = list(pool.map(_line, wanted.values()))
    return [line for _, line in sorted(lines)]


def _line(artifact: Any) -> tuple[str, str]:
    content = Path(artifact.resolve()).read_bytes()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return coordinate, f"{hashlib.sha256(content).hexdigest()} {len(content):>9} {coordinate}"


def main() -> None:
    """Print the lock."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = resolve(Path(scratch))
    head = f"# Jars of Apache Kafka {KAFKA_VERSION}: sha256, bytes, Maven coordinate. Made by `make lock`; do not edit."
    sys.stdout.write("\n".join([head, *lines]) + "\n")


if __name__ == "__main__":
    main()
