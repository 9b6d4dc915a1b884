"""The phases of a node and the steps of an operation, with every move that is allowed.

A node rests in a phase or is at work in it. At rest nothing of ours is on the node: no cordon, no
agent, no proof pod that is waited for. The planner never makes a move that is not in `MOVES`.

    Pending -> Auditing -> Compatible                      nothing to do
                        -> Blocked | ManagedElsewhere      nothing that we may do
                        -> Waiting                         for Enforce, budget, or a free cordon
    Waiting -> Draining -> Applying -> Proving -> Done
                              |           |
                              +-----------+--> RollingBack -> RolledBack
                              +-----------+--> Failed
    Waiting -> Draining -> Upgrading -> Proving -> Done    its runtime or its kubelet
"""

from __future__ import annotations

from enum import StrEnum

from cni_upgrade.api.phase import Phase


class Step(StrEnum):
    """Where an operation stands. Each is safe to do again; the next pass looks before it acts."""

    JOB = "Job"  # an audit: wait for the agent's answer
    CORDON = "Cordon"  # mark the node unschedulable, signed as ours
    BASELINE = "Baseline"  # a pod added before the change, where adding works today
    BASELINE_DELETE = "BaselineDelete"  # it goes again, where it would be in the way of the change
    DRAIN = "Drain"  # evict, within budgets, until the deadline
    APPLY = "Apply"  # the agent backs up and writes
    TAKE_BACK = "TakeBack"  # the agent did not start: its Job goes, and the node is given back
    UPGRADE = "Upgrade"  # ready for whoever upgrades it: wait for the versions to reach
    WITHDRAW = "Withdraw"  # not ready any more: whoever was about to begin gets the time to see it
    AUDIT_AFTER = "AuditAfter"  # upgraded: wait for an agent to look at it
    HOLD = "Hold"  # upgraded and not well: the cordon stays until a person acts
    DRAIN_AFTER = "DrainAfter"  # drain asked for, but deleting pods only works from now on
    PROVE_OLD = "ProveOld"  # the pod added before the change is deleted after it
    PROVE_ADD = "ProveAdd"  # a fresh pod gets its network
    PROVE_DELETE = "ProveDelete"  # and gives it back
    SOAK = "Soak"  # the proof holds so far; the node is watched and proved once more
    FREE = "Free"  # pods that hung before the change get the time to be freed by it
    CORDON_BACK = "CordonBack"  # a node that was proved without a cordon is to be put back
    RESTORE = "Restore"  # the agent puts the backup back
    GIVE_BACK = "GiveBack"  # the same for a policy that was deleted, and wants it so
    RELEASE = "Release"  # uncordon if the cordon is ours, then rest


PHASE_OF: dict[Step, Phase] = {
    Step.JOB: Phase.AUDITING,
    Step.DRAIN: Phase.DRAINING,
    Step.APPLY: Phase.APPLYING,
    Step.TAKE_BACK: Phase.APPLYING,
    Step.UPGRADE: Phase.UPGRADING,
    Step.WITHDRAW: Phase.UPGRADING,
    Step.AUDIT_AFTER: Phase.PROVING,
    Step.HOLD: Phase.UPGRADING,
    Step.DRAIN_AFTER: Phase.PROVING,
    Step.PROVE_OLD: Phase.PROVING,
    Step.PROVE_ADD: Phase.PROVING,
    Step.PROVE_DELETE: Phase.PROVING,
    Step.SOAK: Phase.PROVING,
    Step.FREE: Phase.PROVING,
    Step.CORDON_BACK: Phase.ROLLING_BACK,
    Step.RESTORE: Phase.ROLLING_BACK,
    Step.GIVE_BACK: Phase.ROLLING_BACK,
}
"""The phase that a person sees at each step. Cordon and the pod from before are part of what they
are for, Draining or Applying; Release keeps the phase that led to it."""

UNTOUCHED = frozenset({Step.CORDON, Step.BASELINE, Step.BASELINE_DELETE, Step.DRAIN})
"""Steps of an apply at which no file was written: a pause or a lost policy gives the node back."""

EMPTYING = (Step.DRAIN, Step.DRAIN_AFTER)
"""Steps at which pods are evicted."""

WRITING = (Step.APPLY, Step.RESTORE, Step.GIVE_BACK)
"""Steps at which an agent writes, or is to be sent to."""

PROVING = (
    Step.BASELINE,
    Step.BASELINE_DELETE,
    Step.PROVE_OLD,
    Step.PROVE_ADD,
    Step.PROVE_DELETE,
)
"""Steps that are judged by what becomes of a proof pod."""

AT_WORK = frozenset(
    {
        Phase.AUDITING,
        Phase.DRAINING,
        Phase.APPLYING,
        Phase.UPGRADING,
        Phase.PROVING,
        Phase.ROLLING_BACK,
    }
)
FAILED = frozenset({Phase.FAILED, Phase.ROLLED_BACK})
GOOD = frozenset({Phase.COMPATIBLE, Phase.DONE})
UNANSWERED = frozenset({Phase.PENDING, Phase.AUDITING})
OUTDATED = frozenset(Phase) - GOOD - UNANSWERED
"""Phases of a node that needs a change, whether it may be made or not."""

ROTATION = "Rotation"
"""The reason of the same kind of audit of a node that is not good: nobody has asked for it."""

ROUTINE = "RoutineAudit"
"""Reason of a good node that is looked at again though nothing that we know of has changed."""

UNPLANNABLE = "Unplannable"
"""The reason of a node whose record the planner could not act on, whatever its phase says."""

