"""The end of an upgrade: an agent looks at the node, what it finds is written, pods prove it."""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Outcome, Result
from cni_upgrade.api.operation_status import ProofStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.limits.emergency_stop import stopped
from cni_upgrade.planner.node import agent_outcome, operations
from cni_upgrade.planner.node.agent_job import send
from cni_upgrade.planner.node.audit_result import seen, verdict_phase
from cni_upgrade.planner.node.context import Move, NodeContext, moved, wait
from cni_upgrade.planner.steps import second_leg
from cni_upgrade.planner.steps.audit import answer_key, observed_now
from cni_upgrade.planner.steps.cancel import unwanted
from cni_upgrade.planner.steps.finish import done, hold_next, last, verify
from cni_upgrade.planner.steps.prove import prove_add_next
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import UPGRADE, Step


def limit(view: NodeContext) -> int:
    """Seconds that the look may take of a kubelet that answers."""
    return view.world.config.audit_deadline_seconds + GRACE_SECONDS


def audit_next(view: NodeContext) -> Move:
    """Have an agent look, under an id of its own; without a policy the pods alone say how it is."""
    policy, current = view.orderer, view.operation
    preset = view.world.config.preset(policy.spec.paths) if policy is not None else None
    if policy is None or preset is None:
        return _prove_next(view, "upgraded; not audited, for no policy says what to look for")
    operation = operations.audit(view.node, view.state, policy, preset, view.world.config)
    serial = view.status.serial + 1
    opened = operations.opened(
        operation, Step.AUDIT_AFTER, current.policy, serial, view.now, limit(view), policy.spec
    )
    kept = {
        "kind": UPGRADE,
        "cordoned": current.cordoned,
        "drained": current.drained,
        "awaited": current.awaited,
        "started_at": current.started_at,
    }
    update = {
        "phase": Phase.PROVING,
        "reason": Step.AUDIT_AFTER.value,
        "message": "upgraded: an agent is being sent to look",
        "serial": serial,
        "operation": opened.model_copy(update=kept),
    }
    return Move(view.status.model_copy(update=update))


def audit_after(view: NodeContext) -> Move:
    match agent_outcome.agent(view):
        case agent_outcome.Answer(result):
            return _audited(view, result)
        case agent_outcome.Absent() | agent_outcome.Lost() | agent_outcome.Refused() if (
            view.world.stopped
        ):
            return wait(view, f"upgraded, to be audited; {stopped(view.world)}")
        case agent_outcome.Absent():
            return send(view)
        case agent_outcome.Lost(why) | agent_outcome.Refused(why):
            return _again(view, why)
        case agent_outcome.Pending(message):
            return wait(view, f"upgraded; the audit is under way: {message}")


def _again(view: NodeContext, why: str) -> Move:
    tried, most = view.status.attempts + 1, view.world.config.attempts
    if tried >= most:
        return hold_next(view, f"upgraded, and {tried} audits brought no answer: {why}")
    return audit_next(moved(view, view.status.model_copy(update={"attempts": tried})))


def _audited(view: NodeContext, result: Result) -> Move:
    if result.report is None or result.outcome is not Outcome.DONE:
        return _again(view, result.error.message if result.error else "no report")
    phase, _, message = verdict_phase(result.report)
    update = {
        "observed": observed_now(view, answer_key(view), view.now, result.truncated),
        "last_operation": last(view, result.outcome.value, None),
        "attempts": 0,
    }
    view = moved(view, seen(view.status, result.report).model_copy(update=update))
    policy = view.orderer
    if phase == Phase.WAITING and policy is not None and not unwanted(view):
        return second_leg.begun(view, policy, f"upgraded; {message}")
    if phase in (Phase.COMPATIBLE, Phase.WAITING):
        return _prove_next(view, f"upgraded; {message}")
    return hold_next(view, f"upgraded, and the audit finds: {message}")


def _prove_next(view: NodeContext, message: str) -> Move:
    if not verify(view).proof:
        return done(view, f"{message}; not proved, spec.verify.proof is false")
    return prove_add_next(view, ProofStatus(), message)
