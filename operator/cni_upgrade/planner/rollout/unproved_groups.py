"""The canary of what only a proof can tell: of nodes with one doubt, one goes before all others.

A verdict may rest on something that is not known, the CHECK of a plugin of another release say. A
group is the nodes of a policy whose reports give the same reason. No second node of a group begins
before one was proved; one that failed holds its group until a person asks for it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.node.start_request import Refusal
from cni_upgrade.planner.world.phases import WAITS_FOR_PROOF


class UnprovedGroups:
    """The groups of one policy in one pass: `take` begins a node, `refusal` says why not."""

    def __init__(self, policy: CNIUpgradePolicy, members: Iterable[RolloutMember]) -> None:
        """A policy that wants no proof has no groups: that is a person's way out."""
        self._name = f"policy {policy.metadata.name}"
        self._wanted = policy.spec.verify.proof
        self._proved: set[str] = set()
        self._first: dict[str, str] = {}
        """By doubt: the node that is to be proved before the others of its group."""
        for member in members if self._wanted else ():
            if member.state is None or not (text := member.doubt):
                continue
            last = member.state.status.last_change
            ours = last is not None and last.policy == policy.metadata.uid
            if last is not None and ours and last.outcome == Phase.DONE:
                self._proved.add(text)
            if member.failed or member.unproved or _begun(member.state.status):
                self._first.setdefault(text, member.node.name)

    @property
    def stage(self) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """What `refusal` says depends on this and on the node."""
        return frozenset(self._proved), frozenset(self._first.items())

    def take(self, node: str, text: str) -> None:
        """The node begins: the others of its group wait for its proof from now on."""
        if text and self._wanted:
            self._first.setdefault(text, node)

    def refusal(self, node: str, text: str) -> Refusal | None:
        """Why the node, of which that is not known, waits for another one's proof; or None."""
        first = self._first.get(text)
        if first in (None, node) or text in self._proved:
            return None
        why = f"waits until {first} is proved, of which the same is not known ({self._name})"
        return WAITS_FOR_PROOF, why


def _begun(status: NodeStateStatus) -> bool:
    """Whether a change is under way there."""
    return status.operation is not None and status.operation.kind != Kind.AUDIT
