"""`kubectl cni-upgrade logs`: through the API server, from a kubelet that is played."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api import names
from tests.api.kubectl_plugin import Plugin
from tests.api.server import Server
from tests.api.shipped import agent_pod
from tests.cluster import pki
from tests.cluster.control import ControlPlane

AGENTS = "cni-upgrade-agents"
LONG = "node-" + "x" * 70
"""A name that is no label's value."""


class _Kubelet(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = f"log of {self.path.split('/')[3]}\x1b[2J\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Says nothing: the test's output is for the test."""


@pytest.fixture
def kubelet(plane: ControlPlane) -> Iterator[int]:
    """The port of a kubelet that answers for any pod."""
    pair = pki.issue(plane.pki, "played-kubelet", user="kubelet", hosts=("IP:127.0.0.1",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    serving = ThreadingHTTPServer(("127.0.0.1", 0), _Kubelet)
    serving.socket = tls.wrap_socket(serving.socket, server_side=True)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield serving.server_port
    serving.shutdown()
    serving.server_close()


def node(server: Server, name: str, port: int) -> None:
    made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    assert server.request("POST", "/api/v1/nodes", made).ok
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    answer = server.request(
        "PATCH",
        f"/api/v1/nodes/{name}/status",
        {"status": status},
        content="application/merge-patch+json",
    )
    assert answer.ok, answer.message


def pod(server: Server, name: str, node: str) -> None:
    """The pod of an audit, as the controller makes it, so that the agent fence lets it in."""
    made = agent_pod(Kind.AUDIT)
    labels = {names.LABEL_COMPONENT: "agent"}
    if len(node) <= 63:
        labels[names.LABEL_NODE] = node
    made["metadata"] |= {"name": name, "labels": labels, "annotations": {names.LABEL_NODE: node}}
    made["spec"]["nodeName"] = node
    answer = server.request("POST", f"/api/v1/namespaces/{AGENTS}/pods", made)
    assert answer.ok, answer.message


def test_of_the_newest_agent_and_of_all(plugin: Plugin, shipped: Server, kubelet: int) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    path = f"/api/v1/namespaces/{AGENTS}/serviceaccounts"
    assert shipped.request("POST", path, account).status in (201, 409)
    for name in ("node-log", LONG):
        node(shipped, name, kubelet)
    pod(shipped, "audit-1", "node-log")
    pod(shipped, "apply-2", LONG)
    # What a terminal would obey is shown and not sent.
    assert plugin.did("logs", "node-log") == "log of audit-1\\x1b[2J\n"
    assert plugin.did("logs", LONG) == "log of apply-2\\x1b[2J\n"
    assert plugin.did("logs", LONG, "--all").startswith("==> apply-2 <==\n")
    none = plugin("logs", "node-other")
    assert none.returncode == 1
    assert "they go an hour after they ended" in none.stderr
