"""The names by which others know us: changing one breaks every cluster, so each is written once."""

from typing import Final

GROUP: Final = "cniupgrade.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "cniupgrade.dev/v1alpha1"
CATEGORY: Final = "cniupgrade"

POLICY_KIND: Final = "CNIUpgradePolicy"
POLICY_PLURAL: Final = "cniupgradepolicies"
POLICY_SINGULAR: Final = "cniupgradepolicy"
POLICY_SHORT: Final = "cup"

NODE_STATE_KIND: Final = "CNINodeState"
NODE_STATE_PLURAL: Final = "cninodestates"
NODE_STATE_SINGULAR: Final = "cninodestate"
NODE_STATE_SHORT: Final = "cns"

FIELD_MANAGER: Final = "cni-upgrade-operator"
"""Under this name the API server notes which fields we have written last."""

# Annotations.
PAUSED: Final = "cniupgrade.dev/paused"
"""On a policy: pauses it unless "false", also where GitOps would revert an edit of its spec."""
STOP: Final = "cniupgrade.dev/stop"
"""On the namespace of the agents: nothing begins anywhere, unless "false". Its value says why."""
CORDONED_BY: Final = "cniupgrade.dev/cordoned-by"
"""On a Node: the operation that cordoned it. See planner/node/cordon.py for whose cordon it is."""
READY_FOR_UPGRADE: Final = "cniupgrade.dev/ready-for-upgrade"
"""On a Node: it is cordoned and drained, and may be upgraded now. Its value is the operation."""
RETRY: Final = "cniupgrade.dev/retry"
"""On a node state or a policy: a new value asks for another attempt now."""

LET_GO: Final = "cniupgrade.dev/let-go"
"""On a policy that is being deleted: ends the giving back at once, unless "false"."""

FINALIZER: Final = "cniupgrade.dev/restore"
"""On a policy whose deletion gives back what it changed, until that is done or given up."""

# Labels.
LABEL_POLICY: Final = "cniupgrade.dev/policy"
LABEL_NODE: Final = "cniupgrade.dev/node"
LABEL_OPERATION: Final = "cniupgrade.dev/operation"
LABEL_COMPONENT: Final = "cniupgrade.dev/component"
