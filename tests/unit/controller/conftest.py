"""A controller around an API server in memory."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from kubernetes.aio.config import incluster_config

from cni_upgrade.kube.client import Client
from tests.cluster import pki
from tests.unit.controller.gate import Gate, Loader
from tests.unit.controller.kube_model import Made, Memory, client_of


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server that is not there; only its counts are looked at."""
    made = await client_of(tmp_path / "kubeconfig", "http://127.0.0.1:9")
    yield made
    await made.close()


@pytest.fixture
def made(client: Client) -> Made:
    return Made(Memory(), client)


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


@pytest.fixture
def gate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Gate]]:
    handler = type("OneGate", (Gate,), {"shown": [], "paths": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(Loader, "address", f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield handler
        server.shutdown()
        thread.join()
