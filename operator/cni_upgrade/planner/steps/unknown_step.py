"""An operation whose step or kind nobody knows, edited by hand or of another release: begun anew.

Left as it is, its node would stay cordoned until a person deletes the record.
"""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node.context import Move, NodeContext, moved, release
from cni_upgrade.planner.node.pending_proof import perhaps_written

REASON = "StepUnknown"


def begun_anew(view: NodeContext) -> Move | None:
    """Gives the node back and has it looked at again; None while an agent may write there."""
    operation = view.operation
    if view.writer is not None:
        return None
    if operation.kind == Kind.RESTORE and operation.ending is not None:
        # Begun anew, the change that made the node worse would be made once more.
        text = f"{operation.ending.message}; whether it was put back is not known: see the node"
        return release(view, Phase.FAILED, REASON, text)
    status = perhaps_written(view).model_copy(update={"observed": None})
    text = (
        f"the step {operation.step!r:.80} of its operation, of the kind {operation.kind!r:.80}, is "
        "not known; it is begun anew"
    )
    return release(moved(view, status), Phase.PENDING, REASON, text)
