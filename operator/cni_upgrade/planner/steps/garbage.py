"""What no operation stands for: it is taken back, and what does not go is told of its node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.planner.index.running_agents import RunningAgents
from cni_upgrade.planner.node import node_lease, proof_pods
from cni_upgrade.planner.node.orphaned_agents import Writer
from cni_upgrade.planner.world.batch import GARBAGE, Batch
from cni_upgrade.planner.world.decisions import DeleteJob, DeleteProof, DropLease
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.snapshot import Snapshot


def hanging(world: Snapshot) -> dict[str, list[Pod]]:
    """By node: proof pods that were deleted and do not go."""
    found: dict[str, list[Pod]] = {}
    for pod in sorted(world.proofs.values(), key=lambda pod: pod.name):
        if proof_pods.seen_to_hang(pod, world):
            found.setdefault(pod.for_node, []).append(pod)
    return found


def describe_garbage(hanging: Sequence[Pod], status: NodeStateStatus) -> tuple[str, ...]:
    """What the record of a node says of its proof pods that do not go."""
    return tuple(_left(pod) for pod in hanging if pod.name not in _asked_after(status))


def _asked_after(status: NodeStateStatus) -> tuple[str | None, ...]:
    """Proof pods that an operation waits for: what they mean is for the proof to say."""
    known = status.operation.proof if status.operation else None
    return (known.old_pod, known.new_pod) if known else ()


def _left(pod: Pod) -> str:
    return (
        f"proof pod {pod.key} is to go since {pod.deleted:%Y-%m-%dT%H:%M:%SZ} and does not: "
        "deleting pods does not work on this node; it goes once that works"
    )


def turns(
    world: Snapshot,
    operations: Sequence[OperationStatus],
    agents: RunningAgents,
    states: Mapping[str, CNINodeState],
    writing: Mapping[str, Writer],
) -> Iterator[Batch]:
    """Take back what no operation stands for: superseded audits, proof pods of ended operations.

    `operations` are those that are recorded and those that are decided now: a decision may yet be
    lost, and a proof pod that was deleted too early looks like one that does not go. Each has a
    turn of its own: one that somebody refuses keeps no other from going.
    """
    current = {operation.job for operation in operations}
    kept = {
        pod
        for operation in operations
        if operation.proof is not None and operation.ending is None
        for pod in (operation.proof.old_pod, operation.proof.new_pod)
    }
    decisions: list[DeleteProof | DeleteJob | DropLease] = [
        DeleteProof(pod.name, pod.uid)
        for pod in world.proofs.values()
        if pod.name not in kept
        and not pod.deleting
        and pod.labels.get(names.LABEL_COMPONENT) == "proof"
    ]
    decisions += agents.superseded(current)
    decisions += node_lease.to_drop(world, states, writing)
    for each in decisions:
        yield Batch(f"{GARBAGE}{each.name}", (each,))
