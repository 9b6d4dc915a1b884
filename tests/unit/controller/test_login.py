"""A service account's token is renewed on disk about every hour: who reads it anew goes on."""

from __future__ import annotations

import asyncio
import datetime
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kubernetes.aio.config import incluster_config

from cni_upgrade.controller import watching
from cni_upgrade.controller.login import login
from cni_upgrade.controller.store import Store
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.port import KubeError
from cni_upgrade.kube.resources import NODES
from tests.cluster import pki
from tests.unit.controller.kube_model import KUBECONFIG
from tests.unit.fleet.cluster_model import CONFIG


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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kubelet mounts into a pod."""
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_bytes(pki.authority(tmp_path / "pki").certificate.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(incluster_config, "InClusterConfigLoader", Loader)
    return tmp_path


async def test_kopf_is_handed_the_token_of_now(folder: Path) -> None:
    client = Client(api := await connect("test"))
    info = await login(api)()
    assert (info.server, info.scheme, info.token) == ("https://[fd00::1]:6443", "Bearer", "first")
    assert info.ca_path == str(folder / "ca.crt")
    assert not info.insecure
    (folder / "token").write_text("second")
    assert (await login(api)()).token == (folder / "token").read_text()
    await client.close()


async def test_the_token_of_a_kubeconfig_is_handed_over_too(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.replace("SERVER", "http://127.0.0.1:9"))
    client = Client(api := await connect("test", str(path)))
    info = await login(api)()
    assert (info.server, info.scheme, info.token) == ("http://127.0.0.1:9", "Bearer", "secret")
    await client.close()


class Gate(BaseHTTPRequestHandler):
    """An API server with one node and one token; what it was shown is kept."""

    valid = ""
    address = ""
    shown: list[str]

    def do_GET(self) -> None:
        token = self.headers["Authorization"].partition(" ")[2]
        self.shown.append(token)
        self._say(*(self._answer() if token == self.valid else (401, {"reason": "Unauthorized"})))

    def _answer(self) -> tuple[int, object]:
        path, _, query = self.path.partition("?")
        if path == "/api":
            return 200, {"versions": ["v1"]}
        if path == "/apis":
            return 200, {"groups": []}
        if path == "/api/v1":
            plain = {"singularName": "", "namespaced": False, "verbs": ["list", "watch"]}
            kinds = {"nodes": "Node", "namespaces": "Namespace"}
            return 200, {"resources": [{**plain, "name": n, "kind": k} for n, k in kinds.items()]}
        if "watch=" in query:
            # Watches are cut short: each further one shows its token.
            return 200, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1"}}}
        node = {"metadata": {"name": f"seen-as-{self.valid}", "uid": "1", "resourceVersion": "1"}}
        return 200, {"metadata": {"resourceVersion": "1"}, "items": [node]}

    def _say(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        """Nothing on the test's output."""


@pytest.fixture
def gate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Gate]]:
    handler = type("OneGate", (Gate,), {"shown": [], "valid": "first"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(Loader, "address", f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


async def test_our_requests_carry_the_token_of_now(folder: Path, gate: type[Gate]) -> None:
    client = Client(await connect("test"))
    await client.list(NODES)
    (folder / "token").write_text("second")
    gate.valid = "second"
    await client.list(NODES)
    assert gate.shown == ["first", "second"]
    (folder / "token").unlink()
    with pytest.raises(KubeError, match="no answer"):
        await client.list(NODES)
    await client.close()


async def becomes(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_kopf_s_watches_go_on_with_the_token_of_now(folder: Path, gate: type[Gate]) -> None:
    client = Client(api := await connect("test"))
    store = Store(CONFIG, "")
    watch = asyncio.create_task(watching.watch(store, lambda: None, login(api)))
    await becomes(lambda: "seen-as-first" in store.nodes.items)
    (folder / "token").write_text("second")
    gate.valid = "second"
    gate.shown.clear()
    await becomes(lambda: gate.shown.count("second") > 3)
    # Each of its connections may have shown the old one once more, and none after that.
    after = len(gate.shown)
    await becomes(lambda: len(gate.shown) > after + 5)
    assert set(gate.shown[after:]) == {"second"}
    assert not watch.done()
    watch.cancel()
    await asyncio.wait([watch], timeout=20)
    assert watch.cancelled()
    await client.close()
