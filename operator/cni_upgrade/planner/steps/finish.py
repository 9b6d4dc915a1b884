"""How an operation ends: its line of history, the way back, and the node given back."""

from __future__ import annotations

from typing import Any

from cni_upgrade.agent.protocol.operation import Kind, Operation, Outcome, Result
from cni_upgrade.api.base import clip
from cni_upgrade.api.history import HistoryEntry, LastChange, LastOperation
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.operation_status import Awaited, Ending, ProofStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.report import MOST_FINDINGS, Finding, Readiness
from cni_upgrade.api.verify import OnFailure, Verify
from cni_upgrade.cni.moves import MEND_FOLDERS
from cni_upgrade.planner.node import (
    applied_change,
    cordon,
    drift,
    node_lease,
    operations,
    upgrade_target,
)
from cni_upgrade.planner.node.agent_job import pause
from cni_upgrade.planner.node.audit_result import failed, seen
from cni_upgrade.planner.node.context import Move, NodeContext, at_step, moved, release, wait
from cni_upgrade.planner.node.pending_proof import before, undone
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import (
    DRAIN_NOT_ENOUGH,
    FAILED,
    INCONCLUSIVE,
    PROVE,
    UNPROVED,
    UPGRADE,
    UPGRADE_NOT_WELL,
    Step,
)


def verify(view: NodeContext) -> Verify:
    """How the policy wants the node judged; the defaults where nothing says it any more."""
    return view.settings.verify if view.settings else Verify()


def proof_so_far(view: NodeContext) -> ProofStatus:
    """What the proof of this operation has shown."""
    return view.operation.proof or ProofStatus()


def last(view: NodeContext, outcome: str, backup: str | None) -> LastOperation:
    current = view.operation
    return LastOperation(
        id=current.id,
        kind=current.kind,
        outcome=outcome,
        finished_at=view.now,
        backup=backup,
        attempt=current.attempt,
    )


def _with_other_folders(before: NodeStateStatus, after: NodeStateStatus) -> tuple[Readiness, ...]:
    """What an operation says of later runtimes, with what the audit found out about their folders.

    The operation has today's folders alone before its eyes, and cannot tell.
    """
    known = {each.runtime: each.other_folders for each in before.readiness if each.other_folders}
    return tuple(
        each
        if each.other_folders or (others := known.get(each.runtime)) is None
        else each.model_copy(
            update={
                "ready": False if each.ready is False else None,
                "why": clip(1024)("; ".join(filter(None, (each.why, others)))),
                "other_folders": others,
            }
        )
        for each in after.readiness
    )


def _moves_told(before: NodeStateStatus, after: NodeStateStatus) -> tuple[Finding, ...]:
    """An operation's findings, with those of the audit about folders of a later release."""
    told = (each for each in before.findings if each.action == MEND_FOLDERS)
    return tuple(dict.fromkeys((*after.findings, *told)))[:MOST_FINDINGS]


def noted(view: NodeContext, result: Result, outcome: str, message: str) -> NodeStateStatus:
    """The status with the answer's facts and a line of history."""
    status = view.status if result.report is None else seen(view.status, result.report)
    if (
        result.report is not None
        and view.status.baseline is not None
        and view.operation.step != Step.GIVE_BACK
    ):
        # The baseline is what worked before we came; the proof is compared with that.
        status = status.model_copy(update={"baseline": view.status.baseline})
    told = {
        "readiness": _with_other_folders(view.status, status),
        "findings": _moves_told(view.status, status),
    }
    status = status.model_copy(update=told)
    # Where a list took the place of a single-plugin config, the new file tells both versions.
    changes = [each for each in result.changes if each.after is not None] or result.changes
    entry = HistoryEntry(
        at=view.now,
        kind=view.operation.kind,
        operation=view.operation.id,
        outcome=outcome,
        from_=", ".join(c.from_version or "missing" for c in changes) or None,
        to=", ".join(c.to or "missing" for c in changes) or None,
        backup=result.backup,
        message=message,
        diff="\n".join(c.diff for c in changes if c.diff) or None,
    )
    update = {
        "history": (*status.history, entry),
        "last_operation": last(view, outcome, result.backup),
        "changed": applied_change.after(status.changed, view.operation, result),
    }
    if view.operation.kind == Kind.APPLY and result.outcome is Outcome.DONE:
        update["drift"] = drift.mended(status.drift)
    return status.model_copy(update=update)


