"""The conditions of a policy: where it stands, and what a person is told beside that."""

from __future__ import annotations

from functools import partial

from cni_upgrade.api.condition import READY, RECONCILING, STALLED, Condition, keep_times
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.node.restore_request import PAUSED
from cni_upgrade.planner.node.stalled import HELD
from cni_upgrade.planner.status.policy_facts import PolicyFacts
from cni_upgrade.planner.status.policy_readiness import (
    NO_NODE_MATCHES,
    NODES_SILENT,
    PolicyReadiness,
)
from cni_upgrade.planner.world.governance import paused
from cni_upgrade.planner.world.snapshot import Snapshot

NODES_MATCHED = "NodesMatched"
OVERLAPPING = "Overlapping"
LEFTOVERS = "LeftoversRefused"
"""There while something that is to go from the policy's nodes may not be deleted."""


def conditions(
    policy: CNIUpgradePolicy,
    matched: int | None,
    around: PolicyFacts,
    verdict: PolicyReadiness,
    world: Snapshot,
) -> tuple[Condition, ...]:
    """`matched` None: it is not known how many nodes there are."""
    condition = partial(
        Condition,
        observed_generation=policy.metadata.generation,
        last_transition_time=world.now,
        status="True",
    )
    stands = partial(condition, reason=verdict.reason, message=verdict.message)
    found = [stands(type=READY, status="True" if verdict.ready else "False")]
    if matched is None:
        text = "not known: the nodes may not be looked at"
        found.append(stands(type=NODES_MATCHED, status="Unknown", message=text))
    else:
        found.append(
            condition(
                type=NODES_MATCHED,
                status="True" if matched else "False",
                reason="NodesMatch" if matched else NO_NODE_MATCHES,
                message=f"spec.nodeSelector matches {matched} node{'s' if matched != 1 else ''}",
            )
        )
    if verdict.reconciling:
        found.append(stands(type=RECONCILING))
    if verdict.stalled:
        found.append(stands(type=STALLED))
    if world.stopped:
        found.append(condition(type=STOPPED, reason=STOPPED, message=stopped(world)))
    if paused(policy):
        text = "no node begins; nodes that were written to are finished, the others given back"
        found.append(condition(type=PAUSED, reason=PAUSED, message=text))
    if verdict.reason == HELD and policy.spec.mode == Mode.AUDIT:
        text = f"nothing else is left: {around.in_the_way}"
        found.append(condition(type=NODES_SILENT, reason="NodeSilent", message=text))
    if around.leftovers:
        (name, why), count = around.leftovers[0], len(around.leftovers)
        text = f"{count} of what is left over could not be deleted, first {name}: {why}"
        found.append(condition(type=LEFTOVERS, reason="DeletionRefused", message=text))
    if around.elsewhere:
        count, node = len(around.elsewhere), around.elsewhere[0]
        text = f"{count} of the nodes belong to other policies, first {node} to {around.claimant}"
        found.append(condition(type=OVERLAPPING, reason="ClaimedByOther", message=text))
    elif around.wanted_by:
        text = f"also selected by {', '.join(around.wanted_by)}, which stand back"
        found.append(condition(type=OVERLAPPING, reason="HoldsClaim", message=text))
    return keep_times(policy.status.conditions, tuple(found))
