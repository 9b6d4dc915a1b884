"""The steps around a write: whose cordon it is, what becomes of its agent, what answers mean.

An agent that is sent again may have a journal of the first one's to end: it is not let go.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import (
    Change,
    FileOrder,
    Kind,
    Operation,
    OperationError,
    Outcome,
    Result,
)
from cni_upgrade.agent.protocol.termination_message import encode
from cni_upgrade.api import names
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.context import Move, NodeContext, moved, with_operation
from cni_upgrade.planner.steps import apply, restore
from cni_upgrade.planner.world.kubernetes_objects import Node, Pod
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import CONFIG, LEASED
from tests.unit.planner.samples import (
    DELETED,
    ID,
    NOW,
    UNSCHEDULED,
    agent,
    job,
    lease,
    node,
    operation,
    pod,
    policy,
    result,
    state,
    view,
)

WANTED = policy()
HALTED = parse_policy(merged(WANTED.to_api(), {"metadata": {"annotations": {names.PAUSED: ""}}}))
NEVER_RAN = agent("", code=137)
NOT_BOUND = pod("agent", **UNSCHEDULED)
LATER = timedelta(seconds=30)
LATE = CONFIG.apply_deadline_seconds * 3 // 4
OBSERVED = {
    "auditKey": audit_key(node(), state(), WANTED, CONFIG),
    "auditedAt": stamp(NOW),
}


def sent(
    again: bool,
    *agents: Pod,
    halted: bool = False,
    ago: int = 0,
    step_ago: int | None = None,
    ready: str = "True",
) -> OperationStatus:
    """The operation after a pass at Apply, whose Job was made so many seconds ago if it has pods.

    Where `again`, it is the second Job.
    """
    name = f"{ID}-2" if again else ID
    since = NOW - timedelta(seconds=ago)
    there = {name: replace(job(name=name), created=since)} if agents else {}
    made = {"cure": HALTED if halted else WANTED}
    at = view(ready=ready, policies=made, jobs=there, agents={name: agents})
    step_since = NOW - timedelta(seconds=ago if step_ago is None else step_ago)
    at = moved(at, with_operation(at.status, job=name, step_since=step_since))
    operation = apply.apply(at).status.operation
    assert operation is not None
    return operation


def test_that_the_second_agent_never_ran_says_nothing_of_the_first() -> None:
    assert sent(False, NEVER_RAN).step == "Release"
    third = sent(True, NEVER_RAN)
    assert (third.step, third.job) == ("Apply", f"{ID}-3")


@pytest.mark.parametrize(("again", "step"), [(False, "Release"), (True, "Apply")])
def test_a_pause_keeps_the_first_agent_from_being_sent_and_not_the_second(
    again: bool, step: str
) -> None:
    assert sent(again, halted=True).step == step
    assert sent(again).step == "Apply"


@pytest.mark.parametrize(("again", "step"), [(False, "TakeBack"), (True, "Apply")])
def test_the_first_agent_is_taken_back_while_it_has_not_begun_and_not_the_second(
    again: bool, step: str
) -> None:
    assert sent(again, NOT_BOUND, halted=True).step == step
    assert sent(again, NOT_BOUND, ago=LATE).step == step
    assert sent(again, NOT_BOUND, ago=LATE - 1).step == "Apply"


@pytest.mark.parametrize(
    "more",
    [
        # The step has waited long for its Job, or the API server's clock is not ours.
        {"ago": LATE - 1, "step_ago": LATE},
        {"ago": LATE, "step_ago": LATE - 1},
        {"ago": LATE, "ready": "Unknown"},
    ],
)
def test_an_agent_has_its_time_to_start_in(more: Any) -> None:
    assert sent(False, NOT_BOUND, **more).step == "Apply"


OURS = replace(node(cordoned=True), annotations={names.CORDONED_BY: ID})
THEIRS = node(cordoned=True)
ORDER = Operation(ID, Kind.APPLY, "node-a", "", files=(FileOrder("x", "a" * 64, "1.0.0"),))
HERS = {"leases": {"node-node-a": lease("node-maintenance")}}


def at_step(
    step: str, at: Node = OURS, current: Any = (), world: Any = (), **status: Any
) -> NodeContext:
    """Node-a with a change at that step."""
    given = {"job": ID, "input": json.dumps(ORDER.to_json()), "cordoned": True, **dict(current)}
    known = {"phase": "Applying", "observed": OBSERVED, **status}
    record = state(operation=operation(step=step, **given), **known)
    whole = view(**{"policies": {"cure": WANTED}, **dict(world)})
    whole = replace(whole, world=replace(whole.world, config=LEASED))
    return replace(whole, node=at, state=record, status=record.status)


def told(move: Move) -> str:
    """The step that follows, or how it ends; and what is done."""
    assert move.status.operation is not None
    end = move.status.operation.ending
    acts = [type(act).__name__ for act in move.acts]
    return " ".join([move.status.operation.step if end is None else end.reason, *acts])


@pytest.mark.parametrize(
    ("at", "world", "said"),
    [
        (node(), {}, "Cordon TakeLease Cordon"),
        (node(), HERS, "LeaseHeld"),
        (THEIRS, {}, "CordonedByOther"),
        # Ours, and its pods are looked at before anything is done to the node.
        (OURS, {}, "Cordon"),
        (OURS, {"pods": {"node-a": ()}}, "Baseline"),
        (replace(OURS, unschedulable=False), {}, "Cordon TakeLease Cordon"),
    ],
)
def test_a_node_is_cordoned_once_it_is_nobody_elses(at: Node, world: Any, said: str) -> None:
    assert told(apply.cordon(at_step("Cordon", at, world=world))) == said


@pytest.mark.parametrize(
    ("at", "world", "said"),
    [
        (OURS, {}, "Restore"),
        (THEIRS, {}, "CordonBack"),
        (node(), {}, "CordonBack TakeLease Cordon"),
        (node(), HERS, "CordonBack"),
        (replace(OURS, unschedulable=False), {}, "CordonBack TakeLease Cordon"),
    ],
)
def test_nothing_is_put_back_before_the_node_is_cordoned(at: Node, world: Any, said: str) -> None:
    assert told(apply.cordon_back(at_step("CordonBack", at, world=world))) == said


@pytest.mark.parametrize(
    ("at", "current", "said"),
    [
        (THEIRS, True, True),
        (THEIRS, False, False),
        (OURS, True, False),
        (node(), True, False),
    ],
)
def test_a_cordon_that_is_not_ours_any_more_is_theirs(at: Node, current: bool, said: bool) -> None:
    assert bool(apply.theirs(at_step("Apply", at, {"cordoned": current}))) is said


def seen(*agents: Pod, gone: bool = False, going: bool = False) -> dict[str, Any]:
    """The agent's pods, with its Job unless that is gone."""
    made = replace(job(), deleting=going)
    return {"agents": {ID: agents}, "jobs": {} if gone else {ID: made}}


