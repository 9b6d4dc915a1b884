"""The conditions of a node state, as tools that know nothing of us read them."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Literal

from cni_upgrade.api.condition import READY, RECONCILING, STALLED, Condition, keep_times
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.world.phases import AT_WORK, FAILED, GOOD, HELD_FOR_A_PERSON

UNKNOWN = "UnknownPhase"
"""The reason of a phase that only a newer controller knows, or somebody's hand: any text at all,
where a reason is one word."""

_NEEDS_A_PERSON = FAILED | {Phase.BLOCKED, Phase.MANAGED_ELSEWHERE}


def conditions(
    status: NodeStateStatus,
    before: tuple[Condition, ...],
    generation: int,
    now: datetime,
    *,
    outdated: bool = False,
) -> tuple[Condition, ...]:
    """Ready always; Reconciling and Stalled only while true, and never both, as kstatus reads them.

    `outdated`: something else is asked for by now than what the phase answers.
    """
    phase = status.phase.value if isinstance(status.phase, Phase) else UNKNOWN
    stuck = status.reason in HELD_FOR_A_PERSON
    good = status.phase in GOOD and not stuck and not outdated
    wanted: list[tuple[str, Literal["True", "False"]]] = [(READY, "True" if good else "False")]
    if stuck or status.phase in _NEEDS_A_PERSON:
        wanted.append((STALLED, "True"))
    elif status.phase in AT_WORK or (status.phase in GOOD and outdated):
        wanted.append((RECONCILING, "True"))
    said = (generation, phase, status.message)
    if [(c.type, c.status) for c in before] == wanted and all(
        (c.observed_generation, c.reason, c.message) == said for c in before
    ):
        # So it is with nearly every node in nearly every pass.
        return before

    condition = partial(
        Condition,
        observed_generation=generation,
        last_transition_time=now,
        reason=phase,
        message=status.message,
    )
    return keep_times(before, (condition(type=kind, status=holds) for kind, holds in wanted))
