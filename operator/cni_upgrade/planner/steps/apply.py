"""The steps that lead to a changed file, and the one that takes it back."""

from __future__ import annotations

from datetime import timedelta

from cni_upgrade.agent.protocol.operation import Outcome, Result
from cni_upgrade.api import duration
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.limits.emergency_stop import STOPPED
from cni_upgrade.planner.node import agent_outcome, node_lease
from cni_upgrade.planner.node.agent_job import agents_sent, send, write_lost
from cni_upgrade.planner.node.context import (
    Move,
    NodeContext,
    at_step,
    moved,
    release,
    wait,
    with_operation,
)
from cni_upgrade.planner.node.pending_proof import perhaps_written
from cni_upgrade.planner.node.stuck_pods import hanging
from cni_upgrade.planner.steps.cancel import outdated, unwanted
from cni_upgrade.planner.steps.drain import (
    drain_after,
    drain_due,
    drain_first,
    drain_settings,
    evict,
    why_not_first,
)
from cni_upgrade.planner.steps.finish import (
    noted,
    proof_so_far,
    remarked,
    restore_next,
    rolls_back,
    verify,
)
from cni_upgrade.planner.steps.prove import prove
from cni_upgrade.planner.steps.wasted_drain import in_vain, not_enough
from cni_upgrade.planner.steps.window_closing import closes
from cni_upgrade.planner.world.decisions import Cordon, DeleteJob
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import AGENT_NOT_STARTED, DRAIN_BLOCKED, PODS_NOT_LISTED, Step

_TIME_TO_START = 0.75
"""Of its Job's deadline, for an agent to start in: the rest is for the work itself."""

_NEEDS_DRAIN = "NeedsDrain"
"""The agent's word for pods that run and could not be deleted afterwards."""

_SEEN_ANEW = frozenset(
    {
        _NEEDS_DRAIN,
        "ChangedSinceAudit",
        "ChangedMeanwhile",
        "NotAllowed",
        "Interrupted",
        "Stopped",
        "Busy",
        "ResultDamaged",
    }
)
"""Refusals after which the node is audited again (docs/reference/agent-protocol.md, "Errors")."""

_TO_LIST = timedelta(seconds=60)
"""How long a node that we cordoned is kept while the API server does not list its pods."""

GOING = 120
"""Seconds for a pod to go whose container never was: its grace period and then some."""


def cordon(view: NodeContext) -> Move:
    if view.our_cordon and view.node.unschedulable:
        return baseline_of_cordoned(view)
    if view.node.unschedulable:
        return release(
            view, Phase.WAITING, "CordonedByOther", "somebody else has cordoned the node meanwhile"
        )
    return cordon_now(view)


def cordon_now(view: NodeContext) -> Move:
    if held := node_lease.others(view):
        if view.operation.step == Step.CORDON:
            return release(view, Phase.WAITING, node_lease.HELD, held)
        return wait(view, held)
    act = Cordon(view.node.name, view.node.resource_version, view.operation.id)
    return wait(view, "the node is being cordoned", *node_lease.take(view.node, view.world), act)


def theirs(view: NodeContext) -> str:
    """Says so where somebody uncordoned the node that we had cordoned, and cordoned it anew."""
    if view.operation.cordoned and view.node.unschedulable and not view.our_cordon:
        return "somebody else has cordoned the node meanwhile"
    return ""


def taken_off(view: NodeContext) -> bool:
    """Whether somebody took our cordon and our mark off again, and so the node takes pods."""
    return view.operation.cordoned and not (view.node.unschedulable or view.our_cordon)


def baseline_of_cordoned(view: NodeContext) -> Move:
    pods = view.world.pods.get(view.node.name)
    if pods is None:
        since, refused = view.operation.step_since, view.node.name in view.world.unlisted
        if refused and since is not None and view.now - since >= _TO_LIST:
            text = f"nothing was touched: {view.listing}"
            return release(view, Phase.BLOCKED, PODS_NOT_LISTED, text)
        return wait(view, view.listing)
    hung = hanging(pods, view.world.config.namespaces, view.now)
    view = moved(view, with_operation(view.status, hung=hung))
    return baseline_next(view, cordoned=True)


def baseline_next(view: NodeContext, **changes: bool) -> Move:
    seconds = duration.seconds(verify(view).deadline)
    return at_step(view, Step.BASELINE, "what works today is looked at", seconds, **changes)


def drain_or_apply(view: NodeContext) -> Move:
    """What works today is known."""
    if drain_due(view):
        seconds = duration.seconds(drain_settings(view).deadline)
        return at_step(view, Step.DRAIN, "the node is being drained", seconds)
    return apply_next(view)


def drain(view: NodeContext) -> Move:
    def on() -> Move:
        name = proof_so_far(view).old_pod
        pod = view.proof(name)
        # The drain was to make room for it.
        if name is None or (pod is not None and not (pod.addressed or pod.deleting)):
            return baseline_next(view, drained=True)
        return apply_next(view, drained=True)

    return evict(view, on, lambda why: release(view, Phase.BLOCKED, DRAIN_BLOCKED, why))