ENDED = {"terminated": {"exitCode": 137, "reason": "Error", "message": ""}}
DONE = agent(encode(result()).decode())
RAN = agent("", code=137, containerStatuses=[{"containerID": "x", "state": ENDED}])
RUNS = agent(containerStatuses=[{"containerID": "x", "state": {"running": {}}}])


@pytest.mark.parametrize(
    ("world", "late", "said"),
    [
        (seen(DONE), False, "ProveAdd"),
        (seen(gone=True), False, "AgentNotStarted"),
        (seen(NEVER_RAN), False, "AgentNotStarted"),
        (seen(NOT_BOUND), False, "TakeBack DeleteJob"),
        (seen(NOT_BOUND, going=True), False, "TakeBack"),
        # It came up as it was taken back: what it does counts, and is asked for once it is gone.
        (seen(RUNS), False, "Apply"),
        (seen(RUNS, going=True), False, "Apply"),
        (seen(RAN), False, "Apply"),
        # Too long ago to be sure: asked again under its id, the node tells what it knows.
        (seen(gone=True), True, "Apply"),
    ],
)
def test_an_agent_that_does_not_start_is_taken_back(world: Any, late: bool, said: str) -> None:
    current = {"blockers": ["no image"], "deadline": stamp(NOW) if late else None}
    at = at_step("TakeBack", current=current, world=world)
    assert told(apply.take_back(at)) == said


