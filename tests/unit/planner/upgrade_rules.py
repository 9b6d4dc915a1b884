"""What must hold of a node that somebody else upgrades, after every single decision."""

from __future__ import annotations

from cni_upgrade.api import names
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.api.parse import parse_node_state
from cni_upgrade.planner.world import decisions as d
from tests.unit.planner.cluster_model import APPS
from tests.unit.planner.invariants import Carried

Known = dict[str, OperationStatus | None]
"""By node: its operation as the controller goes on from it, recorded or not."""


def check_upgrade(event: Carried, known: Known) -> None:
    """Every rule of this file."""
    match event.decision:
        case d.KeepStatus(name=name, status=status):
            known[name] = status.operation
        case d.SetStatus(kind="CNINodeState", name=name):
            state = event.cluster.state(name)
            known[name] = parse_node_state(state).status.operation if state else None
        case d.Announce(node=name, operation=str()):
            _announced_when_ready(event, known.get(name))
        case d.Uncordon(node=name):
            _given_back_whole(event, known.get(name))


def _announced_when_ready(event: Carried, operation: OperationStatus | None) -> None:
    """A node is announced only for the operation on record, cordoned by us, empty, and fit for the
    runtime to reach."""
    decision = event.decision
    assert isinstance(decision, d.Announce)
    node = event.cluster.node(decision.node)
    assert operation is not None
    assert operation.id == decision.operation, "it is announced for another operation"
    if decision.node in event.ledger.meddled:
        return
    assert node["spec"].get("unschedulable"), "it takes pods"
    assert names.CORDONED_BY in node["metadata"]["annotations"], "the cordon is not ours"
    assert not event.cluster.pods_on(decision.node, APPS), "pods are still there"
    assert not event.cluster.disks[decision.node].not_ready, "pods would not work there"


def _given_back_whole(event: Carried, operation: OperationStatus | None) -> None:
    """A node whose upgrade has begun takes pods again once they are shown to work, by a person's
    word, or where its policy is gone; and none is said to be ready that takes pods."""
    decision = event.decision
    assert isinstance(decision, d.Uncordon)
    node = event.cluster.node(decision.node)
    marks = node["metadata"].get("annotations") or {}
    assert names.READY_FOR_UPGRADE not in marks, "it is still announced"
    if operation is None or operation.kind != "upgrade" or operation.awaited is None:
        return
    known, info = operation.awaited, node["status"]["nodeInfo"]
    untouched = (known.runtime, known.kubelet, known.boot_id) == (
        info["containerRuntimeVersion"],
        info["kubeletVersion"],
        info["bootID"],
    )
    shown = operation.proof is not None and operation.proof.outcome == "Proved"
    asked = bool(event.ledger.retries.get(decision.node)) or not event.world.policies
    assert untouched or shown or asked, "half upgraded, it takes pods"