def drain_later(view: NodeContext) -> Move:
    def give_up(why: str) -> Move:
        # The files are right already: what blocks now is no reason to call the node failed.
        return prove(moved(view, remarked(view, "drain", "GivenUp", why)))

    if not view.node.unschedulable:
        return give_up("somebody has taken our cordon off the node, so that it takes pods")
    if drain_settings(view).policy != DrainPolicy.ALWAYS:
        return give_up("spec.drain.policy is not Always any more")
    return evict(view, lambda: prove(view), give_up)


def apply_next(view: NodeContext, **changes: bool) -> Move:
    seconds = view.world.config.apply_deadline_seconds + GRACE_SECONDS
    return at_step(view, Step.APPLY, "the agent is being sent to write", seconds, **changes)


def apply(view: NodeContext) -> Move:
    match agent_outcome.agent(view):
        case agent_outcome.Answer(result):
            return applied(view, result)
        case agent_outcome.Lost(why, ran):
            if not ran and agents_sent(view) == 1:
                return _not_started(view, why)
            return write_lost(view, Step.APPLY, why)
        case agent_outcome.Absent() | agent_outcome.Refused() if agents_sent(view) == 1 and (
            why := _off(view) or closes(view, view.orderer, drain_after(view))
        ):
            # An agent that is sent again may have a journal to end, and goes.
            return _off_unseen(view, why)
        case agent_outcome.Refused(why) if agents_sent(view) == 1:
            return _refused(view, why)
        case agent_outcome.Absent() | agent_outcome.Refused():
            # Somebody uncordoned it meanwhile: no file is written on a node that takes pods.
            return send(view) if view.node.unschedulable else cordon_now(view)
        case agent_outcome.Pending(message, idle):
            if idle and _out_of_time(view):
                on = at_step(view, Step.TAKE_BACK, f"the agent did not start: {message}", GOING)
                return Move(with_operation(on.status, blockers=(message,)))
            if idle and agents_sent(view) == 1 and (why := _off(view)):
                on = at_step(view, Step.TAKE_BACK, f"the agent is not to start: {why}", GOING)
                return Move(with_operation(on.status, blockers=(message,)))
            if idle and not view.node.unschedulable:
                return cordon_now(view)
            return wait(view, f"the agent backs up and writes: {message}")


def _off_unseen(view: NodeContext, why: str) -> Move:
    """Called off while no Job is to be seen: it may have been there and be deleted since, and
    another look is to say what stands."""
    unseen = moved(view, perhaps_written(view).model_copy(update={"observed": None}))
    reason = STOPPED if view.world.stopped else "CalledOff"
    return release(unseen, Phase.PENDING, reason, why)


def _off(view: NodeContext) -> str:
    """Why what is ordered is not to be written, by anybody's word, or by what has changed since.

    Asked until an agent has begun, however long its Job is refused or its image is not there.
    """
    return unwanted(view) or node_lease.others(view) or theirs(view) or outdated(view)


def _out_of_time(view: NodeContext) -> bool:
    """Whether an agent that starts only now might be killed, by its Job's deadline, as it writes.

    Only of the first one: what a second one is for, the first may have begun.
    """
    job = view.world.jobs.get(view.job)
    if view.silent or job is None or job.created is None or agents_sent(view) > 1:
        return False
    given = timedelta(seconds=_TIME_TO_START * view.world.config.apply_deadline_seconds)
    # The step may have waited long for the Job to be sent, and the API server's clock is not ours.
    since = max(job.created, view.operation.step_since or job.created)
    return view.now - since >= given


def take_back(view: NodeContext) -> Move:
    """The agent's Job goes while no container of it is there; one that came up by then counts."""
    [why] = view.operation.blockers or ("no reason was seen",)
    job = view.world.jobs.get(view.job)
    match agent_outcome.agent(view):
        case agent_outcome.Answer(result):
            return applied(view, result)
        case agent_outcome.Absent():
            return _unseen(view, why) if _away(view) else _not_started(view, why)
        case agent_outcome.Lost(_, ran) if not ran:
            return _not_started(view, why)
        case agent_outcome.Refused():
            return apply_next(view)
        case agent_outcome.Lost(lost):
            if job is None and not view.agents():
                # Too long ago to be sure: asked again under its id, the node tells what it knows.
                return apply_next(view)
            return write_lost(view, Step.APPLY, lost)
        case agent_outcome.Pending(_, idle):
            if any(pod.began for pod in view.agents()):
                # What it does counts. Gone without a word, it is asked again under its id.
                return apply_next(view)
            if idle and job is not None and not job.deleting:
                act = DeleteJob(job.name, job.uid)
                text = f"the agent did not start and is being taken back: {why}"
                return wait(view, text, act, blockers=(why,))
            return wait(view, f"the agent did not start and is going: {why}", blockers=(why,))


