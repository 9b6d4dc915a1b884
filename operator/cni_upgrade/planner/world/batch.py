"""A turn: what is to be done about one node or policy."""

from __future__ import annotations

from dataclasses import dataclass

from cni_upgrade.api import names
from cni_upgrade.planner.world.decisions import Decision, SetFinalizers, SetStatus

GARBAGE = "leftover "
"""Begins the subject of a turn that takes back what no operation stands for; its name follows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Decisions in the order in which they are carried out; the first that fails ends the turn."""

    subject: str
    decisions: tuple[Decision, ...]

    @property
    def sums_up(self) -> bool:
        """Whether it tells, or takes as given, what other turns of the same pass do to nodes."""
        return any(
            isinstance(each, SetFinalizers)
            or (isinstance(each, SetStatus) and each.kind == names.POLICY_KIND)
            for each in self.decisions
        )
