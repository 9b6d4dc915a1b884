"""Nodes that wait in a rollout, in lines: they are asked anew once they may be told something else.

In a fleet of 5,000 nearly all wait, and what each is told is decided by a few facts of the rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple

from cni_upgrade.planner.node.start_request import StartAnswer
from cni_upgrade.planner.rollout.may_start import RolloutPass


class _Line(NamedTuple):
    policy: str
    """Uid of the policy whose rollout it is."""
    drained: bool
    """Whether the change would drain its node."""
    stage: tuple[object, ...]
    """The rollout's, as the nodes were told to wait."""
    full: bool
    """A place was all that they lacked."""


class WaitingNodes:
    """Who waits, by what was told."""

    def __init__(self) -> None:
        self._lines: dict[_Line, set[str]] = {}
        self._of: dict[str, _Line] = {}
        """By node."""

    def join(self, node: str, told: StartAnswer, course: RolloutPass | None) -> bool:
        """Whether a node can wait in a line, where it then does: one without a course cannot, nor
        one that was let through, for it takes a place whenever it asks."""
        wish, refusal = told
        if course is None or refusal is None:
            return False
        drained, policy = wish.drained, course.policy.metadata.uid
        line = _Line(policy, drained, course.stage(drained), refusal == course.full)
        self._of[node] = line
        self._lines.setdefault(line, set()).add(node)
        return True

    def leave(self, node: str) -> None:
        """The node is to be looked at, or has gone."""
        line = self._of.pop(node, None)
        if line is None:
            return
        there = self._lines[line]
        there.discard(node)
        if not there:
            del self._lines[line]

    def called(
        self, courses: Mapping[str, RolloutPass], rank: Callable[[str], Any], apart: Set[str]
    ) -> set[str]:
        """The nodes that may be told something else in this pass.

        `courses` by the policy's uid, before anything begins; `rank` is how nodes have their turn.
        `apart` have their turn in any case: what they have to do may be something else than to ask,
        so none of them is counted for a place.
        """
        found = set[str]()
        for line, nodes in self._lines.items():
            course = courses.get(line.policy)
            if course is None or course.stage(line.drained) != line.stage:
                found |= nodes
            elif line.full:
                found |= course.nearest(nodes - apart, rank)
        return found

    def clear(self) -> None:
        """Everybody is to be looked at."""
        self._lines.clear()
        self._of.clear()
