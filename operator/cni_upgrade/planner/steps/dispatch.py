"""A node at work: every step of an operation and the function that carries it on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api import duration
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node import node_lease
from cni_upgrade.planner.node.context import Move, NodeContext, release, with_operation
from cni_upgrade.planner.steps import (
    after_upgrade,
    apply,
    audit,
    baseline,
    finish,
    free_pods,
    prove,
    restore,
    unknown_step,
    upgrade,
)
from cni_upgrade.planner.steps.apply import taken_off, theirs
from cni_upgrade.planner.steps.cancel import outdated, unwanted
from cni_upgrade.planner.steps.drain import (
    drain_after,
    drain_due,
    drain_first,
    drain_settings,
    ended,
)
from cni_upgrade.planner.steps.window_closing import closes
from cni_upgrade.planner.world.decisions import Cordon
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import CORDON_TAKEN, PROVE, UNTOUCHED, UPGRADE, Step


def next_move(view: NodeContext) -> Move:
    """The move of a node that has an operation under way."""
    named = view.operation.step
    # A look that an edit has put in the midst of a change would drain its node for nothing.
    strays = view.operation.kind == Kind.AUDIT and named not in (Step.JOB, Step.RELEASE)
    # Whatever the kind was, an operation that ends is ended.
    unkind = view.operation.kind not in _KINDS and named != Step.RELEASE
    unknown = named not in _STEPS or unkind
    if (unknown or strays) and (anew := unknown_step.begun_anew(view)):
        return anew
    step = Step(view.operation.step)
    steps, called_off = _STEPS, _called_off
    if view.operation.kind == Kind.RESTORE and step in _GIVING_BACK:
        steps, called_off = _GIVING_BACK, restore.called_off
    if view.operation.kind == UPGRADE and step in _UPGRADING:
        steps = _UPGRADING
    looks_only = view.operation.kind == PROVE and step != Step.RELEASE
    if (step in UNTOUCHED or looks_only) and (stop := called_off(view)) is not None:
        return ended(view, stop)
    held = _held(view, step) or _brought_near(view, step) or _put_off(view, step)
    if held is not None:
        return held
    if view.our_cordon and not view.node.unschedulable and step not in _CORDON_IS_THEIRS:
        # Somebody uncordoned it by hand and our mark stayed: left so, it would make the next
        # cordon, which may be somebody else's, look like ours.
        act = Cordon(view.node.name, view.node.resource_version, view.operation.id)
        return Move(view.status, (act,))
    return steps[step](view)


def _held(view: NodeContext, step: Step) -> Move | None:
    """While the kubelet is silent nothing that it does or leaves undone counts, so time stops."""
    limit = _LIMITS.get(step)
    if limit is None:
        return None
    running = view.operation.deadline is not None
    if not view.silent:
        if running:
            return None
        deadline = view.now + timedelta(seconds=limit(view))
        return Move(with_operation(view.status, deadline=deadline))
    status = with_operation(view.status, deadline=None) if running else view.status
    if step in (Step.APPLY, Step.RESTORE, Step.GIVE_BACK):
        # The agent's answer may be there already; nothing is sent to a silent node.
        return Move(status) if running else None
    text = "the node's Ready is Unknown; goes on where it was once the kubelet answers"
    return Move(status.model_copy(update={"message": text}))


def _brought_near(view: NodeContext, step: Step) -> Move | None:
    """No step takes longer than it may by a clock that was set back since, or by an edit.

    Without a deadline are those alone whose time a silent kubelet has stopped.
    """
    limit, deadline = _LONGEST.get(step), view.operation.deadline
    if limit is None or (deadline is None and step in _LIMITS):
        return None
    last = view.now + max(timedelta(seconds=limit(view)), _FRESH)
    if deadline is not None and deadline <= last:
        return None
    return Move(with_operation(view.status, deadline=last))


def _put_off(view: NodeContext, step: Step) -> Move | None:
    """What is judged by its time has it while somebody looks, and anew after the controller was
    away: that may have been the whole cluster, whose nodes are still taken for Ready.
    """
    deadline, since = view.operation.deadline, view.world.looking_since
    if step not in _JUDGED or deadline is None or since is None:
        return None
    # Whole seconds, as a record has them: a part of one more would be due in each pass again.
    began = min(since, view.now).replace(microsecond=0)
    least = began + max(timedelta(seconds=_LONGEST[step](view)), _FRESH)
    return Move(with_operation(view.status, deadline=least)) if deadline < least else None


def _called_off(view: NodeContext) -> Move | None:
    """Before anything was written, a pause or a change of mind gives the node back at once."""
    why = unwanted(view) or node_lease.others(view) or theirs(view)
    if not why and taken_off(view):
        # With a pause, and a look before the next try: they may have meant it.
        text = "called off before anything was written: somebody has taken our cordon off the node"
        return release(view, Phase.BLOCKED, CORDON_TAKEN, text)
    if not why and view.silent:
        why = "the node's Ready is Unknown"
    why = why or outdated(view)
    if not why and view.operation.step == Step.DRAIN and not drain_first(view):
        why = "spec.drain.policy does not ask for a drain any more"
    if not why and view.operation.kind in (Kind.APPLY, UPGRADE):
        why = closes(view, view.orderer, drain_due(view) or drain_after(view))
    if not why:
        return None
    return release(
        view, Phase.WAITING, "CalledOff", f"called off before anything was written: {why}"
    )


def _agent_limit(view: NodeContext) -> int:
    return view.world.config.apply_deadline_seconds + GRACE_SECONDS


def _drain_limit(view: NodeContext) -> int:
    return duration.seconds(drain_settings(view).deadline)


_CORDON_IS_THEIRS = frozenset({Step.JOB, Step.CORDON, Step.CORDON_BACK, Step.RELEASE})
"""Steps that see to the cordon themselves, or need none."""

_LIMITS: dict[Step, Callable[[NodeContext], int]] = {
    Step.APPLY: _agent_limit,
    Step.TAKE_BACK: lambda _: apply.GOING,
    Step.DRAIN_AFTER: _drain_limit,
    Step.PROVE_OLD: prove.limit,
    Step.PROVE_ADD: prove.limit,
    Step.PROVE_DELETE: prove.limit,
    Step.SOAK: prove.soak_limit,
    Step.FREE: free_pods.limit,
    Step.RESTORE: _agent_limit,
    Step.GIVE_BACK: _agent_limit,
    Step.AUDIT_AFTER: after_upgrade.limit,
}
"""Seconds that a step may take of a kubelet that answers, once a file was or may be written."""

_LONGEST = {
    **_LIMITS,
    Step.JOB: lambda view: view.world.config.audit_deadline_seconds + GRACE_SECONDS,
    Step.BASELINE: prove.limit,
    Step.BASELINE_DELETE: prove.limit,
    Step.DRAIN: _drain_limit,
    Step.UPGRADE: upgrade.limit,
    Step.WITHDRAW: upgrade.grace,
}
"""The same of every step that has a deadline."""

_JUDGED = frozenset(
    {
        Step.BASELINE,
        Step.BASELINE_DELETE,
        Step.DRAIN,
        Step.DRAIN_AFTER,
        Step.PROVE_OLD,
        Step.PROVE_ADD,
        Step.PROVE_DELETE,
        Step.FREE,
    }
)
"""Steps whose end is said to be the node's fault, or that of its pods, once their time is over. An
agent's answer is asked for however late it is."""

