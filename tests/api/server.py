"""Speaks to the API server in plain HTTPS, because its warnings and status codes are the test."""

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from cni_upgrade.api import names

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        """Why it was refused; for an accepted request, nothing."""
        return "" if self.ok else str(self.body["message"])


class Server:
    """One API server, as the administrator of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        tls = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:  # ssl reads a client's certificate from disk
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            tls.load_cert_chain(pair.name)
        # Kept open: a handshake costs more than most requests.
        self._connection = http.client.HTTPSConnection(
            urlsplit(cluster["server"]).netloc, timeout=_TIMEOUT_SECONDS, context=tls
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: str = JSON,
        accept: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = None if body is None else json.dumps(body)
        said = {"Content-Type": content, "Accept": accept, **(headers or {})}
        try:
            return self._once(method, path, data, said)
        except (ConnectionError, ssl.SSLEOFError):
            # It was idle for too long and closed. That is found out in writing or in reading: by
            # whether the end of the stream has come in before the request goes out.
            return self._once(method, path, data, said)

    def _once(self, method: str, path: str, data: str | None, headers: dict[str, str]) -> Answer:
        try:
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens another one
            raise
        # A path that is not served is answered in plain text.
        is_json = response.headers.get_content_type() == JSON
        return Answer(
            response.status,
            json.loads(text) if is_json else {"message": text.strip()},
            tuple(response.headers.get_all("Warning") or ()),
        )


class Collection:
    """The objects of one of our kinds."""

    def __init__(self, server: Server, plural: str) -> None:
        self.server = server
        self.path = f"/apis/{names.API_VERSION}/{plural}"

    def try_out(self, obj: object) -> Answer:
        """Ask whether the object would be created, and as what; nothing is kept."""
        return self.server.request("POST", f"{self.path}?dryRun=All&fieldValidation=Strict", obj)

    def create(self, obj: object) -> dict[str, Any]:
        answer = self.server.request("POST", f"{self.path}?fieldValidation=Strict", obj)
        assert answer.ok, answer.message
        return answer.body

    def get(self, name: str) -> dict[str, Any]:
        answer = self.server.request("GET", f"{self.path}/{name}")
        assert answer.ok, answer.message
        return answer.body

    def patch(self, name: str, patch: object, *, subresource: str = "") -> Answer:
        return self.server.request(
            "PATCH",
            f"{self.path}/{name}{subresource}?fieldValidation=Strict",
            patch,
            content=MERGE_PATCH,
        )

    def put(self, name: str, obj: object, *, subresource: str = "", dry: bool = False) -> Answer:
        query = "fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.server.request("PUT", f"{self.path}/{name}{subresource}?{query}", obj)

    def table(self) -> dict[str, Any]:
        """The list as `kubectl get` asks for it."""
        return self.server.request("GET", self.path, accept=TABLE).body

    def delete_all(self) -> None:
        answer = self.server.request("DELETE", self.path)
        assert answer.ok, answer.message
