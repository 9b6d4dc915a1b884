"""The nodes that one policy selects, and what its rollout and its status ask about each of them."""

from __future__ import annotations

from cni_upgrade.fleet.ledger import Ledger
from cni_upgrade.fleet.member import Member
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.tally import Tally


class Muster:
    """Kept up from pass to pass; each part is brought up to date when it is asked for."""

    def __init__(self) -> None:
        self.nodes: Ledger[Node] = Ledger()
        self.members: Ledger[Member] = Ledger()
        """Those on which the policy acts, but for those that are being deleted."""
        self.tally = Tally()

    def touch(self, name: str) -> None:
        """A node, its record, or who has a say on it may be another one by now."""
        self.nodes.touch(name)
        self.members.touch(name)
        self.tally.touch(name)
