"""A pod that is to show what works before the change, and gets nowhere: is anything written?"""

from __future__ import annotations

from typing import Any

import pytest

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.fleet import baseline as before
from cni_upgrade.fleet import proof, writing
from cni_upgrade.fleet.view import moved
from tests.unit.fleet.samples import ID, pod, policy, view

NAME = proof.pod_name("old", ID)
FULL: dict[str, Any] = {"spec": {"nodeName": None}, "status": {"phase": "Pending"}}
WORKS, HANGS = {"add": True, "del": True}, {"add": True, "del": False}


def after_its_time(baseline: dict[str, Any] | None, *pods: Any, **world: Any) -> NodeStateStatus:
    """The status once the deadline of the step has passed."""
    proofs = {each.name: each for each in pods}
    at = view(seconds_left=0, policies={"cure": policy()}, proofs=proofs, **world)
    seen = at.status.to_api() | ({"baseline": baseline} if baseline else {})
    seen["operation"] |= {"step": "Baseline", "proof": {"oldPod": NAME}}
    return before.baseline(moved(at, NodeStateStatus.model_validate(seen))).status


@pytest.mark.parametrize("baseline", [WORKS, HANGS, {}, None])
def test_nothing_is_written_where_no_pod_can_be_had(baseline: dict[str, Any] | None) -> None:
    status = after_its_time(baseline, errors={"node-a": "exceeded quota"})
    assert status.operation is not None
    ending = status.operation.ending
    assert ending is not None
    assert (ending.phase, ending.reason) == ("Blocked", "ProofInconclusive")
    assert "exceeded quota" in ending.message


def test_nothing_is_written_where_the_node_has_no_room_and_works() -> None:
    status = after_its_time(WORKS, pod(NAME, **FULL))
    assert status.operation is not None
    assert status.operation.step == "Release"


@pytest.mark.parametrize("found", [WORKS, {"add": False}])
def test_nothing_is_written_after_a_drain_that_began_without_such_a_pod(
    found: dict[str, Any],
) -> None:
    """As a release did that added it after the drain, and was upgraded meanwhile."""
    at = view(policies={"cure": policy()}, pods={"node-a": ()})
    seen = at.status.to_api() | {"baseline": found, "phase": "Draining"}
    seen["operation"] |= {"step": "Drain"}
    status = writing.drain(moved(at, NodeStateStatus.model_validate(seen))).status
    assert status.operation is not None
    assert (status.operation.step, status.operation.drained) == ("Baseline", True)


def test_a_node_that_pods_which_hang_have_filled_is_cured() -> None:
    status = after_its_time(HANGS, pod(NAME, **FULL))
    assert status.operation is not None
    assert status.operation.step == "Apply"
    assert status.operation.proof is not None
    assert status.operation.proof.old_pod is None
