"""A node that is being deleted: what was under way there ends, and gives back the places it had.

That may take hours, or a finalizer may hold it for ever (Karpenter's, while a budget keeps a pod).
Nothing more is done there: an agent that was sent ends by itself, and the cordon stays, whoever's
it is, for the node is not to take pods again.
"""

from __future__ import annotations

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.status import node_conditions
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.snapshot import Snapshot

DELETED = "NodeDeleted"


def ended(node: Node, state: CNINodeState, world: Snapshot) -> NodeStateStatus | None:
    """The record without its operation; None where there is nothing to end."""
    if not node.deleting or state.status.operation is None or state.spec.node_uid != node.uid:
        return None
    step = state.status.operation.step
    text = f"the node is being deleted: what was under way there ({step}) has ended with that"
    update = {"phase": Phase.PENDING, "reason": DELETED, "message": text, "operation": None}
    status = state.status.model_copy(update={**update, "phase_since": world.now})
    found = node_conditions.conditions(
        status, state.status.conditions, state.metadata.generation, world.now, outdated=False
    )
    return status.model_copy(update={"conditions": found})
