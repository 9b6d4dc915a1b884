"""A node whose kubelet is silent: nothing is sent to it; when it is back, the rollout goes on."""

from __future__ import annotations

from tests.e2e.world import World


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
