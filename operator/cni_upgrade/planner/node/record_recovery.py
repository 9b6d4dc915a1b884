"""What a record does not know of a change is made anew from what the backups on the node tell.

Deleted by hand, or with its custom resource, it is no longer there to say what a policy has changed
and whether that was proved; nor does it say so where an agent has written and its answer was lost.
The agent of every audit says what stands (agent/applied_changes.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cni_upgrade.agent.protocol.operation import Report, Standing, StandingFile
from cni_upgrade.api.changed import Changed, ChangedFile
from cni_upgrade.api.history import LastChange
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.node.context import NodeContext, moved
from cni_upgrade.planner.node.pending_proof import nothing_written, undone
from cni_upgrade.planner.world.phases import UNPROVED


def looked_at(status: NodeStateStatus, policy: CNIUpgradePolicy, now: datetime) -> bool:
    """Whether this record knows of every change: an audit has answered since it was made.

    Where it tells of a change and not of what that has changed, since then, and since the policy
    was deleted: agents may have been lost before they could say what they wrote, and a record that
    somebody has edited may say anything.
    """
    if status.changed is not None or status.verdict is None:
        return status.changed is not None
    last, seen = status.last_change, status.observed
    if last is None:
        return True
    # What is to come was before the clock was set back: no look would ever be later.
    known = (at for at in (last.at, policy.metadata.deletion_timestamp) if at and at <= now)
    at = seen.audited_at if seen is not None else None
    return at is not None and all(at > each for each in known)


def remade(view: NodeContext, report: Report, orderer: CNIUpgradePolicy | None) -> NodeContext:
    """With what the node tells of a change of which the record does not know."""
    known, told = view.status.changed, report.standing
    if told is None:
        if known is None:
            return moved(view, nothing_written(view.status))
        return _with(view, {"changed": None}) if known.unknown else view
    if known is not None and not known.unknown and not _unheard(known, told, report):
        return view
    policy = _whose(view, told, orderer)
    if policy is None:
        return view
    mine = known if known is not None and known.policy.uid == told.policy else None
    files = {file.name: file for file in mine.files} if mine else {}
    files |= {file.name: _changed(file, files.get(file.name)) for file in told.files}
    update: dict[str, Any] = {
        "changed": Changed(
            policy=mine.policy if mine else view.ref(policy),
            files=tuple(files.values()),
            unknown=told.policy is None,
        )
    }
    if files:
        # One that was looked at before and knew of no change has what worked until this one.
        lost = view.status.verdict is None if known is None else known.unknown
        update["last_change"] = _to_be_proved(view, told, policy, lost=lost)
    return _with(view, update)


def not_there(status: NodeStateStatus, report: Report) -> NodeStateStatus:
    """The status once a look finds nothing there to be proved: either nothing was written, and the
    files stand as they were recorded before; or somebody has overwritten it since.

    Of a whole report: of one that was cut a file may be missing. Where the folder shows no file at
    all, what was written may yet come back with it.
    """
    last, known, told = status.last_change, status.changed, report.standing
    if last is None or known is None or known.unknown:
        return status
    if told is not None and (told.policy is None or _unheard(known, told, report)):
        return status
    found = {file.name: file.sha256 for file in report.files}
    stands = [found.get(file.name) == file.sha256 for file in known.files if file.sha256]
    never = last.written is False and all(stands)
    over = bool(stands) and bool(found) and not any(stands)
    return undone(status) if never or over else status


def _unheard(known: Changed, told: Standing, report: Report) -> bool:
    """Whether a file stands as an agent has written it whose answer was lost: the record has it as
    it was written before that."""
    heard = {file.name: file.sha256 for file in known.files}
    found = {file.name: file.sha256 for file in report.files}
    return any(
        file.sha256 and found.get(file.name) == file.sha256 != heard.get(file.name)
        for file in told.files
    )


def _changed(told: StandingFile, known: ChangedFile | None) -> ChangedFile:
    """Of each file the first backup counts: it holds what stood there before the policy."""
    return ChangedFile(
        name=told.name,
        backup=known.backup if known else told.backup,
        from_=known.from_ if known else told.from_version or "missing",
        to=told.to,
        sha256=told.sha256,
    )


def _to_be_proved(
    view: NodeContext, told: Standing, policy: CNIUpgradePolicy, *, lost: bool
) -> LastChange:
    """Nobody knows whether what was written is proved, so it is to be, and compared with what
    worked before it. That is not known where the record itself was lost.

    A change that has failed stays one: it is proved once a person asks for another try.
    """
    last = view.status.last_change
    newest = max((file.newest for file in told.files), default="") or None
    if last is not None and last.outcome in (UNPROVED, Phase.FAILED):
        return last.model_copy(update={"backup": last.backup or newest, "written": None})
    if lost and last is not None:
        return last
    return LastChange(
        outcome=UNPROVED,
        at=view.now,
        policy=policy.metadata.uid,
        baseline=None if lost else view.status.baseline,
        backup=newest,
    )


def _whose(
    view: NodeContext, told: Standing, orderer: CNIUpgradePolicy | None
) -> CNIUpgradePolicy | None:
    """The policy that wrote it, while it exists; where that cannot be read, the one that may have:
    whose look it was, or, as one that only audits writes nothing, the one that has to know."""
    if told.policy is not None:
        return view.world.policy_by(told.policy)
    writes = orderer is not None and orderer.spec.mode == Mode.ENFORCE
    return orderer if writes else view.asker


def _with(view: NodeContext, update: dict[str, Any]) -> NodeContext:
    return moved(view, view.status.model_copy(update=update))
