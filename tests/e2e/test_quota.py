"""A proof that cannot be made says nothing of the network: tried again, nothing rolled back."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.api.spaces import PROOF
from tests.e2e.api import CORE, STATES, Object, wait
from tests.e2e.world import QUOTAS, World


def _quota() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }


def _counts(world: World, quota: str) -> Object | None:
    """What the quota allows by now: it is admitted against its status."""
    status: Object = (world.api.get(quota) or {}).get("status") or {}
    return status.get("hard")


def test_a_quota_is_no_fault_of_the_network(world: World) -> None:
    hasty = world.machine("node-b")
    world.api.create(QUOTAS, _quota())
    quota = f"{QUOTAS}/none"
    wait(lambda: _counts(world, quota) == {"pods": "0"}, "the quota counts")

    world.policy("hasty", nodes=["node-b"], mode="Enforce", verify={"deadline": "3s"})
    status = world.await_phase("node-b", "Blocked", reason="ProofInconclusive")
    assert "exceeded quota" in status["message"], "what the API server says was to be passed on"
    assert "nothing was rolled back" in status["message"]
    again = datetime.fromisoformat(status["nextAttemptAt"])
    assert 0 < (again - datetime.now(UTC)).total_seconds() <= 240, "after a pause"
    assert hasty.config.read_text() == hasty.at_version("0.4.0"), "what was written stays"
    assert [e["kind"] for e in status["history"]] == ["apply"]
    told = world.policy_status("hasty")
    assert told["rollout"].get("failures", 0) == 0, "it is no failed node"
    assert told["summary"].get("failed", 0) == 0
    world.not_cordoned("node-b")
    assert not world.api.items(f"{CORE}/namespaces/{PROOF}/pods"), "no proof was let in"

    # Raised, and a person asks again: what was written is proved at once, and not written anew.
    world.change("hasty", verify={"deadline": "30s", "soak": "3s"})
    world.api.patch(quota, {"spec": {"hard": {"pods": "10"}}})
    wait(lambda: _counts(world, quota) == {"pods": "10"}, "the higher one counts")
    world.annotate(f"{STATES}/node-b", retry="raised")
    status = world.await_phase("node-b", "Done")
    assert datetime.now(UTC) < again, "who asks waits for no pause"
    assert "a fresh pod was added and deleted, once more after 3s" in status["message"]
    assert (status["found"], status["lastChange"]["outcome"]) == ("0.4.0", "Done")
    assert "nextAttemptAt" not in status, "nothing is left to be tried"
    assert hasty.config.read_text() == hasty.at_version("0.4.0")
    assert len(world.asked("create", "jobs", "apply-")) == 1, "it was to be written once"
    world.await_ready("hasty", reason="Enforced")
    world.not_cordoned("node-b")
    assert not world.api.items(f"{CORE}/namespaces/{PROOF}/pods"), "its proof was to go"
    world.run_pod("after", "node-b")
    world.await_running("after")
