"""The policy: which CNI version a set of nodes must speak, how carefully and how fast."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from cni_upgrade.api import names
from cni_upgrade.api.base import Count, Counts, Model, Name, Text, Time, Word, clip, first
from cni_upgrade.api.condition import Conditions
from cni_upgrade.api.config_source import ConfigSource
from cni_upgrade.api.duration import Duration
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.node.operation import Form, ManagedFiles, RewriteMode, Selection


class Mode(StrEnum):
    """Whether nodes are only looked at, or changed."""

    AUDIT = "Audit"
    ENFORCE = "Enforce"


class DrainPolicy(StrEnum):
    """When a node is drained before a change."""

    NEVER = "Never"
    IF_REQUIRED = "IfRequired"
    ALWAYS = "Always"


class OnFailure(StrEnum):
    """What happens when a node is worse than before."""

    ROLLBACK = "Rollback"
    STOP = "Stop"


class DeletionPolicy(StrEnum):
    """What becomes of changed nodes when their policy is deleted."""

    RETAIN = "Retain"
    RESTORE = "Restore"


class SelectorOperator(StrEnum):
    """The operators of a label selector."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


SpecVersion = Literal["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]

LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ),
]
LabelValue = Annotated[
    str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
]


# CEL rules of the CRD that the models check once more: API servers before 1.25 drop them.
_VALUES_WANTED = "values: at least one is needed for the operators In and NotIn"
_VALUES_UNWANTED = "values: must be left out for the operators Exists and DoesNotExist"
_CANARY_WANTED = "canary: exactly one of nodes and nodeSelector is needed"
_LABEL_WANTED = "label: needed with by: Label, and only there"
_SELECTORS_WANTED = "selectors: at least one is needed with by: Selectors, and only there"
_LONGEST_NAME = 63
_NAME_TOO_LONG = (
    f"metadata.name: at most {_LONGEST_NAME} characters, because it becomes the value of a label"
)


class LabelSelectorRequirement(Model):
    """One requirement on the labels of a node."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!(self.operator in ['In', 'NotIn']) || "
                    "(has(self.values) && size(self.values) > 0)",
                    "message": _VALUES_WANTED,
                },
                {
                    "rule": "self.operator in ['In', 'NotIn'] || "
                    "!has(self.values) || size(self.values) == 0",
                    "message": _VALUES_UNWANTED,
                },
            ]
        }
    )

    key: LabelKey = Field(description="The label key that the requirement is about.")
    operator: SelectorOperator = Field(
        description="In and NotIn compare the label's value with values; Exists and DoesNotExist "
        "only ask whether the label is there."
    )
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = Field(
        default=(),
        description="Values for In and NotIn (at least one); left out for Exists and DoesNotExist.",
    )

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        """`NotIn` of nothing would be every node."""
        if self.operator in (SelectorOperator.IN, SelectorOperator.NOT_IN):
            if not self.values:
                raise ValueError(_VALUES_WANTED)
        elif self.values:
            raise ValueError(_VALUES_UNWANTED)
        return self


class LabelSelector(Model):
    """Which nodes; all requirements must hold."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: Annotated[Mapping[str, LabelValue], Field(max_length=64)] = Field(
        default_factory=dict,
        description="Labels that a node must have, each with exactly this value.",
    )
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=32)] = (
        Field(default=(), description="Requirements on a node's labels; all of them must hold.")
    )


class CniTarget(Model):
    """The version that CNI configs are to carry."""

    version: SpecVersion = Field(
        default="1.0.0",
        description="The CNI version to reach, and never to exceed. Default 1.0.0.",
    )
    selection: Selection = Field(
        default=Selection.HIGHEST_COMPATIBLE,
        description="HighestCompatible (default): each node gets the highest version, up to the "
        "target, that its runtime, every plugin of the chain and its running pods support. "
        "Exact: a node that cannot take the target itself is Blocked and not touched.",
    )
    rewrite: RewriteMode = Field(
        default=RewriteMode.TO_TARGET,
        description="ToTarget (default): every config is brought to the version to reach. "
        "OnlyFaulty: a config whose older version works on its node is left as it is.",
    )
    format: Form = Field(
        default=Form.KEEP,
        description="Keep (default): a single-plugin config (.conf or .json) stays one. List: "
        "where such a config is brought to the version to reach, it becomes a .conflist of the "
        "same name, the form that the specification asks for from 1.0.0 on; the list lands first, "
        "then the old file goes. Where that is not safe it stays one, and a finding says why.",
    )


