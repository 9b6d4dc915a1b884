"""Everything the planner sees, as one value: the cluster at an instant, and the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.objects import Job, Node, Pod


@dataclass(frozen=True, slots=True)
class Eviction:
    """The last answer of the eviction API for a pod, kept in memory: it can be asked again."""

    at: datetime
    blocked_by: str
    """Empty when the eviction was accepted; else the API's reason, budgets named."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster as the store knows it. Mappings are keyed by name unless said otherwise."""

    now: datetime
    config: OperatorConfig
    policies: Mapping[str, CNIUpgradePolicy] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    states: Mapping[str, CNINodeState] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    agents: Mapping[str, Sequence[Pod]] = field(default_factory=dict)
    """Agent pods by the name of their Job."""
    proofs: Mapping[str, Pod] = field(default_factory=dict)
    """Proof pods by name."""
    warnings: Mapping[str, str] = field(default_factory=dict)
    """The newest Warning event by the uid of the pod or Job it is about."""
    pods: Mapping[str, Sequence[Pod]] = field(default_factory=dict)
    """All pods of a node, for the nodes that drain; one that is not a key was not listed."""
    evictions: Mapping[str, Eviction] = field(default_factory=dict)
    """By pod uid."""
    own_node: str = ""
    """The node on which the controller runs: its turn comes last."""
    denied: Sequence[str] = ()
    """Rights that the API server refuses us, e.g. `create jobs.batch in cni-upgrade-agents`."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What the API server last said to the last write of a node's turn, where it said no."""