_FRESH = timedelta(seconds=60)
"""The least of a step's time after the controller was away: for so long a control plane that comes
back takes the nodes for Ready whose kubelets do not work yet."""

_KINDS = frozenset({*map(str, Kind), PROVE, UPGRADE})

_UPGRADING: dict[Step, Callable[[NodeContext], Move]] = {
    Step.CORDON: upgrade.cordoned,
    Step.DRAIN: upgrade.drain,
}
"""Steps of an operation during which somebody else upgrades the node."""

_GIVING_BACK: dict[Step, Callable[[NodeContext], Move]] = {
    Step.CORDON: restore.cordon,
    Step.DRAIN: restore.drain,
    Step.GIVE_BACK: restore.give_back,
}
"""Steps of an operation that gives back what a deleted policy changed; the proof is as for any."""

_STEPS: dict[Step, Callable[[NodeContext], Move]] = {
    Step.JOB: audit.audit,
    Step.CORDON: apply.cordon,
    Step.BASELINE: baseline.baseline,
    Step.BASELINE_DELETE: baseline.goes,
    Step.DRAIN: apply.drain,
    Step.APPLY: apply.apply,
    Step.TAKE_BACK: apply.take_back,
    Step.DRAIN_AFTER: apply.drain_later,
    Step.PROVE_OLD: prove.prove_old,
    Step.PROVE_ADD: prove.prove_add,
    Step.PROVE_DELETE: prove.prove_delete,
    Step.SOAK: prove.soak,
    Step.FREE: free_pods.free,
    Step.UPGRADE: upgrade.upgrade,
    Step.WITHDRAW: upgrade.withdraw,
    Step.AUDIT_AFTER: after_upgrade.audit_after,
    Step.HOLD: upgrade.hold,
    Step.CORDON_BACK: apply.cordon_back,
    Step.RESTORE: apply.restore,
    Step.GIVE_BACK: restore.give_back,
    Step.RELEASE: finish.release_step,
}
"""Each looks at the cluster before it acts, and is safe to repeat."""
