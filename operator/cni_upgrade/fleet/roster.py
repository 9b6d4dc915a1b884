"""Who has a say on which node, and what it would be asked: worked out once a pass, for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.budget import changing
from cni_upgrade.fleet.memory import Memory
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.phases import FAILED
from cni_upgrade.fleet.selection import Governance, matches
from cni_upgrade.fleet.settle import asked_again
from cni_upgrade.fleet.snapshot import Snapshot, Unjudged


def unjudged(policy: CNIUpgradePolicy, world: Snapshot) -> dict[str, Unjudged]:
    """The nodes that a policy selects and that are not ours to judge, in the order of their names.

    They are down or at work all the same, as far as that can be seen.
    """
    selector = policy.spec.node_selector
    return {
        name: each
        for name, each in sorted(world.unjudged.items())
        if matches(selector, each.node.labels)
    }


@dataclass(frozen=True, slots=True)
class Member:
    """A node that a policy governs, with its record."""

    node: Node
    state: CNINodeState | None
    seen: bool
    """Its last audit answers what the policy asks today."""
    failed: bool
    """It is failed or rolled back, and nobody has asked to try it again."""


class Roster:
    """The nodes of every policy. Labels and claims decide, not what a pass makes of a node."""

    def __init__(self, world: Snapshot, memory: Memory | None = None) -> None:
        """`memory` has begun with this snapshot."""
        if memory is None:
            memory = Memory()
            memory.begin(world)
        self._memory = memory
        self._config = world.config
        self.governance: dict[str, Governance] = {}
        self._matched: defaultdict[str, dict[str, Node]] = defaultdict(dict)
        self._governed: defaultdict[str, list[Node]] = defaultdict(list)
        self._working: defaultdict[str, set[str]] = defaultdict(set)
        for name in sorted(world.nodes):
            node, state = world.nodes[name], world.states.get(name)
            who = self.governance[name] = memory.governance(node, state)
            for watcher in who.watchers:
                self._matched[watcher][name] = node
            if who.policy is not None:
                self._governed[who.policy.metadata.uid].append(node)
            operation = state.status.operation if state is not None else None
            if operation is not None and operation.policy is not None and changing(state):
                self._working[operation.policy.uid].add(name)

    def matched(self, policy: CNIUpgradePolicy) -> Mapping[str, Node]:
        """The nodes that a policy selects, by name and in the order of their names."""
        return self._matched[policy.metadata.name]

    def working_for(self, policy: CNIUpgradePolicy) -> set[str]:
        """Nodes that are changed on behalf of a policy, whether it still selects them or not."""
        return self._working[policy.metadata.uid]

    def members(
        self, policy: CNIUpgradePolicy, states: Mapping[str, CNINodeState]
    ) -> tuple[Member, ...]:
        """The nodes on which this policy acts, with their records as they are in `states`."""
        return tuple(
            self._member(node, states.get(node.name), policy)
            for node in self._governed[policy.metadata.uid]
            if not node.deleting
        )

    def answered(self, node: Node, state: CNINodeState, policy: CNIUpgradePolicy) -> bool:
        """Whether the node's last audit answers what the policy asks today."""
        observed = state.status.observed
        return observed is not None and observed.audit_key == self._memory.audit_key(
            node, state, policy, self._config
        )

    def _member(self, node: Node, state: CNINodeState | None, policy: CNIUpgradePolicy) -> Member:
        if state is None or state.status.observed is None:
            return Member(node, state, seen=False, failed=_failed(state))
        seen = self.answered(node, state, policy)
        failed = _failed(state) and (seen or not asked_again(state, policy))
        return Member(node, state, seen, failed)


def _failed(state: CNINodeState | None) -> bool:
    return state is not None and state.status.phase in FAILED
