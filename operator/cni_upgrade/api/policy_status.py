"""The status of a policy: how many of its nodes are where, and which of them need a person."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cni_upgrade.api.base import Count, Counts, Model, Name, Text, Time, Word, clip, first
from cni_upgrade.api.condition import Conditions
from cni_upgrade.api.config_source import ConfigSource
from cni_upgrade.api.rollout_status import RolloutStatus


class NodeCounts(Model):
    """How many nodes are where."""

    matched: Count = Field(default=0, description="Nodes that the selector matches.")
    by_phase: Counts = Field(
        default_factory=dict,
        description="Matched nodes by the phase of their CNINodeState; phases without a node "
        "are left out. NotUnderstood counts records that a newer operator has written.",
    )


class PolicySummary(Model):
    """The counts that `kubectl get` shows."""

    matched: Count = Field(default=0, description="Nodes that the selector matches.")
    up_to_date: Count = Field(
        default=0, description="Nodes that need no change: compatible as found, or done."
    )
    outdated: Count = Field(
        default=0,
        description="Nodes that need a change, in either mode: waiting for it, at work on it, "
        "blocked, failed or rolled back. A node without an answer yet is in neither count.",
    )
    compatible: Count = Field(default=0, description="Nodes that needed no change.")
    done: Count = Field(default=0, description="Nodes that were changed and proved to work.")
    working: Count = Field(
        default=0, description="Nodes that are audited, drained, changed, proved or rolled back."
    )
    waiting: Count = Field(
        default=0, description="Nodes that wait to be audited, or for their turn."
    )
    blocked: Count = Field(
        default=0,
        description="Nodes that need a change which cannot be made safely, whose files another "
        "program manages, or whose records are not understood.",
    )
    failed: Count = Field(default=0, description="Nodes whose change failed or was rolled back.")
    freed: Count = Field(
        default=0,
        description="Pods that hung in creation or deletion before a change of their node and did "
        "not any more after it; of each node the last change before which any hung counts, and 64 "
        "pods at most.",
    )


class NodeFailure(Model):
    """One node that needs a person."""

    node: Name = Field(description="Name of the node, and of its CNINodeState.")
    phase: Word = Field(
        description="Phase of the node: Failed, RolledBack, Blocked or ManagedElsewhere; Pending "
        "or Auditing where its audits bring no answer, again and again; while the policy is "
        "deleted, what became of giving it back: Refused, Failed or GivenUp."
    )
    reason: Word = Field(default="", description="One CamelCase word that says why.")
    # Ten of them in one object. The schema took more once, and an older operator writes more.
    message: Annotated[str, Field(max_length=8192), BeforeValidator(clip(512))] = Field(
        default="",
        description="What happened and what to do about it, cut after 512 characters; the whole of "
        "it is in the CNINodeState.",
    )
    since: Time | None = Field(default=None, description="Since when the node is in this phase.")


class ReadinessCounts(Model):
    """How many of the matched nodes could move to one runtime as they are."""

    runtime: Word = Field(
        description="The runtime, as spec.readinessFor names it; name=version of the target."
    )
    ready: Count = Field(
        default=0, description="Nodes on which pods would still be created and deleted."
    )
    not_ready: Count = Field(
        default=0, description="Nodes on which they would not; each node state says why."
    )
    unknown: Count = Field(
        default=0, description="Nodes that were not asked yet, or could not tell."
    )


class RestoreCounts(Model):
    """How far a deleted policy is with giving back what it changed."""

    nodes: Count = Field(default=0, description="Nodes that it had changed when it was deleted.")
    restored: Count = Field(default=0, description="Nodes that have their files back.")
    working: Count = Field(default=0, description="Nodes that are being worked on.")
    waiting: Count = Field(default=0, description="Nodes that wait for their turn.")
    refused: Count = Field(
        default=0, description="Nodes where it would not be safe, or not ours to do; untouched."
    )
    failed: Count = Field(default=0, description="Nodes where it went wrong.")
    given_up: Count = Field(
        default=0, description="Nodes that could not be reached or had no turn for too long."
    )
    since: Time | None = Field(
        default=None,
        description="Since when no node was settled, counted from the end of a stop or a pause; "
        "absent while everything is stopped or the policy is paused.",
    )


class PolicyStatus(Model):
    """How far it is."""

    observed_generation: int = Field(
        default=-1,
        ge=-1,
        description="The metadata.generation that this status was computed from; -1 before the "
        "controller has seen the policy.",
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready and NodesMatched are always there; Reconciling (work is under way), "
        "Stalled (a person is needed), Paused, Stopped (all policies are), NodesSilent (nothing "
        "else keeps an audit from its end) and Overlapping (with another Enforce policy) only "
        "while true.",
    )
    message: Text = Field(default="", description="Where the rollout is, in one sentence.")
    nodes: NodeCounts | None = Field(
        default=None, description="How many nodes are matched, and how many are in each phase."
    )
    summary: PolicySummary | None = Field(
        default=None, description="The same counts in few groups, as kubectl get shows them."
    )
    rollout: RolloutStatus | None = Field(
        default=None,
        description="Where the rollout is: the present wave, what it waits for, and counts. "
        "Of a policy that only audits: where it was when it enforced, what has failed, and absent "
        "if it never did.",
    )
    versions: Counts = Field(
        default_factory=dict,
        description="Number of matched nodes by the CNI version of their active config; the key "
        '"missing" counts configs without one, "invalid" and "unreadable" files that are none.',
    )
    readiness: Annotated[
        tuple[ReadinessCounts, ...], Field(max_length=9), BeforeValidator(first(9))
    ] = Field(
        default=(),
        description="For spec.target.runtime and each runtime of spec.readinessFor, how many nodes "
        "are ready for it.",
    )
    restore: RestoreCounts | None = Field(
        default=None,
        description="While the policy is deleted with deletionPolicy Restore: how far that is.",
    )
    failures: Annotated[
        tuple[NodeFailure, ...], Field(max_length=10), BeforeValidator(first(10))
    ] = Field(
        default=(),
        description="The first ten nodes that need a person, with their reasons; every node's own "
        "story is in its CNINodeState.",
    )
    sources: Annotated[tuple[ConfigSource, ...], Field(max_length=8), BeforeValidator(first(8))] = (
        Field(
            default=(),
            description="The ConfigMaps from which network add-ons write the configs of these "
            "nodes, and how to mend each at its source. The operator changes none of them.",
        )
    )
