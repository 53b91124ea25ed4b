"""The only module that talks to Grafana: a thin adapter over grafana_api, by uid.

Repeated only where repeating is harmless (GET, PUT, DELETE), never POST. Errors carry Grafana's status code, for 403
the permission and role that the call needs, and nothing that could hold the token. What is written, and when, is said
by ``streams.sinks.grafana_boards``.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from grafana_api import grafana_api as library
from grafana_api.grafana_face import GrafanaFace
from pydantic import SecretStr
from urllib3.util.retry import Retry

from schemas.errors import ConfigError, CxError

NOT_FOUND, FORBIDDEN = 404, 403
Json = dict[str, Any]

NEEDS = (
    ("get", "dashboards", "dashboards:read", "Viewer"),
    ("get", "folders", "folders:read", "Viewer"),
    ("get", "annotations", "annotations:read", "Viewer"),
    ("get", "datasources", "datasources:read", "Admin"),
    ("get", "plugins", "plugins:install or datasources:read", "Admin"),
    ("get", "v1", "alert.provisioning:read", "Admin, or Editor with the alert rules of the folder"),
    ("", "dashboards", "dashboards:create and dashboards:write on the folder", "Editor"),
    ("", "folders", "folders:create", "Editor"),
    ("", "annotations", "annotations:create", "Editor"),
    ("", "datasources", "datasources:create and datasources:write", "Admin"),
    ("", "v1", "alert.provisioning:write", "Admin, or Editor with the alert rules of the folder"),
)
"""Method ("" = any that writes), first part of the path, permission, the least of Grafana's own roles that has it."""


class GrafanaError(CxError):
    """Grafana refused, or gave no answer that can be read (``status`` 0)."""

    def __init__(self, status: int, message: str, needs: str = "") -> None:
        """Keep the HTTP status; ``message`` is Grafana's, cut short. ``needs``: what the call needs, for 403."""
        super().__init__(f"Grafana: {message[:200]}" + (f" (HTTP {status})" if status else "") + needs)
        self.status = status


class Grafana:
    """One Grafana, addressed by uid only, with a service account's token."""

    def __init__(
        self, url: str, token: SecretStr, verify: bool = True, *, timeout_s: float = 10.0, repeats: int = 4
    ) -> None:
        """Keep where it is; nothing is sent yet. Raises ConfigError if ``url`` has no host.

        ``timeout_s`` bounds the wait for one answer, ``repeats`` how often a harmless call is repeated.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("CX_GRAFANA_URL is wrong: allowed is http(s)://host[:port][/path]")
        prefix = parts.path.strip("/")
        self._face = GrafanaFace(
            auth=token.get_secret_value(),
            host=parts.hostname,
            port=parts.port,
            protocol=parts.scheme,
            url_path_prefix=f"{prefix}/" if prefix else "",
            verify=verify,
            timeout=(min(3.05, timeout_s), timeout_s),
        )
        again = Retry(
            total=repeats, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False,
            allowed_methods=frozenset({"GET", "PUT", "DELETE"}),
        )
        session = self._face.api.s
        session.mount(f"{parts.scheme}://", library.requests.adapters.HTTPAdapter(max_retries=again))
        session.trust_env = False

    def call(
        self, method: str, *path: str, json: Json | None = None, query: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """One request to ``/api/<path...>``, each part quoted. Raises GrafanaError."""
        address = "/" + "/".join(quote(part, safe="") for part in path)
        if query:
            address += f"?{urlencode(query, doseq=True)}"
        try:
            return getattr(self._face.api, method)(address, json=json, headers=headers)
        except library.GrafanaException as error:
            status = int(error.status_code)
            raise GrafanaError(status, str(error.message), needed(method, path[0], status)) from None
        except library.requests.JSONDecodeError:
            raise GrafanaError(
                0, "no readable answer: not JSON. Is CX_GRAFANA_URL Grafana's address with its path, and no login page?"
            ) from None
        except library.requests.RequestException as error:
            raise GrafanaError(0, f"no readable answer ({type(error).__name__})") from None
        except (TypeError, KeyError, ValueError):
            raise GrafanaError(0, "no readable answer") from None

    def get(self, *path: str) -> Json | None:
        """One object, None if it is not there. Raises GrafanaError."""
        try:
            found = self.call("get", *path)
        except GrafanaError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        if not isinstance(found, dict):
            raise GrafanaError(0, "no readable answer")
        return found

    def version(self) -> str:
        """Grafana's version, "" if it keeps it to itself. Raises GrafanaError if it cannot be reached."""
        found = self.get("health")
        if found is None or "database" not in found:
            raise GrafanaError(0, "no readable answer: this is not Grafana's health. Is CX_GRAFANA_URL right?")
        return str(found.get("version", ""))


def needed(method: str, area: str, status: int) -> str:
    """The sentence about permission and role that follows a 403; empty for other answers."""
    if status != FORBIDDEN:
        return ""
    for verb, first, permission, role in NEEDS:
        if first == area and (verb == method or (not verb and method != "get")):
            return f": the token needs {permission} (role {role})"
    return ""


def release(version: str) -> tuple[int, ...]:
    """``12.4.0-pre`` as (12, 4, 0), for comparing; () if it is not a version."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
