"""A bare API server with one token, for what is said on the wire: kopf's requests and our own."""

from __future__ import annotations

import contextlib
import datetime
import json
from http.server import BaseHTTPRequestHandler

from kubernetes.aio.config import incluster_config

from cni_upgrade.api import names


class Loader(incluster_config.InClusterConfigLoader):
    """The kubernetes client's own, which reads the file once a minute: here each time."""

    address = ""
    """Of a server without TLS."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[no-untyped-call]
        self._token_refresh_period = datetime.timedelta(0)

    def _load_config(self) -> None:
        super()._load_config()  # type: ignore[no-untyped-call]
        self.host = self.address or self.host


class Gate(BaseHTTPRequestHandler):
    """An API server with one policy and one token; what it was shown is kept."""

    valid = "first"
    status = 200
    """What lists are answered with."""
    shown: list[str]
    paths: list[str]

    def do_GET(self) -> None:
        token = self.headers["Authorization"].partition(" ")[2]
        self.shown.append(token)
        self.paths.append(self.path)
        self._say(*(self._answer() if token == self.valid else (401, {"reason": "Unauthorized"})))

    def _answer(self) -> tuple[int, object]:
        path, _, query = self.path.partition("?")
        if path == "/api":
            return 200, {"versions": ["v1"]}
        if path == "/apis":
            version = {"groupVersion": names.API_VERSION, "version": names.VERSION}
            group = {"name": names.GROUP, "versions": [version], "preferredVersion": version}
            return 200, {"groups": [group]}
        if path in ("/api/v1", f"/apis/{names.API_VERSION}"):
            plain = {"singularName": "", "namespaced": False, "verbs": ["list", "watch"]}
            kinds = {"namespaces": "Namespace"}
            if path != "/api/v1":
                kinds = {names.POLICY_PLURAL: names.POLICY_KIND}
            return 200, {"resources": [{**plain, "name": n, "kind": k} for n, k in kinds.items()]}
        if "watch=" in query:
            # Watches are cut short: each further one shows its token.
            return 200, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1"}}}
        if self.status != 200:
            return self.status, {"kind": "Status", "code": self.status, "message": "not you"}
        seen = {
            "metadata": {"name": f"seen-as-{self.valid}", "uid": "1", "resourceVersion": "1"},
            "spec": {"nodeSelector": {}},
        }
        return 200, {"metadata": {"resourceVersion": "1"}, "items": [seen]}

    def _say(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # who asked may have been ended
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        """Nothing on the test's output."""
