"""What the planner may decide: values that say everything the executor needs, and do nothing.

Decisions of one node are carried out in their order; the first that fails ends that node's turn,
so an intent that is to be recorded stands before the act that it announces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cni_upgrade.api.node_state import NodeStateStatus

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CreateState:
    """Begin the record of a node."""

    name: str
    body: Body


@dataclass(frozen=True, slots=True)
class DeleteState:
    """Drop the record of a node that is gone; its name now belongs to another node."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Write who governs a node, guarded by the resourceVersion that was read: the first wins."""

    name: str
    resource_version: str
    label: str | None
    """The acting policy, as the label to select by."""
    policy_ref: Body | None
    """The Enforce policy that has the node; None for nobody."""


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Merge a status into a policy or a node state."""

    kind: Literal["CNIUpgradePolicy", "CNINodeState"]
    name: str
    status: Body


@dataclass(frozen=True, slots=True)
class SetFinalizers:
    """Write a policy's finalizers, guarded by the resourceVersion: ours is added or taken away."""

    policy: str
    resource_version: str
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeepStatus:
    """Go on from a status that is not written yet: it is written with what comes of it.

    Lost with the process, and then found again from the record and the cluster: see
    deferred_writes.py.
    """

    name: str
    status: NodeStateStatus


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Send an agent to a node. The name is the operation's id: sending twice is sending once."""

    name: str
    node: str
    body: Body


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Take back a Job whose answer will not be used any more."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Cordon:
    """Mark the node unschedulable and sign it, in one PATCH guarded by the resourceVersion."""

    node: str
    resource_version: str
    owner: str


@dataclass(frozen=True, slots=True)
class Uncordon:
    """Undo our own cordon, in one PATCH guarded by the resourceVersion."""

    node: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Unmark:
    """Take our mark off a node that somebody else has cordoned meanwhile, and leave the cordon."""

    node: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Say on a Node that it is ready for its upgrade, or take that back."""

    node: str
    resource_version: str
    operation: str | None
    """The operation for which it is ready; None takes it back."""


@dataclass(frozen=True, slots=True)
class TakeLease:
    """Take or renew the Lease on a node: created, or guarded by the resourceVersion."""

    name: str
    resource_version: str
    """Of the Lease that is ours or has expired; empty where there is none."""
    body: Body


@dataclass(frozen=True, slots=True)
class DropLease:
    """Give the Lease on a node back."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Ask for one pod to leave, by the eviction API, which respects disruption budgets."""

    node: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class CreateProof:
    """Start a proof pod on a node."""

    name: str
    node: str
    body: Body


@dataclass(frozen=True, slots=True)
class DeleteProof:
    """Delete a proof pod; that it then goes is the proof of DEL."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Emit:
    """A Kubernetes Event on one of our resources or on a Node."""

    kind: Literal["CNIUpgradePolicy", "CNINodeState"]
    name: str
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Decision = (
    CreateState
    | DeleteState
    | Claim
    | SetStatus
    | SetFinalizers
    | KeepStatus
    | CreateJob
    | DeleteJob
    | Cordon
    | Uncordon
    | Unmark
    | Announce
    | TakeLease
    | DropLease
    | Evict
    | CreateProof
    | DeleteProof
    | Emit
)
