"""Who has a say on which node, and what it would be asked: kept up from pass to pass, for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.counts import Counts, Share
from cni_upgrade.planner.index.incremental import catch_up
from cni_upgrade.planner.index.ordering import Ordering
from cni_upgrade.planner.index.policy_nodes import PolicyNodes
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node.audit_result import answered
from cni_upgrade.planner.world.governance import Governance, govern, matches, seniority
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.snapshot import Snapshot, Unjudged


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


class NodeIndex:
    """The nodes of every policy. Labels and claims decide, not what a pass makes of a node."""

    def __init__(self, world: Snapshot) -> None:
        self._config = world.config
        self._nodes: dict[str, Node] = {}
        self._states: dict[str, CNINodeState] = {}
        self.busy: dict[str, CNINodeState] = {}
        """The records of nodes with an operation under way."""
        self.fresh: set[str] = set()
        """Nodes whose record has no status yet."""
        self._policies: list[CNIUpgradePolicy] = []
        self._alike: dict[Share, Share] = {}
        """One object for all that are equal."""
        self._musters = {name: PolicyNodes() for name in world.policies}
        self._numbers: dict[tuple[str, tuple[str, ...], tuple[str, ...]], int] = {}
        """By the uid of the policy that acts, the rivals and the watchers: hardly more than one
        policy has a say in most fleets."""
        self._kinds: list[Governance] = []
        """By their number, with the policies of this pass."""
        self._who: dict[str, int] = {}
        """By node: the number of who has a say there."""
        self.look(world)

    def look(self, world: Snapshot) -> set[str]:
        """Go on to another snapshot, with the same configuration and policies but for their status.

        The nodes of which something differs.
        """
        self._policies = sorted(world.policies.values(), key=seniority)
        by_uid = {policy.metadata.uid: policy for policy in self._policies}
        self._kinds = [Governance(by_uid.get(uid), *others) for uid, *others in self._numbers]
        recorded = catch_up(self._states, world.states)
        differ = catch_up(self._nodes, world.nodes) | recorded
        self._sort(recorded)
        for name in differ:
            self._place(name)
        self._working = self._on_behalf()
        return differ

    def go_on(self, states: Mapping[str, CNINodeState]) -> None:
        """Go on to newer records of some nodes, of which no label and no claim is another one."""
        self._states |= states
        self._sort(states)
        for name in states:
            self._touch(name, self._who.get(name))

    def _sort(self, names: Iterable[str]) -> None:
        for name in names:
            state = self._states.get(name)
            self.busy.pop(name, None)
            self.fresh.discard(name)
            if state is not None:
                if state.status.operation is not None:
                    self.busy[name] = state
                if state.status.observed_generation < 0:
                    self.fresh.add(name)

    def _place(self, name: str) -> None:
        """Find out who has a say on a node that is there, or not any more."""
        self._touch(name, self._who.pop(name, None))
        if (node := self._nodes.get(name)) is not None:
            who = self._who[name] = self._number(
                govern(node, self._states.get(name), self._policies)
            )
            self._touch(name, who)

    def _touch(self, name: str, who: int | None) -> None:
        for watcher in self._kinds[who].watchers if who is not None else ():
            self._musters[watcher].touch(name)

    def _number(self, made: Governance) -> int:
        uid = made.policy.metadata.uid if made.policy is not None else ""
        number = self._numbers.setdefault((uid, made.rivals, made.watchers), len(self._kinds))
        if number == len(self._kinds):
            self._kinds.append(made)
        return number

    def _on_behalf(self) -> dict[str, set[str]]:
        """By the uid of a policy: nodes that are changed on its behalf."""
        found: dict[str, set[str]] = {}
        for name, state in self.changing().items():
            ref = state.status.operation.policy if state.status.operation else None
            if ref is not None and name in self._nodes:
                found.setdefault(ref.uid, set()).add(name)
        return found

    def governance(self, node: str) -> Governance:
        """Who has a say on a node that is there."""
        return self._kinds[self._who[node]]

    def changing(self) -> Mapping[str, CNINodeState]:
        """The records of nodes that are being changed, by name."""
        return {name: state for name, state in self.busy.items() if changing(state)}

    def working_for(self, policy: CNIUpgradePolicy) -> set[str]:
        """Nodes that were changed on behalf of a policy as the pass began, whether it still selects
        them or not."""
        return self._working.get(policy.metadata.uid, set())

    def matched(self, policy: CNIUpgradePolicy) -> Mapping[str, Node]:
        """The nodes that a policy selects, by name and in the order of their names."""
        name = policy.metadata.name

        def matched(node: str) -> Node | None:
            return self._nodes[node] if name in self._watchers(node) else None

        return self._musters[name].nodes.read(matched)

    def down(self, policy: CNIUpgradePolicy) -> Set[str]:
        """Those of them that are unavailable."""
        self.matched(policy)
        return self._musters[policy.metadata.name].nodes.down

    def arrangement(self, policy: CNIUpgradePolicy) -> Ordering:
        """The `members` in the order of its rollout."""
        self.members(policy)
        return self._musters[policy.metadata.name].members.arrangement(policy)

    def members(self, policy: CNIUpgradePolicy) -> Mapping[str, RolloutMember]:
        """The nodes on which this policy acts, with their records, by name and in that order."""
        config, uid = self._config, policy.metadata.uid

        def member(name: str) -> RolloutMember | None:
            node, who = self._nodes.get(name), self._who.get(name)
            acting = self._kinds[who].policy if who is not None else None
            if node is None or node.deleting or acting is None or acting.metadata.uid != uid:
                return None
            state = self._states.get(name)
            seen = state is not None and answered(node, state, policy, config)
            return RolloutMember.of(node, state, seen, policy, config)

        return self._musters[policy.metadata.name].members.read(member)

    def tally(self, policy: CNIUpgradePolicy) -> Counts:
        """What the nodes that a policy selects add to its counts."""

        def share(name: str) -> Share | None:
            if policy.metadata.name not in self._watchers(name):
                return None
            node, who = self._nodes[name], self._kinds[self._who[name]]
            made = Share.of(node, self._states.get(name), who, policy, self._config)
            return self._alike.setdefault(made, made)

        tally = self._musters[policy.metadata.name].tally
        tally.read(share)
        return tally

    def _watchers(self, node: str) -> tuple[str, ...]:
        who = self._who.get(node)
        return self._kinds[who].watchers if who is not None else ()
