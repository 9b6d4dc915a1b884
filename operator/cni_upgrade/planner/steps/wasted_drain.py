"""A node that was drained and could not be changed all the same: it is not drained again by itself.

Most often pods that a drain leaves are in the way of the change.
The agent counts sandboxes and knows no pods; the controller knows pods and not how each was added.
So it is only seen once the node is drained and the agent still refuses. A pod of a DaemonSet that
is deleted comes back with the config of before, and is in the way again: to drain once more would
change nothing.
"""

from __future__ import annotations

from cni_upgrade.api.phase import Phase
from cni_upgrade.api.report import Finding
from cni_upgrade.cni.findings import Code, Severity
from cni_upgrade.planner.node.context import Move, NodeContext, moved, release, wait
from cni_upgrade.planner.node.stalled import named
from cni_upgrade.planner.world.phases import DRAIN_NOT_ENOUGH

_NAMED = 10

_AGAIN = "then ask again with another value of the annotation cniupgrade.dev/retry"
_MEND = f"mend that, {_AGAIN}"
_ACTION = (
    "keep such pods off the node (nodeSelector or affinity of their DaemonSet), or let "
    f"spec.target.cni.selection be HighestCompatible; {_AGAIN}"
)


def not_enough(view: NodeContext, refusal: str) -> Move:
    """End the change of a drained node that the agent refused all the same (its `NeedsDrain`)."""
    pods = view.world.pods.get(view.node.name)
    if pods is None and not view.late():
        return wait(view, view.listing)
    spaces = view.world.config.namespaces
    ours = {spaces.system, spaces.agents, spaces.proof}
    names = sorted(
        pod.key
        for pod in pods or ()
        if not (pod.host_network or pod.finished or pod.namespace in ours)
    )
    who = named(names, _NAMED) if names else "no pod; the results cache names some"
    if pods is None:
        who = f"it is not known which pods, {view.listing}"
    text = f"the node was drained, and that is not enough: left on it: {who}; {refusal}"
    return _blocked(view, text, _ACTION)


def in_vain(view: NodeContext, why: str) -> Move:
    """End the change of a node that was drained, where something else keeps it from being made.

    What it is nobody knew before; at the next try the pods would go for nothing again.
    """
    return _blocked(view, f"the node was drained for nothing: {why}", _MEND)


def _blocked(view: NodeContext, text: str, action: str) -> Move:
    """Until a person asks again or the node has changed; the finding says what to do."""
    found = Finding(
        code=Code.DRAIN_NOT_ENOUGH,
        severity=Severity.FAULT,
        component=view.node.name,
        message=text,
        action=action,
    )
    update = {"findings": (found, *view.status.findings), "next_attempt_at": None}
    return release(
        moved(view, view.status.model_copy(update=update)),
        Phase.BLOCKED,
        DRAIN_NOT_ENOUGH,
        f"nothing was touched: {text}; {action}",
    )
