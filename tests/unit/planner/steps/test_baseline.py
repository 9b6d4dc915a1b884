"""A pod that is to show what works before the change, and gets nowhere: is anything written?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.planner.node import proof_pods
from cni_upgrade.planner.node.context import Move, NodeContext, moved
from cni_upgrade.planner.steps import apply
from cni_upgrade.planner.steps import baseline as before
from cni_upgrade.planner.world.kubernetes_objects import Pod
from tests.unit.planner.api_model import stamp
from tests.unit.planner.samples import ID, NOW, UNSCHEDULED, pod, policy, view

NAME = proof_pods.pod_name("old", ID)
FULL: dict[str, Any] = UNSCHEDULED
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


@pytest.mark.parametrize("baseline", [WORKS, {"add": True}])
def test_nothing_is_written_where_the_node_has_no_room_and_works(baseline: dict[str, Any]) -> None:
    status = after_its_time(baseline, pod(NAME, **FULL))
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
    status = apply.drain(moved(at, NodeStateStatus.model_validate(seen))).status
    assert status.operation is not None
    assert (status.operation.step, status.operation.drained) == ("Baseline", True)


def test_a_node_that_pods_which_hang_have_filled_is_cured() -> None:
    status = after_its_time(HANGS, pod(NAME, **FULL))
    assert status.operation is not None
    assert status.operation.step == "Apply"
    assert status.operation.proof is not None
    assert status.operation.proof.old_pod is None
    assert status.baseline is not None
    assert status.baseline.add, "that it has no room says nothing of its network"


LONG_AGO, OLD_ENOUGH, JUST_NOW = (stamp(NOW - timedelta(seconds=n)) for n in (120, 60, 59))
IN_THE_WAY: dict[str, Any] = {"after": {"existingDel": False}}
NEEDED: dict[str, Any] = {"after": {"existingDel": False, "needsDrain": True}, "phase": "Draining"}
ADDRESSED: dict[str, Any] = {"status": {"podIP": "10.0.0.1"}}


def at_the_step(
    *pods: Pod,
    step: str = "Baseline",
    named: bool = True,
    seconds_left: int = 60,
    current: Any = (),
    spec: Any = (),
    warnings: Any = (),
    **status: Any,
) -> NodeContext:
    """Node-a, cordoned, at the step; `named`: the name of its pod is on record."""
    there = {each.name: each for each in pods}
    made = {"cure": policy(**dict(spec))}
    at = view(seconds_left=seconds_left, policies=made, proofs=there, warnings=dict(warnings))
    known = {"baseline": WORKS, "phase": "Applying", **status}
    seen = {**at.status.to_api(), **known}
    proof = {"proof": {"oldPod": NAME}} if named else {}
    seen["operation"] |= {"step": step, **proof, **dict(current)}
    return moved(at, NodeStateStatus.model_validate(seen))


def told(move: Move) -> str:
    """The step that follows, or how it ends; and what is done."""
    operation = move.status.operation
    assert operation is not None
    end = operation.ending
    acts = [type(act).__name__ for act in move.acts]
    return " ".join([operation.step if end is None else end.reason, *acts])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "Baseline CreateProof"),
        ({"baseline": None}, "Baseline CreateProof"),
        ({"baseline": {"add": None}}, "Baseline CreateProof"),
        # Whether it could be deleted afterwards is not known.
        ({"after": {"add": True}}, "Baseline CreateProof"),
        # A pod could not be added anyway; or no proof is wanted, or it would hang afterwards.
        ({"baseline": {"add": False}}, "Apply"),
        ({"spec": {"verify": {"proof": False}}}, "Apply"),
        (IN_THE_WAY, "Apply"),
        # It comes and goes before the others do, which have to.
        (NEEDED, "Baseline CreateProof"),
        ({**NEEDED, "spec": {"drain": {"policy": "Never"}}}, "Apply"),
        ({"phase": "Draining", "spec": {"drain": {"policy": "Always"}}}, "Baseline CreateProof"),
    ],
)
def test_a_pod_is_added_where_it_can_show_something(more: Any, said: str) -> None:
    assert told(before.baseline(at_the_step(**more))) == said


def test_its_name_is_on_record_before_it_is_there() -> None:
    move = before.baseline(at_the_step(named=False))
    assert told(move) == "Baseline"
    assert move.status.operation is not None
    assert move.status.operation.proof is not None
    assert move.status.operation.proof.old_pod == NAME


FULL_NODE = {f"{NAME}-uid": "FailedScheduling: 0/1 nodes are available: 1 Too many pods."}
ALWAYS = {"spec": {"drain": {"policy": "Always"}}}


@pytest.mark.parametrize(
    ("there", "more", "said"),
    [
        (ADDRESSED, {}, "Apply"),
        (ADDRESSED, {"phase": "Draining", **ALWAYS}, "Drain"),
        (ADDRESSED, NEEDED, "BaselineDelete"),
        (ADDRESSED, {"seconds_left": 0}, "Apply"),
        ({}, {}, "Baseline"),
        # Others have all that it needs: they are to go anyway, or it waits.
        (FULL, {"phase": "Draining", **ALWAYS, "warnings": FULL_NODE}, "Drain"),
        (FULL, {"phase": "Draining", **ALWAYS}, "Baseline"),
        (FULL, {"warnings": FULL_NODE}, "Baseline"),
        (
            FULL,
            {
                "phase": "Draining",
                **ALWAYS,
                "warnings": FULL_NODE,
                "current": {"drained": True},
            },
            "Baseline",
        ),
    ],
)
def test_what_follows_on_a_pod_that_is_there(there: Any, more: Any, said: str) -> None:
    assert told(before.baseline(at_the_step(pod(NAME, **there), **more))) == said


def hanging(since: str = OLD_ENOUGH, for_node: str = "node-a") -> Pod:
    name, meta = "proof-old-of-an-earlier-try", {"deletionTimestamp": since}
    return pod(name, metadata=meta, spec={"nodeName": for_node})


@pytest.mark.parametrize(
    ("earlier", "more", "said"),
    [
        (hanging(), NEEDED, "DrainBlocked"),
        (hanging(), {**NEEDED, "current": {"drained": True}}, "DrainNotEnough"),
        (hanging(JUST_NOW), NEEDED, "Baseline CreateProof"),
        (hanging(for_node="node-b"), NEEDED, "Baseline CreateProof"),
        # Where nothing is in the way the change is what may free it.
        (hanging(), {}, "Baseline CreateProof"),
    ],
)
def test_no_other_pod_is_added_where_one_that_has_to_go_hangs(
    earlier: Pod, more: Any, said: str
) -> None:
    assert told(before.baseline(at_the_step(earlier, **more))) == said


@pytest.mark.parametrize(
    ("there", "seconds_left", "drained", "said"),
    [
        ([], 60, False, "Drain"),
        ([pod(NAME)], 60, False, "BaselineDelete DeleteProof"),
        ([pod(NAME)], 0, False, "BaselineDelete DeleteProof"),
        ([pod(NAME, metadata={"deletionTimestamp": OLD_ENOUGH})], 60, False, "BaselineDelete"),
        # It has had its two minutes.
        ([pod(NAME, metadata={"deletionTimestamp": OLD_ENOUGH})], 0, False, "BaselineDelete"),
        ([pod(NAME, metadata={"deletionTimestamp": LONG_AGO})], 1, False, "BaselineDelete"),
        ([pod(NAME, metadata={"deletionTimestamp": LONG_AGO})], 0, False, "DrainBlocked"),
        ([pod(NAME, metadata={"deletionTimestamp": LONG_AGO})], 0, True, "DrainNotEnough"),
    ],
)
def test_nobody_else_is_evicted_before_it_is_gone(
    there: list[Pod], seconds_left: int, drained: bool, said: str
) -> None:
    current = {"drained": drained}
    at = at_the_step(
        *there, step="BaselineDelete", seconds_left=seconds_left, current=current, **NEEDED
    )
    assert told(before.goes(at)) == said


NO_NETWORK = {f"{NAME}-uid": "NetworkNotReady: network is not ready: no config"}


def test_what_was_said_to_work_and_does_not_is_the_baseline() -> None:
    """A pod without a network shows nothing by going, so it is not the old pod of the proof."""
    late = at_the_step(pod(NAME), seconds_left=0, warnings=NO_NETWORK)
    move = before.baseline(late)
    assert told(move) == "Apply"
    known, operation = move.status.baseline, move.status.operation
    assert known is not None
    assert (known.add, known.delete) == (False, True)
    assert "no config" in (known.add_why or "")
    assert operation is not None
    assert operation.proof is not None
    assert operation.proof.old_pod is None


def test_what_was_not_known_stays_so() -> None:
    late = at_the_step(pod(NAME), seconds_left=0, warnings=NO_NETWORK, baseline=None)
    assert before.baseline(late).status.baseline is None


def test_nothing_is_drained_again_for_a_pod_that_cannot_be_had() -> None:
    late = at_the_step(seconds_left=0, current={"drained": True})
    assert told(before.baseline(late)) == "DrainNotEnough"
