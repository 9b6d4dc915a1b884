"""Who has a say on which node, and what it would be asked: worked out once a pass, for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.budget import changing
from cni_upgrade.fleet.member import Member
from cni_upgrade.fleet.memory import Memory
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.selection import Governance, matches
from cni_upgrade.fleet.snapshot import Snapshot, Unjudged
from cni_upgrade.fleet.tally import Share


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


class Roster:
    """The nodes of every policy. Labels and claims decide, not what a pass makes of a node."""

    def __init__(self, world: Snapshot, memory: Memory | None = None) -> None:
        """`memory` has begun with this snapshot."""
        if memory is None:
            memory = Memory()
            memory.begin(world)
        self._memory = memory
        self._config = world.config
        self.governance = memory.governances(world)
        self._matched: defaultdict[str, dict[str, Node]] = defaultdict(dict)
        self._governed: defaultdict[str, dict[str, Node]] = defaultdict(dict)
        self._working: defaultdict[str, set[str]] = defaultdict(set)
        self._states = world.states
        self._changing: dict[str, CNINodeState] = {}
        for who, nodes in self._alike(world.nodes):
            for watcher in who.watchers:
                self._matched[watcher] = _merged(self._matched[watcher], nodes)
            if who.policy is not None:
                uid = who.policy.metadata.uid
                self._governed[uid] = _merged(self._governed[uid], nodes)
        for name, state in world.states.items():
            if not changing(state):
                continue
            self._changing[name] = state
            ref = state.status.operation.policy if state.status.operation else None
            if ref is not None and name in self.governance:
                self._working[ref.uid].add(name)

    def _alike(self, nodes: Mapping[str, Node]) -> list[tuple[Governance, dict[str, Node]]]:
        """Nodes by who decides about them: hardly more than one policy has a say in most fleets."""
        found: dict[int, tuple[Governance, dict[str, Node]]] = {}
        for name, who in self.governance.items():
            if (kind := found.get(id(who))) is None:
                kind = found[id(who)] = who, {}
            kind[1][name] = nodes[name]
        return list(found.values())

    def matched(self, policy: CNIUpgradePolicy) -> Mapping[str, Node]:
        """The nodes that a policy selects, by name and in the order of their names."""
        return self._matched[policy.metadata.name]

    def working_for(self, policy: CNIUpgradePolicy) -> set[str]:
        """Nodes that are changed on behalf of a policy, whether it still selects them or not."""
        return self._working[policy.metadata.uid]

    def changing(self, states: Mapping[str, CNINodeState]) -> Mapping[str, CNINodeState]:
        """The records of nodes that are being changed, of these records, by name."""
        if states is self._states:
            return self._changing
        before = self._states.get
        other = {name: state for name, state in states.items() if before(name) is not state}
        same = {n: s for n, s in self._changing.items() if n in states and n not in other}
        return same | {name: state for name, state in other.items() if changing(state)}

    def members(
        self, policy: CNIUpgradePolicy, states: Mapping[str, CNINodeState]
    ) -> tuple[Member, ...]:
        """The nodes on which this policy acts, with their records as they are in `states`."""
        member, config = self._memory.member, self._config
        return tuple(
            member(node, states.get(name), policy, config)
            for name, node in self._governed[policy.metadata.uid].items()
            if not node.deleting
        )

    def answered(self, node: Node, state: CNINodeState, policy: CNIUpgradePolicy) -> bool:
        """Whether the node's last audit answers what the policy that acts on it asks today."""
        return self._memory.member(node, state, policy, self._config).seen

    def share(self, node: str, state: CNINodeState) -> Share:
        """What the record of a node adds to its policy's counts."""
        return self._memory.share(node, state)


def _merged(some: dict[str, Node], more: dict[str, Node]) -> dict[str, Node]:
    """Both, in the order of their names."""
    return dict(sorted((some | more).items())) if some else more
