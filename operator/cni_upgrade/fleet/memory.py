"""What a pass of the planner leaves to the next one, so that it need not look at every node again.

Nearly all nodes of a fleet rest with nothing to do, and what was found of one of them holds until
its Node or its record is another one, a policy asks for something else, or its time has come. None
of this decides anything: a plan with a memory is the plan without one, and sooner.

Objects of a snapshot never change, so the same object is the same value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.gate import Told
from cni_upgrade.fleet.member import Member
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.selection import Governance, govern, seniority
from cni_upgrade.fleet.settle import audit_key
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.tally import Share


@dataclass(frozen=True, slots=True)
class Calm:
    """A node at rest of which a pass has found that there is nothing to do."""

    node: Node
    state: CNINodeState
    since: datetime
    """When that was found: a clock that was set back may say otherwise."""
    until: datetime
    """When the clock alone may bring it something to do."""
    queues: bool
    """It waits for one of the places of audits."""
    told: Told | None
    """What it asked of the rollout, and was told."""


class Memory:
    """Of one process: a new one knows nothing."""

    def __init__(self) -> None:
        self._config: OperatorConfig | None = None
        self._asked: tuple[object, ...] = ()
        self._policies: Sequence[CNIUpgradePolicy] = ()
        self._calm: dict[str, Calm] = {}
        self._members: dict[str, tuple[str, Member]] = {}
        """With the uid of the policy that acts on the node; those that this pass has asked for."""
        self._asked_before: dict[str, tuple[str, Member]] = {}
        """Those that only the last one has: a record that has gone on is not kept for them."""
        self._shares: dict[str, tuple[CNINodeState, Share]] = {}
        self._alike: dict[Share, Share] = {}
        self._governed: dict[str, tuple[Node, CNINodeState | None, int]] = {}
        self._kinds: dict[tuple[str, tuple[str, ...], tuple[str, ...]], int] = {}
        self._present: list[Governance] = []
        """By their number in `_kinds`, with the policies of this pass."""

    def begin(self, world: Snapshot) -> None:
        """A pass begins: forget what is gone, and all where what every node depends on differs."""
        self._policies = sorted(world.policies.values(), key=seniority)
        asked = (world.stopped, *map(_asks, self._policies))
        self._asked_before, self._members = self._members, {}
        kept: tuple[dict[str, Any], ...] = (self._calm, self._asked_before, self._governed)
        if world.config is not self._config or asked != self._asked:
            self._config, self._asked = world.config, asked
            self._kinds.clear()
            for each in kept:
                each.clear()
        for each in (*kept, self._shares):
            for name in each.keys() - world.nodes.keys():
                del each[name]
        by_uid = {policy.metadata.uid: policy for policy in self._policies}
        self._present = [Governance(by_uid.get(uid), *others) for uid, *others in self._kinds]

    def governances(self, world: Snapshot) -> dict[str, Governance]:
        """Which policy has a say on which node, in the order of the nodes' names."""
        found: dict[str, Governance] = {}
        nodes, states, governed, present = world.nodes, world.states, self._governed, self._present
        for name in sorted(nodes):
            node, state = nodes[name], states.get(name)
            known = governed.get(name)
            if known is None or known[0] is not node or known[1] is not state:
                known = governed[name] = (
                    node,
                    state,
                    self._kind(govern(node, state, self._policies)),
                )
            found[name] = present[known[2]]
        return found

    def _kind(self, made: Governance) -> int:
        uid = made.policy.metadata.uid if made.policy is not None else ""
        number = self._kinds.setdefault((uid, made.rivals, made.watchers), len(self._present))
        if number == len(self._present):
            self._present.append(made)
        return number

    def member(
        self,
        node: Node,
        state: CNINodeState | None,
        policy: CNIUpgradePolicy,
        config: OperatorConfig,
    ) -> Member:
        """The node as the policy that acts on it looks at it."""
        name, uid = node.name, policy.metadata.uid
        known = self._members.get(name) or self._asked_before.get(name)
        if known is not None:
            member = known[1]
            if member.node is node and member.state is state and known[0] == uid:
                self._members[name] = known
                return member
        seen = False
        if state is not None and (observed := state.status.observed) is not None:
            seen = observed.audit_key == audit_key(node, state, policy, config)
        member = Member.of(node, state, seen, policy, config)
        self._members[name] = uid, member
        return member

    def share(self, node: str, state: CNINodeState) -> Share:
        """What a node's record adds to the counts; the same object for equal ones."""
        known = self._shares.get(node)
        if known is None or known[0] is not state:
            share = Share.of(state)
            known = self._shares[node] = state, self._alike.setdefault(share, share)
        return known[1]

    def calm(self, node: Node, state: CNINodeState, now: datetime) -> Calm | None:
        """What the last pass found of the node, where it may still be so."""
        known = self._calm.get(node.name)
        if known is None or known.node is not node or known.state is not state:
            return None
        return known if known.since <= now < known.until else None

    def keep(self, calm: Calm) -> None:
        """There was nothing to do about a node."""
        self._calm[calm.node.name] = calm


def _asks(policy: CNIUpgradePolicy) -> tuple[object, ...]:
    """What nodes depend on: all of a policy but its status, and the version that goes by."""
    return policy.spec, policy.metadata.model_copy(update={"resource_version": ""})
