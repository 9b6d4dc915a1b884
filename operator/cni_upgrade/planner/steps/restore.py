"""A node that a deleted policy changed gets back what stood there before, with a change's care.

No pod is added before it, as is done before a change: that pod would itself be one that the config
of before may not be able to delete. A fresh pod afterwards shows whether it works, where the agent
predicts that it does; a fault that was there before the policy is back, and is not proved again.
"""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Kind, Outcome, Result
from cni_upgrade.api import duration
from cni_upgrade.api.changed import Changed
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.limits.maintenance_windows import CLOSED
from cni_upgrade.planner.limits.max_unavailable import TURN
from cni_upgrade.planner.node import agent_outcome, applied_change, node_lease, operations
from cni_upgrade.planner.node.agent_job import agents_sent, pause, pausing, send, write_lost
from cni_upgrade.planner.node.context import (
    Move,
    NodeContext,
    at_rest,
    at_step,
    moved,
    release,
    wait,
)
from cni_upgrade.planner.node.pending_proof import undone
from cni_upgrade.planner.node.pods_to_evict import drains
from cni_upgrade.planner.node.restore_request import PAUSED, RestoreRequest
from cni_upgrade.planner.steps import prove
from cni_upgrade.planner.steps.apply import cordon_now, taken_off, theirs
from cni_upgrade.planner.steps.drain import drain_settings, evict
from cni_upgrade.planner.steps.finish import gave_back, noted, verify
from cni_upgrade.planner.steps.window_closing import closes
from cni_upgrade.planner.world.decisions import DeleteJob
from cni_upgrade.planner.world.governance import paused
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import CORDON_TAKEN, Step

_TAKEN_OFF = "somebody has taken our cordon off the node"


def next_move(view: NodeContext, leaving: RestoreRequest) -> Move:
    """The move of a node at rest that is to be given back."""
    known = _known(view)
    if not (known.unknown or applied_change.backups(known)):
        # No node is touched for that, so nothing is waited for, and nothing is kept.
        return _settled(
            view, applied_change.RESTORED, "nothing that it wrote stands there any more"
        )
    closed = _closed(view, leaving)
    if closed is None:
        return _begin(view, leaving)
    reason, why = closed
    # Time that a window, the switch or our own work takes is no reason to give a node up, whatever
    # else is in the way at this instant. No window helps where another node has failed, and no
    # work that never ends.
    drained = _drained(view, leaving)
    opens = leaving.opens[drained]
    awaited = opens is not None and opens > view.now and not leaving.failed
    ours = view.world.stopped or (
        reason == TURN and not leaving.places.held_by(view.node.name, leaving.lost)
    )
    if leaving.hopeless(drained) and not ours and not awaited:
        refused = leaving.places.refusal(view.node.name) if reason == TURN else None
        why = refused[1] if refused is not None else why
        text = f"{_quiet(leaving)}, so this node keeps what was written: {why}"
        return _settled(view, applied_change.GIVEN_UP, text)
    name = leaving.policy.metadata.name
    text = f"policy {name} was deleted, to be given back: {why}"
    return at_rest(view, Phase.WAITING, reason, text)


def _quiet(leaving: RestoreRequest) -> str:
    """How long nobody is waited for any more."""
    if leaving.progress > leaving.settled:
        # Work may have been called off again and again until a moment ago.
        return f"no node was settled since {leaving.settled:%Y-%m-%dT%H:%M:%SZ}"
    return f"nothing went on for {int(leaving.patience.total_seconds())} s"


def _closed(view: NodeContext, leaving: RestoreRequest) -> tuple[str, str] | None:
    """Why it cannot begin now; the place in the budget is taken where it can."""
    if view.status.reason == CORDON_TAKEN and pausing(view):
        return CORDON_TAKEN, f"{_TAKEN_OFF}; tried again at {view.status.next_attempt_at:%H:%M:%SZ}"
    if view.silent:
        return "NodeSilent", "the node's Ready is Unknown; no Job is sent to it"
    if view.node.unschedulable:
        return "CordonedByOther", "somebody else has cordoned the node; waits until they undo it"
    if lease := node_lease.others(view):
        return node_lease.HELD, lease
    if view.world.stopped:
        return STOPPED, stopped(view.world)
    if paused(leaving.policy):
        return PAUSED, f"policy {leaving.policy.metadata.name} is paused"
    if leaving.failed:
        return "RestoreStopped", f"no other node begins after {leaving.failed} failed"
    if leaving.opens[_drained(view, leaving)] != view.now:
        return CLOSED, "waits for a maintenance window (spec.rollout.windows)"
    if leaving.places.take(view.node.name) is not None:
        # Who has the places changes with every node; that would be a write on each that waits.
        return TURN, "waits for a place (spec.rollout.maxUnavailable and maxParallel)"
    return None