def remarked(view: NodeContext, kind: str, outcome: str, message: str) -> NodeStateStatus:
    """The status with a line of history about something that is not an agent's answer."""
    entry = HistoryEntry(
        at=view.now, kind=kind, operation=view.operation.id, outcome=outcome, message=message
    )
    return view.status.model_copy(update={"history": (*view.status.history, entry)})


def gave_back(view: NodeContext, outcome: str, message: str) -> Move:
    """End the giving back of a node: what became of it stands in its record, and no phase waits."""
    status = view.status
    if status.changed is None:
        raise LookupError(f"node {view.node.name}: nothing is known that could be given back")
    update = {
        "changed": applied_change.settled(status.changed, outcome, message, view.now),
        "attempts": 0,
        "next_attempt_at": None,
        # Whoever governs it next looks for himself.
        "observed": None,
    }
    restored = outcome == applied_change.RESTORED
    status = (undone(status) if restored else status).model_copy(update=update)
    reason = outcome if restored else "NotRestored"
    return release(moved(view, status), Phase.PENDING, reason, message)


def done(view: NodeContext, message: str) -> Move:
    if view.operation.kind == Kind.RESTORE:
        return gave_back(
            view, applied_change.RESTORED, f"what stood there before is back; {message}"
        )
    after = view.status.after
    stuck = ""
    policy = view.orderer
    due = upgrade_target.differences(view.node, policy.spec) if policy is not None else ()
    if after is not None and after.existing_delete is False and after.why:
        stuck = f"; {after.why}"
    text = f"{message}{stuck}"
    clean = moved(view, view.status.model_copy(update={"attempts": 0, "next_attempt_at": None}))
    if due and view.operation.kind != UPGRADE:
        # A look at what stands there now says whether it may be upgraded.
        left = f"{text}; still to be upgraded: {upgrade_target.told(due)}"
        return release(clean, Phase.PENDING, upgrade_target.UPGRADE_DUE, left)
    return release(clean, Phase.DONE, "Done", text)


def hold_next(view: NodeContext, why: str) -> Move:
    """Keep an upgraded node that is not well, until a person acts: pods would fail there."""
    known = view.operation.awaited or Awaited()
    waits = known.model_copy(update={"retry": person_asked(view)})
    held = at_step(view, Step.HOLD, "", awaited=waits)
    retry = f"kubectl annotate --overwrite cns {view.node.name} cniupgrade.dev/retry=$(date +%s)"
    text = f"{why}; kept cordoned; mend the node, then have it looked at again: {retry}"
    return Move(held.status.model_copy(update={"reason": UPGRADE_NOT_WELL, "message": text}))


def person_asked(view: NodeContext) -> str:
    """What a person's retry annotations say by now, on the node's record and on its policy."""
    policy = view.orderer
    return "" if policy is None else retry_annotation.of_node(policy, view.state)


def rolls_back(view: NodeContext) -> bool:
    return (view.settings.on_failure if view.settings else OnFailure.ROLLBACK) == OnFailure.ROLLBACK


def restore_next(view: NodeContext, backup: str, reason: str, why: str) -> Move:
    """Go back: the same node, cordon and policy, another operation that puts the backup back."""
    operation = _order_back(view, backup)
    serial = view.status.serial + 1
    seconds = view.world.config.apply_deadline_seconds + GRACE_SECONDS
    # A node that somebody cordoned anew after us takes no pods, and is not left broken for that.
    held = view.our_cordon or (view.operation.cordoned and view.node.unschedulable)
    step = Step.RESTORE if held else Step.CORDON_BACK
    opened = operations.opened(
        operation,
        step,
        view.operation.policy,
        serial,
        view.now,
        seconds if step == Step.RESTORE else None,
        view.settings,
    )
    kept = opened.model_copy(
        update={
            "proof": view.operation.proof,
            "cordoned": view.operation.cordoned,
            "ending": Ending(phase=Phase.ROLLED_BACK, reason=reason, message=why),
        }
    )
    update = {
        "phase": Phase.ROLLING_BACK,
        "reason": reason,
        "message": why,
        "serial": serial,
        "operation": kept,
        "attempts": 0,
    }
    return Move(view.status.model_copy(update=update))


