"""The slots of one pass for audits: how many agents may audit at once, and how many are at it."""

from __future__ import annotations

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.index.running_agents import RunningAgents
from cni_upgrade.planner.world.phases import ROTATION, ROUTINE
from cni_upgrade.planner.world.snapshot import Snapshot

_AHEAD = 4
"""For so many slots one record is begun ahead, for a slot that becomes free: a record that is made
only then would leave the slot empty for a pass."""


class WaitingForAuditSlot:
    """Counts audits against `auditParallel`, and those that nobody asked for apart."""

    def __init__(self, world: Snapshot, index: NodeIndex, agents: RunningAgents) -> None:
        self._agents = agents
        self._auditing = agents.looking(world.states)
        self._taken, self._rotating = len(self._auditing), 0
        for record in index.busy.values():
            if (operation := record.status.operation) is not None:
                self._taken += operation.kind == "audit"
                self._rotating += _rotates(record.status)
        self._slots, self._rotations = world.config.audit_parallel, world.config.reaudit_parallel
        # Counted once: a slot that becomes free in this pass is for the next one. Else it would go
        # to a node later in the order than one that was passed over.
        ahead = -(-self._slots // _AHEAD)
        self.records = self._slots + ahead - self._taken - len(index.fresh)
        """How many records may be begun; negative where there are more already."""

    def free_for(self, node: str) -> bool:
        """Whether the node may be audited now."""
        return self._taken < self._slots or node in self._auditing

    @property
    def may_rotate(self) -> bool:
        """Whether another node may be audited though nothing of it has changed."""
        return self._rotating < self._rotations

    def begin_record(self) -> bool:
        """Take the place of one record, where there is one."""
        if self.records <= 0:
            return False
        self.records -= 1
        return True

    def moved(self, node: str, before: NodeStateStatus, after: NodeStateStatus) -> None:
        """Count an audit that has begun or ended on the node."""
        was, now = before.operation, after.operation
        if was is None and now is not None and now.kind == "audit":
            self._taken += node not in self._auditing
            self._rotating += _rotates(after)
        elif now is None and was is not None and was.kind == "audit":
            # The next audit gets its slot, unless its agent may still be there.
            self._taken -= not self._agents.looks(was.job)


def _rotates(status: NodeStateStatus) -> bool:
    """Whether the node is audited though nothing of it has changed."""
    return status.operation is not None and status.reason in (ROTATION, ROUTINE)
