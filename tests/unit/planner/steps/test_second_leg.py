"""The second leg of a change: when it follows at once, when later, and what it is judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.planner.steps.second_leg import finished
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.unit.planner.api_model import merged
from tests.unit.planner.samples import NOW, node, operation, policy, state, view

OURS = replace(node(cordoned=True), annotations={names.CORDONED_BY: "us"})
FILE = {"name": "10-net.conflist", "sha256": "a" * 64, "to": "1.0.0", "action": "Rewrite"}
DUE: dict[str, Any] = {
    "verdict": "Rewrite",
    "after": {"needsDrain": True},
    "files": [FILE],
    "paths": {"confDir": "/etc/cni/net.d"},
    "attempts": 2,
}
ZONE = {"zone": "a"}
HERE = {"nodeSelector": {"matchLabels": ZONE}}


def ended(
    at: Node = OURS,
    current: Any = (),
    annotations: Any = (),
    gone: bool = False,
    spec: Any = (),
    **status: Any,
) -> NodeStateStatus:
    """The status once a change is proved."""
    meta = {"metadata": {"annotations": dict(annotations)}}
    made = parse_policy(merged(policy(**dict(spec)).to_api(), meta))
    working = operation(step="ProveDelete", cordoned=True, **dict(current))
    record = state(phase="Proving", operation=working, **{**DUE, **status})
    whole = view(policies={} if gone else {"cure": made})
    return finished(replace(whole, node=at, state=record, status=record.status), "proved").status


def reason(status: NodeStateStatus) -> str:
    """How it ends, or the step that follows."""
    assert status.operation is not None
    ending = status.operation.ending
    return status.operation.step if ending is None else ending.reason


@pytest.mark.parametrize(
    "more",
    [
        {"current": {"drained": True}},
        {"current": {"kind": "prove"}},
        {"verdict": "Compatible"},
        {"after": {"needsDrain": False}},
        {"after": None},
        # A report that was cut to fit may name nothing to order.
        {"files": []},
    ],
)
def test_a_change_after_which_no_drain_leads_on_is_done(more: Any) -> None:
    assert reason(ended(**more)) == "Done"


def windows(schedule: str, minutes: int, zone: str = "UTC") -> dict[str, Any]:
    one = {"schedule": schedule, "duration": f"{minutes}m", "timeZone": zone}
    return {"rollout": {"windows": [one]}}


@pytest.mark.parametrize(
    ("more", "step"),
    [
        ({}, "Cordon"),
        ({"spec": {"drain": {"policy": "Always"}}}, "Cordon"),
        # Drained it takes 37 minutes by its deadlines.
        ({"spec": windows("0 12 * * *", 37)}, "Cordon"),
        ({"spec": windows("0 12 * * *", 36)}, "ChangeNeeded"),
        ({"spec": windows("0 22 * * *", 60)}, "ChangeNeeded"),
        ({"spec": windows("0 12 * * *", 60, "Europe/Atlantis")}, "ChangeNeeded"),
        ({"spec": {"drain": {"policy": "Never"}}}, "ChangeNeeded"),
        ({"spec": HERE}, "ChangeNeeded"),
        ({"spec": {"mode": "Audit"}}, "ChangeNeeded"),
        ({"annotations": {names.PAUSED: ""}}, "ChangeNeeded"),
        ({"gone": True}, "ChangeNeeded"),
        ({"at": node()}, "ChangeNeeded"),
        ({"at": node(cordoned=True)}, "ChangeNeeded"),
        ({"at": replace(OURS, unschedulable=False)}, "ChangeNeeded"),
        ({"at": replace(OURS, ready="Unknown")}, "ChangeNeeded"),
        ({"at": replace(OURS, ready="False")}, "Cordon"),
    ],
)
def test_it_follows_at_once_where_it_may(more: Any, step: str) -> None:
    status = ended(**more)
    assert reason(status) == step
    assert (status.phase == "Draining") is (step == "Cordon")
    assert (status.attempts, status.next_attempt_at) == (0, None)


def test_it_goes_on_as_another_operation_under_the_same_cordon() -> None:
    status = ended(serial=4)
    assert status.operation is not None
    assert (status.serial, status.operation.cordoned, status.operation.drained) == (5, True, False)
    assert status.operation.id != operation()["id"]
    assert status.operation.policy is not None
    assert status.operation.policy.uid == "cure-uid"


@pytest.mark.parametrize("spec", [{}, {"drain": {"policy": "Never"}}])
@pytest.mark.parametrize(
    ("proof", "works"),
    [({"outcome": "Proved"}, True), ({"outcome": "Inconclusive"}, None), ({}, None)],
)
def test_it_is_judged_by_what_the_first_leg_has_proved(
    spec: Any, proof: Any, works: bool | None
) -> None:
    """Not by what was broken before that: what it has mended would count for nothing.

    Nor would a later one be drained for, and without that the agent writes nothing.
    """
    status = ended(spec=spec, current={"proof": proof}, baseline={"add": True, "del": False})
    known = status.baseline
    assert (known.add if known else None, known.delete if known else None) == (works, works)


UNPROVED = {"outcome": "Unproved", "at": "2026-01-01T11:00:00Z", "policy": "cure-uid"}


@pytest.mark.parametrize(
    ("spec", "proof", "outcome"),
    [
        ({}, {"outcome": "Proved"}, "Lowered"),
        ({"drain": {"policy": "Never"}}, {"outcome": "Proved"}, "Lowered"),
        ({"verify": {"proof": False}}, {}, "Lowered"),
        ({"drain": {"policy": "Never"}, "verify": {"proof": False}}, {}, "Lowered"),
        ({}, {"outcome": "Inconclusive"}, "Unproved"),
    ],
)
def test_nobody_waits_for_the_proof_of_a_first_leg_that_is_over(
    spec: Any, proof: Any, outcome: str
) -> None:
    """Whether the second one follows at once or cannot: an earlier change was not proved.

    Nor is it a success, after which earlier failures would count for nothing.
    """
    status = ended(spec=spec, current={"proof": proof}, lastChange=UNPROVED)
    assert status.last_change is not None
    assert (status.last_change.outcome, status.last_change.policy) == (outcome, "cure-uid")
    assert (status.last_change.at == NOW) is (outcome == "Lowered")
