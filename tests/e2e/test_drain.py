"""Draining real nodes: what blocks is named, what may go goes and comes back, the rest stays."""

from __future__ import annotations

from functools import partial

from tests.api.spaces import ACCOUNT, SYSTEM
from tests.e2e.api import CORE, STATES, Object, wait
from tests.e2e.world import DEPLOYMENT, PODS, World, on, pod_body, pod_spec

_APPS = "/apis/apps/v1/namespaces/default"
_NODE = "node-d"


def _workload(
    kind: str, name: str, node: str = _NODE, pod: Object | None = None, **spec: object
) -> Object:
    """A workload whose pods are all on one node; `pod` are members of their spec."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {**pod_spec(), "nodeSelector": {"kubernetes.io/hostname": node}, **(pod or {})},
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
    pods = world.api.items(f"{CORE}/namespaces/{SYSTEM}/pods")
    here = [p for p in pods if p["spec"].get("nodeName") == _NODE]
    return world.await_controller() if len(pods) == len(here) == 1 else None


_SCRATCH = {"volumes": [{"name": "scratch", "emptyDir": {}}]}


def _slow_to_leave() -> Object:
    """Members of the spec of a pod that takes some seconds to end, as real ones do."""
    [container] = pod_spec()["containers"]
    command = ["sh", "-c", "trap 'sleep 5; exit' TERM; sleep 100000 & wait"]
    return {"terminationGracePeriodSeconds": 30, "containers": [{**container, "command": command}]}


def _all_run(world: World, app: str, count: int) -> list[Object]:
    def running() -> list[Object]:
        found = [
            pod
            for pod in _pods(world, app)
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        return found if len(found) == count else []

    return wait(running, f"{count} pods of {app} run")


def _uids(pods: list[Object]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def test_workloads_leave_and_come_back(world: World) -> None:
    """On node-a deleting works only after the change, on node-c it works before; both are drained.

    The controller is killed while pods of node-c are on their way out.
    """
    nodes = {"node-a": "1.0.0", "node-c": "1.0.0"}
    cri_o = world.machine("node-c")
    cri_o.write(cri_o.at_version("0.4.0"))  # without one, CRI-O would add no pod
    for node in nodes:
        web = _workload("Deployment", f"web-{node}", node, _slow_to_leave(), replicas=2)
        scratch = _workload("Deployment", f"scratch-{node}", node, _SCRATCH, replicas=1)
        for body in (web, scratch):
            world.api.create(f"{_APPS}/deployments", body)
        world.api.create(f"{_APPS}/daemonsets", _workload("DaemonSet", f"watch-{node}", node))
        world.run_pod(f"bare-{node}", node)
        static = {**pod_body("static", node), "spec": {**pod_spec(), "hostNetwork": True}}
        world.machine(node).run_static(static, "static")
    leaves, stays = {}, {}
    for node in nodes:
        leaves[node] = _all_run(world, f"web-{node}", 2) + _all_run(world, f"scratch-{node}", 1)
        leaves[node] += [world.await_running(f"bare-{node}")]
        stays[node] = _all_run(world, f"watch-{node}", 1)
        stays[node] += [world.await_running(f"static-{node}")]
    before = {name: world.machine(name).config.read_text() for name in nodes}

    drain = {"policy": "Always", "deadline": "60s"}
    world.policy(nodes=["node-c"], mode="Enforce", drain=drain)
    status = world.await_phase("node-c", "Blocked", reason="DrainBlocked")
    (keeps,) = _pods(world, "scratch-node-c")
    for text in (
        "default/bare-node-c has no controller to bring it back (spec.drain.force)",
        f"default/{keeps['metadata']['name']} keeps data in an emptyDir "
        "(spec.drain.deleteEmptyDirData)",
        "nothing was evicted",
    ):
        assert text in status["message"]
    assert "static-node-c" not in status["message"], "a mirror pod is in nobody's way"
    assert not _evicted(world), "one that refuses was to save them all"
    assert cri_o.config.read_text() == before["node-c"]
    world.not_cordoned("node-c")

    world.change(
        "p",
        nodeSelector=on(list(nodes)),
        rollout={"maxUnavailable": "100%"},
        drain={**drain, "force": True, "deleteEmptyDirData": True},
    )
    world.annotate(f"{STATES}/node-c", retry="forced")
    world.await_step("node-c", "Drain")
    wait(partial(_leaving, world, "web-node-c"), "pods are asked to leave")
    world.kill_controller()
    assert world.cordon("node-c")[1], "it was to be ours when the controller died"
    assert world.operation("node-c")["step"] == "Drain"

    world.await_ready(reason="Enforced", seconds=150)
    world.not_cordoned(*nodes)
    for node, to in nodes.items():
        assert world.machine(node).config.read_text() == world.machine(node).at_version(to)
        kinds = [(e["kind"], e["outcome"]) for e in world.status(node)["history"]]
        assert kinds == [("apply", "Done")], "a drain that was given up would stand here"
        back = _all_run(world, f"web-{node}", 2) + _all_run(world, f"scratch-{node}", 1)
        assert not _uids(back) & _uids(leaves[node]), "all were to leave"
        assert world.pod(f"bare-{node}") is None, "nobody brings that one back"
        left = [*_all_run(world, f"watch-{node}", 1), world.await_running(f"static-{node}")]
        assert _uids(left) == _uids(stays[node]), "a DaemonSet's and a mirror pod were to stay"
    asked = _evicted(world)
    wanted = [pod["metadata"]["name"] for pods in leaves.values() for pod in pods]
    assert sorted(asked) == sorted(wanted), "each was to be asked once, and nobody else"


def test_lowered_first_then_drained_then_raised(world: World) -> None:
    """No pod can be deleted as the file is, and this one could not be at the target either.

    Its runtime was a newer one when it was added: the results cache says 1.1.0, to which this one's
    libcni finds no way from 1.0.0. Below 0.4.0 it does not look there.
    """
    machine = world.machine("node-a")
    world.run_pod("newer", "node-a")
    address = world.await_running("newer")["status"]["podIP"]
    machine.added_at("newer", "1.1.0")
    with machine.watched() as seen:
        world.policy(
            nodes=["node-a"],
            mode="Enforce",
            target={"cni": {"version": "1.0.0", "selection": "Exact"}},
            drain={"force": True, "deadline": "30s"},
        )
        status = world.await_phase("node-a", "Done")
    assert seen == {machine.faulty(), machine.at_version("0.3.1"), machine.at_version("1.0.0")}
    told = [(e["kind"], e["from"], e["to"], e["outcome"]) for e in status["history"]]
    assert told == [
        ("apply", "missing", "0.3.1", "Done"),
        ("apply", "0.3.1", "1.0.0", "Done"),
    ]
    assert _evicted(world) == ["newer"]
    assert world.pod("newer") is None
    assert address not in machine.leases(), "its address was to be given back"
    assert len(world.asked("patch", "nodes", "node-a", ACCOUNT)) == 2, "one cordon over both legs"
    world.not_cordoned("node-a")
    world.await_ready(reason="Enforced")


def _leaving(world: World, app: str) -> bool:
    """Whether two are on their way out; those that take their place are there at once."""
    return sum("deletionTimestamp" in pod["metadata"] for pod in _pods(world, app)) == 2


def _evicted(world: World) -> list[str]:
    """Names of the pods that the operator asked to leave, as often as it did."""
    asked = world.asked("create", "pods", user=ACCOUNT)
    return [
        e["objectRef"]["name"] for e in asked if e["objectRef"].get("subresource") == "eviction"
    ]
