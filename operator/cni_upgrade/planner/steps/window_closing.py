"""Whether a change that has touched nothing yet can still end before its window closes.

It could as it began. But a controller may have been away since, or a webhook has refused the cordon
for hours; what is not begun in earnest waits for the next window then, and drains nothing by day.
"""

from __future__ import annotations

from cni_upgrade.api import duration
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.limits.maintenance_windows import opening
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import Step

_SLACK = GRACE_SECONDS
"""Seconds for passes between the steps, which no deadline counts."""


def closes(view: NodeContext, policy: CNIUpgradePolicy | None, drained: bool) -> str:
    """Why the change ends too late, in words; empty where it does not, or has touched something.

    `drained`: whether pods are yet to go for it.
    """
    if policy is None or not policy.spec.rollout.windows or _touched(view):
        return ""
    need = longest(policy.spec, view.world.config, drained) - _spent(view, policy) - _SLACK
    if opening(policy.spec.rollout.windows, view.now, max(0, need)) == view.now:
        return ""
    return "the maintenance window closes before it could end, so it waits for the next one"


def _touched(view: NodeContext) -> bool:
    """Whether a pod may be evicted: who holds a drain is recorded before the first one is."""
    current = view.operation
    return current.drained or (current.step == Step.DRAIN and bool(current.blockers))


def _spent(view: NodeContext, policy: CNIUpgradePolicy) -> int:
    """Seconds of `longest` that are over: those of steps that are, and of the present one."""
    spec, config = policy.spec, view.world.config
    pod = duration.seconds(spec.verify.deadline) if spec.verify.proof else 0
    limits = {
        Step.BASELINE: pod,
        Step.BASELINE_DELETE: pod,
        Step.DRAIN: duration.seconds(spec.drain.deadline),
        Step.APPLY: config.apply_deadline_seconds + GRACE_SECONDS,
        Step.GIVE_BACK: config.apply_deadline_seconds + GRACE_SECONDS,
    }
    step, deadline = Step(view.operation.step), view.operation.deadline
    # To give back adds no pod before it: what `longest` has for one is over from the start.
    begun = (Step.BASELINE_DELETE, Step.DRAIN, Step.APPLY, Step.GIVE_BACK)
    before = pod if step in begun else 0
    if step not in limits or deadline is None:
        return before
    left = int((deadline - view.now).total_seconds())
    return before + limits[step] - max(0, min(left, limits[step]))
