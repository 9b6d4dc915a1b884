"""What may wait to be written, what may not, and what that saves in a whole rollout."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.operation_status import Ending, OperationStatus, ProofStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.status.deferred_writes import LONGEST, may_wait
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.samples import NOW
from tests.unit.planner.scenarios import ENFORCE, f1, healthy, of

SECOND = timedelta(seconds=1)


def at(step: str = "", kind: str = "apply", phase: Phase = Phase.APPLYING, **more: Any) -> Any:
    """A status; `step` empty for one at rest."""
    operation = OperationStatus(
        id=f"{kind}-0", kind=kind, step=step, job=more.pop("job", f"{kind}-0"), **more
    )
    return NodeStateStatus(phase=phase, operation=operation if step else None)


def done(phase: Phase) -> Ending:
    return Ending(phase=phase, reason="x")


REST = at(phase=Phase.WAITING)
NEW_POD = ProofStatus(new_pod="proof-new-0")


@pytest.mark.parametrize(
    ("recorded", "status"),
    [
        (REST, at("Job", "audit")),
        (at("Job", "audit"), at("Job", "audit", blockers=("an image",))),
        (at("Cordon"), at("Baseline", proof=ProofStatus(old_pod="proof-old-0"))),
        (at("Apply"), at("Apply", blockers=("x",))),
        (at("Drain", blockers=("x",)), at("Drain", blockers=("y",))),
        (at("Apply"), at("ProveOld")),
        (at("Apply"), at("ProveDelete", proof=NEW_POD)),
        (at("ProveAdd", proof=NEW_POD), at("ProveDelete", proof=NEW_POD)),
        (at("Apply"), at("Release", ending=done(Phase.DONE))),
    ],
)
def test_what_the_cluster_tells_again_may_wait_a_while(recorded: Any, status: Any) -> None:
    assert may_wait(recorded, status, NOW, NOW)
    assert may_wait(recorded, status, NOW - LONGEST + SECOND, NOW)
    assert not may_wait(recorded, status, NOW - LONGEST, NOW)


@pytest.mark.parametrize(
    ("recorded", "status"),
    [
        (REST, at("Cordon")),
        (REST, at(phase=Phase.COMPATIBLE)),
        (at("Job", "audit"), REST),
        (at(phase=Phase.FAILED), at("Job", "audit")),
        (at(phase=Phase.DONE), at("Job", "audit")),
        (at("Cordon"), at("Drain")),
        (at("Drain"), at("Drain", blockers=("x",))),
        (at("DrainAfter"), at("DrainAfter", blockers=("x",))),
        (at("Cordon"), at("Apply")),
        (at("Baseline"), at("Apply")),
        (at("Cordon"), at("Release", ending=done(Phase.WAITING))),
        (at("Apply"), at("TakeBack")),
        (at("Apply"), at("Apply", job="apply-0-2")),
        (at("Apply"), at("DrainAfter")),
        (at("ProveDelete"), at("Soak")),
        (at("ProveDelete"), at("Free")),
        (at("ProveDelete"), at("Release", ending=done(Phase.FAILED))),
        (at("ProveDelete"), at("Restore", "restore")),
        (at("ProveAdd"), at("ProveAdd", proof=NEW_POD)),
        (at("Apply"), at("Fly")),
        (at("Fly"), at("Apply")),
    ],
)
def test_what_must_stand_in_the_record_first_may_not(recorded: Any, status: Any) -> None:
    assert not may_wait(recorded, status, NOW, NOW)


def writes(r: Rollout, end: str) -> Counter[str]:
    """What is asked of the API server until all nodes are there, by the kind of the decision."""
    counted: Counter[str] = Counter()
    carry = r.controller.carry

    def count(decision: Any) -> None:
        kind = type(decision).__name__
        policy = kind == "SetStatus" and decision.kind == "CNIUpgradePolicy"
        counted["policy" if policy else kind] += 1
        carry(decision)

    r.controller.carry = count  # type: ignore[method-assign]
    r.until(lambda: all(r.cluster.status(name).get("phase") == end for name in r.cluster.disks))
    for free in ("policy", "Emit", "KeepStatus"):
        del counted[free]
    return counted


def test_a_look_takes_three_requests_a_node() -> None:
    r = of(*[healthy(f"node-{n:02}") for n in range(30)], pods=0)
    r.cluster.apply_policy("look", {"mode": "Audit"})
    assert writes(r, "Compatible") == {"CreateState": 30, "CreateJob": 30, "SetStatus": 30}


def test_a_cure_takes_at_most_ten_more() -> None:
    r = of(*[f1(f"node-{n}") for n in range(6)], pods=0)
    r.cluster.apply_policy("cure", ENFORCE)
    found = writes(r, "Done")
    assert found["CreateState"] == 6
    assert found["CreateJob"] == 12
    assert found["Cordon"] == found["Uncordon"] == 6
    assert sum(found.values()) <= 6 * (3 + 10), found
