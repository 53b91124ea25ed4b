"""How every Kafka client connects: only here settings become the arguments of aiokafka, kafka-python and Faust.

Where the brokers are travels through the program as text, and how to log in travels with it: :class:`Brokers` is
text that knows its :class:`Access`. No client is made without :func:`connection` (a test reads the sources): none can
be forgotten; one that lost the access on the way is refused by the brokers, never let in as somebody else.
"""

from __future__ import annotations

import importlib
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from schemas.errors import ConfigError
from streams.settings import Settings


@dataclass(frozen=True)
class Access:
    """Protocol and credentials; never shows a secret."""

    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    user: str = ""
    password: SecretStr | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: SecretStr | None = None

    @property
    def secret(self) -> str:
        """The password, empty if there is none."""
        return self.password.get_secret_value() if self.password else ""

    @property
    def encrypted(self) -> bool:
        """True if connections are TLS."""
        return self.protocol.endswith("SSL")

    @property
    def named(self) -> bool:
        """True if a user logs in."""
        return self.protocol.startswith("SASL")


PLAIN = Access()


class Brokers(str):
    """``host:port[,host:port]`` with the access to it."""

    access: Access = PLAIN

    @classmethod
    def at(cls, addresses: str, access: Access) -> Brokers:
        """Addresses and access together."""
        made = cls(addresses)
        made.access = access
        return made


def brokers_of(settings: Settings) -> str | None:
    """The brokers that the settings name, None if they name none. Raises ConfigError for an access that cannot work."""
    named = settings.kafka_bootstrap
    if named is None and settings.kafka_security_protocol != "PLAINTEXT":
        raise ConfigError(
            f"CX_KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} is for a Kafka of your own: set "
            "CX_KAFKA_BOOTSTRAP too"
        )
    if named is None or isinstance(named, Brokers):
        return named
    return Brokers.at(named, access_of(settings))


def access_of(settings: Settings) -> Access:
    """What the settings say about access. Raises ConfigError naming what is missing, contradictory or unreadable."""
    protocol = settings.kafka_security_protocol
    made = Access(
        protocol, settings.kafka_sasl_mechanism, settings.kafka_user or "", settings.kafka_password,
        settings.kafka_ca, settings.kafka_certificate, settings.kafka_key, settings.kafka_key_password,
    )  # fmt: skip
    if made.named and not (made.user and made.secret):
        raise ConfigError(f"CX_KAFKA_SECURITY_PROTOCOL={protocol} needs CX_KAFKA_USER and CX_KAFKA_PASSWORD")
    if (made.user or made.secret) and not made.named:
        raise ConfigError(
            "CX_KAFKA_USER and CX_KAFKA_PASSWORD are only used with CX_KAFKA_SECURITY_PROTOCOL=SASL_SSL or "
            "SASL_PLAINTEXT: nobody would log in"
        )
    if (made.ca or made.certificate or made.key) and not made.encrypted:
        raise ConfigError(
            "CX_KAFKA_CA, CX_KAFKA_CERTIFICATE and CX_KAFKA_KEY are only used with CX_KAFKA_SECURITY_PROTOCOL=SSL or "
            "SASL_SSL: nothing would be encrypted"
        )
    if made.key and not made.certificate:
        raise ConfigError("CX_KAFKA_KEY is the key of CX_KAFKA_CERTIFICATE, which is not set")
    context_of(made)
    return made


@cache
def context_of(access: Access) -> ssl.SSLContext | None:
    """TLS that checks the broker's certificate and name, with our own certificate if there is one; None without TLS."""
    if not access.encrypted:
        return None
    password = access.key_password.get_secret_value() if access.key_password else ""
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"CX_KAFKA_CA cannot be read ({type(error).__name__}): a PEM file is wanted") from None
    try:
        if access.certificate:
            context.load_cert_chain(access.certificate, access.key, password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"CX_KAFKA_CERTIFICATE, CX_KAFKA_KEY or CX_KAFKA_KEY_PASSWORD cannot be used ({type(error).__name__}): PEM "
            "files are wanted"
        ) from None
    return context


def connection(bootstrap: str) -> dict[str, Any]:
    """Arguments that every client of aiokafka and kafka-python is made with: where the brokers are, and the access."""
    access = bootstrap.access if isinstance(bootstrap, Brokers) else PLAIN
    arguments: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in bootstrap.split(",")],
        "security_protocol": access.protocol,
    }
    if access.encrypted:
        arguments["ssl_context"] = context_of(access)
    if access.named:
        arguments |= {
            "sasl_mechanism": access.mechanism, "sasl_plain_username": access.user,
            "sasl_plain_password": access.secret,
        }  # fmt: skip
    return arguments


def faust_credentials(bootstrap: str) -> Any:
    """The same for a Faust app, whose own producer connects too; None without TLS and login."""
    access = bootstrap.access if isinstance(bootstrap, Brokers) else PLAIN
    auth = importlib.import_module("faust.auth")  # slow, and most often not needed
    if access.named:
        return auth.SASLCredentials(
            username=access.user, password=access.secret, mechanism=access.mechanism,
            ssl_context=context_of(access),
        )  # fmt: skip
    return auth.SSLCredentials(context_of(access)) if access.encrypted else None


def is_open(bootstrap: str) -> bool:
    """True if whoever reaches the brokers may talk to them: no TLS, no login."""
    return not isinstance(bootstrap, Brokers) or bootstrap.access.protocol == "PLAINTEXT"
