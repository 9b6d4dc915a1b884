"""Whether pods have to go before or after a change, and the eviction of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cni_upgrade.api.drain import Drain, DrainPolicy
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node import pods_to_evict
from cni_upgrade.planner.node.context import Move, NodeContext, wait
from cni_upgrade.planner.world.decisions import Evict
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.phases import UPGRADE, Step

"""The reason of a node whose pods were not to be evicted, or did not go in time."""


def drain_settings(view: NodeContext) -> Drain:
    return view.settings.drain if view.settings else Drain()


def drain_first(view: NodeContext) -> bool:
    """Whether pods go before the change. Never where deleting pods is broken: it would hang.

    Where that is not known, only if the change needs it: it could not be made without.
    """
    if view.operation.kind == UPGRADE:
        return drain_settings(view).policy != DrainPolicy.NEVER
    after, baseline = view.status.after, view.status.baseline
    needed = bool(after and after.needs_drain)
    if baseline is not None and (
        baseline.delete is False or (baseline.delete is None and not needed)
    ):
        return False
    return pods_to_evict.drains(drain_settings(view), needed)


def drain_due(view: NodeContext) -> bool:
    """Whether pods are yet to go before the change.

    Never so for a change that began as one without: its window need not be long enough.
    """
    begun = view.status.phase == Phase.DRAINING and not view.operation.drained
    return begun and drain_first(view)


def why_not_first(view: NodeContext) -> str:
    """Why no pods went before the change, and what that means for them; nothing where they did."""
    after, baseline = view.status.after, view.status.baseline
    if drain_first(view):
        return ""
    why = "not drained before: "
    if baseline is not None and baseline.delete is False:
        why += "no pod could be deleted, so evictions would have hung; "
    elif baseline is not None and baseline.delete is None and _always(view):
        why += "it is not known whether pods can be deleted, so evictions might have hung; "
    existing = after.existing_delete if after else None
    if existing is None:
        return f"{why}it is not known whether pods from before can be deleted"
    if existing:
        return f"{why}pods from before can be deleted with it"
    return f"{why}pods from before cannot be deleted with it"


def drain_after(view: NodeContext) -> bool:
    """Whether pods go after the change: asked for, not surely possible before, possible now."""
    after, baseline = view.status.after, view.status.baseline
    return (
        _always(view)
        and baseline is not None
        and baseline.delete is not True
        and not drain_first(view)
        and not (after is not None and after.existing_delete is False)
    )


def _always(view: NodeContext) -> bool:
    return drain_settings(view).policy == DrainPolicy.ALWAYS


def evict(view: NodeContext, otherwise: Callable[[], Move], give_up: Callable[[str], Move]) -> Move:
    pods = _listed(view)
    if pods is None:
        doubts = _doubts(view)
        if doubts and view.late():
            return give_up(f"not drained in time: {'; '.join(doubts)}")
        message = f"draining: nothing is evicted yet; {doubts[0]}" if doubts else view.listing
        return wait(view, message, blockers=doubts)
    plan = _planned(view, pods)
    if plan.refused:
        return give_up(f"not drained, nothing was evicted: {'; '.join(plan.refused)}")
    if not plan.remaining:
        return _held_by(otherwise(), ())
    if view.late():
        return ended(view, give_up(f"not drained in time: {'; '.join(plan.blockers)}"))
    evictions = tuple(Evict(view.node.name, p.namespace, p.name, p.uid) for p in plan.evict)
    left = len(plan.remaining)
    message = f"draining: {left} pod{'s' if left != 1 else ''} left; {plan.blockers[0]}"
    return wait(view, message, *evictions, blockers=plan.blockers)


def ended(view: NodeContext, move: Move) -> Move:
    """A move that ends an operation. Where that was being drained: with who held the drain.

    Of a drain after the change nothing is noted: it is not tried again.
    """
    pods = _listed(view) if view.operation.step == Step.DRAIN else None
    plan = None if pods is None else _planned(view, pods)
    return move if plan is None or plan.refused else _held_by(move, plan.holders)


def _listed(view: NodeContext) -> Sequence[Pod] | None:
    """The node's pods, once all that decides about them is known."""
    pods = view.world.pods.get(view.node.name)
    return pods if pods is not None and all(pod.judged for pod in pods) else None


def _doubts(view: NodeContext) -> tuple[str, ...]:
    """Why it is not known who has to go: the API server has refused to tell something of it."""
    if view.node.name in view.world.unlisted:
        return (view.listing,)
    return tuple(
        f"{pod.key}: whether its DaemonSet {pod.daemonset} is there is not known: {pod.doubt}"
        for pod in view.world.pods.get(view.node.name, ())
        if pod.doubt
    )


def _planned(view: NodeContext, pods: Sequence[Pod]) -> pods_to_evict.DrainPlan:
    # An agent that has just answered is not gone yet; and the controller tolerates every taint:
    # evicted from the node that it drains, it would come back at once.
    spaces = view.world.config.namespaces
    ours = {spaces.system, spaces.agents, spaces.proof}
    # After the change each pod that goes is a gain, whoever stays.
    held_by = view.status.drain_held_by if view.operation.step == Step.DRAIN else ()
    settings = drain_settings(view)
    return pods_to_evict.plan(pods, view.world.evictions, settings, ours, view.now, held_by)


def _held_by(move: Move, uids: tuple[str, ...]) -> Move:
    return Move(move.status.model_copy(update={"drain_held_by": uids}), move.acts)
