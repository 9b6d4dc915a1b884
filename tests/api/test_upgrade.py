"""The shipped Deployment under the real scheduler and Deployment controller: a new release comes.

What runs on the nodes is played: a kubelet that calls every pod ready and lets every pod go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.api import kubectl
from tests.api.server import MERGE_PATCH, Server
from tests.api.shipped import ROOT
from tests.api.spaces import OPERATOR, SYSTEM, pods
from tests.api.waiting import eventually
from tests.cluster.control import Controllers, ControlPlane

NODES = "/api/v1/nodes"
NEW = "cniupgrade.dev/operator:new"
Object = dict[str, Any]


class Cluster:
    """Nodes that run what they are given."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        self._plane, self._home = plane, home
        self._server = Server(plane.kubeconfig)
        self.broken: set[str] = set()
        """Images that cannot be pulled."""

    def kubectl(self, *words: str) -> str:
        done = kubectl.run(self._plane, self._home, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _status(self, path: str, status: Object) -> None:
        self._server.request("PATCH", f"{path}/status", {"status": status}, content=MERGE_PATCH)

    def add_node(self, name: str) -> None:
        labels = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        assert self._server.request("POST", NODES, node).ok
        room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        ready["lastHeartbeatTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._status(
            f"{NODES}/{name}", {"capacity": room, "allocatable": room, "conditions": [ready]}
        )

    def turn(self) -> list[str]:
        """The kubelets look once; the images of the controllers that run by then."""
        running = []
        for pod in self._server.request("GET", pods(SYSTEM)).body["items"]:
            path = f"{pods(SYSTEM)}/{pod['metadata']['name']}"
            if "deletionTimestamp" in pod["metadata"]:
                self._server.request("DELETE", f"{path}?gracePeriodSeconds=0")
            elif pod["spec"].get("nodeName") and self._image(pod) not in self.broken:
                ready = {"type": "Ready", "status": "True"}
                self._status(path, {"phase": "Running", "conditions": [ready]})
                running.append(self._image(pod))
        return running

    def pulled(self, image: str) -> bool:
        """Whether a node was told to run that image."""
        items = self._server.request("GET", pods(SYSTEM)).body["items"]
        return any(self._image(pod) == image and pod["spec"].get("nodeName") for pod in items)

    @staticmethod
    def _image(pod: Object) -> str:
        return str(pod["spec"]["containers"][0]["image"])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ControlPlane.temporary(Controllers()) as plane:
        yield Cluster(plane, tmp_path)


def release(cluster: Cluster) -> None:
    """Another image, as a new release brings."""
    template = {"spec": {"containers": [{"name": "controller", "image": NEW}]}}
    cluster.kubectl(
        *("-n", SYSTEM, "patch", "deployment", OPERATOR),
        *("-p", json.dumps({"spec": {"template": template}})),
    )


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_new_release_comes_to_every_node(cluster: Cluster, nodes: int) -> None:
    """Where there is one node it is told so: the second replica has no place there."""
    for number in range(nodes):
        cluster.add_node(f"node-{number}")
    cluster.kubectl("apply", "-k", str(ROOT))
    eventually(lambda: len(cluster.turn()) == nodes, "the release before runs")
    assert NEW not in cluster.turn()
    release(cluster)
    if nodes == 1:
        cluster.kubectl("-n", SYSTEM, "scale", "deployment", OPERATOR, "--replicas=1")
    eventually(lambda: cluster.turn() == [NEW] * nodes, lambda: f"new ones run: {cluster.turn()}")


def test_a_release_that_cannot_start_leaves_the_one_before_at_work(cluster: Cluster) -> None:
    for name in ("node-0", "node-1"):
        cluster.add_node(name)
    cluster.kubectl("apply", "-k", str(ROOT))
    eventually(lambda: len(cluster.turn()) == 2, "the release before runs")
    before = cluster.turn()[0]
    cluster.broken.add(NEW)
    release(cluster)
    eventually(lambda: cluster.turn() and cluster.pulled(NEW), "a node was given the new one")
    for _ in range(30):
        assert before in cluster.turn(), "one of the release before goes on"
        time.sleep(0.2)
