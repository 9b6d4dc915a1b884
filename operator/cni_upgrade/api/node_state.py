"""The node state: what one node has, what is happening to it, and what has happened."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from cni_upgrade.api import names
from cni_upgrade.api.base import Count, Model, Name, Text, Time, Uids, Word, Words, first, last
from cni_upgrade.api.changed import Changed
from cni_upgrade.api.condition import Conditions
from cni_upgrade.api.drift import DriftStatus
from cni_upgrade.api.history import HistoryEntry, HungPods, LastChange, LastOperation
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.api.phase import Phase, ShownPhase
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.api.report import Report


class NodeStateSpec(Model):
    """Which node this is, and who may change it."""

    node_uid: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        alias="nodeUID",
        description="UID of the Node; a node that joins again under the same name has another.",
    )
    policy_ref: PolicyRef | None = Field(
        default=None,
        description="The Enforce policy that has claimed this node; only it may change the "
        "node. Absent when no policy has.",
    )


class Observed(Model):
    """What the last audit was made from: when one of these changes, the node is audited again."""

    audit_key: Word = Field(
        default="",
        description="Digest of everything that the last audit depended on; a different one asks "
        "for a new audit.",
    )
    asked_key: Word = Field(
        default="",
        description="Digest of what people wanted (target, managedFiles, paths) as the last audit "
        "began that brought an answer; a different one asks to try a failed node again.",
    )
    retry: Word = Field(
        default="/",
        description="Digests of the annotation cniupgrade.dev/retry of the policy and of this "
        "node state that were answered last, by a look or by a failure; another value asks again, "
        "and one that is taken away asks for nothing.",
    )
    audited_at: Time | None = Field(
        default=None, description="When the last audit ended; absent when it brought no answer."
    )
    boot_id: Word = Field(
        default="", alias="bootID", description="Boot ID of the node at the last audit."
    )
    runtime_version: Word = Field(
        default="",
        description="Container runtime and its version at the last audit, as the Node names it.",
    )
    kubelet_version: Word = Field(
        default="", description="Version of the kubelet at the last audit."
    )
    ready_since: Time | None = Field(
        default=None,
        description="Since when the node was Ready, or was not, at the last audit or change, by "
        "its own clock; one that is Ready since another time is looked at again.",
    )
    truncated: bool = Field(
        default=False,
        description="True when the report did not fit and this is its summary; the whole report "
        "is the log of the audit's pod.",
    )


class NodeStateStatus(Report):
    """What the node has, and what is done to it."""

    # Who owns which of its members is of no use where all have one writer, and to keep account of
    # it was a quarter of what the API server had to do for a patch.
    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    observed_generation: int = Field(
        default=-1,
        ge=-1,
        description="The metadata.generation that this status was computed from; -1 before the "
        "controller has seen the node state.",
    )
    phase: ShownPhase = Field(
        default=Phase.PENDING,
        description="Pending, Auditing, Compatible (nothing to do), Waiting (for its turn), "
        "Draining, Applying, Upgrading (ready for somebody else to upgrade it), Proving, Done, "
        "RollingBack, RolledBack, Failed, Blocked (cannot be "
        "done safely) or ManagedElsewhere (another program owns the file).",
    )
    phase_since: Time | None = Field(
        default=None,
        description="Since when the node is in this phase; a look at a good node begins it anew.",
    )
    reason: Word = Field(
        default="", description="One CamelCase word that says why the node is in this phase."
    )
    message: Text = Field(
        default="", description="What is waited for, or what a person can do, in one sentence."
    )
    found: Word | None = Field(
        default=None,
        description='CNI version of the active config as last seen; "missing" when it has none, '
        '"invalid" when the file is no config that libcni reads, "unreadable" when it could not '
        "be read, absent when there is no active config.",
    )
    target: Word | None = Field(
        default=None,
        description="CNI version that this node is to reach or has reached; absent when it can "
        "reach none.",
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready is always there; Reconciling (work is under way) and Stalled (a "
        "person is needed) only while true.",
    )
    policies: Annotated[tuple[Name, ...], Field(max_length=64), BeforeValidator(first(64))] = Field(
        default=(),
        description="Names of the policies that select this node beside the one in "
        "spec.policyRef: they only look, or have to stand back.",
    )
    observed: Observed | None = Field(
        default=None, description="What the last audit was made from, and when."
    )
    operation: OperationStatus | None = Field(
        default=None, description="The operation that is under way; absent between operations."
    )
    last_operation: LastOperation | None = Field(
        default=None, description="The operation that ended last."
    )
    changed: Changed | None = Field(
        default=None,
        description="What the policy that changed this node last has changed there; absent while "
        "none has.",
    )
    drift: DriftStatus | None = Field(
        default=None,
        description="Changes of somebody else to what was written; absent while none was found.",
    )
    leftovers: Words = Field(
        default=(),
        description="What of the operator's is still on the node and cannot go, such as a proof "
        "pod that hangs in Terminating because deleting pods does not work there; it goes by "
        "itself once that works.",
    )
    hung: HungPods | None = Field(
        default=None,
        description="Pods of the node that hung before the last change before which any did, and "
        "after it; absent before the first change.",
    )
    drain_held_by: Uids = Field(
        default=(),
        description="UIDs of the pods that held the last drain before a change, which was given up "
        "or called off; the next one asks them first, and the others once these go. Empty after "
        "a drain that went well.",
    )
    last_change: LastChange | None = Field(
        default=None,
        description="How the change that ended last has ended; absent before there was one.",
    )
    canary: Word = Field(
        default="",
        description="Digest of the rollout as whose canary the node was begun; empty for a node "
        "that was none.",
    )
    attempts: Count = Field(
        default=0, description="How often the present change was tried without success."
    )
    serial: Count = Field(
        default=0,
        description="How many operations were started on this node; makes each id its own.",
    )
    next_attempt_at: Time | None = Field(
        default=None, description="When the next attempt may start; absent when none is planned."
    )
    history: Annotated[
        tuple[HistoryEntry, ...], Field(max_length=10), BeforeValidator(last(10))
    ] = Field(
        default=(),
        description="The last ten operations on this node that changed or tried to change "
        "something, oldest first.",
    )


class CNINodeState(Model):
    """What one node has of CNI, what is being done to it, and what was done.

    It bears the name of its Node, is owned by it and goes with it. Written by the controller.
    """

    api_version: Literal["cniupgrade.dev/v1alpha1"] = names.API_VERSION
    kind: Literal["CNINodeState"] = names.NODE_STATE_KIND
    metadata: ObjectMeta
    spec: NodeStateSpec = Field(description="Which node this is, and which policy claimed it.")
    status: NodeStateStatus = Field(
        default=NodeStateStatus(),
        description="What was found on the node and what is done to it; written by the controller.",
    )
