"""The only module that talks to Grafana: a thin adapter over grafana_api, by uid, idempotent.

Applying boards again changes nothing in Grafana: what is there is compared first. Repeated only where repeating is
harmless (GET, PUT, DELETE), never POST. Errors carry Grafana's status code and nothing that could hold the token.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from grafana_api import grafana_api as library
from grafana_api.grafana_face import GrafanaFace
from pydantic import SecretStr
from urllib3.util.retry import Retry

from dashboards.boards import BOARDS
from dashboards.grafana import DATASOURCE_UID, FOLDER_UID, PLUGIN, PLUGIN_VERSION, dashboard
from schemas.errors import ConfigError, CxError
from streams.sinks.clickhouse import Login

FOLDER_TITLE = "Customer trouble"
NOT_FOUND = 404
Json = dict[str, Any]


class GrafanaError(CxError):
    """Grafana refused, or gave no answer that can be read (``status`` 0)."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP status; ``message`` is Grafana's, cut short."""
        super().__init__(f"Grafana: {message[:200]}" + (f" (HTTP {status})" if status else ""))
        self.status = status


class Grafana:
    """One Grafana, addressed by uid only, with a service account's token."""

    def __init__(self, url: str, token: SecretStr, verify: bool = True) -> None:
        """Keep where it is; nothing is sent yet. Raises ConfigError if ``url`` has no host."""
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
            timeout=(3.05, 10),
        )
        again = Retry(
            total=4, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False,
            allowed_methods=frozenset({"GET", "PUT", "DELETE"}),
        )
        session = self._face.api.s
        session.mount(f"{parts.scheme}://", library.requests.adapters.HTTPAdapter(max_retries=again))
        session.trust_env = False

    def call(self, method: str, *path: str, json: Json | None = None) -> Any:
        """One request to ``/api/<path...>``, each part quoted. Raises GrafanaError."""
        address = "/" + "/".join(quote(part, safe="") for part in path)
        try:
            return getattr(self._face.api, method)(address, json=json)
        except library.GrafanaException as error:
            raise GrafanaError(int(error.status_code), str(error.message)) from None
        except library.requests.RequestException as error:
            raise GrafanaError(0, f"no readable answer ({type(error).__name__})") from None
        except (TypeError, KeyError, ValueError):
            raise GrafanaError(0, "no readable answer") from None

    def version(self) -> str:
        """Grafana's version. Raises GrafanaError if it cannot be reached."""
        return str(self.call("get", "health").get("version", "unknown"))

    def push(self, reader: Login | None = None) -> list[str]:
        """Folder, data source (if ``reader`` is given) and every board; returns what was changed."""
        changed = ["folder"] * self.upsert_folder(FOLDER_UID, FOLDER_TITLE)
        if reader is not None:
            self.upsert_datasource(reader)
            changed.append("data source")  # its password cannot be read back, so it is always written
        return changed + [board.uid for board in BOARDS if self.upsert_dashboard(dashboard(board))]

    def upsert_folder(self, uid: str, title: str) -> bool:
        """Create the folder if it is not there; True if it was created."""
        if self._get("folders", uid) is not None:
            return False
        self.call("post", "folders", json={"uid": uid, "title": title})
        return True

    def upsert_dashboard(self, board: Json) -> bool:
        """Write the dashboard unless Grafana holds the same one; True if it was written."""
        stored = self._get("dashboards", "uid", str(board["uid"]))
        if stored is not None and _without_numbers(stored.get("dashboard", {})) == _without_numbers(board):
            return False
        body = {"dashboard": {**board, "id": None}, "folderUid": FOLDER_UID, "overwrite": True, "message": "cxwatch"}
        self.call("post", "dashboards", "db", json=body)
        return True

    def upsert_datasource(self, reader: Login) -> None:
        """Create or update the ClickHouse data source under its fixed uid."""
        body = {
            "uid": DATASOURCE_UID,
            "name": "cxwatch",
            "type": PLUGIN,
            "access": "proxy",
            "jsonData": {
                "host": reader.host, "port": reader.port, "protocol": "native", "username": reader.user,
                "defaultDatabase": reader.database, "version": PLUGIN_VERSION,
            },
            "secureJsonData": {"password": reader.password.get_secret_value()},
        }
        if self._get("datasources", "uid", DATASOURCE_UID) is None:
            self.call("post", "datasources", json=body)
        else:
            self.call("put", "datasources", "uid", DATASOURCE_UID, json=body)

    def _get(self, *path: str) -> Json | None:
        try:
            found = self.call("get", *path)
        except GrafanaError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        if not isinstance(found, dict):
            raise GrafanaError(0, "no readable answer")
        return found


def _without_numbers(board: Json) -> Json:
    """A dashboard without what Grafana numbers itself."""
    return {name: value for name, value in board.items() if name not in ("id", "version")}