@pytest.mark.parametrize(
    ("looking", "wanted", "said", "perhaps"),
    [
        (-1, True, "AgentNotStarted", False),
        (-1, False, "CalledOff", False),
        # Away as its Job went: nobody saw whether it came up and wrote.
        (1, True, "AgentNotStarted", True),
        (1, False, "CalledOff", True),
    ],
)
def test_what_nobody_saw_go_may_be_written(
    looking: int, wanted: bool, said: str, perhaps: bool
) -> None:
    """`looking`: since so many seconds after its Job was to go."""
    current = {"blockers": ["no image"], "stepSince": stamp(NOW)}
    at = at_step("TakeBack", OURS if wanted else THEIRS, current, world=seen(gone=True))
    at = replace(
        at, world=replace(at.world, now=NOW + LATER, looking_since=NOW + timedelta(seconds=looking))
    )
    move = apply.take_back(at)
    assert told(move) == said
    last = move.status.last_change
    assert (last is not None and last.written is False) is perhaps
    assert (move.status.observed is None) is perhaps


@pytest.mark.parametrize("agents", [(), (NOT_BOUND,)])
@pytest.mark.parametrize(
    ("at", "more", "off"),
    [
        (OURS, {}, False),
        (THEIRS, {}, True),
        (OURS, {"observed": None}, True),
        # Another target is wanted by now, or somebody has asked for another look.
        (OURS, {"observed": {**OBSERVED, "auditKey": "of then"}}, True),
    ],
)
def test_what_is_not_wanted_any_more_is_not_written(
    agents: Any, at: Node, more: Any, off: bool
) -> None:
    """Whether its Job is refused, or its image not there: until its agent has begun."""
    move = apply.apply(at_step("Apply", at, world=seen(*agents, gone=not agents), **more))
    goes, waits = ("TakeBack", "Apply") if agents else ("CalledOff", "Apply CreateJob")
    assert told(move) == (goes if off else waits)
    begun = apply.apply(at_step("Apply", at, world=seen(RUNS), **more))
    assert told(begun) == "Apply"
    again = at_step("Apply", at, {"job": f"{ID}-2"}, world=seen(gone=True), **more)
    assert told(apply.apply(again)) == "Apply CreateJob", "it may have a journal to end"


def test_a_node_that_takes_pods_is_cordoned_before_the_agent_begins() -> None:
    bare = at_step("Apply", node(), world=seen(NOT_BOUND))
    assert told(apply.apply(bare)) == "Apply TakeLease Cordon"


def test_one_that_ran_and_was_lost_as_it_was_taken_back_is_sent_again() -> None:
    at = at_step("TakeBack", current={"blockers": ["no image"]}, world=seen(RAN))
    again = apply.take_back(at).status.operation
    assert again is not None
    assert again.job == f"{ID}-2"
    late = {"blockers": ["no image"], "deadline": stamp(NOW)}
    at = at_step("TakeBack", current=late, world=seen(gone=True))
    asked = apply.take_back(at).status.operation
    assert asked is not None
    assert asked.job == ID


@pytest.mark.parametrize(
    ("halted", "drained", "attempts", "said"),
    [
        (False, False, 0, "AgentNotStarted"),
        (False, False, 2, "AgentNotStarted"),
        # Once it may be an upgrade of the operator, or a registry that is away.
        (False, True, 0, "AgentNotStarted"),
        (False, True, 1, "DrainNotEnough"),
        (True, True, 1, "CalledOff"),
        (True, False, 0, "CalledOff"),
    ],
)
def test_what_follows_on_an_agent_that_never_ran(
    halted: bool, drained: bool, attempts: int, said: str
) -> None:
    world = {**seen(NEVER_RAN), "policies": {"cure": HALTED if halted else WANTED}}
    at = at_step("Apply", current={"drained": drained}, world=world, attempts=attempts)
    assert told(apply.apply(at)) == said


