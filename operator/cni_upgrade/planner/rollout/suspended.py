"""What is kept of a rollout while its policy only audits: it goes on from there, forgiving nothing.

A switch to Audit and back is how people stop to look. What has failed has failed all the same, and
a canary that has passed has passed.
"""

from __future__ import annotations

from typing import Any

from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.rollout_status import CanaryStatus, RolloutStatus
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.node.audit_result import asked_of_all
from cni_upgrade.planner.rollout.failure_budget import counted
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.snapshot import Snapshot


def kept(
    policy: CNIUpgradePolicy, failed: bool, world: Snapshot, roster: NodeIndex
) -> RolloutStatus | None:
    """The part of an Audit policy's status that is about its rollout; None if it never enforced.

    `failed`: whether one of its nodes is failed or rolled back. What ends while the policy only
    audits was begun before, and counts.
    """
    known = policy.status.rollout
    if known is None:
        return None
    asked = asked_of_all(policy)
    update: dict[str, Any] = {
        "waits_for": "",
        "held_since": None,
        "next_window": None,
        "asked": asked,
        "retry": retry_annotation.of_all(policy),
        "canary": _canary(known.canary),
    }
    if failed or known.failed or known.unnamed:
        matched = len(roster.matched(policy))
        members = roster.members(policy).values()
        failures = counted(policy, members, matched, asked, world.now, world.states)
        update |= failures.recorded()
    return known.model_copy(update=update)


def _canary(known: CanaryStatus | None) -> CanaryStatus | None:
    """One that has not passed soaks anew: nobody has watched it meanwhile."""
    if known is None or known.passed_at is not None:
        return known
    return known.model_copy(update={"soak_since": None})