class Target(Model):
    """What is to be upgraded."""

    cni: CniTarget = Field(
        default=CniTarget(), description="The cniVersion of the CNI configs on the nodes."
    )


_PERCENT = re.compile(r"(100|[1-9][0-9]?)%")


def _int_or_percent(value: object) -> object:
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError('must be a number of at least 1 or a percentage from "1%" to "100%"')


IntOrPercent = Annotated[
    int | str,
    BeforeValidator(_int_or_percent),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "pattern": rf"^{_PERCENT.pattern}$",
            "maxLength": 4,
        }
    ),
]


class OrderBy(StrEnum):
    """What divides the nodes into waves."""

    NAME = "Name"
    ZONE = "Zone"
    LABEL = "Label"
    SELECTORS = "Selectors"


class CountFailures(StrEnum):
    """Which failed nodes use up the failure budget."""

    TOTAL = "Total"
    CONSECUTIVE = "Consecutive"


class Cordoned(StrEnum):
    """What happens about a node that somebody else has cordoned."""

    WAIT = "Wait"
    SKIP = "Skip"


class Canary(Model):
    """The nodes that go first, and have to pass before any other begins."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.nodes) != has(self.nodeSelector)",
                    "message": _CANARY_WANTED,
                }
            ]
        }
    )

    nodes: IntOrPercent | None = Field(
        default=None,
        description="How many nodes are changed first: a number or a percentage of the matched "
        'nodes such as "5%", rounded down, but at least one. Nodes that need no change do not '
        "count; which ones it is follows from order.",
    )
    node_selector: LabelSelector | None = Field(
        default=None,
        description="Which of the matched nodes go first, by their labels. A selector that takes "
        "none of them stops the rollout; it never passes silently.",
    )
    soak: Duration = Field(
        default="10m",
        description="How long every canary must have been well (Done or Compatible, and Ready) "
        "before any other node begins, for example 30m or 24h. Default 10m.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.nodes is None) == (self.node_selector is None):
            raise ValueError(_CANARY_WANTED)
        return self


class LabelOrder(Model):
    """Waves by the values of one label."""

    key: LabelKey = Field(description="The label of the nodes.")
    values: Annotated[tuple[LabelValue, ...], Field(min_length=1, max_length=64)] = Field(
        description="One wave for each value, in this order. Nodes with another value, or "
        "without the label, come last."
    )


class Order(Model):
    """In which order the nodes are changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    # The default {} is checked before the defaults inside it are filled in.
                    "rule": "(has(self.by) && self.by == 'Label') == has(self.label)",
                    "message": _LABEL_WANTED,
                },
                {
                    "rule": "(has(self.by) && self.by == 'Selectors') == "
                    "(has(self.selectors) && size(self.selectors) > 0)",
                    "message": _SELECTORS_WANTED,
                },
            ]
        }
    )

    by: OrderBy = Field(
        default=OrderBy.NAME,
        description="Name (default): all nodes are one wave, by name. Zone: one wave for each "
        "topology.kubernetes.io/zone, by name; nodes without one come last. Label: one wave for "
        "each of label.values. Selectors: one wave for each of selectors. A wave begins when the "
        "one before it is finished; within a wave of a zone, label or selector the oldest node "
        "goes first.",
    )
    label: LabelOrder | None = Field(
        default=None, description="With by: Label, the label and the order of its values."
    )
    selectors: Annotated[tuple[LabelSelector, ...], Field(max_length=16)] = Field(
        default=(),
        description="With by: Selectors, one wave for each, in this order; a node belongs to the "
        "first that takes it. Nodes that none takes come last.",
    )

    @model_validator(mode="after")
    def _what_it_is_by(self) -> Self:
        if (self.by == OrderBy.LABEL) != (self.label is not None):
            raise ValueError(_LABEL_WANTED)
        if (self.by == OrderBy.SELECTORS) != bool(self.selectors):
            raise ValueError(_SELECTORS_WANTED)
        return self


