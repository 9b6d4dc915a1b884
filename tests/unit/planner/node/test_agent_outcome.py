"""What became of an agent: every state of its Job and pod, seen in time and too late."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation
from cni_upgrade.agent.protocol.termination_message import encode
from cni_upgrade.planner.node import agent_job, agent_outcome
from cni_upgrade.planner.node.agent_outcome import Absent, Answer, Lost, Pending, Refused
from cni_upgrade.planner.node.context import NodeContext, with_operation
from cni_upgrade.planner.steps import apply
from cni_upgrade.planner.world.kubernetes_objects import Ended, Job, Pod
from tests.unit.planner.cluster_model import AGENTS
from tests.unit.planner.samples import ID, NOW, UNSCHEDULED, agent, job, pod, policy, result, view

OTHER = "apply-ffffffffffffffffffff"
GOOD = encode(result()).decode()
NOWHERE = pod(f"{ID}-x", **UNSCHEDULED)
REFUSED = pod(f"{ID}-x", status={"phase": "Failed", "reason": "OutOfpods"})


def heard(
    jobs: Job | None, *pods: Pod, kind: str = "apply", left: int = 60, ready: str = "True"
) -> Any:
    world = {"jobs": {ID: jobs} if jobs else {}, "agents": {ID: pods} if pods else {}}
    return agent_outcome.agent(view(kind, left, ready, **world))


def test_a_message_is_the_answer_whatever_its_job_says() -> None:
    for said in (job(), job("Failed"), job("FailureTarget"), job("Complete"), None):
        assert heard(said, agent(GOOD), left=-1) == Answer(result())


@given(st.text(st.characters()))
@example(GOOD)
@example("\ud800")
def test_a_message_is_read_as_it_was_written(message: str) -> None:
    ended = Ended.of({"exitCode": 0, "message": message})
    assert ended.message == message
    assert ended == Ended.of({"exitCode": 0, "message": message})


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "killed before its end"),
        ("panic!", "not JSON"),
        (
            encode(replace(result(), id=OTHER)).decode(),
            f"answered for {OTHER}",
        ),
        (encode(replace(result(), node="node-b")).decode(), "on node-b"),
    ],
)
def test_an_end_without_an_answer_is_a_loss(message: str, why: str) -> None:
    lost = heard(job(), agent(message, code=137))
    assert isinstance(lost, Lost)
    assert why in lost.why


@pytest.mark.parametrize("kind", ["audit", "apply", "restore"])
@pytest.mark.parametrize(
    ("said", "pods", "left", "expected"),
    [
        (None, [], 60, Absent),
        (None, [], -1, Lost),
        (job(), [], 60, Pending),
        (job(), [NOWHERE], 60, Pending),
        (job(), [agent()], 60, Pending),
        (job("Failed"), [], 60, Lost),
        (job("FailureTarget"), [], 60, Lost),
        (job("Failed"), [REFUSED], 60, Lost),
        (job("Complete"), [], 60, Lost),
    ],
)
def test_without_a_message(kind: str, said: Any, pods: Any, left: int, expected: type) -> None:
    assert isinstance(heard(said, *pods, kind=kind, left=left), expected)


@pytest.mark.parametrize("kind", ["audit", "apply", "restore"])
def test_a_job_that_the_api_server_refuses_is_no_agent_that_was_lost(kind: str) -> None:
    no = {"node-a": "exceeded quota"}
    assert agent_outcome.agent(view(kind, 1, errors=no)) == Absent()
    assert agent_outcome.agent(view(kind, 0, errors=no)) == Refused(
        "its Job could not be created: exceeded quota"
    )
    elsewhere = {"node-b": "exceeded quota"}
    assert agent_outcome.agent(view(kind, 0, errors=elsewhere)) == Lost("no answer in time")
    # What was written last was something else.
    assert isinstance(agent_outcome.agent(view(kind, 0, errors=no, jobs={ID: job("Failed")})), Lost)


def test_a_refusal_is_known_to_the_next_process() -> None:
    recorded = agent_job.send(_sendable(errors={"node-a": "exceeded quota"})).status
    at = replace(_sendable(), status=recorded)
    assert agent_outcome.agent(at) == Refused("its Job could not be created: exceeded quota")
    again = agent_job.send(at).status
    assert again.operation is not None
    assert again.operation.blockers == ("exceeded quota",), "it was tried once, and not answered"


def _sendable(**world: Any) -> NodeContext:
    """Node-a at Apply, late, whose Job is not there."""
    order = Operation(ID, Kind.APPLY, "node-a", "", files=(FileOrder("x", "a" * 64, "1.0.0"),))
    late = view("apply", 0, policies={"cure": policy()}, **world)
    return replace(late, status=with_operation(late.status, input=json.dumps(order.to_json())))


@pytest.mark.parametrize("said", [job("FailureTarget"), None], ids=["given up", "deleted"])
def test_an_agent_that_writes_is_waited_for_an_audit_is_not(said: Job | None) -> None:
    assert isinstance(heard(said, agent(), kind="apply", left=-1), Pending)
    assert isinstance(heard(said, agent(), kind="restore", left=-1), Pending)
    assert isinstance(heard(said, agent(), kind="audit", left=60), Lost)


def test_a_late_audit_is_given_up_a_late_write_by_its_job_alone() -> None:
    assert isinstance(heard(job(), agent(), kind="audit", left=-1), Lost)
    assert isinstance(heard(job(), agent(), kind="apply", left=-1), Pending)


@pytest.mark.parametrize(
    ("pods", "ready", "word"),
    [
        ([], "True", "not there yet"),
        ([NOWHERE], "True", "not scheduled"),
        ([agent()], "Unknown", "silent"),
        ([agent()], "True", "it runs"),
        (
            [agent(containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff"}}}])],
            "True",
            "ImagePullBackOff",
        ),
    ],
)
def test_what_it_waits_for(pods: list[Pod], ready: str, word: str) -> None:
    pending = heard(job(), *pods, ready=ready)
    assert isinstance(pending, Pending)
    assert word in pending.message


def created(seconds_ago: int, step_seconds_ago: int) -> Any:
    """A view of an apply whose Job and step are so old, with a pod that waits for its image."""
    waiting = {"waiting": {"reason": "ErrImagePull"}}
    idle = pod(f"{ID}-x", AGENTS, status={"containerStatuses": [{"state": waiting}]})
    made = replace(job(), created=NOW - timedelta(seconds=seconds_ago))
    world: dict[str, Any] = {
        "jobs": {ID: made},
        "agents": {ID: [idle]},
        "policies": {"cure": policy()},
    }
    seen = view(seconds_left=600, **world)
    since = NOW - timedelta(seconds=step_seconds_ago)
    return replace(seen, status=with_operation(seen.status, step="Apply", step_since=since))


@pytest.mark.parametrize(
    ("seconds", "step_seconds", "step"),
    [(225, 225, "TakeBack"), (224, 900, "Apply"), (9999, 224, "Apply")],
    ids=["in time", "sent late", "the API server's clock is behind"],
)
def test_an_agent_has_its_time_to_start(seconds: int, step_seconds: int, step: str) -> None:
    move = apply.apply(created(seconds, step_seconds))
    assert move.status.operation is not None
    assert move.status.operation.step == step


def test_only_what_never_was_is_no_attempt() -> None:
    assert heard(job(), agent("", code=137)) == Lost(ANY, ran=False)
    container = {"containerID": "containerd://1", "state": {"terminated": {"exitCode": 137}}}
    ran = pod(f"{ID}-x", AGENTS, status={"containerStatuses": [container]})
    assert heard(job(), ran) == Lost(ANY, ran=True)


def test_a_folder_that_is_gone_is_told_by_its_name() -> None:
    """As the kubelet of Kubernetes 1.34 says it."""
    said = (
        'FailedMount: MountVolume.SetUp failed for volume "host-0" : hostPath type check failed: '
        "/etc/cni/net.d is not a directory"
    )
    waits = pod(
        f"{ID}-x",
        status={
            "phase": "Pending",
            "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}],
        },
    )
    seen = view("apply", jobs={ID: job()}, agents={ID: [waits]}, warnings={waits.uid: said})
    assert agent_outcome.agent(seen) == Pending(
        f"the node's folder /etc/cni/net.d is not there, or not a folder, any more ({said})",
        idle=True,
    )
