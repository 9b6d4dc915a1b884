"""The node state: what one node has, what is happening to it, and what has happened."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from cni_upgrade.api import names
from cni_upgrade.api.base import Count, Line, Model, Name, Text, Time, Uid, Word, Words, first, last
from cni_upgrade.api.condition import Conditions
from cni_upgrade.api.drain import Drain
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.report import Baseline, Report
from cni_upgrade.api.verify import OnFailure, Verify


class Phase(StrEnum):
    """Where a node is on its way."""

    PENDING = "Pending"
    AUDITING = "Auditing"
    COMPATIBLE = "Compatible"
    WAITING = "Waiting"
    DRAINING = "Draining"
    APPLYING = "Applying"
    PROVING = "Proving"
    DONE = "Done"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    BLOCKED = "Blocked"
    MANAGED_ELSEWHERE = "ManagedElsewhere"


ShownPhase = Annotated[
    Phase | Word,
    Field(union_mode="left_to_right"),
    WithJsonSchema({"type": "string", "maxLength": 256}),
]
"""A phase, or the word for one that only a newer controller knows: shown, never refused."""


class PolicyRef(Model):
    """The policy that has claimed a node."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the CNIUpgradePolicy."
    )
    uid: Uid = Field(
        description="UID of the CNIUpgradePolicy; a policy of the same name created later does "
        "not inherit the claim."
    )
    since: Time | None = Field(default=None, description="When the policy claimed the node.")


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
        description="Digest of what people asked for then (target, managedFiles, paths and the "
        "annotation cniupgrade.dev/retry); a different one asks to try a failed node again.",
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


class ProofStatus(Model):
    """The pods that show whether the node works."""

    old_pod: Name | None = Field(
        default=None, description="Pod that was created before the change, to be deleted after it."
    )
    new_pod: Name | None = Field(
        default=None, description="Pod that is created and deleted after the change."
    )
    add: bool | None = Field(
        default=None,
        description="Whether the new pod got its network; absent while not known.",
    )
    delete: bool | None = Field(
        default=None, description="Whether the new pod could be deleted; absent while not known."
    )
    old_delete: bool | None = Field(
        default=None,
        description="Whether the pod from before the change could be deleted; absent while not "
        "known.",
    )
    soaked: bool = Field(
        default=False,
        description="Whether the soak of spec.verify.soak is over, so that this is the last pod.",
    )
    outcome: Word | None = Field(
        default=None,
        description="What the proof shows, compared with the baseline; absent while it runs.",
    )


class HungPods(Model):
    """Pods of the node that hung in creation or deletion, before and after the last change."""

    before: Words = Field(
        default=(),
        description="Pods, as namespace/name, that got no network or could not be deleted "
        "before the last change; 64 at most.",
    )
    after: Words = Field(
        default=(), description="Those of them that still hung when the node was given back."
    )


class Ending(Model):
    """What a node will be once it is given back."""

    phase: ShownPhase = Field(description="The phase to rest in.")
    reason: Word = Field(description="One CamelCase word that says why.")
    message: Text = Field(default="", description="What happened and what to do about it.")


class Ordered(Model):
    """How the policy wanted the node worked on, for when it is gone before that has ended."""

    on_failure: OnFailure = Field(description="spec.onFailure of the policy.")
    verify: Verify = Field(description="spec.verify of the policy.")
    drain: Drain = Field(description="spec.drain of the policy.")
    paths: Word = Field(default="auto", description="spec.paths of the policy.")


class OperationStatus(Model):
    """The operation that is under way."""

    id: Name = Field(
        description="Name of the operation and of its Job: the same work always has the same id."
    )
    kind: Word = Field(description="audit, apply, restore or prove.")
    digest: Word = Field(
        default="", description="SHA-256 of everything that the node is asked to do."
    )
    attempt: Count = Field(default=0, description="Number of this attempt, from 0.")
    step: Word = Field(default="", description="What is being done now.")
    policy: PolicyRef | None = Field(
        default=None, description="The policy on whose behalf the node is worked on."
    )
    started_at: Time | None = Field(default=None, description="When the operation started.")
    step_since: Time | None = Field(default=None, description="When its present step started.")
    deadline: Time | None = Field(default=None, description="When the present step is given up.")
    job: Name | None = Field(
        default=None, description="Name of the Job in the namespace of the agents."
    )
    input: Annotated[str, Field(max_length=32768)] | None = Field(
        default=None,
        description="The JSON that is handed to the agent, kept so that a restarted controller "
        "sends the same.",
    )
    ordered: Ordered | None = Field(
        default=None,
        description="How the policy wanted the node worked on as the operation began; holds once "
        "the policy is gone. Absent for an audit.",
    )
    proof: ProofStatus | None = Field(
        default=None, description="The proof of this operation: its pods and what they show."
    )
    hung: Words | None = Field(
        default=None,
        description="Pods, as namespace/name, that hung in creation or deletion before the "
        "change; absent until they were looked for.",
    )
    blockers: Words = Field(
        default=(),
        description="What the present step waits for, such as pods and the disruption budgets "
        "that keep them.",
    )
    cordoned: bool = Field(
        default=False, description="Whether the operator cordoned the node for this operation."
    )
    ending: Ending | None = Field(
        default=None,
        description="How the operation ended, while the node is still to be given back.",
    )


