"""A node that a policy governs, with its record, and what its rollout asks about it in every pass.

Worked out once for as long as neither changes (pass_cache.py): a fleet has thousands of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from cni_upgrade.agent.protocol.operation import Verdict
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.rollout import Cordoned
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node.audit_result import asked_again, asked_key
from cni_upgrade.planner.node.pending_proof import doubt, unproved
from cni_upgrade.planner.node.stalled import needs_person
from cni_upgrade.planner.node.unanswered_audits import lost, unanswered
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.phases import FAILED, GOOD, NOT_LINUX, POSTPONED, UNPLANNABLE

_LOOKED_AT = frozenset({Phase.AUDITING, Phase.PENDING})


@dataclass(frozen=True, slots=True)
class RolloutMember:
    """A node that a policy governs, with its record."""

    node: Node
    state: CNINodeState | None
    seen: bool
    """What is known of it answers what the policy asks today, or nothing is ever asked of it."""
    failed: bool
    """It is failed or rolled back, and nobody has asked to try it again."""
    unproved: bool
    """What stands on it was written for the policy and never proved."""
    holds: bool
    """A wave waits for it: it is worked on, not proved, or may yet be changed."""
    waits: bool
    """A change is due and not begun."""
    stale: bool
    """Good for what was wanted before, or not proved as is wanted now: to be looked at again."""
    open: bool
    """It is being audited, or will be without anybody's help."""
    stuck: bool
    """The planner cannot act on its record in the midst of a change: it has failed as well."""
    lost: bool
    """Its audits bring no answer again and again: they are tried on, and a person is told."""
    doubt: str = ""
    """What is not known of it and a proof would tell; its like wait for the first proof."""

    @property
    def postponed(self) -> bool:
        """It is blocked, and its change or its proof is tried again without anybody's help."""
        status = self.state.status if self.state is not None else None
        if status is None or status.phase != Phase.BLOCKED:
            return False
        paused = status.reason in POSTPONED and status.next_attempt_at is not None
        return self.unproved or paused

    @classmethod
    def of(
        cls,
        node: Node,
        state: CNINodeState | None,
        seen: bool,
        policy: CNIUpgradePolicy,
        config: OperatorConfig,
    ) -> RolloutMember:
        """Of the policy that acts on the node, as it is now."""
        answers = node.ready != "Unknown"
        if state is None:
            return cls(
                node,
                state,
                seen,
                failed=False,
                unproved=False,
                holds=answers,
                waits=False,
                stale=False,
                open=answers,
                stuck=False,
                lost=False,
            )
        status = state.status
        unheard = lost(status, config) and seen
        seen = seen and not _known_otherwise(status, policy)
        seen = seen or (status.phase == Phase.BLOCKED and status.reason == NOT_LINUX)
        written = unproved(status, policy)
        stale = status.phase in GOOD and (written or not seen)
        return cls(
            node,
            state,
            seen,
            failed=status.phase in FAILED and (seen or not asked_again(state, policy)),
            unproved=written,
            holds=changing(state) or written or _to_come(node, state, seen, policy, config),
            waits=status.phase == Phase.WAITING,
            stale=stale,
            open=answers and not unheard and (stale or _unknown(status, seen)),
            stuck=needs_person(state),
            lost=unheard,
            doubt=doubt(status),
        )


def _known_otherwise(status: NodeStateStatus, policy: CNIUpgradePolicy) -> bool:
    """Whether the last look brought no answer, and what is known of the node is one to what was
    asked before that, another target say: nobody knows whether it is well for today's."""
    known = status.observed
    return known is not None and unanswered(status) and known.asked_key != asked_key(policy)


def _unknown(status: NodeStateStatus, seen: bool) -> bool:
    """Looked at, with an open end: not one more look at a node that is blocked or well."""
    if status.phase not in _LOOKED_AT:
        return False
    return not seen or status.verdict in (None, Verdict.REWRITE.value)


def _to_come(
    node: Node, state: CNINodeState, seen: bool, policy: CNIUpgradePolicy, config: OperatorConfig
) -> bool:
    """Whether a node that is not worked on may yet be changed, without anybody's help."""
    if node.ready == "Unknown":
        return False  # Nothing can be sent there; it follows when it is back.
    status = state.status
    if status.phase in FAILED or status.reason == UNPLANNABLE or lost(status, config):
        return False
    if not seen:
        # After so many looks without an answer the others do not wait for it any more.
        return not (status.phase in _LOOKED_AT and status.attempts >= config.attempts)
    if unanswered(status):
        # One more look at a node that is known to be well is no change to come.
        return status.verdict not in (Verdict.COMPATIBLE.value, Verdict.NOT_CNI.value)
    if status.phase == Phase.WAITING or (
        status.phase in _LOOKED_AT and status.verdict == Verdict.REWRITE
    ):
        skipped = policy.spec.rollout.cordoned == Cordoned.SKIP
        return not (skipped and node.unschedulable)
    return False
