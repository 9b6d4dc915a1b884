"""Which progress is recorded at once, and which may wait to be written with what comes next.

A status is a request, and a node's whole cure passes through a dozen of them. What must stand in
the record before an act is written before it: that a change begins, that an agent is sent to write,
how it all ended. In between, what the controller knows can be found again from the record and the
cluster, because names are made of the operation and every step looks before it acts:

- that an audit was begun: the same look has the same id, and its Job is there or not;
- that the cordon is there and a pod was added: both are on the cluster, under the operation's name;
- that the agent has answered, and how far the proof is: its pod has the answer for an hour, the
  node for longer, and until it is recorded the record says that the agent may be writing.

Nothing waits for more than a few seconds, so that the status of a slow node says what it waits for.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.planner.world.phases import EMPTYING, FAILED, GOOD, ROTATION, ROUTINE, Step

LONGEST = timedelta(seconds=15)
"""How long a record may be behind."""

_PROOF = frozenset({Step.PROVE_OLD, Step.PROVE_ADD, Step.PROVE_DELETE})
_FOLLOWS: dict[Step, frozenset[Step]] = {
    Step.CORDON: frozenset({Step.BASELINE}),
    Step.APPLY: _PROOF | {Step.RELEASE},
    Step.PROVE_OLD: _PROOF | {Step.RELEASE},
    Step.PROVE_ADD: _PROOF | {Step.RELEASE},
    Step.PROVE_DELETE: _PROOF | {Step.RELEASE},
}
"""Steps that need not be recorded before they are acted on, by the one that is."""


def may_wait(
    recorded: NodeStateStatus, status: NodeStateStatus, since: datetime, now: datetime
) -> bool:
    """Whether a status that differs from the recorded one need not be written now."""
    if now - since >= LONGEST or status.operation is None:
        return False
    before, after = recorded.operation, status.operation
    if before is None:
        # What was good, or failed, is not to be shown as that while it is in question.
        shown = recorded.phase in GOOD | FAILED and status.reason not in (ROUTINE, ROTATION)
        return after.kind == "audit" and not shown
    if (before.id, before.job) != (after.id, after.job):
        return False
    if before.step == after.step:
        # Who keeps a node from being emptied is told at once: a drain may be over in seconds.
        if after.step in EMPTYING and after.blockers and not before.blockers:
            return False
        return before.proof == after.proof and recorded.history == status.history
    try:
        return Step(after.step) in _FOLLOWS[Step(before.step)] and _well(after)
    except (KeyError, ValueError):
        return False


def _well(operation: OperationStatus) -> bool:
    """Not on its way out for another reason than that it is done."""
    return operation.ending is None or operation.ending.phase in GOOD
