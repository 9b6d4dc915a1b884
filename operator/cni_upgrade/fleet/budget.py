"""How many nodes of a policy may be worked on at once: two limits that are never exceeded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.objects import Node

MAX_UNAVAILABLE = "MaxUnavailable"


def limit(value: int | str, total: int) -> int:
    """`maxUnavailable` as a number of nodes: a percentage is rounded down, but is at least one."""
    if isinstance(value, int):
        return value
    return max(1, total * int(value.removesuffix("%")) // 100)


def changing(state: CNINodeState | None) -> bool:
    """Whether an operation that writes is under way; an audit makes no node unavailable."""
    operation = state.status.operation if state else None
    return operation is not None and operation.kind != "audit"


class Budget:
    """The places of one policy in one pass: `take` gives one away, or says why not."""

    def __init__(
        self,
        policy: CNIUpgradePolicy,
        matched: Mapping[str, Node],
        states: Mapping[str, CNINodeState],
        working: Iterable[str] = (),
    ) -> None:
        """`matched` are the nodes that the policy selects, by name.

        `working` are nodes that are changed for it: one that is not selected any more, but still
        worked on, keeps its place.
        """
        self._working = {name for name in matched if changing(states.get(name))} | set(working)
        self._idle = {
            name
            for name, node in matched.items()
            if (node.ready != "True" or node.unschedulable) and name not in self._working
        }
        self._max_parallel = policy.spec.rollout.max_parallel
        self._max_unavailable = limit(policy.spec.rollout.max_unavailable, len(matched))

    @property
    def held_by(self) -> tuple[str, ...]:
        """Nodes that use up all of maxUnavailable while nobody works on any node."""
        full = not self._working and len(self._idle) >= self._max_unavailable
        return tuple(sorted(self._idle)) if full else ()

    def take(self, node: str) -> tuple[str, str] | None:
        """None and the place is taken; else (reason, message) for the policy's status.

        A node that is unavailable already costs nothing more: curing it makes none worse.
        """
        refused = self.refusal(node)
        if refused is None:
            self._working.add(node)
            self._idle.discard(node)
        return refused

    def refusal(self, node: str) -> tuple[str, str] | None:
        """Why there is no place for a node, or None."""
        if len(self._working) >= self._max_parallel:
            return (
                "MaxParallel",
                f"{len(self._working)} of at most {self._max_parallel} nodes are worked on "
                "(spec.rollout.maxParallel)",
            )
        down = self._working | self._idle
        if node not in down and len(down) >= self._max_unavailable:
            return (
                MAX_UNAVAILABLE,
                f"{len(down)} of at most {self._max_unavailable} nodes are unavailable: "
                f"{', '.join(sorted(down)[:3])} (spec.rollout.maxUnavailable)",
            )
        return None