class MaintenanceWindow(Model):
    """A time in which nodes may be changed."""

    schedule: Annotated[
        str, Field(max_length=100, pattern=r"^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$")
    ] = Field(
        description="When the window opens: a cron expression of five fields (minute, hour, day "
        "of month, month, day of week), for example 0 22 * * 1-5. A time that a change of clocks "
        "leaves out is taken right after it, one that comes twice is taken once."
    )
    duration: Duration = Field(
        description="How long it stays open, for example 4h. No change begins that could not end "
        "by then, by its deadlines."
    )
    time_zone: Annotated[
        str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$")
    ] = Field(
        default="UTC",
        description="Time zone of the schedule, as the IANA database names it, for example "
        "Europe/Berlin. Default UTC.",
    )


class Rollout(Model):
    """In which order, when, how many nodes at once, and how many may fail."""

    max_unavailable: IntOrPercent = Field(
        default=1,
        description="How many of the matched nodes may be unavailable at once, those being "
        "changed and those that are down or cordoned for other reasons included: a number or a "
        'percentage such as "10%", rounded down, but at least one node. Default 1. A node that '
        "is unavailable already may be changed all the same. A node that several Enforce policies "
        "select needs a place with each.",
    )
    max_parallel: int = Field(
        default=10,
        ge=1,
        description="How many nodes this policy changes at the same time; audits do not count. "
        "Default 10.",
    )
    canary: Canary | None = Field(
        default=None,
        description="Nodes that go first; all others wait until these are well and have soaked. "
        "Default: none.",
    )
    order: Order = Field(
        default=Order(), description="In which order the nodes are changed, after the canary."
    )
    max_failures: IntOrPercent = Field(
        default=1,
        description="How many failed or rolled-back nodes stop the rollout: a number or a "
        'percentage of the matched nodes such as "5%", rounded down, but at least one. Default 1: '
        "the first one does. Nodes under way are finished. A canary that fails stops it in any "
        "case. The annotation cniupgrade.dev/retry with a new value, on a node state or on the "
        "policy, gives failures back.",
    )
    count_failures: CountFailures = Field(
        default=CountFailures.TOTAL,
        description="Total (default): every failed node counts until it is retried. Consecutive: "
        "only those count that ended since the last node that succeeded.",
    )
    windows: Annotated[tuple[MaintenanceWindow, ...], Field(max_length=16)] = Field(
        default=(),
        description="When nodes may be changed; none means always. A change begins only where "
        "it can end, by its deadlines, before the window closes. Audits are not bound to them.",
    )
    cordoned: Cordoned = Field(
        default=Cordoned.WAIT,
        description="What to do about a node that somebody else has cordoned; it is never "
        "uncordoned. Wait (default): its wave waits for it. Skip: the others go on without it; "
        "it follows when it is given back.",
    )


class Drain(Model):
    """Whether and how pods are moved away before a change."""

    policy: DrainPolicy = Field(
        default=DrainPolicy.IF_REQUIRED,
        description="IfRequired (default): drain only where running pods could otherwise not be "
        "deleted after the change. Always: drain before every change. Never: a node whose change "
        "needs a drain is Blocked.",
    )
    deadline: Duration = Field(
        default="15m",
        description="How long a drain may take, for example 90s, 15m or 1h30m. Then the node is "
        "given back, and its state names the pods and budgets that were in the way. Default 15m.",
    )
    delete_empty_dir_data: bool = Field(
        default=False,
        description="Drain also pods that use emptyDir volumes, whose data is lost, as kubectl "
        "drain --delete-emptydir-data does. Default false: such a pod stops the drain.",
    )
    force: bool = Field(
        default=False,
        description="Drain also pods that no controller would create again, as kubectl drain "
        "--force does. Default false: such a pod stops the drain.",
    )


class Drift(Model):
    """What happens when somebody else changes back what was written."""

    max_reverts: int = Field(
        default=3,
        ge=0,
        le=30,
        description="How often a node is mended, within the time that within says, after somebody "
        "else has changed a file that was written for this policy. Then the node is "
        "ManagedElsewhere, and the other program is named as far as it is known. Default 3; 0 "
        "never mends.",
    )
    within: Duration = Field(
        default="24h",
        description="The time in which maxReverts counts, for example 12h or 24h. Default 24h.",
    )


class Backup(Model):
    """The copies that are kept on each node."""

    keep: int = Field(
        default=5,
        ge=1,
        le=50,
        description="How many backups of the CNI configs to keep on each node, from 1 to 50; the "
        "oldest go first. Default 5.",
    )