class LastOperation(Model):
    """The operation that ended last."""

    id: Name = Field(description="Name of the operation and of its Job.")
    kind: Word = Field(description="audit, apply or restore.")
    outcome: Word = Field(default="", description="How it ended, for example Done or Failed.")
    finished_at: Time | None = Field(default=None, description="When it ended.")
    backup: Word | None = Field(
        default=None, description="Backup on the node that it made or used; absent for an audit."
    )
    attempt: Count = Field(default=0, description="Number of that attempt, from 0.")


class LastChange(Model):
    """How the change that ended last has ended."""

    outcome: Word = Field(
        description="Done, Failed, RolledBack or Unproved (written; the proof said nothing yet)."
    )
    at: Time = Field(description="When it ended.")
    policy: Uid = Field(default="", description="UID of the policy on whose behalf it was made.")
    baseline: Baseline | None = Field(
        default=None,
        description="While Unproved or Failed: what worked before the change, for its proof to be "
        "compared with; absent where that is not known.",
    )
    backup: Word | None = Field(
        default=None,
        description="While Unproved or Failed: the backup to go back to where the proof shows "
        "that it is worse than before.",
    )


class HistoryEntry(Model):
    """One thing that happened to the node."""

    at: Time = Field(description="When it happened.")
    kind: Word = Field(
        description="apply or restore; drift where somebody else had changed a file; drain."
    )
    operation: Name = Field(default="", description="Name of the operation.")
    outcome: Word = Field(default="", description="How it ended, for example Done or Failed.")
    from_: Word | None = Field(
        default=None,
        alias="from",
        description='The CNI version before; "missing" when there was none.',
    )
    to: Word | None = Field(default=None, description="The CNI version after.")
    backup: Word | None = Field(default=None, description="Backup on the node that goes with it.")
    message: Text = Field(default="", description="What happened, in one sentence.")
    diff: Text | None = Field(
        default=None, description="What was changed in the files, as a unified diff, shortened."
    )


class DriftStatus(Model):
    """Changes of somebody else to a file that was written here."""

    found: Annotated[tuple[Time, ...], Field(max_length=32), BeforeValidator(last(32))] = Field(
        default=(), description="When such changes were found, oldest first; the last 32."
    )
    file: Word = Field(default="", description="Name of the file that was changed last.")
    sha256: Word | None = Field(
        default=None,
        description="SHA-256 of what stands there instead; absent once it was mended.",
    )
    spent: bool = Field(
        default=False,
        description="True once spec.drift of the policy is used up: nothing is mended until a "
        "person asks (cniupgrade.dev/retry) or the file holds something else.",
    )
    fought: Word | None = Field(
        default=None,
        description="SHA-256 of what stood there when it was used up: not mended by itself.",
    )
    retry: Word = Field(
        default="", description="The values of cniupgrade.dev/retry when it was found."
    )
    writer: Line = Field(
        default="", description="Who writes the file, as far as the audit could find out."
    )


class ChangedFile(Model):
    """One file that a policy changed."""

    name: Word = Field(description="Name of the file in the folder of configs.")
    backup: Word = Field(description="Backup on the node that holds it as it was before.")
    from_: Word = Field(
        default="missing",
        alias="from",
        description='The CNI version before the policy; "missing" when there was none.',
    )
    to: Word | None = Field(default=None, description="The CNI version that was written last.")
    sha256: Word = Field(default="", description="SHA-256 of what was written last.")


class Changed(Model):
    """What a policy changed on the node: what its deletion may give back."""

    policy: PolicyRef = Field(description="The policy that changed them.")
    files: Annotated[tuple[ChangedFile, ...], Field(max_length=32), BeforeValidator(first(32))] = (
        Field(default=(), description="Files that are not yet as they were before it.")
    )
    unknown: bool = Field(
        default=False,
        description="True when the record was made anew and the backups on the node could not be "
        "read: what the policy changed is not known, and is not given back.",
    )
    drain: bool = Field(
        default=False,
        description="True when pods that run keep the files from being given back: they leave "
        "first.",
    )
    restored: Word | None = Field(
        default=None,
        description="What became of it when the policy was deleted: Restored, Refused (nothing "
        "was touched), Failed or GivenUp; absent while the change stands.",
    )
    restored_at: Time | None = Field(default=None, description="When that was known.")
    message: Text = Field(default="", description="The same in one sentence.")


class NodeStateStatus(Report):
    """What the node has, and what is done to it."""

    observed_generation: int = Field(
        default=-1,
        ge=-1,
        description="The metadata.generation that this status was computed from; -1 before the "
        "controller has seen the node state.",
    )
    phase: ShownPhase = Field(
        default=Phase.PENDING,
        description="Pending, Auditing, Compatible (nothing to do), Waiting (for its turn), "
        "Draining, Applying, Proving, Done, RollingBack, RolledBack, Failed, Blocked (cannot be "
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
        description="Pods of the node that hung before the last change, and after it; absent "
        "before the first change.",
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
