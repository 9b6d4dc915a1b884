"""Whether a change is still wanted: asked in every pass until its first file may be written.

Until an agent has a container nothing of it has run, so it can be taken back with its Job.
"""

from __future__ import annotations

from cni_upgrade.api.policy import Mode
from cni_upgrade.planner.limits.emergency_stop import stopped
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.governance import matches, paused


def unwanted(view: NodeContext) -> str:
    """Why the change under way is not wanted any more, by anybody's word; empty while it is."""
    policy, ref = view.orderer, view.operation.policy
    name = ref.name if ref else "?"
    if policy is None or policy.metadata.deletion_timestamp:
        return f"policy {name} is gone"
    if policy.spec.mode != Mode.ENFORCE:
        return f"policy {name} does not enforce any more"
    if not matches(policy.spec.node_selector, view.node.labels):
        return f"policy {name} does not select the node any more"
    if view.world.stopped:
        return stopped(view.world)
    if paused(policy):
        return f"policy {name} is paused"
    return ""


def outdated(view: NodeContext) -> str:
    """Says so where what is ordered follows from a look that answers another question than today's:
    another target is wanted, or the node has another runtime."""
    policy, seen = view.orderer, view.status.observed
    if policy is None:
        return ""
    key = audit_key(view.node, view.state, policy, view.world.config)
    return "" if seen is not None and seen.audit_key == key else "what the audit saw has changed"
