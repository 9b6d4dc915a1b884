"""The one step of an audit: wait for what the agent found."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cni_upgrade.agent.protocol.operation import Outcome, Result
from cni_upgrade.api.node_state import Observed
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.node import agent_outcome, drift, operations, upgrade_target
from cni_upgrade.planner.node.agent_job import pause, send
from cni_upgrade.planner.node.audit_result import (
    asked_key,
    audit_key,
    observed,
    seen,
    verdict_phase,
)
from cni_upgrade.planner.node.context import Move, NodeContext, wait
from cni_upgrade.planner.node.pending_proof import found_written, reopened, unproved
from cni_upgrade.planner.node.record_recovery import not_there, remade
from cni_upgrade.planner.steps.finish import last
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.phases import GOOD

_UNDER_WAY = "the audit is under way: "


def audit(view: NodeContext) -> Move:
    match agent_outcome.agent(view):
        case agent_outcome.Answer(result):
            return audited(view, result)
        case agent_outcome.Lost(why, unusable=True):
            return look_failed(view, agent_outcome.REPORT_UNUSABLE, why)
        case agent_outcome.Lost(why):
            return look_failed(view, "AuditLost", f"{why}{_waited_for(view)}")
        case agent_outcome.Refused(why):
            return look_failed(view, "AuditLost", why)
        case agent_outcome.Absent():
            return _not_sent(view) if view.world.stopped else send(view)
        case agent_outcome.Pending(_, idle) if idle and view.world.stopped:
            # Its Job, for which no operation stands then, goes as a leftover.
            return _not_sent(view)
        case agent_outcome.Pending(message):
            return wait(view, f"{_UNDER_WAY}{message}")


def _waited_for(view: NodeContext) -> str:
    """What the agent was last seen to wait for: a deadline that passes does not say why."""
    known = view.status.message.removeprefix(_UNDER_WAY)
    started = known in (view.status.message, agent_outcome.RUNS)
    return "" if started else f"; it waited for: {known}"


def _not_sent(view: NodeContext) -> Move:
    """The switch was thrown before the agent began to look: as if it had not been ordered."""
    update: dict[str, Any] = {
        "phase": Phase.PENDING,
        "reason": STOPPED,
        "message": stopped(view.world),
        "observed": None,
        "operation": None,
    }
    return Move(view.status.model_copy(update=update))


def audited(view: NodeContext, result: Result) -> Move:
    if result.report is None or result.outcome is not Outcome.DONE:
        error = result.error
        return look_failed(
            view, error.code if error else "AuditFailed", error.message if error else "no report"
        )
    key = answer_key(view)
    phase, reason, message = verdict_phase(result.report)
    policy = view.orderer
    view = remade(view, result.report, policy)
    status = view.status if result.truncated else not_there(view.status, result.report)
    drifted, entry = drift.judged(view, policy, result.report)
    if phase == Phase.WAITING and drifted is not None and drifted.spent:
        phase, reason = Phase.MANAGED_ELSEWHERE, drift.SPENT
        message = drift.left(drifted, policy)
    asks = policy if policy is not None and not policy.metadata.deletion_timestamp else None
    due = False
    if phase == Phase.COMPATIBLE and asks is not None:
        status = reopened(status, result.report)
        due = unproved(status, asks)
        works = result.report.baseline
        stuck = "" if works.delete is not False else works.delete_why or "the audit says so"
        found = upgrade_target.judged(view.node, asks.spec, result.report.readiness, stuck)
        phase, reason, message = found or (phase, reason, message)
    if due:
        status = found_written(status)
        phase, reason = Phase.WAITING, "ProofDue"
        message = "the change is written and not proved: to be proved with pods"
    history = status.history if entry is None else (*status.history, entry)
    before = status.observed
    # A new look because something has changed starts to count anew. Else a change that is blocked
    # again and again (a drain, a file that changes under us) is tried at growing distances.
    changed = before is not None and before.audit_key != key
    attempts = 0 if changed or phase in GOOD else status.attempts
    update: dict[str, Any] = {
        "phase": phase,
        "reason": reason,
        "message": message,
        "observed": observed_now(view, key, view.now, result.truncated),
        "operation": None,
        "drift": drifted,
        "history": history,
        "last_operation": last(view, result.outcome.value, None),
        "attempts": attempts + 1 if phase == Phase.BLOCKED else attempts,
        "next_attempt_at": view.now + pause(view, attempts) if phase == Phase.BLOCKED else None,
    }
    return Move(seen(status, result.report).model_copy(update=update))


def answer_key(view: NodeContext) -> str:
    """The audit key of the question that was asked; empty where nobody asks it any more.

    An answer to an old question is still true, but another one is asked for.
    """
    policy = view.orderer
    if policy is None or not _still_asked(view, policy):
        return ""
    return audit_key(view.node, view.state, policy, view.world.config)


def observed_now(view: NodeContext, key: str, at: datetime | None, truncated: bool) -> Observed:
    """What the look was made from, with what people asked for by it: nothing where they ask for
    something else by now."""
    policy, before = view.orderer, view.status.observed
    asked, retries = "", "/"
    if policy is not None:
        asked, retries = (
            asked_key(policy) if key else "",
            retry_annotation.of_node(policy, view.state),
        )
    if at is None:
        # What is known of the node is still an answer to what they asked for before.
        asked = before.asked_key if before is not None else ""
    return observed(view.node, key, asked, retries, at, truncated)


def _still_asked(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    """Whether the same look would be asked for today: the policy may have changed while the agent
    looked, or the node been rebooted, or a person have asked for another try."""
    preset = view.world.config.preset(policy.spec.paths)
    if preset is None:
        return False
    asked = (view.node, view.state, policy, preset, view.world.config)
    return operations.audit(*asked, serial=view.operation.attempt).id == view.operation.id


def look_failed(view: NodeContext, reason: str, why: str) -> Move:
    key, before = answer_key(view), view.status.observed
    # A person's retry, or a reboot, starts to count anew.
    changed = before is not None and before.audit_key != key
    attempts = 0 if changed else view.status.attempts
    rest = pause(view, attempts)
    update: dict[str, Any] = {
        "phase": Phase.PENDING,
        "reason": reason,
        "message": f"the audit failed, is tried again in {int(rest.total_seconds())} s: {why}",
        "observed": observed_now(view, key, None, False),
        "operation": None,
        "last_operation": last(view, "Lost", None),
        "attempts": attempts + 1,
        "next_attempt_at": view.now + rest,
    }
    return Move(view.status.model_copy(update=update))
