"""Where the local stack keeps things (state folder, shared cache, templates) and what the machine offers."""

from __future__ import annotations

import os
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import StackError


@dataclass(frozen=True)
class Machine:
    """What the machine offers, read from the environment once, so that a test can offer something else."""

    cache: Path
    """Folder shared by all checkouts of this user; holds the jars."""
    path: str
    """Search path for ``clickhouse`` and ``java``."""
    java_home: Path | None = None
    kafka_home: Path | None = None

    @classmethod
    def here(cls, env: Mapping[str, str] | None = None) -> Machine:
        """The machine this process runs on."""
        source = os.environ if env is None else env
        base = Path(source["XDG_CACHE_HOME"]) if source.get("XDG_CACHE_HOME") else Path.home() / ".cache"
        return cls(
            cache=base / "cxwatch",
            path=source.get("PATH", os.defpath),
            java_home=Path(source["JAVA_HOME"]) if source.get("JAVA_HOME") else None,
            kafka_home=Path(source["KAFKA_HOME"]) if source.get("KAFKA_HOME") else None,
        )


@dataclass(frozen=True)
class StateFolder:
    """Layout of one state folder. Everything that `cxwatch up` makes lies below ``root``."""

    root: Path

    @property
    def lock(self) -> Path:
        """File whose advisory lock one `up` or `down` holds at a time."""
        return self.root / "lock"

    @property
    def ports(self) -> Path:
        """JSON: the ports chosen at the first start."""
        return self.root / "ports.json"

    @property
    def passwords(self) -> Path:
        """JSON, mode 600: passwords of the local ClickHouse's users."""
        return self.root / "passwords.json"

    @property
    def logs(self) -> Path:
        """Folder of all servers' logs."""
        return self.root / "logs"

    def of(self, server: str) -> Path:
        """Folder of one server: its configuration, its pid file and its ``data``."""
        return self.root / server

    def prepare(self, *servers: str) -> bool:
        """Make the folders, private to this user; True if there was none. Raises StackError if it cannot be made."""
        new = not self.root.exists()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for server in servers:
                for folder in (self.logs, self.of(server), self.of(server) / "data"):
                    folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"cannot make {error.filename or self.root}: {error.strerror}; "
                "set CX_STATE_DIR to a folder that you may write to"
            ) from error
        return new


def deploy_file(name: str) -> Path:
    """A file of ``deploy/local``: beside the checkout's packages, or inside the installed one."""
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "deploy" / "local", here.parent / "local"):
        if (folder / name).is_file():
            return folder / name
    raise StackError(f"{name} is missing: this installation of cxwatch is incomplete, install it again")


def fill(template: str, values: Mapping[str, object]) -> str:
    """Text of a file of ``deploy/local`` with its ``${...}`` filled in."""
    return string.Template(deploy_file(template).read_text(encoding="utf-8")).substitute(values)


def write_private(target: Path, text: str) -> None:
    """Write a file readable by this user only, whole or not at all."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(target)
