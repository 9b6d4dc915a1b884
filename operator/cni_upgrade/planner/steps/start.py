"""How a change begins, or a proof of one that is written; or what the node waits for instead."""

from __future__ import annotations

from datetime import timedelta

from cni_upgrade.api import duration
from cni_upgrade.api.changed import Changed
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.operation_status import OperationStatus, ProofStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.api.rollout import Cordoned
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.node import agent_outcome, node_lease, operations
from cni_upgrade.planner.node.context import Move, NodeContext, at_rest, moved
from cni_upgrade.planner.node.pending_proof import doubt, written_anew
from cni_upgrade.planner.node.pods_to_evict import drains
from cni_upgrade.planner.node.proof_pods import pod_name
from cni_upgrade.planner.node.restore_request import held, restores
from cni_upgrade.planner.node.start_request import StartRequest
from cni_upgrade.planner.node.upgrade_target import differences, told, upgrade_due
from cni_upgrade.planner.steps.drain import drain_first
from cni_upgrade.planner.world.governance import paused
from cni_upgrade.planner.world.phases import PROVE, UNPROVED, Step

DRAIN_FORBIDDEN = "DrainForbidden"
"""Blocked by a word in the policy that no audit depends on: asked again in every pass."""


def begin(view: NodeContext, policy: CNIUpgradePolicy) -> Move:
    """Begin the change that the last audit found due, or say what it waits for."""
    name = policy.metadata.name
    if policy.spec.mode == Mode.AUDIT:
        return _waiting(
            view, "WaitingForEnforce", f"policy {name} only audits; spec.mode: Enforce applies"
        )
    if view.world.stopped:
        return _waiting(view, STOPPED, stopped(view.world))
    if paused(policy):
        return _waiting(view, "Paused", f"policy {name} is paused")
    if restores(policy) and not held(policy):
        why = (
            f"policy {name} gets its finalizer first: deleted later, it gives back what it changes"
        )
        return _waiting(view, "NoFinalizer", why)
    after = view.status.after
    needs_drain = bool(after and after.needs_drain)
    if needs_drain and policy.spec.drain.policy == DrainPolicy.NEVER:
        return at_rest(
            view,
            Phase.BLOCKED,
            DRAIN_FORBIDDEN,
            f"the change is only safe on a drained node ({after.why if after else ''}), and "
            f"spec.drain.policy of policy {name} is Never",
        )
    if view.silent:
        return _waiting(view, "NodeSilent", "the node's Ready is Unknown; no Job is sent to it")
    if view.node.unschedulable:
        skipped = policy.spec.rollout.cordoned == Cordoned.SKIP
        text = "passed over until they undo it" if skipped else "waits until they undo it"
        return _waiting(view, "CordonedByOther", f"somebody else has cordoned the node; {text}")
    if lease := node_lease.others(view):
        return _waiting(view, node_lease.HELD, lease)
    writes = written_anew(view.status) or not _unproved(view)
    upgrades = writes and upgrade_due(view.node, view.status, policy.spec)
    drained = drains(policy.spec.drain, needs_drain or upgrades)
    closed = view.gate(StartRequest(drained, writes, doubt(view.status)))
    if closed is not None:
        return _waiting(view, *closed)
    if upgrades:
        return Move(_made_ready(view, policy))
    if not writes:
        return Move(_proved_again(view, policy))
    try:
        return Move(_started(view, policy))
    except ValueError as error:
        # A report that was cut to fit may name nothing that can be ordered.
        text = f"{error}; see the log of the audit"
        return at_rest(view, Phase.BLOCKED, agent_outcome.REPORT_UNUSABLE, text)


def _started(view: NodeContext, policy: CNIUpgradePolicy) -> NodeStateStatus:
    """The record of a change that begins now."""
    state = view.state.model_copy(update={"status": view.status})
    operation = operations.apply(view.node, state, policy, view.world.config, view.now)
    serial = view.status.serial + 1
    update = {
        "reason": Step.CORDON.value,
        "message": "the node is being cordoned",
        "serial": serial,
        "operation": operations.opened(
            operation, Step.CORDON, view.ref(policy), serial, view.now, None, policy.spec
        ),
        "canary": view.begin() or view.status.canary,
        "changed": _standing(view.status.changed),
    }
    status = view.status.model_copy(update=update)
    first = drain_first(moved(view, status))
    return status.model_copy(update={"phase": Phase.DRAINING if first else Phase.APPLYING})


def _made_ready(view: NodeContext, policy: CNIUpgradePolicy) -> NodeStateStatus:
    """The record of an upgrade by somebody else that begins now."""
    update = {
        "phase": Phase.DRAINING,
        "reason": Step.CORDON.value,
        "message": "the node is being cordoned",
        "serial": view.status.serial + 1,
        "operation": operations.upgrade(view, policy),
        "canary": view.begin() or view.status.canary,
    }
    return view.status.model_copy(update=update)


def _standing(known: Changed | None) -> Changed | None:
    """The record of what was changed before, but for one of which nothing stands any more: its
    agents may be lost before they say what they wrote, and it would say that this is nothing."""
    return known if known is not None and (known.files or known.unknown) else None


def _unproved(view: NodeContext) -> bool:
    last = view.status.last_change
    return last is not None and last.outcome == UNPROVED


def _proved_again(view: NodeContext, policy: CNIUpgradePolicy) -> NodeStateStatus:
    """The record of a proof that begins now, of a change that is written already."""
    serial = view.status.serial + 1
    name = operations.own_id(view, policy, PROVE)
    operation = OperationStatus(
        id=name,
        kind=PROVE,
        attempt=serial,
        step=Step.PROVE_ADD.value,
        policy=view.ref(policy),
        started_at=view.now,
        step_since=view.now,
        deadline=view.now + timedelta(seconds=duration.seconds(policy.spec.verify.deadline)),
        ordered=operations.ordered(policy.spec),
        proof=ProofStatus(new_pod=pod_name("new", name)),
    )
    update = {
        "phase": Phase.PROVING,
        "reason": Step.PROVE_ADD.value,
        "message": "a fresh pod is to get its network",
        "serial": serial,
        "operation": operation,
        "canary": view.begin() or view.status.canary,
    }
    return view.status.model_copy(update=update)


def _waiting(view: NodeContext, reason: str, why: str) -> Move:
    what = operations.planned(view.status) or _upgrade(view) or "a proof of what is written"
    return at_rest(view, Phase.WAITING, reason, f"{why}; planned: {what}")


def _upgrade(view: NodeContext) -> str:
    """The upgrade that is due, in words; nothing where none is, or a proof is due first."""
    policy = view.policy
    if policy is None or _unproved(view):
        return ""
    return told(differences(view.node, policy.spec))
