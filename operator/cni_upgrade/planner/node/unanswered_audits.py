"""Audits that bring no answer again and again: tried on, but a person is told.

An image that cannot be pulled, a quota, a webhook or PodSecurity keep out every agent of a fresh
installation alike. Each node says so of itself; somebody has to say it of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy_status import NodeFailure
from cni_upgrade.planner.node.stalled import named
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.phases import UNPLANNABLE

AUDITS_FAIL = "AuditsFailing"

_LOOKED_AT = frozenset({Phase.AUDITING, Phase.PENDING})


def lost(status: NodeStateStatus, config: OperatorConfig) -> bool:
    """Whether so many looks in a row brought no answer (`attempts` of the operator's configuration)
    that nobody waits for the next one; it may be under way."""
    return unanswered(status) and status.attempts >= config.attempts


def unanswered(status: NodeStateStatus) -> bool:
    """Whether the last look brought no answer; the next one may be under way."""
    seen = status.observed
    return (
        seen is not None
        and seen.audited_at is None
        and status.phase in _LOOKED_AT
        and status.attempts > 0
    )


def behind(failure: NodeFailure) -> bool:
    """Whether lost audits are why a policy names this node as one that needs a person."""
    return failure.phase in _LOOKED_AT and failure.reason != UNPLANNABLE


def describe_audits(names: Sequence[str], states: Mapping[str, CNINodeState]) -> str:
    """Names nodes whose audits are lost, and says why by the first of them.

    One on which the next look is under way says what that is doing, so another is preferred.
    """
    first = next((n for n in names if states[n].status.phase == Phase.PENDING), names[0])
    return f"no audit of {named(names)} brings an answer; {first}: {states[first].status.message}"
