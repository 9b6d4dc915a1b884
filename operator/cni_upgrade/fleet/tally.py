"""What one record adds to its policy's counts. Nearly all records of a fleet add the same."""

from __future__ import annotations

from typing import NamedTuple

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.fleet.phases import GOOD, ROUTINE, UNPLANNABLE

_TROUBLE = (Phase.FAILED, Phase.ROLLED_BACK, Phase.BLOCKED, Phase.MANAGED_ELSEWHERE)
_LOOKED_AT = GOOD | {Phase.AUDITING}
_STUCK, _NONE = len(_TROUBLE), len(_TROUBLE) + 1


class Share(NamedTuple):
    """All that a policy counts of a record; equal for records that are counted alike."""

    phase: str
    looked_at: bool
    """It is good, or is being looked at."""
    routine: bool
    """It is looked at though nobody has asked for it and nothing that we know of has changed."""
    stuck: bool
    """Whatever its phase says, it stands still until a person acts."""
    found: str
    """The version that its config is at; empty where it is not known."""
    freed: int
    """Pods that hung before the change and do not any more."""
    readiness: tuple[tuple[str, bool | None], ...]
    """By runtime, in the order of the record; the first answer for a runtime is the one."""
    gravity: int
    """Its place among those that need a person, the gravest first; beyond them it needs none."""

    @property
    def needs_a_person(self) -> bool:
        return self.gravity < _NONE

    @classmethod
    def of(cls, state: CNINodeState) -> Share:
        """The share of one record."""
        status = state.status
        stuck = status.reason == UNPLANNABLE
        gravity = _STUCK if stuck else _NONE
        if status.phase in _TROUBLE:
            gravity = _TROUBLE.index(Phase(status.phase))
        return cls(
            phase=str(status.phase),
            looked_at=status.phase in _LOOKED_AT,
            routine=status.reason == ROUTINE,
            stuck=stuck,
            found=status.found or "",
            freed=len(status.hung.before) - len(status.hung.after) if status.hung else 0,
            readiness=tuple((each.runtime, each.ready) for each in status.readiness),
            gravity=gravity,
        )