def _order_back(view: NodeContext, backup: str) -> Operation:
    """The order to put a backup back; a proof of later was no order that could be turned round."""
    if view.operation.kind != PROVE:
        return operations.restore(view, backup, rollback=True)
    policy = view.orderer
    if policy is None:
        raise LookupError(f"node {view.node.name}: the policy of a proof is gone")
    given = (view.node, view.state, view.status, policy, view.world.config, backup, view.now)
    return operations.give_back(*given, rollback=True)


def _written(view: NodeContext) -> bool:
    """Whether the change stands on the node: its agent has answered, or it is proved later."""
    answered = view.status.last_operation
    ours = answered is not None and answered.id == view.operation.id
    return ours or view.operation.kind == PROVE


def _unproved(view: NodeContext, outcome: str, owner: str) -> LastChange:
    """What the proof of later is compared with, and goes back to: the next look forgets both."""
    if view.operation.kind == UPGRADE:
        return LastChange(outcome=outcome, at=view.now, policy=owner)
    known = view.status.last_change
    if view.operation.kind == PROVE and known is not None:
        return known.model_copy(update={"outcome": outcome, "at": view.now})
    baseline, backup = before(view)
    return LastChange(outcome=outcome, at=view.now, policy=owner, baseline=baseline, backup=backup)


def release_step(view: NodeContext) -> Move:
    """Give the node back, then rest: on every way out."""
    ending = view.operation.ending
    if ending is None:
        raise LookupError(f"node {view.node.name}: an operation is to end without an ending")
    if node_lease.relied_on(view.node, view.world):
        text = f"to be given back; {node_lease.others(view)}; {ending.message}"
        return Move(view.status.model_copy(update={"reason": node_lease.HELD, "message": text}))
    if (act := cordon.give_back(view.node)) is not None:
        return wait(view, f"giving the node back; {ending.message}", act)
    retried = ending.phase == Phase.BLOCKED and ending.reason != DRAIN_NOT_ENOUGH
    attempts = view.status.attempts
    update: dict[str, Any] = {
        "phase": ending.phase,
        "reason": ending.reason,
        "message": ending.message,
        "operation": None,
    }
    owner = view.operation.policy.uid if view.operation.policy else ""
    if ending.phase == Phase.FAILED:
        # Tried again where a person asks for it: what stands is proved then.
        update["last_change"] = _unproved(view, ending.phase, owner)
    elif ending.phase in (Phase.ROLLED_BACK, Phase.DONE):
        update["last_change"] = LastChange(outcome=ending.phase, at=view.now, policy=owner)
    elif ending.reason == upgrade_target.UPGRADE_DUE:
        update["last_change"] = LastChange(outcome=Phase.DONE, at=view.now, policy=owner)
        update["observed"] = None
    elif ending.reason == INCONCLUSIVE and _written(view):
        update["last_change"] = _unproved(view, UNPROVED, owner)
    if ending.phase == Phase.DONE and view.status.observed is not None:
        # That it became Ready by the change itself asks for no look.
        since = {"ready_since": view.node.ready_since}
        update["observed"] = view.status.observed.model_copy(update=since)
    if ending.phase in FAILED and view.orderer is not None:
        record = view.state.model_copy(update={"status": view.status})
        update["observed"] = failed(record, view.orderer)
    if retried:
        update |= {"attempts": attempts + 1, "next_attempt_at": view.now + pause(view, attempts)}
    return Move(view.status.model_copy(update=update))
