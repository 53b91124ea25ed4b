"""Kafka's jars: only whole, unchanged ones are ever used; a failure says what to do."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import StackError
from streams.stack.folders import Machine
from streams.stack.jars import KAFKA_VERSION, Jar, ensure, folder_for, missing, read_lock
from streams.stack.kafka import class_path

CONTENTS = {f"kafka-clients-{KAFKA_VERSION}.jar": b"clients" * 1000, "slf4j-api-1.7.36.jar": b"log" * 500}
GROUPS = {"kafka-clients": "org.apache.kafka", "slf4j-api": "org.slf4j"}


def _jar(file: str) -> Jar:
    artifact, _, version = file.removesuffix(".jar").rpartition("-")
    content = CONTENTS[file]
    return Jar(hashlib.sha256(content).hexdigest(), len(content), f"{GROUPS[artifact]}:{artifact}:{version}")


JARS = tuple(_jar(file) for file in CONTENTS)


class Repository(http.server.ThreadingHTTPServer):
    """A Maven repository on loopback that can cut off or change what it serves."""

    fault = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served: list[str] = []

    @property
    def url(self) -> str:
        """Address of the repository."""
        return f"http://127.0.0.1:{self.server_address[1]}/maven"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:  # the name is the library's
        """Serve a jar, with the fault that is set."""
        content = CONTENTS.get(self.path.rpartition("/")[2])
        if content is None or self.server.fault == "gone":
            self.send_error(404)
            return
        self.server.served.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.fault == "cut off":
            self.wfile.write(content[:100])
        elif self.server.fault == "changed":
            self.wfile.write(content[::-1])
        else:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def repository() -> Iterator[Repository]:
    """A running repository."""
    with Repository() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with an empty cache."""
    return Machine(cache=tmp_path / "cache", path="")


def test_the_committed_lock_is_whole_and_holds_the_right_clients() -> None:
    jars = read_lock()
    assert len(jars) == 46
    assert {jar.coordinate for jar in jars if "kafka-clients" in jar.coordinate} == {
        f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}"
    }
    assert len({jar.file for jar in jars}) == len(jars)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("abc 12 org:x:1\n", "line 1 is damaged"),
        (f"{'0' * 64} 12 org.apache.kafka:kafka-clients:3.9.1\n", f"does not hold kafka-clients {KAFKA_VERSION}"),
    ],
)
def test_a_wrong_lock_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "lock").write_text(text)
    with pytest.raises(StackError, match=sentence):
        read_lock(tmp_path / "lock")


@pytest.mark.loopback
def test_jars_are_downloaded_once_and_only_what_is_damaged_is_fetched_again(
    repository: Repository, machine: Machine
) -> None:
    steps: list[tuple[int, int]] = []
    folder = ensure(JARS, machine, repository.url, lambda done, total: steps.append((done, total)))
    assert missing(JARS, folder) == []
    assert steps[0][0] == 0
    assert steps[-1] == (8500, 8500)
    repository.served.clear()
    ensure(JARS, machine, repository.url)
    assert repository.served == []
    half = folder / JARS[0].file
    half.write_bytes(half.read_bytes()[:50])
    ensure(JARS, machine, repository.url)
    assert len(repository.served) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(CONTENTS)


@pytest.mark.loopback
@pytest.mark.parametrize("fault", ["cut off", "changed"])
def test_a_half_downloaded_or_changed_jar_is_never_installed(
    repository: Repository, machine: Machine, fault: str
) -> None:
    repository.fault = fault
    with pytest.raises(StackError, match=r"arrived with other contents.*try again"):
        ensure(JARS, machine, repository.url)
    assert list(folder_for(JARS, machine).iterdir()) == []
    repository.fault = ""
    assert missing(JARS, ensure(JARS, machine, repository.url)) == []


@pytest.mark.loopback
@pytest.mark.parametrize("how", ["refused", "gone"])
def test_an_unreachable_repository_names_the_two_ways_out(repository: Repository, machine: Machine, how: str) -> None:
    url = repository.url if how == "gone" else "http://127.0.0.1:9/maven"
    repository.fault = how
    with pytest.raises(StackError, match=r"cannot be reached.*CX_KAFKA_BOOTSTRAP.*KAFKA_HOME"):
        ensure(JARS, machine, url)


def test_another_lock_has_another_folder(machine: Machine) -> None:
    assert folder_for(JARS, machine) != folder_for(JARS[:1], machine)


def test_jars_of_kafka_home_are_used_as_they_are(tmp_path: Path) -> None:
    libs = tmp_path / "libs"
    libs.mkdir()
    (libs / "kafka-clients-4.1.2.jar").touch()
    machine = Machine(cache=tmp_path / "cache", path="", kafka_home=tmp_path)
    assert class_path(machine, None, lambda _done, _total: None) == (f"{libs}/*", "4.1.2")


@pytest.mark.parametrize("clients", [None, "kafka-clients-3.9.1.jar"])
def test_a_wrong_kafka_home_is_refused(tmp_path: Path, clients: str | None) -> None:
    libs = tmp_path / "libs"
    libs.mkdir()
    if clients:
        (libs / clients).touch()
    machine = Machine(cache=tmp_path / "cache", path="", kafka_home=tmp_path)
    with pytest.raises(StackError, match=r"KAFKA_HOME=.*Apache Kafka 4\.0 or newer"):
        class_path(machine, None, lambda _done, _total: None)