NO = {"errors": {"node-a": "exceeded quota"}}


def refused(step: str = "Apply", current: Any = (), **status: Any) -> NodeContext:
    """Node-a at a step that is late, whose Job the API server refuses."""
    late = {"deadline": stamp(NOW), **dict(current)}
    return at_step(step, current=late, world=NO, **status)


def test_a_change_whose_job_is_refused_ends_as_one_that_is_to_be_looked_at_and_proved() -> None:
    move = apply.apply(refused(baseline={"add": True, "del": True}))
    assert told(move) == "AgentNotStarted"
    known = move.status.last_change
    assert known is not None
    assert (known.outcome, known.policy, known.at) == ("Unproved", "cure-uid", NOW)
    assert known.baseline is not None
    assert known.baseline.add
    assert move.status.observed is None
    assert move.status.operation is not None
    assert move.status.operation.ending is not None
    assert "exceeded quota" in move.status.operation.ending.message


def test_one_that_is_refused_on_a_drained_node_again_waits_for_a_person() -> None:
    drained = {"drained": True}
    assert told(apply.apply(refused(current=drained))) == "AgentNotStarted"
    move = apply.apply(refused(current=drained, attempts=1))
    assert told(move) == "DrainNotEnough"
    # Another look would find the change due, and the node would be drained once more.
    assert move.status.observed is not None
    assert move.status.last_change is not None
    assert move.status.last_change.outcome == "Unproved"


@pytest.mark.parametrize("number", [2, 3])
def test_an_agent_that_is_sent_again_and_refused_is_asked_for_on_and_on(number: int) -> None:
    move = apply.apply(refused(current={"job": f"{ID}-{number}"}))
    assert told(move) == "Apply CreateJob"
    assert move.status.operation is not None
    assert move.status.operation.job == f"{ID}-{number}"


def test_the_way_back_is_asked_for_until_it_is_let_in() -> None:
    at = refused("Restore", {"kind": "restore"}, phase="RollingBack")
    move = apply.restore(at)
    assert told(move) == "Restore CreateJob"
    assert "exceeded quota" in move.status.message
    at = refused("GiveBack", {"id": ID, "kind": "restore", "job": f"{ID}-2"}, phase="RollingBack")
    assert told(restore.give_back(at)) == "GiveBack CreateJob"


def test_a_change_that_is_refused_and_not_wanted_any_more_is_called_off() -> None:
    at = refused()
    at = replace(at, world=replace(at.world, policies={"cure": HALTED}))
    assert told(apply.apply(at)) == "CalledOff"


def test_one_that_was_taken_back_too_long_ago_is_asked_for_again() -> None:
    assert told(apply.take_back(refused("TakeBack", {"blockers": ["no image"]}))) == "Apply"


REFUSED, FAILED = Outcome.REFUSED, Outcome.FAILED
CHANGE = Change(name="x", from_version=None, to="1.0.0", before="a" * 64, after="b" * 64, diff="")
BACKUP = "20260101T000000Z-00000000"
ALWAYS = policy(drain={"policy": "Always"})


def answer(outcome: Outcome, code: str = "", **more: Any) -> Result:
    error = OperationError(code, "why") if code else None
    return result(outcome, error=error, **more)


