"""What a pass of the planner leaves to the next one, so that it need not look at every node again.

Nearly all nodes of a fleet rest with nothing to do, and what was found of one of them holds until
its Node or its record is another one, a policy asks for something else, or its time has come. None
of this decides anything: a plan with a memory is the plan without one, and sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.index.running_agents import RunningAgents
from cni_upgrade.planner.node.start_request import StartAnswer
from cni_upgrade.planner.rollout.may_start import RolloutPass
from cni_upgrade.planner.rollout.waiting_nodes import WaitingNodes
from cni_upgrade.planner.world.governance import seniority
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.snapshot import Snapshot

_NEVER, _BEFORE_ALL = (end.replace(tzinfo=UTC) for end in (datetime.max, datetime.min))


@dataclass(frozen=True, slots=True)
class IdleResult:
    """A node at rest of which a pass has found that there is nothing to do."""

    node: Node
    state: CNINodeState
    since: datetime
    """When that was found: a clock that was set back may say otherwise."""
    until: datetime
    """When the clock alone may bring it something to do."""
    queues: bool
    """It waits for one of the places of audits."""
    told: StartAnswer | None
    """What it asked of the rollout, and was told."""

    def holds(self, now: datetime) -> bool:
        return self.since <= now < self.until


class PassCache:
    """Of one process: a new one knows nothing."""

    def __init__(self) -> None:
        self._config: OperatorConfig | None = None
        self._asked: tuple[object, ...] = ()
        self._roster: NodeIndex | None = None
        self.agents = RunningAgents()
        self._calm: dict[str, IdleResult] = {}
        self._turns: set[str] = set()
        """Nodes that are to be looked at in each pass: all but those of which only the clock, or
        what would bring them back here, can make something else, and those that wait in lines."""
        self.lines = WaitingNodes()
        self._queue: set[str] = set()
        """Nodes without a record, for which there is only no place yet."""
        self._since, self._until = _BEFORE_ALL, _NEVER
        """Between these the clock brings none of the others anything to do."""

    def begin(self, world: Snapshot) -> NodeIndex:
        """A pass begins: forget what is gone, and all where what every node depends on differs."""
        asked = (world.stopped, *map(_asks, sorted(world.policies.values(), key=seniority)))
        # Where an error breaks this off, what was found by then is not gone on from.
        roster, self._roster = self._roster, None
        if roster is None or world.config is not self._config or asked != self._asked:
            self._config, self._asked = world.config, asked
            roster, self.agents = NodeIndex(world), RunningAgents()
            self._calm.clear()
            self.lines.clear()
            self._turns, self._queue = set(world.nodes), set()
        else:
            for name in roster.look(world):
                self._calm.pop(name, None)
                self.lines.leave(name)
                self._turns.discard(name)
                self._queue.discard(name)
                if name in world.nodes:
                    self._turns.add(name)
        self.agents.look(world)
        if not self._since <= world.now < self._until:
            self._wake(world.now)
        self._roster = roster
        return roster

    def _wake(self, now: datetime) -> None:
        """Have those looked at again for whom the time has come."""
        self._since, self._until = _BEFORE_ALL, _NEVER
        for name, calm in self._calm.items():
            if not calm.holds(now):
                self._turns.add(name)
            elif name not in self._turns:
                self._rest(calm)

    def turns(self) -> set[str]:
        """The nodes that may have something to do, by what is theirs alone."""
        return set(self._turns)

    def first(self, count: int, rank: Callable[[str], Any]) -> set[str]:
        """So many of those that queue up, the first by their rank."""
        return set(nsmallest(count, self._queue, key=rank))

    def queue_up(self, node: Node) -> None:
        """A node is to have a record, and there is no place for it: who is first gets one."""
        self._turns.discard(node.name)
        self._queue.add(node.name)

    def calm(self, node: Node, state: CNINodeState, now: datetime) -> IdleResult | None:
        """What the last pass found of the node, where it may still be so."""
        known = self._calm.get(node.name)
        if known is None or known.node is not node or known.state is not state:
            return None
        return known if known.holds(now) else None

    def keep(self, calm: IdleResult, course: RolloutPass | None) -> None:
        """There was nothing to do about a node; `course` is that of the policy that has it."""
        name = calm.node.name
        self._calm[name] = calm
        self.lines.leave(name)
        asks = calm.told is not None and not self.lines.join(name, calm.told, course)
        if calm.queues or asks or not calm.holds(calm.since):
            self._turns.add(name)
        else:
            self._turns.discard(name)
            self._rest(calm)

    def _rest(self, calm: IdleResult) -> None:
        self._since, self._until = max(self._since, calm.since), min(self._until, calm.until)

    def pass_over(self, node: Node) -> None:
        """No policy selects a node, nothing of ours is on it, and it has no record."""
        self._turns.discard(node.name)


def _asks(policy: CNIUpgradePolicy) -> tuple[object, ...]:
    """What nodes depend on: all of a policy but its status, and the version that goes by."""
    return policy.spec, policy.metadata.model_copy(update={"resource_version": ""})
