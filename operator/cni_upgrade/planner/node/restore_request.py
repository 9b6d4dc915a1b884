"""A deleted policy that gives back what it changed: what its nodes may ask of it in a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cni_upgrade.api import names
from cni_upgrade.api.changed import Changed
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy, DeletionPolicy
from cni_upgrade.planner.limits.emergency_stop import STOPPED
from cni_upgrade.planner.limits.max_unavailable import Budget, changing
from cni_upgrade.planner.world.governance import paused
from cni_upgrade.planner.world.snapshot import Snapshot

PAUSED = "Paused"


def restores(policy: CNIUpgradePolicy) -> bool:
    """Whether its deletion gives back what it changed."""
    return policy.spec.deletion_policy == DeletionPolicy.RESTORE


def let_go(policy: CNIUpgradePolicy) -> bool:
    """Whether a person has ended the giving back, by annotation."""
    annotation = policy.metadata.annotations.get(names.LET_GO)
    return annotation is not None and annotation.lower() != "false"


def held(policy: CNIUpgradePolicy) -> bool:
    """Whether the policy carries our finalizer."""
    return names.FINALIZER in policy.metadata.finalizers


def gives_back(policy: CNIUpgradePolicy) -> bool:
    """Whether it is deleted, and stays until what it changed is given back."""
    deleted = policy.metadata.deletion_timestamp is not None
    return deleted and restores(policy) and held(policy) and not let_go(policy)


def halted(policy: CNIUpgradePolicy, world: Snapshot) -> str:
    """Whose word keeps every node from beginning, as a reason; empty while there is none."""
    return STOPPED if world.stopped else PAUSED if paused(policy) else ""


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """One policy that is deleted and gives back, in one pass."""

    policy: CNIUpgradePolicy
    places: Budget
    patience: timedelta
    settled: datetime
    """When the last node was settled, but for those that were given up, the policy was first seen
    to be deleted, a stop or a pause ended, or a controller that was away began to look again."""
    progress: datetime
    """The same, or when work was called off since."""
    moving: bool
    """A node is worked on and can be expected to end."""
    lost: frozenset[str]
    """Nodes that are worked on for whomever, and cannot be expected to end."""
    failed: str
    """The first node on which it went wrong; empty while there is none. No other one begins."""
    opens: Mapping[bool, datetime | None]
    """When one may begin at the earliest, by whether it is drained; None: no window is so long."""
    working: bool
    """Some node is worked on."""
    idle: Mapping[bool, timedelta]
    """Time since `progress` in which one could have begun, by the same; all of it where none can
    ever."""

    def hopeless(self, drained: bool) -> bool:
        """Whether nothing has gone on for so long that who waits to begin is given up."""
        return not self.moving and self.idle[drained] >= self.patience

    def stuck(self, now: datetime) -> bool:
        """The same of who has begun, for which no window has to be open."""
        return not self.moving and now - self.progress >= self.patience


def changed_by(state: CNINodeState, uid: str) -> Changed | None:
    """What the policy of that uid has changed on the node."""
    changed = state.status.changed
    return changed if changed is not None and changed.policy.uid == uid else None


def works_for(state: CNINodeState, uid: str) -> bool:
    """Whether an operation that writes is under way for the policy of that uid."""
    operation = state.status.operation
    ref = operation.policy if operation else None
    return ref is not None and ref.uid == uid and changing(state)