NOT_LINUX = "NotLinux"
"""The reason of a node of another system: it is blocked without a look, and never asked."""

_RESTING = frozenset(Phase) - AT_WORK
DRAIN_NOT_ENOUGH = "DrainNotEnough"
"""The reason of a node that was drained for nothing: it is not drained again by itself."""

INCONCLUSIVE = "ProofInconclusive"
"""The reason of a node whose proof said nothing of the network, before or after the change."""

DRAIN_BLOCKED = "DrainBlocked"
NOBODY_UPGRADED = "NobodyUpgraded"
"""The reason of a node that was ready for its upgrade until the deadline, and nobody began it."""
AGENT_NOT_STARTED = "AgentNotStarted"
CORDON_TAKEN = "CordonTaken"
PODS_NOT_LISTED = "PodsNotListed"

POSTPONED = frozenset(
    {
        INCONCLUSIVE,
        DRAIN_BLOCKED,
        NOBODY_UPGRADED,
        AGENT_NOT_STARTED,
        CORDON_TAKEN,
        PODS_NOT_LISTED,
    }
)
"""Reasons of a node that is blocked by what came in the way of its change, and not by what stands
on it: the same change is tried again by itself."""

WAITS_FOR_PROOF = "WaitingForProof"
"""Why no other node begins: one is written and not proved yet."""

UNPROVED = "Unproved"
"""How a change has ended that is written and not proved yet."""

LOWERED = "Lowered"
"""How the first leg of a change in two has ended that was proved, until the second one ends."""

PROVE = "prove"
"""The kind of an operation that proves what is written already, and writes nothing."""

UPGRADE = "upgrade"
"""The kind of an operation during which somebody else upgrades the node."""

UPGRADE_OVERDUE = "UpgradeOverdue"
UPGRADE_NOT_WELL = "NotWellAfterUpgrade"
HELD_FOR_A_PERSON = frozenset({UNPLANNABLE, UPGRADE_OVERDUE, UPGRADE_NOT_WELL})
"""Reasons of a node in the midst of a change that stays as it is until a person acts."""

_GIVEN_BACK = frozenset({Phase.WAITING, Phase.ROLLING_BACK})
"""From wherever it rests, a node whose policy was deleted waits for its turn to be given back."""

_MOVES: dict[Phase, frozenset[Phase]] = {
    # Blocked without a look: a node that is not Linux.
    Phase.PENDING: frozenset({Phase.AUDITING, Phase.BLOCKED}),
    Phase.AUDITING: frozenset(
        {
            Phase.PENDING,
            Phase.COMPATIBLE,
            Phase.WAITING,
            Phase.BLOCKED,
            Phase.MANAGED_ELSEWHERE,
            Phase.FAILED,
        }
    ),
    Phase.COMPATIBLE: frozenset({Phase.AUDITING, Phase.PENDING}),
    Phase.WAITING: frozenset(
        {
            Phase.AUDITING,
            Phase.DRAINING,
            Phase.APPLYING,
            Phase.PROVING,
            Phase.BLOCKED,
            Phase.PENDING,
        }
    ),
    Phase.DRAINING: frozenset(
        {
            Phase.APPLYING,
            Phase.UPGRADING,
            Phase.ROLLING_BACK,
            Phase.WAITING,
            Phase.BLOCKED,
            Phase.PENDING,
        }
    ),
    # Called off or not begun by anybody; upgraded; given back by a person's word.
    Phase.UPGRADING: frozenset(
        {Phase.WAITING, Phase.BLOCKED, Phase.PROVING, Phase.FAILED, Phase.PENDING}
    ),
    Phase.APPLYING: frozenset(
        {
            Phase.PROVING,
            Phase.DONE,
            Phase.FAILED,
            Phase.BLOCKED,
            Phase.ROLLING_BACK,
            Phase.WAITING,
            Phase.PENDING,
            # The second leg of a change whose first one needs no proof.
            Phase.DRAINING,
        }
    ),
    Phase.PROVING: frozenset(
        {
            # The second leg: a node that was lowered first is drained and raised. Or what the look
            # after an upgrade has found is written.
            Phase.DRAINING,
            # After an upgrade: not well.
            Phase.UPGRADING,
            Phase.DONE,
            Phase.FAILED,
            Phase.ROLLING_BACK,
            Phase.PENDING,
            # Nothing was learned of the network: proved again later; called off meanwhile.
            Phase.BLOCKED,
            Phase.WAITING,
        }
    ),
    Phase.DONE: frozenset({Phase.AUDITING, Phase.PENDING}),
    Phase.ROLLING_BACK: frozenset(
        {
            Phase.ROLLED_BACK,
            Phase.FAILED,
            # For a deleted policy: pods go first, a pod shows that it works, it is over.
            Phase.DRAINING,
            Phase.PROVING,
            Phase.WAITING,
            Phase.PENDING,
        }
    ),
    Phase.ROLLED_BACK: frozenset({Phase.AUDITING, Phase.PENDING}),
    Phase.FAILED: frozenset({Phase.AUDITING, Phase.PENDING}),
    Phase.BLOCKED: frozenset(
        {Phase.AUDITING, Phase.WAITING, Phase.DRAINING, Phase.APPLYING, Phase.PENDING}
    ),
    Phase.MANAGED_ELSEWHERE: frozenset({Phase.AUDITING, Phase.PENDING}),
}
MOVES = {
    phase: (moves | _GIVEN_BACK) - {phase} if phase in _RESTING else moves
    for phase, moves in _MOVES.items()
}
