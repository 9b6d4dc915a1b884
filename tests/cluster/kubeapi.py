"""Asks the API server the few things the cluster itself must know, with the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError
from tests.cluster.pki import Pair


class Api:
    """One API server, spoken to as the administrator."""

    def __init__(self, port: int, ca: Pair, admin: Pair) -> None:
        """Take the port on this machine and who we are."""
        self._port = port
        self._tls = ssl.create_default_context(cafile=str(ca.certificate))
        self._tls.load_cert_chain(admin.certificate, admin.key)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Answer the status and the decoded body (text where it is not JSON)."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=15, context=self._tls
        )
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except json.JSONDecodeError:
            return answer.status, text

    def is_ready(self) -> bool:
        """Say whether the API server answers and is content with itself."""
        try:
            return self.request("GET", "/readyz")[0] == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def node_not_ready(self, name: str) -> str:
        """Answer why a node is not Ready; nothing when it is."""
        status, node = self.request("GET", f"/api/v1/nodes/{name}")
        if status == http.HTTPStatus.NOT_FOUND:
            return "it has not registered"
        if status != http.HTTPStatus.OK:
            return f"the API server answers {status}"
        for condition in node["status"].get("conditions", []):
            if condition["type"] == "Ready":
                return "" if condition["status"] == "True" else str(condition["message"])
        return "it has not reported yet"

    def forget_node(self, name: str) -> None:
        """Delete a node and, by force, its pods: nobody is left there to end them."""
        _, pods = self.request("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")
        force = {"gracePeriodSeconds": 0}
        for pod in pods.get("items", []):
            meta = pod["metadata"]
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
            self.request("DELETE", path, force)
        status, answer = self.request("DELETE", f"/api/v1/nodes/{name}")
        if status not in {http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND}:
            raise ClusterError(f"node {name} could not be deleted: {status} {answer}")


def read_json(path: Path) -> Any:
    """Answer a JSON file's content, or nothing when there is none."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
