"""A change that is written and not proved: nobody knows what it has done to its node.

While that is so no other node begins: what keeps one proof from saying anything, a quota or an
admission policy, may keep all of them from it, and the fleet would be written unproved.
"""

from __future__ import annotations

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.fleet.phases import UNPROVED


def unproved(status: NodeStateStatus, policy: CNIUpgradePolicy) -> bool:
    """Whether what stands on the node was written for this policy and never proved.

    Never so for a policy that wants no proof, or none any more: that is a person's way out.
    """
    last = status.last_change
    return (
        policy.spec.mode == Mode.ENFORCE
        and policy.spec.verify.proof
        and last is not None
        and last.outcome == UNPROVED
        and last.policy == policy.metadata.uid
    )
