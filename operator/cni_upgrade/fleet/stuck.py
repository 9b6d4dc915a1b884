"""A node at work on which only others can do something: what is begun there may never end."""

from __future__ import annotations

from cni_upgrade.fleet import cordon
from cni_upgrade.fleet.budget import changing
from cni_upgrade.fleet.member import Member
from cni_upgrade.fleet.phases import UNPLANNABLE, UNTOUCHED, Step


def stuck(member: Member, leased: bool) -> bool:
    """Whether its kubelet is silent in the midst of a change, or somebody else has the node that is
    to be put back or given back; `leased` where that is by a Lease."""
    state, node = member.state, member.node
    operation = state.status.operation if state is not None else None
    if state is None or operation is None or not changing(state):
        return False
    if state.status.reason == UNPLANNABLE:
        return False
    ends, back = operation.step == Step.RELEASE, operation.step == Step.CORDON_BACK
    # Before anything is touched the change is called off, and to uncordon needs no kubelet.
    if node.ready == "Unknown" and not ends and operation.step not in UNTOUCHED:
        return True
    theirs = node.unschedulable and not cordon.ours(node)
    return (back and theirs) or (leased and (back or ends))
