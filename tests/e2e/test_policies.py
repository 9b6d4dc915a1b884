"""What people do with policies: pause, stop, mistype, overlap, delete; and nodes of others."""

from __future__ import annotations

import json

import pytest

from tests.api.objects import policy
from tests.api.spaces import ACCOUNT
from tests.e2e.api import POLICIES, STATES, Object, wait
from tests.e2e.machine import Snapshot
from tests.e2e.world import SWITCH, World, on


def test_a_paused_policy_begins_nothing(world: World) -> None:
    before = Snapshot.of(world.machine("node-a"))
    world.policy(nodes=["node-a"], mode="Enforce", paused=True)
    status = world.await_phase("node-a", "Waiting", reason="Paused")
    assert "10-containerd-net.conflist: missing -> 1.0.0" in status["message"], "what is planned"

    # By annotation as well, for where a tool would revert the field.
    world.annotate(f"{POLICIES}/p", paused="true")
    world.change("p", paused=False)
    world.await_condition("p", "Paused", "True")
    world.await_condition("p", "Ready", "False", "Paused")
    assert world.status("node-a")["reason"] == "Paused"
    assert not world.asked("patch", "nodes", "node-a", ACCOUNT), "nothing was to begin"
    assert Snapshot.of(world.machine("node-a")) == before

    world.annotate(f"{POLICIES}/p", paused=None)
    world.await_ready(reason="Enforced")
    assert "Paused" not in [c["type"] for c in world.policy_status()["conditions"]]


def test_the_switch_stops_everything(world: World) -> None:
    nodes = {"node-a": "1.0.0", "node-b": "0.4.0"}
    busy = world.at_work(*nodes)
    [other] = nodes.keys() - {busy}
    before = Snapshot.of(world.machine(other))
    machine = world.machine(busy)
    # Before that it would be called off.
    wait(lambda: machine.config.read_text() == machine.at_version(nodes[busy]), "it is written")
    world.annotate(SWITCH, stop="the new plugins are wrong")
    said = world.await_condition("p", "Stopped", "True")
    assert "the new plugins are wrong" in said["message"]
    # What was written is proved and given back; nothing else begins.
    world.await_phase(busy, "Done")
    world.await_condition("p", "Ready", "False", "Stopped")
    world.await_phase(other, "Waiting", reason="Stopped")
    assert Snapshot.of(world.machine(other)) == before
    assert len(world.asked("create", "jobs", "apply-")) == 1
    world.not_cordoned(*nodes)

    world.annotate(SWITCH, stop=None)
    world.await_ready(reason="Enforced")
    assert "Stopped" not in [c["type"] for c in world.policy_status()["conditions"]]


def test_a_cordon_of_somebody_else_is_respected(world: World) -> None:
    before = Snapshot.of(world.machine("node-a"))
    assert world.kubectl("cordon", "node-a").returncode == 0
    waves = [on(["node-a"]), on(["node-b"])]
    rollout = {"maxUnavailable": 2, "order": {"by": "Selectors", "selectors": waves}}
    world.policy(nodes=["node-a", "node-b"], mode="Enforce", rollout=rollout)
    status = world.await_phase("node-a", "Waiting", reason="CordonedByOther")
    assert "somebody else has cordoned the node; waits until" in status["message"]
    world.await_phase("node-b", "Waiting", reason="WaitingForWave")

    # Skipped, it holds up no other, and is touched no more than before.
    world.change("p", rollout={**rollout, "cordoned": "Skip"})
    world.await_phase("node-b", "Done")
    status = world.await_phase("node-a", "Waiting", reason="CordonedByOther")
    assert "passed over until" in status["message"]
    assert world.cordon("node-a") == (True, None)
    assert not world.asked("patch", "nodes", "node-a", ACCOUNT)
    assert Snapshot.of(world.machine("node-a")) == before

    assert world.kubectl("uncordon", "node-a").returncode == 0
    world.await_ready(reason="Enforced")
    assert world.status("node-a")["phase"] == "Done"
    world.not_cordoned("node-a", "node-b")


_TYPOS: dict[str, tuple[Object, list[str]]] = {
    "a field": ({"drain": {"polcy": "Always"}}, ["spec.drain.polcy"]),
    "an enum": ({"mode": "Enforced"}, ["spec.mode", '"Audit"', '"Enforce"']),
    "a version": ({"target": {"cni": {"version": "1.2.0"}}}, ["spec.target.cni.version", "1.1.0"]),
    "a number": ({"rollout": {"maxParallel": 0}}, ["spec.rollout.maxParallel"]),
    "no selector": ({"nodeSelector": None}, ["spec.nodeSelector"]),
}


@pytest.mark.parametrize("wrong", _TYPOS)
def test_a_typo_is_refused_by_name(installed: World, wrong: str) -> None:
    change, said = _TYPOS[wrong]
    typo = policy("typo", **{"nodeSelector": on(["node-a"]), **change})
    done = installed.kubectl("apply", "-f", "-", stdin=json.dumps(typo))
    assert done.returncode != 0, "kubectl was to refuse it"
    for word in said:
        assert word in done.stderr, f"the refusal was to name {word}"


def test_a_selector_without_nodes_is_never_success(world: World) -> None:
    for mode in ("Audit", "Enforce"):
        world.policy(f"none-{mode.lower()}", nodes=["node-x"], mode=mode)
    for name in ("none-audit", "none-enforce"):
        world.await_condition(name, "NodesMatched", "False", "NoNodeMatches")
        world.await_condition(name, "Ready", "False", "NoNodeMatches")
    assert not world.api.items(STATES), "no node is anybody's"


def test_policies_that_overlap(world: World) -> None:
    for name in ("first", "second"):
        world.policy(name, nodes=["node-a"], mode="Audit")
    for name in ("first", "second"):
        world.await_ready(name, reason="Audited")

    for name in ("first", "second"):
        world.change(name, mode="Enforce", paused=True)
    has = world.await_condition("first", "Overlapping", "True", "HoldsClaim")
    assert "second" in has["message"]
    lacks = world.await_condition("second", "Overlapping", "True", "ClaimedByOther")
    assert "node-a" in lacks["message"]
    assert "first" in lacks["message"]
    wait(lambda: world.status("node-a")["policies"] == ["second"], "the node says who stands back")
    state = world.api.get(f"{STATES}/node-a") or {}
    assert state["spec"]["policyRef"]["name"] == "first"

    # The claim goes on with the policy that is left, and the node is cured once.
    world.api.delete(f"{POLICIES}/first")
    world.change("second", paused=False)
    world.await_ready("second", reason="Enforced")
    state = world.api.get(f"{STATES}/node-a") or {}
    assert state["spec"]["policyRef"]["name"] == "second"


def test_a_policy_deleted_in_the_middle_leaves_no_cordon(world: World) -> None:
    nodes = {"node-a": "1.0.0", "node-b": "0.4.0"}
    world.at_work(*nodes)
    world.api.delete(f"{POLICIES}/p")
    for name, to in nodes.items():
        status = world.await_phase(name, "Pending", reason="NoPolicy")
        assert "no policy selects this node" in status["message"]
        machine = world.machine(name)
        whole = {machine.faulty(), machine.at_version(to)}
        assert machine.config.read_text() in whole
        assert (world.api.get(f"{STATES}/{name}") or {})["spec"].get("policyRef") is None
    world.not_cordoned(*nodes)