def _drained(view: NodeContext, leaving: RestoreRequest) -> bool:
    """Whether the node would be drained first."""
    return drains(leaving.policy.spec.drain, _needed(view.status))


def _needed(status: NodeStateStatus) -> bool:
    """Whether an agent has found pods in the way."""
    return status.changed is not None and status.changed.drain


def _known(view: NodeContext) -> Changed:
    """The record of what the policy changed; only asked for where there is one."""
    if view.status.changed is None:
        raise LookupError(f"node {view.node.name}: nothing is known that could be given back")
    return view.status.changed


def _settled(view: NodeContext, outcome: str, message: str) -> Move:
    """It ends without having begun."""
    restored = outcome == applied_change.RESTORED
    update = {
        "phase": Phase.PENDING,
        "reason": outcome if restored else "NotRestored",
        "message": message,
        "changed": applied_change.settled(_known(view), outcome, message, view.now),
        "observed": None,
        "attempts": 0,
        "next_attempt_at": None,
    }
    status = undone(view.status) if restored else view.status
    return Move(status.model_copy(update=update))


def _begin(view: NodeContext, leaving: RestoreRequest) -> Move:
    policy, known = leaving.policy, _known(view)
    if known.unknown:
        text = (
            "its record was lost and the newest backup on the node cannot be read, so it is not "
            f"known what to give back: see {view.world.config.state_dir}/backups there"
        )
        return _settled(view, applied_change.REFUSED, text)
    newest = applied_change.backups(known)[0]
    try:
        operation = operations.give_back(
            view.node, view.state, view.status, policy, view.world.config, newest, view.now
        )
    except ValueError as error:
        return _settled(view, applied_change.REFUSED, str(error))
    serial = view.status.serial + 1
    update = {
        "phase": Phase.ROLLING_BACK,
        "reason": Step.CORDON.value,
        "message": "the node is being cordoned",
        "serial": serial,
        "operation": operations.opened(
            operation, Step.CORDON, view.ref(policy), serial, view.now, None, policy.spec
        ),
    }
    return Move(view.status.model_copy(update=update))


def called_off(view: NodeContext) -> Move | None:
    """Before anything was written, a change of mind gives the node back at once."""
    leaving = view.leaving
    if leaving is None:
        why = "the policy was let go, or another one has the node"
    elif view.world.stopped:
        why = stopped(view.world)
    elif paused(leaving.policy):
        why = f"policy {leaving.policy.metadata.name} is paused"
    elif lease := node_lease.others(view):
        why = lease
    elif cordoned := theirs(view):
        why = cordoned
    elif view.operation.step == Step.DRAIN and taken_off(view):
        return _put_off(view)
    elif view.silent:
        why = "the node's Ready is Unknown"
    elif view.operation.step == Step.DRAIN and not _drains(view):
        why = "spec.drain.policy does not ask for a drain any more"
    elif closing := _closing(view, leaving):
        why = closing
    else:
        return None
    text = f"called off before anything was written: {why}"
    return release(view, Phase.PENDING, "CalledOff", text)


def _put_off(view: NodeContext) -> Move:
    """With a pause: begun anew at once it would drain by a new deadline, without end. Afterwards
    the pods are gone for it, and the cordon is put on again."""
    attempts = view.status.attempts
    update = {"attempts": attempts + 1, "next_attempt_at": view.now + pause(view, attempts)}
    later = moved(view, view.status.model_copy(update=update))
    text = f"called off before anything was written: {_TAKEN_OFF}"
    return release(later, Phase.PENDING, CORDON_TAKEN, text)


def _closing(view: NodeContext, leaving: RestoreRequest) -> str:
    """Why it would end after its window; not once pods have gone for it."""
    drained = _drains(view)
    if drained and view.operation.step == Step.GIVE_BACK:
        return ""
    return closes(view, leaving.policy, drained)


def cordon(view: NodeContext) -> Move:
    if not view.node.unschedulable:
        return cordon_now(view)
    if not view.our_cordon:
        text = "somebody else has cordoned the node meanwhile"
        return release(view, Phase.PENDING, "CordonedByOther", text)
    if _drains(view):
        seconds = duration.seconds(drain_settings(view).deadline)
        return at_step(view, Step.DRAIN, "the node is being drained", seconds, cordoned=True)
    return _write_next(view)


def _drains(view: NodeContext) -> bool:
    """Whether pods go first: asked for, or found to be needed and not forbidden."""
    return _deletes(view.status) and drains(drain_settings(view), _needed(view.status))


def _deletes(status: NodeStateStatus) -> bool:
    """Whether pods that run can be deleted today, as far as is known; else a drain would hang."""
    # After a change "after" tells of today; until the next audit "baseline" tells of before it.
    today = status.after.existing_delete if status.after else None
    if status.verdict != "Compatible" and status.baseline is not None:
        today = status.baseline.delete
    return today is not False


