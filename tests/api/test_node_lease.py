"""The Lease on a node against a real API server: taken, renewed, lost, waited for, given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.resources import LEASES
from cni_upgrade.kube.rights import needed
from cni_upgrade.planner.node import node_lease
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import Decision
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.api.conftest import Kubectl
from tests.api.server import MERGE_PATCH, Server
from tests.api.spaces import ACCOUNT, SYSTEM
from tests.api.waiting import eventually
from tests.cluster.control import ControlPlane
from tests.unit.planner import samples
from tests.unit.planner.cluster_model import LEASED

SPACE = LEASED.lease_namespace
PATH = f"/apis/coordination.k8s.io/v1/namespaces/{SPACE}/leases"
MANIFEST = Path(__file__).parents[2] / "manifests/leases/medik8s.yaml"


@pytest.fixture
def api(server: Server, kubectl: Kubectl) -> Iterator[Server]:
    done = kubectl("apply", "--validate=strict", "-f", str(MANIFEST))
    assert done.returncode == 0, done.stderr
    yield server
    server.request("DELETE", PATH)
    server.request("DELETE", "/api/v1/nodes/leased")


@pytest.fixture
def node(api: Server) -> Node:
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "leased"}}
    made = api.request("POST", "/api/v1/nodes", body)
    assert made.ok, made.message
    return Node.of(made.body)


def seen(node: Node, store: ClusterStore, ahead: timedelta = timedelta(0)) -> NodeContext:
    """The node as the planner would see it, by what the store knows of Leases."""
    view = samples.view()
    world = replace(
        view.world,
        now=datetime.now(UTC) + ahead,
        config=LEASED,
        leases=dict(store.leases.items),
        nodes={node.name: node},
    )
    return replace(view, world=world, node=node)


def take(at: NodeContext) -> tuple[Decision, ...]:
    return node_lease.take(at.node, at.world)


def play(plane: ControlPlane, story: Callable[[ClusterStore, Executor], Awaitable[None]]) -> None:
    async def run() -> None:
        client = Client(await connect("test", str(plane.kubeconfig)))
        try:
            store = ClusterStore(LEASED, "")
            await story(store, Executor(client, store, EventRecorder(client)))
        finally:
            await client.close()

    asyncio.run(run())


async def carry(executor: Executor, store: ClusterStore, *decisions: Decision) -> bool:
    world = store.snapshot(datetime.now(UTC))
    return await executor.carry_out([Batch("leased", decisions)], world)


def test_it_is_taken_renewed_and_given_back(plane: ControlPlane, api: Server, node: Node) -> None:
    async def story(store: ClusterStore, executor: Executor) -> None:
        assert await carry(executor, store, *take(seen(node, store)))
        first = api.request("GET", f"{PATH}/node-leased").body
        assert first["spec"]["holderIdentity"] == node_lease.HOLDER
        assert first["metadata"]["ownerReferences"][0]["uid"] == node.uid
        assert take(seen(node, store)) == (), "it is fresh"
        later = seen(node, store, timedelta(minutes=6))
        assert await carry(executor, store, *take(later))
        again = api.request("GET", f"{PATH}/node-leased").body["spec"]
        assert again["renewTime"] > first["spec"]["renewTime"]
        assert again["acquireTime"] == first["spec"]["acquireTime"]
        world = replace(seen(node, store).world, states={})
        assert await carry(executor, store, *node_lease.to_drop(world, {}, ()))
        assert api.request("GET", f"{PATH}/node-leased").status == 404
        assert store.leases.items == {}

    play(plane, story)


def test_who_comes_second_learns_who_was_first(
    plane: ControlPlane, api: Server, node: Node
) -> None:
    async def story(store: ClusterStore, executor: Executor) -> None:
        unaware = take(seen(node, store))
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": "node-maintenance",
            "leaseDurationSeconds": 3600,
            "acquireTime": at,
            "renewTime": at,
        }
        theirs = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "node-leased", "namespace": SPACE},
            "spec": spec,
        }
        assert api.request("POST", PATH, theirs).ok
        await carry(executor, store, *unaware)
        held = api.request("GET", f"{PATH}/node-leased").body["spec"]["holderIdentity"]
        assert held == "node-maintenance", "it was stolen"
        assert "node-maintenance has the Lease" in node_lease.others(seen(node, store))
        assert take(seen(node, store)) == ()
        # Once it has expired, by what we know; but they have renewed it, which we do not.
        expired = seen(node, store, timedelta(hours=2))
        [decision] = take(expired)
        renewed = {"spec": {"renewTime": at, "leaseDurationSeconds": 7200}}
        assert api.request("PATCH", f"{PATH}/node-leased", renewed, content=MERGE_PATCH).ok
        await carry(executor, store, decision)
        held = api.request("GET", f"{PATH}/node-leased").body["spec"]["holderIdentity"]
        assert held == "node-maintenance", "it was stolen from who had renewed it"
        # And once it really has.
        [decision] = take(seen(node, store, timedelta(hours=3)))
        assert await carry(executor, store, decision)
        taken = api.request("GET", f"{PATH}/node-leased").body["spec"]
        assert (taken["holderIdentity"], taken["leaseTransitions"]) == (node_lease.HOLDER, 1)

    play(plane, story)


def test_the_manifest_grants_what_is_asked_for_and_no_more(api: Server) -> None:
    def allowed(verb: str, namespace: str) -> bool:
        attributes = {
            "verb": verb,
            "group": LEASES.group,
            "resource": LEASES.plural,
            "namespace": namespace,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": ACCOUNT, "resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(api.request("POST", path, review).body["status"]["allowed"])

    asked = {right.verb for right in needed(SYSTEM, "a", "p", SPACE) if right.namespace == SPACE}
    eventually(lambda: all(allowed(verb, SPACE) for verb in asked), f"{asked} are granted")
    others = {"get", "watch", "update", "deletecollection"}
    assert not [verb for verb in others if allowed(verb, SPACE)]
    assert not [verb for verb in asked if allowed(verb, "kube-node-lease")]
