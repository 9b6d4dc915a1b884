"""Nodes that go or become others beneath a rollout: silent, registered anew, another runtime."""

from __future__ import annotations

from dataclasses import replace

from tests.api.spaces import PROOF
from tests.e2e.api import CORE, STATES, Object, wait
from tests.e2e.machine import Snapshot
from tests.e2e.world import AGENT, World

_COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"


def test_a_silent_node_is_sent_nothing(world: World) -> None:
    node = world.machine("node-b").node
    node.stop("kubelet")
    world.call_silent("node-b")
    world.policy(nodes=["node-a", "node-b"], mode="Enforce", rollout={"maxUnavailable": 2})
    status = world.await_phase("node-b", "Pending", reason="NodeSilent")
    assert "no Job is sent" in status["message"]
    world.await_phase("node-a", "Done")
    assert not world.operation("node-b")
    assert len(world.asked("create", "jobs", "audit-")) == 1, "only node-a was to be audited"
    world.not_cordoned("node-b")

    node.start("kubelet")
    world.await_ready(reason="Enforced")
    assert world.status("node-b")["phase"] == "Done"


def test_a_node_that_is_registered_anew_begins_anew(world: World) -> None:
    """Deleted while an agent writes there, it comes back by its kubelet: another Node."""
    machine, name = world.machine("node-a"), "node-a"
    old = machine.config.read_text()
    world.at_work(name)
    wait(lambda: machine.pids(AGENT), "the agent runs")
    before, state = world.node(name)["metadata"]["uid"], world.api.get(f"{STATES}/{name}") or {}
    with machine.watched() as seen:
        world.api.delete(f"{CORE}/nodes/{name}")
        machine.node.stop("kubelet")
        machine.node.start("kubelet")
        machine.mend_plugins()
        wait(lambda: world.api.get(f"{CORE}/nodes/{name}"), "the kubelet registers it")
        wait(lambda: _uid(world) != state["metadata"]["uid"], "its record is collected")
        assert world.asked("delete", "cninodestates", name, _COLLECTOR)
        made = wait(lambda: world.api.get(f"{STATES}/{name}"), "another record is made")
        uid = world.node(name)["metadata"]["uid"]
        assert uid != before
        assert made["spec"]["nodeUID"] == uid
        assert [o["uid"] for o in made["metadata"]["ownerReferences"]] == [uid]
        world.await_ready(reason="Enforced")
    new = machine.at_version("1.0.0")
    assert seen <= {old, new}, "the file was torn or gone for a while"
    assert machine.config.read_text() == new
    assert not (machine.state / "journal.json").exists(), "the journal was to be finished"
    world.not_cordoned(name)
    proofs = f"{CORE}/namespaces/{PROOF}/pods"
    wait(lambda: not world.api.items(proofs), "the pods of the proofs go, those of before included")


def _uid(world: World) -> str:
    """Of the record of node-a; empty while there is none."""
    found: Object = world.api.get(f"{STATES}/node-a") or {"metadata": {"uid": ""}}
    return str(found["metadata"]["uid"])


def test_another_runtime_is_looked_at_anew(world: World) -> None:
    """What one release of containerd cannot delete the next one can: the fault goes with it."""
    machine = world.machine("node-a")
    node, old = machine.node, Snapshot.of(machine)
    newer = replace(node, spec=replace(node.spec, runtime="containerd-1.6.38"))
    world.run_pod("hangs", "node-a")
    world.await_running("hangs")
    world.delete_pod("hangs")
    world.policy(nodes=["node-a"], mode="Audit")
    world.await_ready(reason="Audited")
    status = world.status("node-a")
    assert (status["found"], status["baseline"]["del"]) == ("missing", False)
    assert "F1" in [f["code"] for f in status["findings"]]
    try:
        node.stop("containerd")
        newer.start("containerd")
        status = wait(lambda: _seen_with(world, "containerd://1.6.38"), "it is looked at anew")
        assert (status["found"], status["baseline"]["del"]) == ("missing", True)
        assert "F1" not in [f["code"] for f in status["findings"]]
        world.await_gone("hangs")
    finally:
        newer.stop("containerd")
        node.start("containerd")
    status = wait(lambda: _seen_with(world, "containerd://1.6.2"), "and once more")
    assert status["baseline"]["del"] is False
    assert Snapshot.of(machine) == old, "an audit was to write nothing"


def _seen_with(world: World, runtime: str) -> Object | None:
    """The state of node-a at rest, once it is about that runtime."""
    status = world.status("node-a")
    seen = (status.get("observed") or {}).get("runtimeVersion")
    return status if seen == runtime and not status.get("operation") else None
