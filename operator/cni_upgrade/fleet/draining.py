"""Whether pods have to go before or after a change, and the eviction of them."""

from __future__ import annotations

from collections.abc import Callable

from cni_upgrade.api.drain import Drain, DrainPolicy
from cni_upgrade.api.phase import Phase
from cni_upgrade.fleet import drain
from cni_upgrade.fleet.decisions import Evict
from cni_upgrade.fleet.view import Move, View, wait

DRAIN_BLOCKED = "DrainBlocked"
"""The reason of a node whose pods were not to be evicted, or did not go in time."""


def drain_settings(view: View) -> Drain:
    return view.settings.drain if view.settings else Drain()


def drain_first(view: View) -> bool:
    """Whether pods go before the change. Never where deleting pods is broken: it would hang."""
    after, baseline = view.status.after, view.status.baseline
    if baseline is not None and baseline.delete is False:
        return False
    policy = drain_settings(view).policy
    return policy == DrainPolicy.ALWAYS or (
        policy == DrainPolicy.IF_REQUIRED and bool(after and after.needs_drain)
    )


def drain_due(view: View) -> bool:
    """Whether pods are yet to go before the change.

    Never so for a change that began as one without: its window need not be long enough.
    """
    begun = view.status.phase == Phase.DRAINING and not view.operation.drained
    return begun and drain_first(view)


def why_not_first(view: View) -> str:
    """Why no pods went before the change, and what that means for them; nothing where they did."""
    after, baseline = view.status.after, view.status.baseline
    if drain_first(view):
        return ""
    why = "not drained before: "
    if baseline is not None and baseline.delete is False:
        why += "no pod could be deleted, so evictions would have hung; "
    existing = after.existing_delete if after else None
    if existing is None:
        return f"{why}it is not known whether pods from before can be deleted"
    if existing:
        return f"{why}pods from before can be deleted with it"
    return f"{why}pods from before cannot be deleted with it"


def drain_after(view: View) -> bool:
    """Whether pods go after the change: asked for, not possible before, possible now."""
    after, baseline = view.status.after, view.status.baseline
    return (
        drain_settings(view).policy == DrainPolicy.ALWAYS
        and baseline is not None
        and baseline.delete is False
        and not (after is not None and after.existing_delete is False)
    )


def evict(view: View, otherwise: Callable[[], Move], give_up: Callable[[str], Move]) -> Move:
    pods = view.world.pods.get(view.node.name)
    if pods is None or not all(pod.judged for pod in pods):
        return wait(view, "the node's pods are being listed")
    # An agent that has just answered is not gone yet; and the controller tolerates every taint:
    # evicted from the node that it drains, it would come back at once.
    spaces = view.world.config.namespaces
    ours = {spaces.system, spaces.agents, spaces.proof}
    plan = drain.plan(pods, view.world.evictions, drain_settings(view), ours, view.now)
    if plan.refused:
        return give_up(f"not drained, nothing was evicted: {'; '.join(plan.refused)}")
    if not plan.remaining:
        return otherwise()
    if view.late():
        return give_up(f"not drained in time: {'; '.join(plan.blockers)}")
    evictions = tuple(Evict(view.node.name, p.namespace, p.name, p.uid) for p in plan.evict)
    left = len(plan.remaining)
    message = f"draining: {left} pod{'s' if left != 1 else ''} left; {plan.blockers[0]}"
    return wait(view, message, *evictions, blockers=plan.blockers)
