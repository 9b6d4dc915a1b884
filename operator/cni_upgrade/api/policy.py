"""The policy: which CNI version a set of nodes must speak, how carefully and how fast."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cni_upgrade.agent.protocol.operation import ManagedFiles
from cni_upgrade.api import names
from cni_upgrade.api.base import Model
from cni_upgrade.api.drain import Drain
from cni_upgrade.api.drift import Drift
from cni_upgrade.api.label_selector import LabelSelector
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.policy_status import PolicyStatus
from cni_upgrade.api.rollout import Rollout
from cni_upgrade.api.target import Target
from cni_upgrade.api.upgrade import Upgrade
from cni_upgrade.api.verify import OnFailure, Verify


class Mode(StrEnum):
    """Whether nodes are only looked at, or changed."""

    AUDIT = "Audit"
    ENFORCE = "Enforce"


class DeletionPolicy(StrEnum):
    """What becomes of changed nodes when their policy is deleted."""

    RETAIN = "Retain"
    RESTORE = "Restore"


# A CEL rule of the CRD that the model checks once more: API servers before 1.25 drop it.
_LONGEST_NAME = 63
_NAME_TOO_LONG = (
    f"metadata.name: at most {_LONGEST_NAME} characters, because it becomes the value of a label"
)
RuntimeRange = Annotated[
    str,
    Field(max_length=32, pattern=r"^(containerd|cri-o)>=[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$"),
]


class Backup(Model):
    """The copies that are kept on each node."""

    keep: int = Field(
        default=5,
        ge=1,
        le=50,
        description="How many backups of the CNI configs to keep on each node, from 1 to 50; the "
        "oldest go first. Default 5.",
    )


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
        description="Where CNI configs and plugins are on the nodes: auto (default: where the "
        "runtime's own configuration says, else the usual folders) or the name of a preset in the "
        "operator's configuration. Folders themselves cannot be named here.",
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
    upgrade: Upgrade = Field(
        default=Upgrade(),
        description="Who upgrades the runtime and the kubelet of spec.target; without these it "
        "says nothing.",
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
