"""The conditions of a policy: where it stands, and what a person is told beside that."""

from __future__ import annotations

from cni_upgrade.api.condition import READY, RECONCILING, STALLED, Condition, keep_times
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.fleet.circumstances import Circumstances
from cni_upgrade.fleet.departure import PAUSED
from cni_upgrade.fleet.selection import paused
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.standing import NO_NODE_MATCHES, NODES_SILENT, Verdict
from cni_upgrade.fleet.stopping import STOPPED, stopped
from cni_upgrade.fleet.waiting import HELD, named

NODES_MATCHED = "NodesMatched"
OVERLAPPING = "Overlapping"
LEFTOVERS = "LeftoversRefused"
"""There while something that is to go from the policy's nodes may not be deleted."""


def conditions(
    policy: CNIUpgradePolicy,
    matched: int | None,
    around: Circumstances,
    verdict: Verdict,
    world: Snapshot,
) -> tuple[Condition, ...]:
    """`matched` None: it is not known how many nodes there are."""

    def condition(kind: str, holds: bool | None, reason: str, message: str) -> Condition:
        return Condition.model_validate(
            {
                "type": kind,
                "status": "Unknown" if holds is None else "True" if holds else "False",
                "observedGeneration": policy.metadata.generation,
                "lastTransitionTime": world.now,
                "reason": reason,
                "message": message,
            }
        )

    found = [
        condition(READY, verdict.ready, verdict.reason, verdict.message),
        condition(NODES_MATCHED, None, verdict.reason, "not known: the nodes may not be looked at")
        if matched is None
        else condition(
            NODES_MATCHED,
            matched > 0,
            "NodesMatch" if matched else NO_NODE_MATCHES,
            f"spec.nodeSelector matches {matched} node{'s' if matched != 1 else ''}",
        ),
    ]
    if verdict.reconciling:
        found.append(condition(RECONCILING, True, verdict.reason, verdict.message))
    if verdict.stalled:
        found.append(condition(STALLED, True, verdict.reason, verdict.message))
    if world.stopped:
        found.append(condition(STOPPED, True, STOPPED, stopped(world)))
    if paused(policy):
        text = "no node begins; nodes that were written to are finished, the others given back"
        found.append(condition(PAUSED, True, PAUSED, text))
    if verdict.reason == HELD and policy.spec.mode == Mode.AUDIT:
        text = f"only silent nodes are left to be looked at: {named(around.silent)}"
        found.append(condition(NODES_SILENT, True, "NodeSilent", text))
    if around.leftovers:
        (name, why), count = around.leftovers[0], len(around.leftovers)
        text = f"{count} of what is left over could not be deleted, first {name}: {why}"
        found.append(condition(LEFTOVERS, True, "DeletionRefused", text))
    if around.elsewhere:
        node, other = around.elsewhere[0]
        count = len(around.elsewhere)
        text = f"{count} of the nodes belong to other policies, first {node} to {other}"
        found.append(condition(OVERLAPPING, True, "ClaimedByOther", text))
    elif around.wanted_by:
        text = f"also selected by {', '.join(around.wanted_by)}, which stand back"
        found.append(condition(OVERLAPPING, True, "HasTheClaim", text))
    return keep_times(policy.status.conditions, tuple(found))
