"""Everything the planner sees, as one value: the cluster at an instant, and the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.parse import UnreadableResourceError
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.world.kubernetes_objects import Job, Lease, Node, Pod
from cni_upgrade.planner.world.operator_config import OperatorConfig


@dataclass(frozen=True, slots=True)
class Eviction:
    """The last answer of the eviction API for a pod, kept in memory: it can be asked again."""

    at: datetime
    blocked_by: str
    """Empty when the eviction was accepted; else the API's reason, budgets named."""
    wait: timedelta = timedelta(0)
    """How long the API server wants to be left alone about it."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A policy that does not fit our model: what can be known of it all the same."""

    uid: str
    resource_version: str
    generation: int
    observed_generation: int | None
    """The generation that the status was written for, by whom ever."""
    problem: str
    """Every field that is wrong."""

    @classmethod
    def of(cls, error: UnreadableResourceError) -> Self:
        obj: Mapping[str, Any] = error.obj
        meta, status = obj["metadata"], obj.get("status")
        if not isinstance(status, Mapping):
            status = {}
        return cls(
            uid=meta["uid"],
            resource_version=meta.get("resourceVersion", ""),
            generation=meta.get("generation", 0),
            observed_generation=status.get("observedGeneration"),
            problem=error.text,
        )


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A node whose record, or whose policy, a newer controller has written: hands off."""

    node: Node
    working: bool
    """The record says that the node is being changed."""
    problem: str = ""
    """Every field of the record that is wrong; empty where it is the policy that cannot be read."""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A ConfigMap of a network add-on, as it was last looked at."""

    data: Mapping[str, str] | None
    """None where it is not there."""
    refused: bool = False
    """We may not read it."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What the record of a node says, where the controller is further than that."""

    recorded: NodeStateStatus
    since: datetime
    """When the first of what is not written was decided."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster as the store knows it. Mappings are keyed by name unless said otherwise."""

    now: datetime
    config: OperatorConfig
    policies: Mapping[str, CNIUpgradePolicy] = field(default_factory=dict)
    unread: Mapping[str, Unread] = field(default_factory=dict)
    """Policies that do not fit our model."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    unjudged: Mapping[str, Unjudged] = field(default_factory=dict)
    """Nodes that are there, and neither in `nodes` nor in `states`."""
    states: Mapping[str, CNINodeState] = field(default_factory=dict)
    """As far as the controller has come; what is recorded of some of them stands in `unwritten`."""
    unwritten: Mapping[str, Unwritten] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    agents: Mapping[str, Sequence[Pod]] = field(default_factory=dict)
    """Agent pods by the name of their Job."""
    proofs: Mapping[str, Pod] = field(default_factory=dict)
    """Proof pods by name."""
    warnings: Mapping[str, str] = field(default_factory=dict)
    """The newest Warning event by the uid of the pod or Job it is about. What a kubelet says of a
    pod on another node is not here."""
    pods: Mapping[str, Sequence[Pod]] = field(default_factory=dict)
    """All pods of a node, for the nodes that drain; one that is not a key was not listed."""
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """By node: why its pods could not be listed, where that is so of this node alone."""
    evictions: Mapping[str, Eviction] = field(default_factory=dict)
    """By pod uid."""
    leases: Mapping[str, Lease] = field(default_factory=dict)
    """Leases on nodes by their own name, `node-<name of the node>`."""
    own_node: str = ""
    """The node on which the controller runs: its turn comes last."""
    denied: Sequence[str] = ()
    """Rights that the API server refuses us, e.g. `create jobs.batch in cni-upgrade-agents`."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What the API server last said to the last write of a node's turn, where it said no."""
    stopped: str = ""
    """Why everything is stopped; empty while it is not. Nothing may begin then, anywhere."""
    stopped_since: datetime | None = None
    told: Mapping[str, datetime] = field(default_factory=dict)
    """When this process last wrote the status of a policy, by the policy's name."""
    configmaps: Mapping[str, ConfigMap] = field(default_factory=dict)
    """By `namespace/name`; only those that some node's file comes from."""
    looking_since: datetime | None = None
    """Since when the controller has looked without a gap; None where that is not known. Before that
    it was away, perhaps with the whole cluster, and nobody could do anything about anything."""

    def noticed(self, then: datetime) -> datetime:
        """From when on a time counts that began then: only while somebody looks."""
        if self.looking_since is None:
            return then
        return max(then, min(self.looking_since, self.now))

    def policy_by(self, uid: str) -> CNIUpgradePolicy | None:
        """The policy of that uid, while it exists; another one may have its name by now."""
        return next((each for each in self.policies.values() if each.metadata.uid == uid), None)
