"""The controller itself: killed anywhere, without a right, where pod networks are broken."""

from __future__ import annotations

from collections.abc import Callable

from cni_upgrade.api import names
from tests.api.spaces import ACCOUNT, PROOF, SYSTEM
from tests.e2e.api import CORE, POLICIES, Object, wait
from tests.e2e.world import NODES, ROOT, World

_ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/cni-upgrade-operator"


def _delete_now(world: World) -> None:
    pod = world.controller()
    assert pod is not None
    world.api.delete(f"{CORE}/namespaces/{SYSTEM}/pods/{pod['metadata']['name']}", grace=0)


def _proving(world: World, node: str) -> bool:
    pods = world.api.items(f"{CORE}/namespaces/{PROOF}/pods")
    return any(
        pod["metadata"]["name"].startswith("proof-new-")
        and pod["metadata"]["annotations"][names.LABEL_NODE] == node
        for pod in pods
    )


def test_killed_at_any_moment_it_goes_on(world: World) -> None:
    # Slow plugins make the moments long enough to hit; 1.0.0 on node-d is to be reached from below.
    world.machine("node-d").write(world.machine("node-d").at_version("0.4.0"))
    ends = {"node-a": "1.0.0", "node-b": "0.4.0", "node-d": "1.0.0"}
    for name in ends:
        world.machine(name).stand_in("bridge", version_takes=2)
    world.policy(nodes=list(ends), mode="Enforce")
    # A proof is told by its pod: how far it is may be recorded only with what comes of it.
    blows: list[tuple[str, Callable[[World], None], Callable[[str], bool]]] = [
        ("right after a cordon", _delete_now, lambda name: bool(world.cordon(name)[1])),
        (
            "while an agent writes",
            World.kill_controller,
            lambda name: world.operation(name).get("step") == "Apply",
        ),
        ("during a proof", _delete_now, lambda name: _proving(world, name)),
    ]
    hit: list[str] = []
    for moment, blow, come in blows:

        def now(come: Callable[[str], bool] = come) -> str | None:
            return next((name for name in sorted(set(ends) - set(hit)) if come(name)), None)

        name = wait(now, f"the moment {moment}", 120)
        blow(world)
        hit.append(name)
        assert world.cordon(name)[1], f"{name} was to be ours {moment}"
    assert sorted(hit) == sorted(ends), "one node after the other"
    world.await_ready(reason="Enforced", seconds=240)
    for name, to in ends.items():
        machine, status = world.machine(name), world.status(name)
        assert machine.config.read_text() == machine.at_version(to)
        (applied,) = [e["operation"] for e in status["history"] if e["kind"] == "apply"]
        sent = world.asked("create", "jobs", applied, ACCOUNT)
        assert len(sent) == 1, f"{name}: the agent was to be sent once, not {len(sent)} times"
    everything = world.asked("create", "jobs", "apply-", ACCOUNT)
    assert len(everything) == len(ends), "one apply for each node"
    world.not_cordoned(*ends)


def test_a_missing_right_is_named(world: World) -> None:
    role = world.api.get(_ROLE)
    assert role is not None
    rules = [rule for rule in role["rules"] if "nodes" not in rule["resources"]]
    assert len(rules) == len(role["rules"]) - 1
    world.api.patch(_ROLE, {"rules": rules})
    try:
        # While it runs it notices with the first request that is refused: the cordon.
        world.policy(nodes=["node-a"], mode="Enforce")
        stalled = world.await_condition("p", "Stalled", "True", "PermissionDenied")
        for right in ("list nodes", "watch nodes", "patch nodes"):
            assert right in stalled["message"], f"the missing right {right!r} was to be named"
        # One that starts without the right waits for it, and does not exit.
        _delete_now(world)
        started = wait(lambda: _running(world), "another controller runs", 90)
        world.api.delete(f"{POLICIES}/p")
        world.policy(nodes=["node-a"], mode="Enforce")
        world.await_condition("p", "Stalled", "True", "PermissionDenied")
    finally:
        assert world.kubectl("apply", "-k", str(ROOT)).returncode == 0
    world.await_ready(reason="Enforced")
    now = _running(world)
    assert now is not None
    assert now["metadata"]["uid"] == started["metadata"]["uid"]
    assert _restarts(now) == _restarts(started), "it was to wait, not to exit"


def _restarts(pod: Object) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def _running(world: World) -> Object | None:
    pod = world.controller()
    containers = (pod or {}).get("status", {}).get("containerStatuses", [])
    return pod if containers and "running" in containers[0]["state"] else None


def test_it_starts_where_every_pod_network_is_broken(world: World) -> None:
    for name in NODES:
        machine = world.machine(name)
        machine.config.rename(machine.config.with_suffix(".away"))
    _delete_now(world)
    world.await_controller()
    world.policy(mode="Enforce")
    for name in NODES:
        status = world.await_phase(name, "Blocked", reason="NoConfig")
        assert "there is no CNI config" in status["message"]
        assert status["paths"]["confDir"] == "/etc/cni/net.d", "the folder that is empty"
    world.not_cordoned(*NODES)
