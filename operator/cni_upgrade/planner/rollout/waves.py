"""In which order a policy's nodes are changed: the canary first, then wave after wave.

A wave is open once the one before it has nothing left to wait for, and a wave that was finished is
not reopened: a node that joins later begins when it is found, whatever wave it belongs to. So no
node that comes or goes can hold up a rollout for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from itertools import chain

from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.ordering import Ordering
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.rollout.canary import Canary, canary

CANARY = "canary"


def plan_of(policy: CNIUpgradePolicy) -> str:
    """Digest of what is to be reached: another one begins with its own canary and first wave."""
    parts = [
        policy.metadata.uid,
        policy.spec.target.cni.to_api(),
        policy.spec.managed_files.value,
        policy.spec.paths,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def order_of(policy: CNIUpgradePolicy) -> str:
    """Digest of how the nodes are put in waves: in another order a name means other nodes."""
    return hashlib.sha256(policy.spec.rollout.order.model_dump_json().encode()).hexdigest()[:20]


class Waves:
    """The order of one policy's rollout at one instant."""

    def __init__(
        self,
        policy: CNIUpgradePolicy,
        members: Mapping[str, RolloutMember],
        arrangement: Ordering,
        matched: int,
        failed: Collection[str],
        now: datetime,
    ) -> None:
        """`members` by name, with the `arrangement` of these; `failed` are canaries that failed,
        whether they are still to be seen or not."""
        self.plan, self.by = plan_of(policy), order_of(policy)
        known = policy.status.rollout
        before = known if known is not None and known.plan == self.plan else None
        self._arrangement, self._waves = arrangement, arrangement.waves
        self._names = tuple(wave.name for wave in self._waves)
        self._there = [[members[name] for name in wave.nodes] for wave in arrangement.waves]
        self._open = [[m for m in there if m.holds] for there in self._there]
        spec = policy.spec.rollout.canary
        self.canary: Canary | None = None
        self._marked: set[str] = set()
        if spec is not None:
            waiting = [m.node.name for m in chain.from_iterable(self._open)]
            marked = before.canary if before else None
            self.canary = canary(
                spec, self.plan, members.values(), waiting, failed, matched, marked, now
            )
            self._marked = {
                name
                for name, m in members.items()
                if m.state and m.state.status.canary == self.plan
            }
        self._places = self.canary.places if self.canary else 0
        reached = before.wave if before is not None and before.order == self.by else ""
        self.current = self._present(reached)

    def _present(self, reached: str) -> int:
        """The first wave, from the one that was reached before, that has something to wait for."""
        first = self._names.index(reached) if reached in self._names else 0
        last = max(len(self._names) - 1, 0)
        return next((n for n in range(first, len(self._names)) if self._open[n]), last)

    @property
    def testing(self) -> bool:
        """Whether only canaries may begin."""
        return self.canary is not None and not self.canary.passed

    @property
    def chooses(self) -> bool:
        """Whether the next nodes that begin are canaries, whichever they are."""
        return self.testing and self._places > 0

    @cached_property
    def stage(self) -> tuple[object, ...]:
        """What `refusal` says depends on this, on `chooses` and on the node: on its labels and its
        record, by which it has its wave and its mark."""
        canaries = self.canary.names if self.canary is not None and self.testing else None
        return canaries, self.current, self._names

    @property
    def name(self) -> str:
        """The present wave's name."""
        if self.testing:
            return CANARY
        return self._waves[self.current].name if self._waves else ""

    @property
    def count(self) -> int:
        return len(self._waves)

    @property
    def size(self) -> tuple[int, int]:
        """(nodes, nodes that are not waited for any more) of the present wave."""
        if self.testing and self.canary is not None:
            return self.canary.status.nodes, self.canary.status.well
        if not self._waves:
            return 0, 0
        there = len(self._waves[self.current].nodes)
        return there, there - len(self._open[self.current])

    @property
    def holders(self) -> tuple[RolloutMember, ...]:
        """The nodes that the canary, or else the present wave, waits for."""
        if self.testing and self.canary is not None:
            return self.canary.ill
        return tuple(self._open[self.current]) if self._waves else ()

    @property
    def order(self) -> Mapping[str, int]:
        """By node: its place in the order, canaries not apart."""
        return self._arrangement.places

    @property
    def members(self) -> Iterator[RolloutMember]:
        """All nodes in that order."""
        return chain.from_iterable(self._there)

    def refusal(self, node: str) -> tuple[str, str] | None:
        """Why it is not this node's turn, as (reason, message), or None."""
        if self.canary is not None and self.testing:
            if node in self.canary.names or self._places > 0:
                return None
            return "WaitingForCanary", "waits until the canary has passed"
        number = self._arrangement.later.get(node, 0)
        if number > self.current:
            return (
                "WaitingForWave",
                f"waits for its wave, {self._waves[number].name} ({number + 1} of {self.count})",
            )
        return None

    def begin(self, node: str) -> str:
        """The node begins: what marks it as a canary, or nothing."""
        if self.canary is None or not self.testing or node in self._marked:
            return ""
        if node not in self.canary.names:
            self._places -= 1
        return self.plan