@pytest.mark.parametrize(
    ("said", "drained", "made", "status", "end"),
    [
        (answer(Outcome.DONE), False, WANTED, {}, "ProveAdd"),
        (answer(Outcome.DONE), False, ALWAYS, {"baseline": {"del": False}}, "DrainAfter"),
        (answer(Outcome.DONE), False, ALWAYS, {"baseline": {"del": True}}, "ProveAdd"),
        (answer(REFUSED, "NoSpace"), False, WANTED, {}, "NoSpace"),
        (answer(REFUSED), False, WANTED, {}, "Refused"),
        # The pods went for nothing, and are to stay where nothing but a person helps.
        (answer(REFUSED, "NoSpace"), True, WANTED, {}, "DrainNotEnough"),
        (answer(REFUSED, "ChangedMeanwhile"), True, WANTED, {}, "ChangedMeanwhile"),
        (answer(REFUSED, "Busy"), True, WANTED, {}, "Busy"),
        (answer(REFUSED, "Busy"), True, ALWAYS, {}, "Busy"),
        (answer(REFUSED, "NeedsDrain"), False, WANTED, {}, "NeedsDrain"),
        (answer(REFUSED, "NeedsDrain"), True, ALWAYS, {}, "DrainNotEnough"),
        (answer(REFUSED, "NeedsDrain"), True, WANTED, {}, "NeedsDrain"),
        (answer(FAILED, "Io"), False, WANTED, {}, "Io"),
        (answer(FAILED, "Io", backup=BACKUP), False, WANTED, {}, "Io"),
        (answer(FAILED, "Io", changes=(CHANGE,)), False, WANTED, {}, "Io"),
        (
            answer(FAILED, "Io", changes=(CHANGE,), backup=BACKUP),
            False,
            policy(onFailure="Stop"),
            {},
            "Io",
        ),
        (answer(FAILED), False, WANTED, {}, "ApplyFailed"),
    ],
)
def test_what_follows_on_an_answer(
    said: Result, drained: bool, made: Any, status: Any, end: str
) -> None:
    world = {"policies": {"cure": made}, "pods": {"node-a": ()}}
    at = at_step("Apply", current={"drained": drained}, world=world, **status)
    assert told(apply.applied(at, said)) == end


def test_a_write_that_failed_in_the_middle_is_put_back() -> None:
    said = answer(FAILED, "Io", changes=(CHANGE,), backup=BACKUP)
    operation = apply.applied(at_step("Apply"), said).status.operation
    assert operation is not None
    assert (operation.step, operation.kind) == ("Restore", "restore")
    assert operation.ending is not None
    assert operation.ending.reason == "ApplyFailed"


@pytest.mark.parametrize(
    ("outcome", "why", "end"),
    [
        (Outcome.DONE, "WorseThanBefore", ("RolledBack", "WorseThanBefore")),
        (Outcome.DONE, None, ("RolledBack", "Restored")),
        (REFUSED, "WorseThanBefore", ("Failed", "RestoreFailed")),
        (FAILED, "WorseThanBefore", ("Failed", "RestoreFailed")),
    ],
)
def test_how_the_way_back_ends(outcome: Outcome, why: str | None, end: tuple[str, str]) -> None:
    ending = {"phase": "RolledBack", "reason": why} if why else None
    at = at_step("Restore", current={"kind": "restore", "ending": ending}, phase="RollingBack")
    said = answer(outcome, "" if outcome == Outcome.DONE else "Io")
    current = apply.restored(at, said).status.operation
    assert current is not None
    assert current.ending is not None
    assert (current.ending.phase, current.ending.reason) == end


OLD = {"proof": {"oldPod": "proof-old-x"}}


@pytest.mark.parametrize(
    ("current", "there", "step"),
    [
        ({}, {}, "Baseline"),
        # The drain was to make room for it.
        (OLD, {"status": {"phase": "Pending"}}, "Baseline"),
        (OLD, {"status": {"podIP": "10.0.0.1"}}, "Apply"),
        (OLD, {"metadata": DELETED}, "Apply"),
        (OLD, None, "Apply"),
    ],
)
def test_a_drained_node_is_written_once_a_pod_has_shown_what_works(
    current: Any, there: Any, step: str
) -> None:
    proofs = {} if there is None else {"proof-old-x": pod("proof-old-x", **there)}
    at = at_step("Drain", current=current, world={"pods": {"node-a": ()}, "proofs": proofs})
    operation = apply.drain(at).status.operation
    assert operation is not None
    assert (operation.step, operation.drained) == (step, True)
