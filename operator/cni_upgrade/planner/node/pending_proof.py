"""A change that is written and not proved: nobody knows what it has done to its node.

While that is so no other node begins: what keeps one proof from saying anything, a quota or an
admission policy, may keep all of them from it, and the fleet would be written unproved.
"""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Kind, Report
from cni_upgrade.api.history import LastChange
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.api.report import Baseline
from cni_upgrade.cni.findings import Code
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.phases import PROVE, UNPROVED


def unproved(status: NodeStateStatus, policy: CNIUpgradePolicy) -> bool:
    """Whether what stands on the node was written and never proved, for whichever policy: one that
    is deleted and applied again has another uid, and the node is the same.

    Never so for a policy that wants no proof, or none any more: that is a person's way out.
    """
    last = status.last_change
    return (
        policy.spec.mode == Mode.ENFORCE
        and policy.spec.verify.proof
        and last is not None
        and last.outcome == UNPROVED
    )


def doubt(status: NodeStateStatus) -> str:
    """What is not known of a node and a proof would tell; empty where nothing is."""
    said = {each.message for each in status.findings if each.code == Code.CHECK_UNPROVED}
    return "; ".join(sorted(said))


def undone(status: NodeStateStatus) -> NodeStateStatus:
    """The status once what was written is not there any more, and so not to be proved."""
    last = status.last_change
    if last is None or last.outcome != UNPROVED:
        return status
    return status.model_copy(update={"last_change": None})


def written_anew(status: NodeStateStatus) -> bool:
    """Whether another file is to be written there, for another target say, and not only proved what
    stands: that waits for its turn as every change does."""
    return any(file.action == "Rewrite" for file in status.files)


def before(view: NodeContext) -> tuple[Baseline | None, str | None]:
    """What worked before the change under way, and the backup to go back to.

    Over a change that was never proved: what worked before both, or what that one has broken would
    count as broken before. Not where the later one has written a file that the earlier backup does
    not hold: half of it would stay.
    """
    status, kept, ref = view.status, view.status.last_change, view.operation.policy
    mine = _backup(view)
    if kept is None or kept.outcome != UNPROVED or kept.baseline is None:
        return status.baseline, mine
    files = status.changed.files if status.changed else ()
    partly = kept.backup not in (None, mine) and any(file.backup == mine for file in files)
    if partly or ref is None or kept.policy != ref.uid:
        return status.baseline, mine
    return kept.baseline, kept.backup or mine


def _backup(view: NodeContext) -> str | None:
    """The backup that the change under way has made; on the way back, the one that is put back.

    Until the agent of an apply has answered, the last answer is of the change before.
    """
    answered, operation = view.status.last_operation, view.operation
    if answered is None or (operation.kind == Kind.APPLY and answered.id != operation.id):
        return None
    return answered.backup


def perhaps_written(view: NodeContext) -> NodeStateStatus:
    """The status of a node whose change may be written, though no agent has said so: if it is,
    that is to be proved."""
    operation, status = view.operation, view.status
    if operation.kind == Kind.AUDIT or operation.policy is None:
        return status
    if operation.kind == PROVE and status.last_change is not None:
        # It writes nothing: what it is compared with, and goes back to, is that of the change.
        return status
    # What worked before is known only where this is the change that was to be written.
    baseline, backup = before(view) if operation.kind == Kind.APPLY else (None, None)
    known = LastChange(
        outcome=UNPROVED,
        at=view.now,
        policy=operation.policy.uid,
        baseline=baseline,
        backup=backup,
        written=None if _surely_written(view) else False,
    )
    return status.model_copy(update={"last_change": known})


def _surely_written(view: NodeContext) -> bool:
    """Whether something was written that is not proved, whatever became of this operation: by
    itself, or by one before it, for whichever policy. Else a look that finds the files as they were
    recorded would call that proved."""
    operation, kept = view.operation, view.status.last_change
    answered, changed = view.status.last_operation, view.status.changed
    if operation.kind == Kind.APPLY and answered is not None and answered.id == operation.id:
        return True
    if kept is None or kept.written is False:
        return False
    failed = kept.outcome == Phase.FAILED and changed is not None and bool(changed.files)
    return kept.outcome == UNPROVED or failed


def found_written(status: NodeStateStatus) -> NodeStateStatus:
    """The status once a look has found what was to be written."""
    last = status.last_change
    if last is None or last.written is None:
        return status
    return status.model_copy(update={"last_change": last.model_copy(update={"written": None})})


def nothing_written(status: NodeStateStatus) -> NodeStateStatus:
    """The status once a look has found nothing that any policy has written."""
    last = status.last_change
    return undone(status) if last is not None and last.written is False else status


def reopened(status: NodeStateStatus, report: Report) -> NodeStateStatus:
    """The status with a change that failed as one that is not proved, where it still stands.

    A failed node is looked at again only where a person asks for another try. That the file is at
    the target was so when it failed as well: a proof says whether the node works now.
    """
    last, changed = status.last_change, status.changed
    if last is None or changed is None or last.outcome != Phase.FAILED:
        return status
    found = {file.name: file.sha256 for file in report.files}
    written = {file.name: file.sha256 for file in changed.files if file.sha256}
    if not written or any(found.get(name) != sha256 for name, sha256 in written.items()):
        return status
    return status.model_copy(update={"last_change": last.model_copy(update={"outcome": UNPROVED})})