def drain(view: NodeContext) -> Move:
    return evict(
        view,
        lambda: _write_next(view, drained=True),
        lambda why: gave_back(view, applied_change.REFUSED, f"DrainBlocked: {why}"),
    )


def _write_next(view: NodeContext, **changes: bool) -> Move:
    seconds = view.world.config.apply_deadline_seconds + GRACE_SECONDS
    text = "the agent is being sent to put the backup back"
    return at_step(view, Step.GIVE_BACK, text, seconds, cordoned=True, **changes)


def give_back(view: NodeContext) -> Move:
    match agent_outcome.agent(view):
        case agent_outcome.Answer(result):
            return _answered(view, result)
        case agent_outcome.Lost(why):
            if agents_sent(view) >= view.world.config.attempts:
                text = f"{agents_sent(view)} agents ended without an answer; last: {why}"
                return gave_back(view, applied_change.FAILED, text)
            return write_lost(view, Step.GIVE_BACK, why)
        case agent_outcome.Absent() | agent_outcome.Refused():
            off = called_off(view) if _first(view) else None
            return off or (send(view) if view.node.unschedulable else cordon_now(view))
        case agent_outcome.Pending(_, idle) if idle and _first(view) and called_off(view):
            return _taken_back(view)
        case agent_outcome.Pending(message):
            return wait(view, f"the agent puts the backup back: {message}")


def _first(view: NodeContext) -> bool:
    """Whether nothing is put back yet: no agent before this one, for this backup or another."""
    last, current = view.status.last_operation, view.operation
    follows = (
        last is not None and last.kind == Kind.RESTORE and last.finished_at == current.started_at
    )
    return agents_sent(view) == 1 and not follows


def _taken_back(view: NodeContext) -> Move:
    """The agent's Job goes before it has a container; one that comes up all the same counts."""
    job = view.world.jobs.get(view.job)
    acts = (DeleteJob(job.name, job.uid),) if job is not None and not job.deleting else ()
    return wait(view, "the agent did not start and is being taken back", *acts)


def _answered(view: NodeContext, result: Result) -> Move:
    error = f"{result.error.code}: {result.error.message}" if result.error else ""
    message = error or f"backup {result.backup} was put back"
    told = moved(view, noted(view, result, result.outcome.value, message))
    match result.outcome:
        case Outcome.DONE:
            return _next_backup(told) or _prove(told, result)
        case Outcome.REFUSED:
            if result.error and result.error.code == "Unsafe" and _may_drain(view):
                known = told.status.changed
                status = told.status.model_copy(
                    update={"changed": known.model_copy(update={"drain": True}) if known else None}
                )
                text = f"pods that run are in the way, so the node is drained first: {error}"
                return release(moved(told, status), Phase.WAITING, "DrainFirst", text)
            text = f"nothing was touched: {error}"
            if view.operation.drained:
                text = f"the node was drained, and that is not enough; {text}"
            return gave_back(told, applied_change.REFUSED, text)
        case _:
            return gave_back(told, applied_change.FAILED, error)


def _may_drain(view: NodeContext) -> bool:
    """Whether the next try is one on a drained node: once, as a pod that stays stays again."""
    allowed = drain_settings(view).policy != DrainPolicy.NEVER
    return allowed and not view.operation.drained and _deletes(view.status)


def _next_backup(view: NodeContext) -> Move | None:
    """Files that were changed at different times stand in different backups: one after another."""
    known = view.status.changed
    backups = applied_change.backups(known) if known else ()
    if not backups:
        return None
    operation = operations.restore(view, backups[0])
    serial = view.status.serial + 1
    seconds = view.world.config.apply_deadline_seconds + GRACE_SECONDS
    ref = view.operation.policy
    opened = operations.opened(
        operation, Step.GIVE_BACK, ref, serial, view.now, seconds, view.settings
    )
    held = {"cordoned": view.operation.cordoned, "drained": view.operation.drained}
    kept = opened.model_copy(update=held)
    return Move(view.status.model_copy(update={"serial": serial, "operation": kept}))


def _prove(view: NodeContext, result: Result) -> Move:
    found = result.report.baseline if result.report else None
    why = ""
    if found is None:
        why = "the agent could not look at the node afterwards"
    elif found.add is False or found.delete is False:
        why = found.add_why or found.delete_why or "pods cannot be added or deleted with it"
    elif not verify(view).proof:
        why = "spec.verify.proof is false"
    if why:
        text = f"what stood there before is back; not proved: {why}"
        return gave_back(view, applied_change.RESTORED, text)
    return prove.prove(view)


def describe_restore(status: NodeStateStatus) -> str:
    """What became of the last policy's change, for a node that nobody governs any more."""
    known = status.changed
    if known is None or known.restored is None:
        return ""
    return f"policy {known.policy.name} was deleted, {known.restored}: {known.message}"
