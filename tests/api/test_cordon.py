"""Whose cordon a node carries, by what a real API server notes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import Cordon, Decision, Uncordon, Unmark
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.api.conftest import Kubectl
from tests.api.server import MERGE_PATCH, Server
from tests.cluster.control import ControlPlane
from tests.unit.planner.cluster_model import CONFIG

PATH = "/api/v1/nodes/cordoned"
UNMARK = {"metadata": {"annotations": {"cniupgrade.dev/cordoned-by": None}}}


@pytest.fixture
def node(plane: ControlPlane, server: Server) -> Iterator[None]:
    """A node that we have cordoned.

    Nothing is noted of an object that was created without any field of its own; a kubelet gives
    its Node labels.
    """
    meta = {"name": "cordoned", "labels": {"kubernetes.io/os": "linux"}}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": meta}
    assert server.request("POST", "/api/v1/nodes?fieldManager=kubelet", body).ok
    carry(plane, Cordon("cordoned", seen(server).resource_version, "apply-0"))
    yield
    server.request("DELETE", PATH)


def seen(server: Server) -> Node:
    return Node.of(server.request("GET", PATH).body)


def carry(plane: ControlPlane, decision: Decision) -> None:
    async def run() -> None:
        client = Client(await connect("somebody/1.0", str(plane.kubeconfig)))
        try:
            store = ClusterStore(CONFIG, "")
            executor = Executor(client, store, EventRecorder(client))
            turn = Batch("cordoned", (decision,))
            assert await executor.carry_out([turn], store.snapshot(datetime.now(UTC)))
        finally:
            await client.close()

    asyncio.run(run())


def test_ours_without_its_mark(plane: ControlPlane, server: Server, node: None) -> None:
    assert server.request("PATCH", PATH, UNMARK, content=MERGE_PATCH).ok
    back = cordon.give_back(seen(server))
    assert isinstance(back, Uncordon)
    carry(plane, back)
    assert (seen(server).unschedulable, cordon.give_back(seen(server))) == (False, None)


def test_theirs_beneath_our_mark(
    plane: ControlPlane, server: Server, kubectl: Kubectl, node: None
) -> None:
    for verb in ("uncordon", "cordon"):
        done = kubectl(verb, "cordoned")
        assert done.returncode == 0, done.stderr
    back = cordon.give_back(seen(server))
    assert isinstance(back, Unmark)
    carry(plane, back)
    assert (seen(server).unschedulable, cordon.give_back(seen(server))) == (True, None)


def test_who_cordons_what_is_cordoned_leaves_it_ours(
    server: Server, kubectl: Kubectl, node: None
) -> None:
    before, again = seen(server).resource_version, {"spec": {"unschedulable": True}}
    assert kubectl("cordon", "cordoned").returncode == 0
    assert server.request("PATCH", PATH, again, content=MERGE_PATCH).ok
    assert (cordon.ours(seen(server)), seen(server).resource_version) == (True, before)
