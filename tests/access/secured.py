"""A Kafka that lets nobody in without TLS and a login, and nobody do what was not granted: same jars, own listener.

Certificates are made by openssl for the run; passwords too. The administrator is a super user; every other principal
has exactly the rights that ``cxwatch topics acls`` prints: :func:`allow` reads those lines.
"""

from __future__ import annotations

import itertools
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType
from kafka.admin import ACLResourcePatternType as Pattern
from kafka.errors import KafkaError
from pydantic import SecretStr

from streams.security.access import ROLES, acl_commands, principal
from streams.security.brokers import Access, Brokers, connection
from streams.settings import Settings
from streams.stack import java
from streams.stack.folders import Machine, StateFolder, fill, write_private
from streams.stack.kafka import Kafka, _environment, class_path
from streams.stack.ports import Ports
from streams.stack.process import log_tail
from tests.patience import Deadline

ADMIN = "admin"
DIE_WITH_PARENT = Path(__file__).parents[2] / "streams" / "stack" / "die_with_parent.py"
_LISTENER = "listener.name.sasl_ssl"


@dataclass(frozen=True)
class Secured:
    """A running broker and who may log in."""

    address: str
    ca: Path
    passwords: dict[str, str] = field(repr=False)
    """User -> password."""

    def access(self, user: str) -> Access:
        """How a user is let in."""
        return Access("SASL_SSL", "SCRAM-SHA-512", user, SecretStr(self.passwords[user]), self.ca)

    def brokers(self, user: str = ADMIN) -> Brokers:
        """Where the broker is, for a user."""
        return Brokers.at(self.address, self.access(user))

    def environment(self, user: str) -> dict[str, str]:
        """Settings of a process that runs as a user."""
        return {
            "CX_KAFKA_BOOTSTRAP": self.address, "CX_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "CX_KAFKA_USER": user,
            "CX_KAFKA_PASSWORD": self.passwords[user], "CX_KAFKA_CA": str(self.ca),
        }  # fmt: skip

    @contextmanager
    def admin(self, user: str = ADMIN) -> Iterator[KafkaAdminClient]:
        """An admin client of a user."""
        made = KafkaAdminClient(**connection(self.brokers(user)), client_id="test")
        try:
            yield made
        finally:
            made.close()


def allow(secured: Secured, settings: Settings) -> int:
    """Give every principal of a deployment the rights that the printed commands name; returns how many."""
    acls = [acl for line in acl_commands(settings) for acl in _acls_of(shlex.split(line))]
    with secured.admin() as admin:
        refused = admin.create_acls(acls)["failed"]
    assert not refused, refused
    return len(acls)


def _acls_of(words: list[str]) -> Iterator[ACL]:
    """What one printed command gives."""
    pairs = list(itertools.pairwise(words))
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name.startswith("--"):
            values.setdefault(name, []).append(value)
    pattern = Pattern.PREFIXED if "--resource-pattern-type" in values else Pattern.LITERAL
    kinds = {"--topic": ResourceType.TOPIC, "--group": ResourceType.GROUP,
             "--transactional-id": ResourceType.TRANSACTIONAL_ID}  # fmt: skip
    names = {"Read": ACLOperation.READ, "Write": ACLOperation.WRITE, "Describe": ACLOperation.DESCRIBE,
             "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS}  # fmt: skip
    [who] = values["--allow-principal"]
    for option, kind in kinds.items():
        for name in values.get(option, []):
            for operation in values["--operation"]:
                yield ACL(who, "*", names[operation], ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))


@contextmanager
def secured_kafka(deployments: list[Settings]) -> Iterator[Secured]:
    """Start it with a user for every role of every deployment; everything ends and is removed with the block."""
    folder = Path(tempfile.mkdtemp(prefix="cxwatch-secured-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        users = [ADMIN, *(principal(settings, role) for settings in deployments for role in ROLES)]
        passwords = {user: secrets.token_urlsafe(18) for user in users}
        _certificates(folder)
        settings = Settings(state_dir=folder / "state", local_kafka_heap_mb=512)
        state_folder = StateFolder(settings.state_dir)
        state_folder.prepare("kafka")
        kafka = Kafka(settings, state_folder, Ports(state_folder.ports))
        address = _configure(kafka, folder, passwords)
        command = _command(kafka)
        scram = [word for user in users
                 for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={passwords[user]}]")]  # fmt: skip
        kafka._format([*command, "kafka.tools.StorageTool", "format", "--standalone", *scram])
        tied = [sys.executable, str(DIE_WITH_PARENT)] if sys.platform == "linux" else []
        with kafka.log.open("ab") as log:
            process = subprocess.Popen(
                [*tied, *command, "kafka.Kafka", str(kafka.config)], cwd=kafka.folder, env=_environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        made = Secured(address, folder / "ca.pem", passwords)
        _await(made, process, kafka)
        yield made
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _command(kafka: Kafka) -> list[str]:
    machine = Machine.here()
    libraries, _ = class_path(machine, None, lambda _done, _total: None)
    return kafka._java(java.find(machine, None).binary, libraries)


def _configure(kafka: Kafka, folder: Path, passwords: dict[str, str]) -> str:
    """The local broker's own configuration with another listener; the last value of a name counts."""
    port, _ = kafka.ports.choose("kafka", 0, "")
    controller, _ = kafka.ports.choose("kafka_controller", 0, "")
    plain = fill("server.properties", {
        "port": port, "controller_port": controller, "data_dir": kafka.folder / "data", "partitions": 4,
    })  # fmt: skip
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    ours = {
        "listeners": f"SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        f"{_LISTENER}.scram-sha-512.sasl.jaas.config": f'{login} username="{ADMIN}" password="{passwords[ADMIN]}";',
        "ssl.keystore.type": "PEM", "ssl.keystore.location": folder / "broker.store.pem",
        "ssl.truststore.type": "PEM", "ssl.truststore.location": folder / "ca.pem",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # On the controller's listener nobody logs in: it is the broker itself, on loopback.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }  # fmt: skip
    lines = "\n".join(f"{name}={value}" for name, value in ours.items())
    write_private(kafka.config, f"{plain}\n{lines}\n")
    return f"127.0.0.1:{port}"


def _certificates(folder: Path) -> None:
    """An authority of this run, and the broker's certificate from it for the loopback address."""

    def openssl(*words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="ascii")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=broker", "-keyout", "broker.key", "-out", "broker.csr")
    openssl("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "broker.pem")  # fmt: skip
    parts = [(folder / name).read_text(encoding="ascii") for name in ("broker.key", "broker.pem")]
    write_private(folder / "broker.store.pem", "".join(parts))


def _await(secured: Secured, process: subprocess.Popen[bytes], kafka: Kafka) -> None:
    deadline = Deadline(60)
    while not deadline.over:
        if process.poll() is not None:
            break
        with suppress(KafkaError, OSError, IndexError), secured.admin() as admin:
            if admin.describe_cluster()["brokers"]:
                return
        time.sleep(0.3)
    raise AssertionError("\n".join(["the secured Kafka does not serve", *log_tail([kafka.log], 30)]))