def _not_started(view: NodeContext, why: str) -> Move:
    """No verdict on the change: it is tried again after a pause, with another audit first.

    Or, where it is not wanted any more, once it is again.
    """
    if off := _off(view):
        text = f"called off before anything was written: {off}"
        return release(view, Phase.WAITING, "CalledOff", text)
    if _drained_before(view):
        return in_vain(view, f"no agent ran: {why}")
    text = f"inconclusive, no agent ran and nothing was touched; tried again: {why}"
    return release(view, Phase.BLOCKED, AGENT_NOT_STARTED, text)


def _away(view: NodeContext) -> bool:
    """Whether the controller was away since its Job was to go: the agent may have come up meanwhile
    and written, and what it said be gone with the Job."""
    looking, step = view.world.looking_since, view.operation.step_since
    return looking is not None and step is not None and looking > step


def _unseen(view: NodeContext, why: str) -> Move:
    """No verdict on the change, and what stands is not known."""
    off = _off(view)
    return _off_unseen(view, off) if off else _refused(view, why)


def _drained_before(view: NodeContext) -> bool:
    """Whether pods have gone for a try that came to nothing, and not for the first time.

    Once it may be an upgrade of the operator, or a registry that is away.
    """
    return view.operation.drained and view.status.attempts > 0


def _refused(view: NodeContext, why: str) -> Move:
    """No verdict either, but it is not known that nothing was written: what stands is proved."""
    unproved = perhaps_written(view)
    if _drained_before(view):
        # What was seen stays, for another look would lead to another drain.
        return in_vain(moved(view, unproved), f"no agent is known to have run: {why}")
    unseen = moved(view, unproved.model_copy(update={"observed": None}))
    text = f"inconclusive, no agent is known to have run; looked at and tried again: {why}"
    return release(unseen, Phase.BLOCKED, AGENT_NOT_STARTED, text)


def applied(view: NodeContext, result: Result) -> Move:
    error = f"{result.error.code}: {result.error.message}" if result.error else ""
    names = ", ".join(change.told for change in result.changes)
    if result.outcome is Outcome.DONE:
        names = "; ".join(filter(None, (names, why_not_first(view))))
    told = moved(view, noted(view, result, result.outcome.value, names or error))
    match result.outcome:
        case Outcome.DONE:
            if drain_after(view):
                seconds = duration.seconds(drain_settings(view).deadline)
                return at_step(told, Step.DRAIN_AFTER, "the node is being drained", seconds)
            return prove(told)
        case Outcome.REFUSED:
            code = result.error.code if result.error else "Refused"
            if code == _NEEDS_DRAIN and drain_first(view):
                return not_enough(told, error)
            if view.operation.drained and code not in _SEEN_ANEW:
                return in_vain(told, error)
            # From Blocked nothing begins without another audit: after a pause, or when a person
            # asks for it, which only the key of the last one tells.
            return release(told, Phase.BLOCKED, code, f"nothing was touched: {error}")
        case _:
            if result.changes and result.backup and rolls_back(view):
                return restore_next(
                    told, result.backup, "ApplyFailed", f"the write failed, {error}"
                )
            code = result.error.code if result.error else "ApplyFailed"
            return release(told, Phase.FAILED, code, error)


def cordon_back(view: NodeContext) -> Move:
    """A proof of later runs on a node that takes pods; nothing is put back before it is cordoned.

    However long that takes: what somebody else does there is theirs to end.
    """
    if view.our_cordon and view.node.unschedulable:
        seconds = view.world.config.apply_deadline_seconds + GRACE_SECONDS
        return at_step(view, Step.RESTORE, view.status.message, seconds, cordoned=True)
    if view.node.unschedulable:
        return wait(view, "to be put back once somebody else, who has cordoned the node, undoes it")
    return cordon_now(view)


def restore(view: NodeContext) -> Move:
    match agent_outcome.agent(view):
        case agent_outcome.Answer(result):
            return restored(view, result)
        case agent_outcome.Lost(why):
            return write_lost(view, Step.RESTORE, why)
        case agent_outcome.Absent() | agent_outcome.Refused():
            # As of an apply: nothing is put back on a node that takes pods.
            return send(view) if view.node.unschedulable else cordon_now(view)
        case agent_outcome.Pending(message):
            return wait(view, f"the agent puts the backup back: {message}")


def restored(view: NodeContext, result: Result) -> Move:
    error = f"{result.error.code}: {result.error.message}" if result.error else ""
    message = error or f"backup {result.backup} was put back"
    told = moved(view, noted(view, result, result.outcome.value, message))
    if result.outcome is Outcome.DONE:
        why = view.operation.ending
        reason = why.reason if why else "Restored"
        found = result.report.findings if result.report else ()
        hang = [each.message for each in found if each.code == "HangAgain"]
        text = "; ".join([message, *hang, *([why.message] if why else [])])
        return release(told, Phase.ROLLED_BACK, reason, text)
    return release(told, Phase.FAILED, "RestoreFailed", f"the backup was not put back: {error}")
