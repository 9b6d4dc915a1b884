"""The nodes that one policy selects, and what its rollout and its status ask about each of them."""

from __future__ import annotations

from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.counts import Counts
from cni_upgrade.planner.index.incremental import Incremental
from cni_upgrade.planner.index.ordering import Ordering, arranged, stands_as
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.world.kubernetes_objects import Node


class Selected(Incremental[Node]):
    """The nodes that a policy selects."""

    def __init__(self) -> None:
        super().__init__()
        self.down: set[str] = set()
        """Those of them that are unavailable, whoever took them out."""

    def _replaced(self, before: Node | None, entry: Node | None) -> None:
        if before is not None:
            self.down.discard(before.name)
        if entry is not None and entry.down:
            self.down.add(entry.name)


class Members(Incremental[RolloutMember]):
    """Those on which the policy acts, but for those that are being deleted."""

    def __init__(self) -> None:
        super().__init__()
        self._arrangement: Ordering | None = None

    def arrangement(self, policy: CNIUpgradePolicy) -> Ordering:
        """As they were last read, in the order of that policy: one that asks for another order has
        another ledger."""
        if self._arrangement is None:
            self._arrangement = arranged(policy, (each.node for each in self.entries.values()))
        return self._arrangement

    def _replaced(self, before: RolloutMember | None, entry: RolloutMember | None) -> None:
        if before is entry:  # None, of a node that only others act on.
            return
        if before is None or entry is None or not stands_as(before.node, entry.node):
            self._arrangement = None


class PolicyNodes:
    """Kept up from pass to pass; each part is brought up to date when it is asked for."""

    def __init__(self) -> None:
        self.nodes = Selected()
        self.members = Members()
        self.tally = Counts()

    def touch(self, name: str) -> None:
        """A node, its record, or who has a say on it may be another one by now."""
        self.nodes.touch(name)
        self.members.touch(name)
        self.tally.touch(name)
