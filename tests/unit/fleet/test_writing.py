"""An agent that is sent again may have a journal of the first one's to end: it is not let go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cni_upgrade.api.names import PAUSED
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.fleet import writing
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.fleet.view import moved, with_operation
from tests.unit.fleet.api_model import merged
from tests.unit.fleet.cluster_model import CONFIG
from tests.unit.fleet.samples import ID, NOW, agent, job, pod, policy, view

WANTED = policy()
HALTED = parse_policy(merged(WANTED.to_api(), {"metadata": {"annotations": {PAUSED: ""}}}))
NEVER_RAN = agent("", code=137)
UNSCHEDULED = pod("agent", spec={"nodeName": None}, status={"phase": "Pending"})
LATE = CONFIG.apply_deadline_seconds * 3 // 4


def sent(again: bool, *agents: Pod, halted: bool = False, ago: int = 0) -> OperationStatus:
    """The operation after a pass at Apply, whose Job was made so many seconds ago if it has pods.

    Where `again`, it is the second Job.
    """
    name = f"{ID}-2" if again else ID
    since = NOW - timedelta(seconds=ago)
    there = {name: replace(job(name=name), created=since)} if agents else {}
    at = view(policies={"cure": HALTED if halted else WANTED}, jobs=there, agents={name: agents})
    at = moved(at, with_operation(at.status, job=name, step_since=since))
    operation = writing.apply(at).status.operation
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
    assert sent(again, UNSCHEDULED, halted=True).step == step
    assert sent(again, UNSCHEDULED, ago=LATE).step == step
    assert sent(again, UNSCHEDULED, ago=LATE - 1).step == "Apply"
