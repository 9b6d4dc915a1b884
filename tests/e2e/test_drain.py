"""Draining a real node: a budget that blocks is named, one that lets go is used, ours stays."""

from __future__ import annotations

from tests.e2e.api import CORE, STATES, Object, wait
from tests.e2e.world import DEPLOYMENT, PODS, World, pod_spec

_APPS = "/apis/apps/v1/namespaces/default"
_NODE = "node-d"


def _workload(kind: str, name: str, **spec: object) -> Object:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {**pod_spec(), "nodeSelector": {"kubernetes.io/hostname": _NODE}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def _pods(world: World, app: str) -> list[Object]:
    return world.api.items(f"{PODS}?labelSelector=app%3D{app}")


def _running(world: World, app: str) -> Object | None:
    (pod, *_) = [*_pods(world, app), {}]
    return pod if pod and pod["status"]["phase"] == "Running" else None


def test_a_budget_blocks_until_it_is_lifted(world: World) -> None:
    world.api.create(f"{_APPS}/deployments", _workload("Deployment", "web", replicas=1))
    world.api.create(f"{_APPS}/daemonsets", _workload("DaemonSet", "watch"))
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web-stays"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    world.api.create(budgets, budget)
    web = wait(lambda: _running(world, "web"), "the deployment's pod runs")["metadata"]
    watch = wait(lambda: _running(world, "watch"), "the daemon's pod runs")["metadata"]
    # The controller on the node that is drained, alone: it must neither leave nor wait for itself.
    selector = {"nodeSelector": {"kubernetes.io/hostname": _NODE}}
    world.api.patch(DEPLOYMENT, {"spec": {"replicas": 1, "template": {"spec": selector}}})
    controller = wait(lambda: _moved(world), f"the controller is on {_NODE}", 90)

    drain = {"policy": "Always", "deadline": "8s"}
    world.policy(nodes=[_NODE], mode="Enforce", target={"cni": {"version": "1.1.0"}}, drain=drain)
    world.await_step(_NODE, "Drain")
    named = wait(
        lambda: world.operation(_NODE).get("blockers"), "what blocks is named while it does"
    )
    assert any(f"default/{web['name']}" in text for text in named)

    blocked = world.await_phase(_NODE, "Blocked", reason="DrainBlocked")
    assert f"default/{web['name']}" in blocked["message"], "the pod was to be named"
    assert "web-stays" in blocked["message"], "the budget was to be named"
    world.not_cordoned(_NODE)
    assert world.pod(web["name"]), "the pod was to stay"
    assert world.machine(_NODE).config.read_text() == world.machine(_NODE).faulty()

    world.api.delete(f"{budgets}/web-stays")
    world.change("p", drain={"deadline": "60s"})
    world.annotate(f"{STATES}/{_NODE}", retry="lifted")
    wait(lambda: world.pod(web["name"]) is None, "the pod was evicted")
    world.await_ready(reason="Enforced")
    assert world.machine(_NODE).config.read_text() == world.machine(_NODE).at_version("1.1.0")
    world.not_cordoned(_NODE)
    assert world.pod(watch["name"]), "a DaemonSet's pod was to stay"
    wait(lambda: _running(world, "web"), "the deployment's pod runs again, on the node given back")
    now = world.controller() or {}
    assert now["metadata"]["uid"] == controller["metadata"]["uid"], "it evicted itself"


def _moved(world: World) -> Object | None:
    pods = world.api.items(f"{CORE}/namespaces/cni-upgrade-system/pods")
    here = [p for p in pods if p["spec"].get("nodeName") == _NODE]
    return world.await_controller() if len(pods) == len(here) == 1 else None
