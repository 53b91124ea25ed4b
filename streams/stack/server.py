"""What the two local servers have in common: a folder, ports on loopback, logs, and how they are started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from streams.settings import Settings
from streams.stack.folders import Machine, StateFolder
from streams.stack.guard import Say
from streams.stack.jars import Progress
from streams.stack.ports import LOOPBACK, Ports
from streams.stack.process import Launch


class LocalServer(ABC):
    """One server of one state folder."""

    name: ClassVar[str]
    config_name: ClassVar[str]
    """File name of its configuration."""

    def __init__(self, settings: Settings, state_folder: StateFolder, ports: Ports) -> None:
        """Remember where things are; nothing is started."""
        self.settings = settings
        self.state_folder = state_folder
        self.ports = ports
        self.folder = state_folder.of(self.name)
        self.config = self.folder / self.config_name

    @property
    def address(self) -> str:
        """host:port for clients; port 0 before the first start."""
        return f"{LOOPBACK}:{self.ports.get(self.name) or 0}"

    def choose_ports(self, wanted: int, setting: str, second: str, say: Say) -> tuple[int, int]:
        """The port for clients (``wanted`` by ``setting``, 0: any) and a second one under the name ``second``."""
        port, note = self.ports.choose(self.name, wanted, setting)
        other, second_note = self.ports.choose(second, 0, "")
        for sentence in filter(None, (note, second_note)):
            say(sentence)
        return port, other

    @property
    @abstractmethod
    def logs(self) -> list[Path]:
        """Logs to show when it dies, best first."""

    @abstractmethod
    def prepare(self, machine: Machine, say: Say, progress: Progress, /) -> Launch:
        """Make program, ports and configuration ready; returns how to start it. Raises StackError."""

    @abstractmethod
    def probe(self) -> str | None:
        """Version if the server serves clients now, else None."""

    @abstractmethod
    def after_start(self) -> None:
        """What is done once it serves; the same again changes nothing."""
