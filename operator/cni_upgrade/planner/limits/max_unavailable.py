"""How many nodes of a policy may be worked on at once: two limits that are never exceeded.

maxUnavailable is a promise about the nodes that a policy selects, whoever takes one of them out: a
node that several Enforce policies select has to have a place with each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from heapq import nsmallest
from typing import Any

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy

MAX_UNAVAILABLE = "MaxUnavailable"
TURN = "WaitingForSlot"
"""Why a node waits: as many nodes as its policy allows are at work."""


def limit(value: int | str, total: int) -> int:
    """`maxUnavailable` as a number of nodes: a percentage is rounded down, but is at least one."""
    if isinstance(value, int):
        return value
    return max(1, total * int(value.removesuffix("%")) // 100)


def changing(state: CNINodeState | None) -> bool:
    """Whether an operation that writes is under way; an audit makes no node unavailable."""
    operation = state.status.operation if state else None
    return operation is not None and operation.kind != "audit"


def _on_behalf(state: CNINodeState, policy: CNIUpgradePolicy) -> bool:
    ref = state.status.operation.policy if state.status.operation else None
    return ref is not None and ref.uid == policy.metadata.uid


class Budget:
    """The places of one policy in one pass: `take` gives one away, or says why not."""

    def __init__(
        self,
        policy: CNIUpgradePolicy,
        matched: Iterable[str],
        down: Iterable[str],
        states: Mapping[str, CNINodeState],
        working: Iterable[str] = (),
    ) -> None:
        """`matched` are the nodes that the policy selects, by name, `down` those of them that are
        unavailable already; `states` the records of those that are being changed, and of as many
        others as there are.

        `working` are nodes that are changed for it: one that is not selected any more, but still
        worked on, keeps its place.
        """
        self._name = policy.metadata.name
        self._matched = frozenset(matched)
        taken = {
            name for name, state in states.items() if name in self._matched and changing(state)
        }
        self._mine = {name for name in taken if _on_behalf(states[name], policy)} | set(working)
        self._working = taken | self._mine
        self._gone = self._working.union(down)
        self._max_parallel = policy.spec.rollout.max_parallel
        self._max_unavailable = limit(policy.spec.rollout.max_unavailable, len(self._matched))
        self._others: tuple[Budget, ...] = ()

    @property
    def mine(self) -> Set[str]:
        """The nodes that are worked on for the policy, selected by it or not."""
        return self._mine

    @property
    def working(self) -> Set[str]:
        """The nodes that are changed, for whomever, of all that this and other policies select."""
        return self._working.union(*(each._working for each in self._others))

    def held_by(self, node: str, lost: Set[str] = frozenset()) -> tuple[str, ...]:
        """Nodes that keep this one from a place which no work that is under way gives back.

        `lost` are nodes on which the work cannot be expected to end.
        """
        if len(self._mine) >= self._max_parallel and self._mine <= lost:
            return tuple(sorted(self._mine))
        for each in self._concerned(node):
            if each._working <= lost and each._exceeded_by(node):
                return tuple(sorted(each._gone))
        return ()

    def take(self, node: str) -> tuple[str, str] | None:
        """None and the place is taken; else (reason, message) for the policy's status.

        A node that is unavailable already costs nothing more: curing it makes none worse.
        """
        refused = self.refusal(node)
        if refused is None:
            self._mine.add(node)
            for each in self._concerned(node):
                each._working.add(node)
                each._gone.add(node)
        return refused

    def free(self, node: str) -> bool:
        """Whether there is a place for a node: all that wait ask it in each pass, few why not."""
        return len(self._mine) < self._max_parallel and not any(
            each._exceeded_by(node) for each in self._concerned(node)
        )

    def nearest(self, nodes: Set[str], rank: Callable[[str], Any]) -> Set[str]:
        """Of nodes that all want one, those that may be given a place before the rest; `rank` is
        how they have their turn."""
        parallel = self._max_parallel - len(self._mine)
        if parallel <= 0:
            return set()
        if self._others:
            return nodes
        down = nodes & self._gone
        room = max(self._max_unavailable - len(self._gone), 0)
        return down | set(nsmallest(min(parallel, room), nodes - down, key=rank))

    def refusal(self, node: str) -> tuple[str, str] | None:
        """Why there is no place for a node, or None."""
        if self.free(node):
            return None
        if len(self._mine) >= self._max_parallel:
            return (
                "MaxParallel",
                f"{len(self._mine)} of at most {self._max_parallel} nodes are worked on: "
                f"{', '.join(sorted(self._mine)[:3])} (spec.rollout.maxParallel)",
            )
        full = next(each for each in self._concerned(node) if each._exceeded_by(node))
        whose = "" if full is self else f" of policy {full._name}"
        return MAX_UNAVAILABLE, f"{full._used()} (spec.rollout.maxUnavailable{whose})"

    def _concerned(self, node: str) -> Iterator[Budget]:
        """This one, and those of the other policies that select a node."""
        yield self
        yield from (each for each in self._others if node in each._matched)

    def _exceeded_by(self, node: str) -> bool:
        return node not in self._gone and len(self._gone) >= self._max_unavailable

    def _used(self) -> str:
        gone = sorted(self._gone)
        return (
            f"{len(gone)} of at most {self._max_unavailable} nodes are unavailable: "
            f"{', '.join(gone[:3])}"
        )


def shared(budgets: Iterable[Budget]) -> None:
    """Let the budgets of all policies of one pass know of each other."""
    every = tuple(budgets)
    for each in every:
        each._others = tuple(other for other in every if other is not each)