class Verify(Model):
    """How a changed node is judged."""

    proof: bool = Field(
        default=True,
        description="After a change, show with pods on that node that one can be created and "
        "one from before can be deleted. Default true; false trusts the agent's own check.",
    )
    deadline: Duration = Field(
        default="2m",
        description="How long the proof may take, for example 90s or 2m. Default 2m.",
    )
    soak: Duration | None = Field(
        default=None,
        description="How long a proved node stays cordoned and watched before it is proved once "
        "more and given back, for example 5m; shows a network add-on that puts its file back. "
        "Left out: not at all.",
    )


RuntimeRange = Annotated[
    str,
    Field(max_length=32, pattern=r"^(containerd|cri-o)>=[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$"),
]


class PolicySpec(Model):
    """What is wanted."""

    mode: Mode = Field(
        default=Mode.AUDIT,
        description="Audit (default): look, report and change nothing. Enforce: bring the "
        "nodes to the target. Any number of Audit policies may select a node, but only one "
        "Enforce policy: the first to claim it.",
    )
    node_selector: LabelSelector = Field(
        description="Which nodes, by their labels. Required; {} means every node. A selector "
        "that matches no node is reported as a condition, never as success."
    )
    target: Target = Field(
        default=Target(), description="What is to be upgraded, and to which version."
    )
    paths: Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        default="auto",
        description="Where CNI configs and plugins are on the nodes: auto (default, the usual "
        "folders) or the name of a preset in the operator's configuration. Folders themselves "
        "cannot be named here.",
    )
    managed_files: ManagedFiles = Field(
        default=ManagedFiles.SKIP,
        description="What to do with a config that another program, such as a network add-on, "
        "writes. Skip (default): leave it and say where to mend its source. Override: rewrite "
        "it all the same; the other program may put it back.",
    )
    readiness_for: Annotated[tuple[RuntimeRange, ...], Field(max_length=8)] = Field(
        default=(),
        description="Runtimes that the nodes may be moved to, each as containerd>=2.0 or "
        "cri-o>=1.24: every audit then says whether pods would still be created and deleted "
        "under each release from there on. Nothing is changed because of it.",
    )
    rollout: Rollout = Field(
        default=Rollout(),
        description="In which order and when nodes are changed, how many at once, and how many "
        "may fail.",
    )
    drain: Drain = Field(
        default=Drain(), description="Whether and how pods are moved away before a change."
    )
    drift: Drift = Field(
        default=Drift(),
        description="How often a file that somebody else has changed back is mended. It is found "
        "by the audits that every node has from time to time.",
    )
    backup: Backup = Field(
        default=Backup(), description="The copies of CNI configs that are kept on each node."
    )
    verify: Verify = Field(
        default=Verify(), description="How a changed node is judged before the next one starts."
    )
    on_failure: OnFailure = Field(
        default=OnFailure.ROLLBACK,
        description="When a node is worse than before a change. Rollback (default): put the "
        "backup back, if that is safe for the pods that run by then. Stop: leave the node as it "
        "is, for a person to look at. Either way the node counts as failed (rollout.maxFailures) "
        "until somebody has looked and set the annotation cniupgrade.dev/retry.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="What becomes of the nodes when this policy is deleted. Retain (default): "
        "nodes that are worked on are brought to a safe end, every file stays as it is, and the "
        "node states stay as the record of it. Restore: each node that this policy changed is "
        "given back what stood there before, within the limits of rollout, with drain and proof "
        "as for a change; a node whose running pods could then not be deleted is refused and "
        "named. The annotation cniupgrade.dev/let-go on the policy ends that at once.",
    )
    paused: bool = Field(
        default=False,
        description="Start nothing new; what is under way is brought to a safe end. Default "
        "false. The annotation cniupgrade.dev/paused, unless set to false, does the same.",
    )


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
        description="Pods that hung in creation or deletion before their node's last change and "
        "did not any more after it.",
    )


class NodeFailure(Model):
    """One node that needs a person."""

    node: Name = Field(description="Name of the node, and of its CNINodeState.")
    phase: Word = Field(
        description="Phase of the node: Failed, RolledBack, Blocked or ManagedElsewhere; while "
        "the policy is deleted, what became of giving it back: Refused, Failed or GivenUp."
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

    runtime: Word = Field(description="The runtime, as spec.readinessFor names it.")
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
        description="Since when no node was settled, counted from the end of a stop; absent while "
        "everything is stopped.",
    )


