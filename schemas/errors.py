"""The one exception tree. Transport errors are mapped to it at the boundary where they appear."""

from __future__ import annotations


class CxError(Exception):
    """Root of every error that cxwatch raises on purpose."""


class ConfigError(CxError):
    """A setting or rule is wrong: refuse to start. The text names the setting and the allowed values."""


class MalformedEvent(CxError):
    """One message breaks its contract. Carries where and which rule, never the offending value."""

    def __init__(self, field: str, rule: str, value_class: str = "", reason: str = "schema") -> None:
        """Keep ``field`` (dotted path), ``rule`` (what was expected), ``value_class`` (JSON type seen), ``reason``."""
        super().__init__(f"{reason}: {field or '(message)'}: {rule}" + (f" (got {value_class})" if value_class else ""))
        self.field = field
        self.rule = rule
        self.value_class = value_class
        self.reason = reason


class SinkUnavailable(CxError):
    """A rim (ClickHouse, a channel, Kafka) is down; try the same work again after ``retry_after`` seconds."""

    def __init__(self, sink: str, retry_after: float = 1.0) -> None:
        """Name the sink; ``retry_after`` is in seconds."""
        super().__init__(f"{sink} is unavailable, retry in {retry_after:g} s")
        self.sink = sink
        self.retry_after = retry_after


class StackError(CxError):
    """The local stack cannot do what was asked. The text is one sentence for a person, with the way out."""


class Fenced(CxError):
    """A newer owner of this (room, partition) exists: this process must end and write nothing more."""
