"""A kubelet that lies, with its own certificate: what it can make of other nodes is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.planner.node.manifests import proof_pod
from tests import operator_config
from tests.api.controllers import World
from tests.api.kubelets import kubelet
from tests.api.nodes import Fleet, Object, job_of
from tests.api.server import MERGE_PATCH, Answer, Server
from tests.api.shipped import NODE, agent_pod
from tests.api.spaces import AGENTS, PROOF, pods
from tests.api.waiting import eventually
from tests.cluster.control import ControlPlane


def agents_of(world: World, node: str) -> list[Object]:
    """Agents on that node which write."""
    return [
        pod
        for pod in world.api.items(pods(AGENTS))
        if pod["spec"].get("nodeName") == node and (job_of(pod) or "").startswith("apply-")
    ]


def test_an_agent_that_its_kubelet_says_is_of_another_node_keeps_that_one_from_nothing(
    world: World, fleet: Fleet
) -> None:
    fleet.add(world.api, "node-0")
    fleet.hold = lambda operation: operation.node == "node-0" and operation.kind == "apply"
    with world.controller():
        world.policy(rollout={"maxUnavailable": 2, "maxParallel": 2})
        [pod] = eventually(lambda: agents_of(world, "node-0"), "node-0 is being written to")
        lie = {"metadata": {"annotations": {names.LABEL_NODE: "node-2"}}}
        path = f"{pods(AGENTS)}/{pod['metadata']['name']}/status"
        answer = kubelet(world.plane, "node-0").request("PATCH", path, lie, content=MERGE_PATCH)
        # Kubernetes allows it. It is up to the controller not to go by it.
        assert answer.status == 200, answer.message
        assert answer.body["metadata"]["annotations"][names.LABEL_NODE] == "node-2"
        fleet.add(world.api, "node-2")
        eventually(
            lambda: world.status("node-2").get("phase") == "Done",
            lambda: f"node-2 is cured, not {world.status('node-2')}",
            60,
        )
        # And node-0's agent is still known as its own.
        assert world.status("node-0")["reason"] == "Apply"
        fleet.hold = lambda operation: False
        world.await_reason("Enforced")


@pytest.fixture
def admitted(shipped: Server) -> Iterator[Object]:
    """An agent's pod on shipped-node, as its Job made it."""
    pod = agent_pod()
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "apply-0", "uid": "apply-0"}
    pod["metadata"] |= {"name": "lied-about", "ownerReferences": [{**owner, "controller": True}]}
    pod["spec"]["nodeName"] = "shipped-node"
    answer = shipped.request("POST", pods(AGENTS), pod)
    assert answer.ok, answer.message
    yield answer.body
    shipped.request("DELETE", f"{pods(AGENTS)}/lied-about?gracePeriodSeconds=0")


def lied(plane: ControlPlane, patch: object, sub: str = "/status") -> Answer:
    node = kubelet(plane, "shipped-node")
    path = f"{pods(AGENTS)}/lied-about{sub}"
    return node.request("PATCH", path, patch, content=MERGE_PATCH)


def test_a_kubelet_changes_neither_spec_nor_owners_nor_labels_of_an_agent(
    plane: ControlPlane, admitted: Object
) -> None:
    """What the controller tells an agent by; the API server drops or refuses each change."""
    other: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job", "name": "apply-1", "uid": "1"}
    owners = {"metadata": {"ownerReferences": [{**other, "controller": True}]}}
    answer = lied(plane, owners)
    assert answer.ok, answer.message
    assert answer.body["metadata"]["ownerReferences"] == admitted["metadata"]["ownerReferences"]
    answer = lied(plane, {"spec": {"affinity": None, "nodeName": "node-2"}})
    assert answer.ok, answer.message
    assert answer.body["spec"] == admitted["spec"]
    answer = lied(plane, {"metadata": {"labels": {names.LABEL_COMPONENT: None}}})
    assert answer.status == 403, answer.body
    answer = lied(plane, {"spec": {"affinity": None}}, sub="")
    assert answer.status == 403, answer.body


def test_whoever_may_write_the_status_of_an_agent_cannot_hide_it(
    shipped: Server, admitted: Object
) -> None:
    """The controller finds agents by this label; one that writes would seem to be gone."""
    hidden = {"metadata": {"labels": {names.LABEL_COMPONENT: None}}}
    for sub in ("", "/status"):
        path = f"{pods(AGENTS)}/{admitted['metadata']['name']}{sub}"
        answer = shipped.request("PATCH", path, hidden, content=MERGE_PATCH)
        assert "keeps the label" in answer.message


@pytest.mark.parametrize("namespace", [AGENTS, PROOF])
def test_a_kubelet_makes_no_pod_that_passes_for_one_of_ours(
    plane: ControlPlane, shipped: Server, namespace: str
) -> None:
    """As a mirror of a static pod, which a kubelet may make in any namespace."""
    pod = proof_pod(
        "proof-new-0123456789abcdef0123", "apply-0", "node-2", operator_config.shipped()
    )
    pod["spec"] = {"nodeName": "shipped-node", **pod["spec"]}
    for dropped in ("affinity", "priorityClassName", "preemptionPolicy"):
        del pod["spec"][dropped]
    uid = shipped.request("GET", NODE).body["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "shipped-node", "uid": uid}
    pod["metadata"] |= {
        "namespace": namespace,
        "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [{**owner, "controller": True}],
    }
    node = kubelet(plane, "shipped-node")
    answer = node.request("POST", f"{pods(namespace)}?dryRun=All", pod)
    assert not answer.ok
    if namespace == PROOF:
        assert "a node makes no pods here" in answer.message
    # Elsewhere it may.
    pod["metadata"]["namespace"] = "default"
    answer = node.request("POST", f"{pods('default')}?dryRun=All", pod)
    assert answer.ok, answer.message


def event(namespace: str, host: str) -> Object:
    """Says of the proof pod of node-2 that its network is broken."""
    about = {"kind": "Pod", "namespace": namespace, "name": "proof", "uid": "of-node-2"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "said-", "namespace": namespace},
        "involvedObject": about,
        "type": "Warning",
        "reason": "FailedCreatePodSandBox",
        "message": "failed to setup network for sandbox",
        "source": {"component": "kubelet", "host": host},
    }


@pytest.mark.parametrize("namespace", [AGENTS, PROOF])
def test_a_kubelet_speaks_of_our_pods_in_its_own_name_alone(
    plane: ControlPlane, shipped: Server, namespace: str
) -> None:
    assert shipped
    node, path = kubelet(plane, "shipped-node"), f"/api/v1/namespaces/{namespace}/events"
    for host in ("node-2", ""):
        answer = node.request("POST", path, event(namespace, host))
        assert "in its own name alone" in answer.message
    own = node.request("POST", path, event(namespace, "shipped-node"))
    assert own.ok, own.message
    made = f"{path}/{own.body['metadata']['name']}"
    lie = {"source": {"host": "node-2"}}
    answer = node.request("PATCH", made, lie, content=MERGE_PATCH)
    assert "in its own name alone" in answer.message
    shipped.request("DELETE", made)
    # The newer group, whose objects the controller reads as well, is closed to kubelets.
    newer = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    assert node.request("POST", newer, {"metadata": {"name": "x"}}).status == 403
    # What is not ours is left alone.
    elsewhere = "/api/v1/namespaces/default/events?dryRun=All"
    answer = node.request("POST", elsewhere, event("default", "node-2"))
    assert answer.ok, answer.message