class CanaryStatus(Model):
    """How far the canary is."""

    nodes: Count = Field(default=0, description="Nodes that are canaries.")
    well: Count = Field(default=0, description="Canaries that are Done or Compatible, and Ready.")
    soak_since: Time | None = Field(
        default=None, description="Since when all canaries are well; absent while one is not."
    )
    passed_at: Time | None = Field(
        default=None, description="When the canary had passed; absent before."
    )


class FailedNode(Model):
    """One node that failed: it counts also when it, its label or its record is gone."""

    node: Name = Field(description="Name of the node.")
    at: Time = Field(description="When it failed.")
    canary: bool = Field(default=False, description="Whether it was a canary then.")
    retry: Word = Field(
        default="",
        description="Digest of the annotation cniupgrade.dev/retry on its record then; another "
        "one gives the failure back.",
    )


class RolloutStatus(Model):
    """Where the rollout of an Enforce policy is."""

    plan: Word = Field(
        default="",
        description="Digest of what is to be reached. When it changes, canary and waves begin "
        "anew.",
    )
    wave: Word = Field(
        default="", description='The present wave, for example "canary" or "zone eu-1a".'
    )
    number: Count = Field(default=0, description="Number of the present wave, from 1; canary is 0.")
    of: Count = Field(default=0, description="How many waves there are, without the canary.")
    nodes: Count = Field(default=0, description="Nodes of the present wave.")
    finished: Count = Field(
        default=0, description="Nodes of the present wave that it does not wait for any more."
    )
    waits_for: Text = Field(
        default="", description="What is waited for before more can begin; empty when nothing is."
    )
    held_since: Time | None = Field(
        default=None,
        description="Since when nothing moves because of nodes that nobody works on; absent "
        "otherwise.",
    )
    failures: Count = Field(
        default=0, description="Failed nodes that count; see spec.rollout.countFailures."
    )
    failed: Annotated[tuple[FailedNode, ...], Field(max_length=32), BeforeValidator(first(32))] = (
        Field(
            default=(),
            description="The nodes that failed and were not asked for again since, those first "
            "that are gone or do not show it any more; 32 at most.",
        )
    )
    asked: Word = Field(
        default="",
        description="Digest of what the policy asks of every node, its annotation "
        "cniupgrade.dev/retry included. When it changes, failed is empty.",
    )
    max_failures: Count = Field(
        default=0, description="At so many the rollout stops; see spec.rollout.maxFailures."
    )
    next_window: Time | None = Field(
        default=None,
        description="When the next maintenance window opens that is long enough; absent while "
        "one is open, and where there are none.",
    )
    canary: CanaryStatus | None = Field(
        default=None, description="How far the canary is; absent where there is none."
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
        "Stalled (a person is needed), Paused and Overlapping (with another Enforce policy) only "
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
        "Absent for a policy that only audits.",
    )
    versions: Counts = Field(
        default_factory=dict,
        description="Number of matched nodes by the CNI version of their active config; the key "
        '"missing" counts configs without one, "invalid" and "unreadable" files that are none.',
    )
    readiness: Annotated[
        tuple[ReadinessCounts, ...], Field(max_length=8), BeforeValidator(first(8))
    ] = Field(
        default=(),
        description="For each runtime of spec.readinessFor, how many nodes are ready for it.",
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


class CNIUpgradePolicy(Model):
    """Says which CNI version a set of nodes must speak, and how carefully and how fast.

    Every node that it matches has a CNINodeState of the node's name.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"size(self.metadata.name) <= {_LONGEST_NAME}",
                    "message": _NAME_TOO_LONG,
                }
            ]
        }
    )

    api_version: Literal["cniupgrade.dev/v1alpha1"] = names.API_VERSION
    kind: Literal["CNIUpgradePolicy"] = names.POLICY_KIND
    metadata: ObjectMeta
    spec: PolicySpec = Field(description="What is wanted of the nodes.")
    status: PolicyStatus = Field(
        default=PolicyStatus(), description="How far it is; written by the controller."
    )

    @model_validator(mode="after")
    def _name_fits(self) -> Self:
        if len(self.metadata.name) > _LONGEST_NAME:
            raise ValueError(_NAME_TOO_LONG)
        return self
