"""Somebody else writes the file as well: mended, then left to them; and all of it given back."""

from __future__ import annotations

from functools import partial

from tests.e2e.api import POLICIES, STATES, wait
from tests.e2e.machine import Machine, Snapshot
from tests.e2e.world import World


def _kinds(world: World, node: str) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["outcome"]) for entry in world.status(node)["history"]]


def _whole(machine: Machine) -> list[tuple[str, bytes, int, int, int, int]]:
    """Each config with its mode, owner, and the time of its last change."""
    return [
        (p.name, p.read_bytes(), (s := p.stat()).st_mode, s.st_uid, s.st_gid, s.st_mtime_ns)
        for p in sorted(machine.configs.iterdir())
    ]


def test_drift_is_mended_then_left_then_all_is_given_back(world: World) -> None:
    drifting, quiet = world.machine("node-d"), world.machine("node-c")
    old, new = drifting.at_version("0.4.0"), drifting.at_version("1.0.0")
    drifting.write(old)
    quiet.config.chmod(0o600)  # what comes back is not its bytes alone
    found = _whole(quiet)
    world.policy(
        nodes=["node-c", "node-d"],
        mode="Enforce",
        deletionPolicy="Restore",
        drift={"maxReverts": 1},
        rollout={"maxUnavailable": 2},
    )
    world.await_ready(reason="Enforced")
    written = Snapshot.of(quiet)

    # An installer that writes its file when the node boots.
    drifting.write(old)
    world.cluster.restart_node("node-d")
    wait(lambda: ("drift", "Found") in _kinds(world, "node-d"), "the drift is found", 90)
    world.await_phase("node-d", "Done")
    assert _kinds(world, "node-d") == [("apply", "Done"), ("drift", "Found"), ("apply", "Done")]
    assert drifting.config.read_text() == new, "it was to be mended"
    world.await_ready(reason="Enforced")

    # And once more, which is more than the policy puts up with.
    drifting.write(old)
    left = Snapshot.of(drifting)
    world.annotate(f"{STATES}/node-d", retry="look")
    status = world.await_phase("node-d", "ManagedElsewhere", reason="DriftBudgetSpent")
    assert "written and changed back 2 times" in status["message"]
    assert "by a program that is not known (file of 0:0, changed at" in status["message"]
    assert "spec.drift: 1 within 24h" in status["message"]
    assert Snapshot.of(drifting) == left, "it is theirs now"
    wait(lambda: world.policy_status().get("failures"), "the policy names it")
    assert [f["node"] for f in world.policy_status()["failures"]] == ["node-d"]
    world.not_cordoned("node-c", "node-d")
    assert Snapshot.of(quiet) == written, "the other node was to be left alone"

    world.api.delete(f"{POLICIES}/p")
    wait(lambda: world.api.get(f"{POLICIES}/p") is None, "the policy goes, its finalizer with it")
    assert _whole(quiet) == found, "the file was to come back whole"
    assert drifting.config.read_text() == old
    for name in ("node-c", "node-d"):
        status = world.await_phase(name, "Pending", reason="NoPolicy")
        assert status["changed"]["restored"] == "Restored", status["message"]
    world.not_cordoned("node-c", "node-d")


def test_what_would_strand_a_pod_is_not_given_back(world: World) -> None:
    """On both nodes a pod came after the change, which could not be deleted with the old file."""
    kept, drained = world.machine("node-a"), world.machine("node-b")
    old = drained.config.read_text()
    drains = {"never": {"policy": "Never"}, "may": {"policy": "IfRequired", "force": True}}
    for (name, drain), machine in zip(drains.items(), (kept, drained), strict=True):
        world.policy(
            name, nodes=[machine.name], mode="Enforce", deletionPolicy="Restore", drain=drain
        )
    for name in drains:
        world.await_ready(name, reason="Enforced")
    written = Snapshot.of(kept)
    for machine in (kept, drained):
        world.run_pod(f"since-{machine.name}", machine.name)
    for machine in (kept, drained):
        world.await_running(f"since-{machine.name}")

    for name in drains:
        world.api.delete(f"{POLICIES}/{name}")
    for name in drains:
        wait(partial(_gone, world, name), f"policy {name} goes, its finalizer with it", 90)
    told = world.await_phase("node-a", "Pending", reason="NoPolicy")
    assert told["changed"]["restored"] == "Refused", told["message"]
    assert "nothing was touched: Unsafe: " in told["message"]
    assert "default/since-node-a" in told["message"], "the pod in the way was to be named"
    assert Snapshot.of(kept) == written
    assert world.pod("since-node-a"), "nobody was to ask it to leave"

    told = world.await_phase("node-b", "Pending", reason="NoPolicy")
    assert told["changed"]["restored"] == "Restored", told["message"]
    assert drained.config.read_text() == old
    assert world.pod("since-node-b") is None, "it was to leave first"
    assert not drained.leases(), "its address was to be given back"
    world.not_cordoned("node-a", "node-b")

    # With what was left there the pod goes as any other.
    world.delete_pod("since-node-a")
    world.await_gone("since-node-a")


def _gone(world: World, policy: str) -> bool:
    return world.api.get(f"{POLICIES}/{policy}") is None
