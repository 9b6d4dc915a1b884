"""The second leg of a change: a node that was lowered first is drained and raised, cordoned on.

Where deleting pods is what is broken a drain would hang. So the agent first writes a version that
deletes the pods that run, though the policy wants exactly another one; once that is proved they
can be evicted, and the target is written without them. Each leg has a backup and a proof of its
own: a target that makes the node worse is taken back to what the first leg has proved.
"""

from __future__ import annotations

from typing import Any

from cni_upgrade.agent.protocol.operation import Kind, Verdict
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.history import LastChange
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.report import Baseline
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.limits.maintenance_windows import opening
from cni_upgrade.planner.node import operations, upgrade_target
from cni_upgrade.planner.node.context import Move, NodeContext, moved, release
from cni_upgrade.planner.steps.cancel import unwanted
from cni_upgrade.planner.steps.finish import done, proof_so_far, verify
from cni_upgrade.planner.world.phases import LOWERED, Step


def finished(view: NodeContext, message: str) -> Move:
    """The end of a change that is proved; or its second leg, where that was the first one."""
    if not _due(view):
        return _upgrade_next(view, message) or done(view, message)
    # What worked before the second leg, whenever that begins, is what the first one has proved, not
    # what it has mended.
    works = Baseline.model_validate({"add": True, "del": True}) if _shown(view) else None
    update: dict[str, Any] = {"attempts": 0, "next_attempt_at": None, "baseline": works}
    if _shown(view) or not verify(view).proof:
        # Nobody waits for the proof of what stands there now, whenever the second leg follows.
        # Nor is it a success: failures in a row are counted from one, and this is half of one.
        ref = view.operation.policy
        owner = ref.uid if ref else ""
        update["last_change"] = LastChange(outcome=LOWERED, at=view.now, policy=owner)
    view = moved(view, view.status.model_copy(update=update))
    policy = view.orderer
    if policy is None or not _may(view, policy):
        # Whatever is in its way is said of a node that waits for a change.
        return release(view, Phase.WAITING, "ChangeNeeded", f"{message}; to be drained and raised")
    return begun(view, policy, message)


def _upgrade_next(view: NodeContext, message: str) -> Move | None:
    """Go on to the upgrade of the node while it is cordoned, where it is known that it may be."""
    policy, status = view.orderer, view.status
    if policy is None or view.operation.kind != Kind.APPLY or not _may(view, policy):
        return None
    stuck = status.after is not None and status.after.existing_delete is False
    found = upgrade_target.judged(view.node, policy.spec, status.readiness, "")
    if stuck or found is None or found[0] != Phase.WAITING:
        return None
    operation = operations.upgrade(view, policy)
    update = {
        "phase": Phase.DRAINING,
        "reason": Step.CORDON.value,
        "message": f"{message}; cordoned on, to be upgraded",
        "serial": status.serial + 1,
        "operation": operation.model_copy(update={"cordoned": True}),
        "attempts": 0,
        "next_attempt_at": None,
        "last_change": LastChange(outcome=Phase.DONE, at=view.now, policy=policy.metadata.uid),
    }
    return Move(status.model_copy(update=update))


def _shown(view: NodeContext) -> bool:
    """Whether pods have shown that what the first leg wrote works."""
    return proof_so_far(view).outcome == "Proved"


def _due(view: NodeContext) -> bool:
    """Whether the agent, once it had written, found that a drain leads to the target.

    Not where the node was drained for it already: what is in the way then comes back.
    """
    after, current = view.status.after, view.operation
    return (
        current.kind == Kind.APPLY
        and not current.drained
        and view.status.verdict == Verdict.REWRITE.value
        and bool(after and after.needs_drain)
    )


def _may(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    """Whether it may follow at once: wanted, and ended before the window closes."""
    if unwanted(view) or view.silent or policy.spec.drain.policy == DrainPolicy.NEVER:
        return False
    if not view.our_cordon or not view.node.unschedulable:
        return False
    seconds = longest(policy.spec, view.world.config, drained=True)
    return opening(policy.spec.rollout.windows, view.now, seconds) == view.now


def begun(view: NodeContext, policy: CNIUpgradePolicy, message: str) -> Move:
    """Begin what the last look has found due, on a node that stays cordoned."""
    status = view.status
    state = view.state.model_copy(update={"status": status})
    try:
        operation = operations.apply(view.node, state, policy, view.world.config, view.now)
    except ValueError:
        return done(view, message)  # A report that was cut to fit may name nothing to order.
    serial, ref = status.serial + 1, view.operation.policy
    opened = operations.opened(operation, Step.CORDON, ref, serial, view.now, None, policy.spec)
    update = {
        "phase": Phase.DRAINING,
        "reason": Step.CORDON.value,
        "message": f"{message}; cordoned on, to be drained and raised",
        "serial": serial,
        "operation": opened.model_copy(update={"cordoned": True}),
    }
    return Move(status.model_copy(update=update))
