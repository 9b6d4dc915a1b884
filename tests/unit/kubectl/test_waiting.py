"""`wait`: when a policy has come to its end."""

from __future__ import annotations

from typing import Any

from cni_upgrade.kubectl.waiting import Progress, progress
from tests.unit.kubectl.fleets import zones
from tests.unit.planner.courses import canary_fails, canary_passes


def policy(observed: int, **conditions: str) -> dict[str, Any]:
    held = [{"type": kind, "status": "True", "message": text} for kind, text in conditions.items()]
    status = {"observedGeneration": observed, "message": "half way", "conditions": held}
    return {"metadata": {"name": "p", "generation": 2}, "status": status}


def test_ready_ends_it_and_a_person_too() -> None:
    assert progress(policy(2, Ready="")) == Progress(0, "half way")
    assert progress(policy(2, Stalled="node-a failed")).ended == 1
    assert "node-a failed" in progress(policy(2, Stalled="node-a failed")).text


def test_what_was_said_of_an_older_spec_ends_nothing() -> None:
    for conditions in ({"Ready": ""}, {"Stalled": ""}):
        assert progress(policy(1, **conditions)).ended is None


def test_work_and_a_pause_go_on() -> None:
    assert progress(policy(2, Reconciling="")).ended is None
    assert progress(policy(2, Ready="", Reconciling="")).ended is None
    assert progress(policy(2, Paused="")).ended is None


def test_played_rollouts() -> None:
    assert progress(zones().cluster.policy("cure")).ended is None
    for course in (canary_passes, canary_fails):
        assert progress(course().cluster.policy("cure")).ended == 0
