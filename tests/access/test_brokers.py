"""Every Kafka client is let in by the same settings, and none shows a secret."""

from __future__ import annotations

import ast
import copy
import ssl
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.runtime.serve import context_of as shells_context
from streams.security.brokers import Access, Brokers, access_of, brokers_of, connection, faust_credentials, is_open
from streams.settings import Settings
from streams.stack import endpoints

ROOT = Path(__file__).parents[2]
CLIENTS = {
    "AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient", "KafkaAdminClient",
    "KafkaConsumer", "KafkaProducer", "KafkaClient",
}  # fmt: skip
NAMED: dict[str, Any] = {
    "kafka_bootstrap": "a:1,b:2", "kafka_security_protocol": "SASL_SSL", "kafka_user": "worker",
    "kafka_password": "hush-hush",
}  # fmt: skip


def clients_in(source: str) -> list[ast.Call]:
    """Every call that makes a client."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) in CLIENTS]


def is_let_in(call: ast.Call) -> bool:
    """True if ``**connection(...)`` is among its arguments and nothing names brokers beside it."""
    unpacked = [word.value for word in call.keywords if word.arg is None]
    names = [word.arg for word in call.keywords]
    through = any(isinstance(value, ast.Call) and getattr(value.func, "id", "") == "connection" for value in unpacked)
    return through and "bootstrap_servers" not in names


def test_no_client_is_made_without_the_access_of_the_settings() -> None:
    found = 0
    for file in sorted((ROOT / "streams").rglob("*.py")):
        for call in clients_in(file.read_text(encoding="utf-8")):
            assert is_let_in(call), f"{file.relative_to(ROOT)}:{call.lineno} makes a client without connection()"
            found += 1
    assert found > 10


def test_the_reader_of_sources_finds_a_forgotten_client() -> None:
    forgotten = "import aiokafka\naiokafka.AIOKafkaConsumer(bootstrap_servers=x)\nKafkaProducer(**other(x))\n"
    assert [is_let_in(call) for call in clients_in(forgotten)] == [False, False]
    assert [is_let_in(call) for call in clients_in("KafkaProducer(**connection(x), acks=1)")] == [True]


def test_the_access_travels_with_the_addresses_to_every_client() -> None:
    settings = Settings(**NAMED)
    brokers = endpoints(settings, ("kafka",)).kafka_bootstrap
    assert isinstance(brokers, Brokers)
    assert brokers == "a:1,b:2"
    handed_on = settings.model_copy(update={"kafka_bootstrap": brokers})
    assert connection(shells_context(handed_on, "b").bootstrap) == connection(brokers)
    assert copy.deepcopy(brokers).access == brokers.access
    arguments = connection(brokers)
    assert isinstance(arguments.pop("ssl_context"), ssl.SSLContext)
    assert arguments == {
        "bootstrap_servers": ["a:1", "b:2"], "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "worker", "sasl_plain_password": "hush-hush",
    }  # fmt: skip
    faust = faust_credentials(brokers)
    assert (faust.protocol.value, faust.mechanism.value, faust.username) == ("SASL_SSL", "SCRAM-SHA-512", "worker")


def test_brokers_that_let_everybody_in_need_nothing() -> None:
    assert connection("h:1") == {"bootstrap_servers": ["h:1"], "security_protocol": "PLAINTEXT"}
    assert faust_credentials("h:1") is None
    assert is_open("h:1")
    assert not is_open(Brokers.at("h:1", Access("SSL")))
    assert brokers_of(Settings()) is None


def test_tls_checks_name_and_certificate_of_the_broker() -> None:
    context = connection(Brokers.at("h:1", Access("SSL")))["ssl_context"]
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "needs CX_KAFKA_USER and CX_KAFKA_PASSWORD"),
        ({"kafka_user": "u", "kafka_password": "p"}, "nobody would log in"),
        ({"kafka_ca": Path("ca.pem")}, "nothing would be encrypted"),
        ({"kafka_security_protocol": "SSL", "kafka_ca": Path("/no/ca.pem")}, "CX_KAFKA_CA cannot be read"),
        ({"kafka_security_protocol": "SSL", "kafka_key": Path("k")}, "CX_KAFKA_KEY is the key of CX_KAFKA_CERTIFICATE"),
        ({"kafka_security_protocol": "SSL", "kafka_certificate": Path("/no/c")}, "PEM files are wanted"),
    ],
)
def test_an_access_that_cannot_work_is_refused_before_anything_connects(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        access_of(Settings(kafka_bootstrap="h:1", **given))


def test_a_protocol_without_a_kafka_of_ones_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="set CX_KAFKA_BOOTSTRAP too"):
        brokers_of(Settings(kafka_security_protocol="SSL"))


def test_no_text_form_shows_the_password() -> None:
    settings = Settings(**NAMED, kafka_key_password="also-hush")
    brokers = brokers_of(settings)
    assert isinstance(brokers, Brokers)
    shown = f"{settings!r} {brokers!r} {brokers} {brokers.access!r} {faust_credentials(brokers)!r}"
    assert "hush" not in shown
