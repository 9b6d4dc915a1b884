"""Those who may write one thing only, with just that right: what the operator does for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cni_upgrade.agent.protocol.operation import Operation, Report
from cni_upgrade.api import names
from tests.api import objects
from tests.api.controllers import POLICIES, STATES, World
from tests.api.nodes import JOBS, Fleet, Object, add_node
from tests.api.server import JSON, MERGE_PATCH, Answer
from tests.api.spaces import AGENTS, pods
from tests.api.waiting import eventually
from tests.unit.planner.node_model import SimNode

WRITER = {"Impersonate-User": "writer", "Impersonate-Group": "system:authenticated"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def granted(
    world: World, resource: str, *verbs: str, group: str = names.GROUP, role: str = "hostile-writer"
) -> None:
    """The writer gets one right in the whole cluster, and no other."""
    rule = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    meta = {"metadata": {"name": role}}
    world.api.create(f"{RBAC}/clusterroles", {**meta, "rules": [rule]})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "writer"}
    body = {**meta, "roleRef": ref, "subjects": [subject]}
    world.api.create(f"{RBAC}/clusterrolebindings", body)


def asked(world: World, method: str, path: str, body: object = None) -> Answer:
    content = MERGE_PATCH if method == "PATCH" else JSON
    return world.server.request(method, path, body, content=content, headers=WRITER)


def sent(world: World) -> dict[str, Object]:
    """By the name of a Job: what its agent is told to do."""
    found = {}
    for job in world.api.items(JOBS):
        [container] = job["spec"]["template"]["spec"]["containers"]
        found[job["metadata"]["name"]] = json.loads(container["env"][0]["value"])
    return found


def test_a_record_of_one_node_sends_no_agent_to_another(world: World, fleet: Fleet) -> None:
    """With the right to write the status of records alone."""
    fleet.add(world.api, "node-0", "node-1")
    with world.controller() as it:
        world.policy(rollout={"windows": [{"schedule": "0 0 29 2 *", "duration": "1m"}]})
        for node in fleet.disks:
            eventually(lambda: world.status(node).get("phase") == "Waiting", "both wait")  # noqa: B023
        granted(world, "cninodestates/status", "patch", "get")
        fleet.hold = lambda operation: True
        [look] = [order for order in sent(world).values() if order["node"] == "node-0"]
        forged = "restore-ffffffffffffffffffff"
        order: Object = {
            **look,
            "id": forged,
            "kind": "restore",
            "node": "node-1",
            "files": [],
            "backup": "20261123T225404Z-3f2a9c1b",
        }
        cure = world.api.request("GET", f"{POLICIES}/cure").body["metadata"]
        operation: dict[str, Any] = {
            "id": forged,
            "kind": "restore",
            "step": "Restore",
            "job": forged,
            "policy": {"name": "cure", "uid": cure["uid"]},
            "input": json.dumps(order),
        }
        path = f"{STATES}/node-0"
        lie = {"status": {"phase": "RollingBack", "operation": operation}}
        eventually(lambda: asked(world, "PATCH", f"{path}/status", lie).ok, "it may write that")

        def dealt_with() -> bool:
            status = world.status("node-0")
            there = (status.get("operation") or {}).get("id") == forged
            return not there or status["reason"] == "Unplannable" or forged in sent(world)

        eventually(dealt_with, lambda: f"it makes no sense, not {world.status('node-0')}", 60)
        made = [
            name for verb, what, name, _ in world.writes() if (verb, what) == ("create", "jobs")
        ]
        assert forged not in made
        assert forged not in sent(world)
        assert set(sent(world)) == {each for each in sent(world) if each.startswith("audit-")}
        assert "expected node node-0, found node-1" in world.status("node-0")["message"]
        assert world.status("node-1")["phase"] == "Waiting"
        # What it may not write it does not: who has the node, or any other object.
        claim = {"spec": {"policyRef": None}}
        assert asked(world, "PATCH", path, claim).status == 403
        for method, other in (
            ("PATCH", f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}/cure"),
            ("PATCH", "/api/v1/nodes/node-1"),
            ("POST", JOBS),
            ("DELETE", path),
        ):
            assert asked(world, method, other, {}).status == 403, other
        assert it.get(it.health, "/healthz")[0] == 200
    for kind in ("clusterrolebindings", "clusterroles"):
        world.api.request("DELETE", f"{RBAC}/{kind}/hostile-writer")


class Calico(SimNode):
    """A node whose file calico writes."""

    def report(self, operation: Operation, pods: Sequence[str]) -> Report:
        found = super().report(operation, pods)
        files = tuple(replace(each, name="10-calico.conflist") for each in found.files)
        return replace(found, files=files)


def test_a_hostile_configmap_of_a_network_add_on_is_shown_at_most(
    world: World, fleet: Fleet
) -> None:
    """With the right to write ConfigMaps in kube-system alone; those are read to be shown."""
    maps = "/api/v1/namespaces/kube-system/configmaps"
    fleet.disks["node-0"] = Calico("node-0", None, managed_by="calico: ConfigMap")
    add_node(world.api, "node-0")
    hostile = (
        "[" * 100_000,
        '{"a":' * 50_000,
        "x" * 900_000,
        json.dumps({"cniVersion": "9" * 200_000, "plugins": [{"type": "\\u0000" * 100}] * 100}),
        '{"cniVersion": "0.3.1", "plugins": [{"type": "calico", "cniVersion": 7}], "name": ["x"]}',
    )
    meta = {"metadata": {"name": "calico-config", "namespace": "kube-system"}}
    for text in hostile:
        world.api.create(maps, {**meta, "data": {"cni_network_config": text}})
        # A process of its own each: ConfigMaps are read again every four minutes alone.
        with world.controller() as it:
            world.api.create(POLICIES, objects.policy("cure"))

            def shown() -> Object | None:
                status: Object = world.api.request("GET", f"{POLICIES}/cure").body["status"]
                [source] = status.get("sources") or [{}]
                return status if source.get("message") else None

            status = eventually(shown, "what stands there is told")
            assert len(json.dumps(status)) < 100_000
            assert "patch" not in status["sources"][0]
            assert it.get(it.health, "/healthz")[0] == 200
            world.api.request("DELETE", f"{POLICIES}/cure")
        world.api.request("DELETE", f"{maps}/calico-config")
    assert fleet.disks["node-0"].writes == []


def test_who_may_create_jobs_alone_sends_no_agent(world: World, fleet: Fleet) -> None:
    """The Job is the operator's own under another name, so nothing but its sender is wrong."""
    fleet.add(world.api, "node-0")
    with world.controller():
        world.policy(mode="Audit")
        own = eventually(lambda: world.api.items(JOBS), "an agent was sent")[0]
    spec = {k: v for k, v in own["spec"].items() if k in ("template", "backoffLimit")}
    labels = {k: v for k, v in own["metadata"]["labels"].items() if names.GROUP in k}
    for key in list(spec["template"]["metadata"]["labels"]):
        if "job-name" in key or "controller-uid" in key:
            del spec["template"]["metadata"]["labels"][key]
    name = "audit-ffffffffffffffffffff"
    job = {"metadata": {"name": name, "labels": labels}, "spec": spec}
    pod = {**spec["template"], "metadata": {**spec["template"]["metadata"], "name": name}}
    granted(world, "jobs", "create", group="batch")
    granted(world, "pods", "create", group="", role="hostile-pod-writer")
    try:
        for path, body in ((f"{JOBS}", job), (pods(AGENTS), pod)):
            answer = eventually(partial(_judged, world, path, body), "RBAC lets it ask")
            assert answer.status in (403, 422), answer.body
            assert "only the operator sends agents" in answer.message
        granted(world, "agents", "send", role="sender")
        eventually(lambda: asked(world, "POST", f"{JOBS}?dryRun=All", job).ok, "it may by name")
    finally:
        for role in ("hostile-writer", "hostile-pod-writer", "sender"):
            for kind in ("clusterroles", "clusterrolebindings"):
                world.api.request("DELETE", f"{RBAC}/{kind}/{role}")


def _judged(world: World, path: str, body: Object) -> Answer | None:
    """The admission's answer, once the right to ask has come to the API server."""
    answer = asked(world, "POST", f"{path}?dryRun=All", body)
    return None if "RBAC" in answer.message or "cannot create" in answer.message else answer
