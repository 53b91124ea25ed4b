"""The local stack: a real Kafka and a real ClickHouse on this machine, without Docker and without root.

``up(settings) -> Endpoints``, ``down(settings)``, ``status(settings)``, ``endpoints(settings)``.
"""

from streams.stack.manage import Endpoints, Reporter, ServerStatus, UpOptions, down, endpoints, status, up

__all__ = ["Endpoints", "Reporter", "ServerStatus", "UpOptions", "down", "endpoints", "status", "up"]
