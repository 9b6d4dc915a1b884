"""A record that the planner cannot act on: its node is given back where nothing was written.

It stops its own node and no other: the cordon goes, and the change counts as failed. Where a file
may have been written the node keeps its cordon, and the record says how a person ends that.
"""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node import cordon, node_lease
from cni_upgrade.planner.node.context import Move, NodeContext, release
from cni_upgrade.planner.steps.audit import look_failed
from cni_upgrade.planner.world.errors import NONSENSE
from cni_upgrade.planner.world.phases import UNPLANNABLE, UNTOUCHED, Step


def move(view: NodeContext, error: Exception) -> Move:
    """What is done with a node whose record makes no sense."""
    delete = f"delete it (kubectl delete cninodestate {view.node.name}), it is made anew"
    why = f"the record of this node cannot be acted on: {error}"
    operation = view.status.operation
    if operation is None:
        return _said(view, f"{why}; {delete}")
    if operation.kind == Kind.AUDIT:
        try:
            return look_failed(view, UNPLANNABLE, f"{why}; {delete}")
        except NONSENSE:
            return _said(view, f"{why}; {delete}")
    if _untouched(view):
        text = f"{why}; nothing of this change is known to be written; {delete}"
        return release(view, Phase.FAILED, UNPLANNABLE, text)
    ending = operation.ending
    if operation.step != Step.RELEASE or ending is None or ending.reason != UNPLANNABLE:
        kept = "a file may have been written, so the node keeps its cordon until then"
        return _said(view, f"{why}; {delete}; {kept}")
    # Even that cannot be gone on with: the node is given back without a word of the record.
    if node_lease.relied_on(view.node, view.world):
        return _said(view, f"{ending.message}; {node_lease.others(view)}")
    if (act := cordon.give_back(view.node)) is not None:
        return Move(_said(view, ending.message).status, (act,))
    ended = {"phase": Phase.FAILED, "message": ending.message, "operation": None}
    return Move(_said(view, ending.message).status.model_copy(update=ended))


def _said(view: NodeContext, text: str) -> Move:
    return Move(view.status.model_copy(update={"reason": UNPLANNABLE, "message": text}))


def _untouched(view: NodeContext) -> bool:
    """Whether no agent is known to have been sent."""
    operation, last = view.operation, view.status.last_operation
    if operation.kind != Kind.APPLY or view.writer is not None:
        return False
    if operation.step in UNTOUCHED:
        return True
    sent = view.job in view.world.jobs or view.agents() or view.job != operation.id
    answered = last is not None and last.id == operation.id
    return operation.step == Step.APPLY and not sent and not answered
