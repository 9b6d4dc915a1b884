"""What became of an agent: every state of its Job and pod, seen in time and too late."""

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.fleet import answers
from cni_upgrade.fleet.answers import Absent, Answer, Lost, Pending
from cni_upgrade.fleet.objects import Job, Pod
from cni_upgrade.node.message import encode
from tests.unit.fleet.samples import ID, agent, job, pod, result, view

OTHER = "apply-ffffffffffffffffffff"
GOOD = encode(result()).decode()
NOWHERE = pod(f"{ID}-x", spec={"nodeName": None}, status={"phase": "Pending"})
REFUSED = pod(f"{ID}-x", status={"phase": "Failed", "reason": "OutOfpods"})


def heard(
    jobs: Job | None, *pods: Pod, kind: str = "apply", left: int = 60, ready: str = "True"
) -> Any:
    world = {"jobs": {ID: jobs} if jobs else {}, "agents": {ID: pods} if pods else {}}
    return answers.agent(view(kind, left, ready, **world))


def test_a_message_is_the_answer_whatever_its_job_says() -> None:
    for said in (job(), job("Failed"), job("FailureTarget"), job("Complete"), None):
        assert heard(said, agent(GOOD), left=-1) == Answer(result())


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
