"""A node at rest: whether to look at it, whether to begin a change, or what it waits for."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from cni_upgrade.agent.protocol.operation import Verdict
from cni_upgrade.api.names import LABEL_POLICY
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.node import cordon, drift, node_lease, operations
from cni_upgrade.planner.node.agent_job import pause_turns, pausing
from cni_upgrade.planner.node.audit_result import asked_again, audit_key
from cni_upgrade.planner.node.context import Move, NodeContext, at_rest, moved
from cni_upgrade.planner.node.orphaned_agents import Writer
from cni_upgrade.planner.node.pending_proof import unproved
from cni_upgrade.planner.node.record_recovery import looked_at
from cni_upgrade.planner.steps import restore
from cni_upgrade.planner.steps.start import DRAIN_FORBIDDEN, begin
from cni_upgrade.planner.world.decisions import Claim
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import (
    AT_WORK,
    DRAIN_NOT_ENOUGH,
    FAILED,
    GOOD,
    NOT_LINUX,
    ROTATION,
    ROUTINE,
    UNPLANNABLE,
    UNPROVED,
    Step,
)

_LONGEST_LABEL = 63

_NEVER = datetime.max.replace(tzinfo=UTC)

_JUDGED = frozenset(Phase) - AT_WORK - {Phase.PENDING}
"""Phases that say what an audit or a change has found; a node rests in no other for good."""


def next_move(view: NodeContext) -> Move:
    """The move of a node that has no operation under way."""
    if view.writer is not None:
        if _answered(view, view.writer):
            return Move(view.status, view.writer.take_back())
        return _let_end(view, view.writer)
    if (back := cordon.give_back(view.node)) is not None:
        # The record of it was lost, the cordon must not be.
        if node_lease.relied_on(view.node, view.world):
            text = "the record of an operation was lost; its cordon is to be given back"
            return at_rest(
                view, Phase.PENDING, node_lease.HELD, f"{text}; {node_lease.others(view)}"
            )
        text = "the record of an operation was lost; its cordon is given back"
        return Move(at_rest(view, Phase.PENDING, "CordonRemoved", text).status, (back,))
    if (claim := _claim(view)) is not None:
        return Move(view.status, (claim,))
    if view.leaving is not None:
        return restore.next_move(view, view.leaving)
    asks = _asks(view)
    # By its own folders, and in its name: what is found is its record's.
    policy = asks or view.policy or view.asker
    if policy is None:
        text = restore.describe_restore(view.status) or "no policy selects this node any more"
        return _nobodys(view, "NoPolicy", text)
    if view.node.system not in ("", "linux"):
        text = (
            f"the node runs {view.node.system}, and only the CNI configs of Linux nodes are read "
            "and written; leave such nodes out of spec.nodeSelector (label kubernetes.io/os)"
        )
        return at_rest(view, Phase.BLOCKED, NOT_LINUX, text)
    preset = view.world.config.preset(policy.spec.paths)
    if preset is None:
        return _nobodys(
            view,
            "PathsNotAllowed",
            f"policy {policy.metadata.name}: spec.paths {policy.spec.paths!r} is not a preset of "
            "the operator's configuration; expected auto"
            + "".join(f", {name}" for name in sorted(view.world.config.presets)),
        )
    # It has to know, whether or not another look is due by what people ask for.
    owed = asks is not None and view.status.phase in _JUDGED
    if owed or _audit_due(view, policy):
        return _audit(view, policy)
    if policy is view.asker:
        return Move(view.status)  # It was looked at for a deleted policy; no change begins for it.
    if _able(view) and view.may_rotate and view.may_audit and _rotates(view):
        return _audit(view, policy)
    if view.status.phase == Phase.WAITING or view.status.reason == DRAIN_FORBIDDEN:
        return begin(view, policy)
    return Move(view.status)


def _nobodys(view: NodeContext, reason: str, message: str) -> Move:
    """Rest where nobody can have the node looked at; who can again does so at once. A pause of
    before would keep this message on it for up to an hour, whoever has it by then."""
    none = view.status.model_copy(update={"attempts": 0, "next_attempt_at": None})
    return at_rest(moved(view, none), Phase.PENDING, reason, message)


def calm_until(view: NodeContext) -> datetime:
    """When the clock alone may bring something to do to a node of which nothing was found to do.

    Of one on which nobody has a Lease, no agent may write and no deleted policy has a say: what
    else may bring it something is news of the node, its record and its policies, and what
    `may_audit` and `gate` say. `view.now` where a look is due that nobody asks for.
    """
    if view.policy is None:
        return _NEVER
    due = _audit_due(view, view.policy)
    if not due and _able(view) and _rotates(view):
        return view.now
    looked, age = _looked(view), _longest_unseen(view)
    times: list[datetime] = []
    # A record that somebody has edited may hold the end of all time, or its beginning.
    with suppress(OverflowError):
        times += pause_turns(view)
        times += [looked + age] if looked is not None and age is not None else []
    return min((at for at in times if at > view.now), default=_NEVER)


def queues(view: NodeContext) -> bool:
    """Whether a look is due for which there is only no place."""
    return view.policy is not None and _able(view) and _audit_due(view, view.policy)


def _able(view: NodeContext) -> bool:
    """Whether an agent may be sent to the node."""
    return not (view.silent or view.world.stopped)


def _answered(view: NodeContext, writer: Writer) -> bool:
    """Whether it is the Job of the operation that ended last, left behind by a pod that was lost.

    What that operation has come to, a failure before all, is then not forgotten for it.
    """
    last = view.status.last_operation
    return last is not None and writer.job is not None and writer.job.name.startswith(last.id)


def _claim(view: NodeContext) -> Claim | None:
    """The write that makes the record say who governs the node, if it does not."""
    policy, held = view.policy, view.state.spec.policy_ref
    wanted = policy if policy is not None and policy.spec.mode == Mode.ENFORCE else None
    if view.leaving is not None:
        policy = wanted = view.leaving.policy
    label = policy.metadata.name if policy is not None else None
    if label is not None and len(label) > _LONGEST_LABEL:
        label = None
    claimed = held.uid if held else None
    right = claimed == (wanted.metadata.uid if wanted else None)
    if right and view.state.metadata.labels.get(LABEL_POLICY) == label:
        return None
    ref = held if right else view.ref(wanted) if wanted else None
    version = view.state.metadata.resource_version
    return Claim(view.node.name, version, label, ref.to_api() if ref else None)


def _let_end(view: NodeContext, writer: Writer) -> Move:
    """An agent whose record was lost: nothing begins, and the cordon stays, until it has ended."""
    text = f"the record of the operation was lost; agent {writer.name} must end first"
    move = at_rest(view, Phase.PENDING, "AgentStillRuns", text)
    return Move(move.status, writer.take_back())


def _audit_due(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    seen, pause = view.status.observed, view.status.next_attempt_at
    if seen is None or view.status.phase not in _JUDGED:
        # Pending again (its policy was gone, its paths were wrong), or no phase to rest in. A look
        # that failed is not waited out where a person asks again, or the node has changed.
        return not pausing(view) or (
            seen is not None
            and seen.audit_key != audit_key(view.node, _record(view), policy, view.world.config)
        )
    node = view.node
    if view.status.phase in FAILED:
        # Another look leads to another try and lets the other nodes go on: that is for a person
        # to ask for.
        # It may have failed in this very pass: then what was asked before is answered by that.
        asked = asked_again(_record(view), policy)
        return asked or (pause is not None and not pausing(view))
    if view.status.reason == UNPLANNABLE:
        return True  # What it was before is not known any more.
    if seen.audit_key != audit_key(node, _record(view), policy, view.world.config):
        return True
    if _word_changed(view, policy):
        return True
    return seen.audited_at is None or (pause is not None and not pausing(view))


def _word_changed(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    """Whether a word of the policy on which no audit depends makes another look find otherwise."""
    return (
        _well_unproved(view, policy)
        or _proof_called_off(view, policy)
        or _drift_freed(view, policy)
    )


def _proof_called_off(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    """Whether a node waits for a proof that nobody wants any more, and for nothing else.

    By the verdict, not by the files: of a report that was cut to fit they may be missing, and the
    look would find the same change due, and lead to the next one.
    """
    status, last = view.status, view.status.last_change
    waits = status.phase == Phase.WAITING and status.verdict == Verdict.COMPATIBLE
    return waits and last is not None and last.outcome == UNPROVED and not unproved(status, policy)


def _asks(view: NodeContext) -> CNIUpgradePolicy | None:
    """The deleted policy that is to know what it changed on the node, where no record says it.

    Whoever has the node by now; but for another Enforce policy: it finds out for itself, and
    another look at a node that failed would lead to another try.
    """
    taken = view.policy is not None and view.policy.spec.mode == Mode.ENFORCE
    if view.asker is None or taken or looked_at(view.status, view.asker, view.now):
        return None
    return view.asker


def _drift_freed(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    """Whether a node that was left to somebody else would be mended by today's `spec.drift`."""
    known = view.status.drift
    left = view.status.reason == drift.SPENT
    return left and known is not None and drift.freed(known, policy)


def _record(view: NodeContext) -> CNINodeState:
    """The record as moved so far: what was put down in this very pass answers as well."""
    if view.state.status is view.status:
        return view.state
    return view.state.model_copy(update={"status": view.status})


def _well_unproved(view: NodeContext, policy: CNIUpgradePolicy) -> bool:
    """Whether a node is called well on which something is not proved: looked at for a policy that
    wanted no proof. Another look finds the proof due, but for a deleted policy, which has none."""
    if policy.metadata.deletion_timestamp:
        return False
    return view.status.phase in GOOD and unproved(view.status, policy)


def _rotates(view: NodeContext) -> bool:
    """Whether a node at rest is to be looked at, though nobody asks for it.

    When it is Ready again: what was done to it meanwhile shows in nothing that we watch. Else after
    half of the time to all of it, each node at its own: in a fleet that was audited at once the
    next looks are spread, and those after them ever more.
    """
    seen, looked, age = view.status.observed, _looked(view), _longest_unseen(view)
    if seen is None or looked is None or age is None:
        return False
    known, since = seen.ready_since, view.node.ready_since
    again = known is not None and since is not None and since != known
    if again and view.node.ready == "True" and view.status.next_attempt_at is None:
        return True  # One that is blocked has its next look ahead, at growing distances.
    return view.now - looked >= age


def _longest_unseen(view: NodeContext) -> timedelta | None:
    """How long after a look there is another one though nobody asks for it; None: there is none."""
    if view.status.phase not in _JUDGED - FAILED:
        return None
    if view.status.reason == DRAIN_NOT_ENOUGH:
        return None  # It would find the same change due, and the node would be drained again.
    share = 0.5 + 0.5 * crc32(view.node.uid.encode()) / 2**32
    return timedelta(seconds=share * view.world.config.reaudit_seconds)


def _looked(view: NodeContext) -> datetime | None:
    """When somebody has looked at the node last; None where nobody has, or nothing came of it."""
    seen, last = view.status.observed, view.status.last_change
    if seen is None or seen.audited_at is None:
        return None
    # Who writes looks as well; else a change that took long would be followed by a look at once,
    # before its end was told.
    return max(seen.audited_at, last.at) if last else seen.audited_at


def _audit(view: NodeContext, policy: CNIUpgradePolicy) -> Move:
    if view.world.stopped:
        return _pending(view, policy, STOPPED, stopped(view.world))
    if view.silent:
        text = "the node's Ready is Unknown; no Job is sent to it"
        return _pending(view, policy, "NodeSilent", text)
    if not view.may_audit:
        text = f"waits for one of {view.world.config.audit_parallel} audits to end"
        return _pending(view, policy, "WaitingForAuditSlot", text)
    preset = view.world.config.preset(policy.spec.paths)
    if preset is None:
        raise LookupError(f"preset {policy.spec.paths!r} was not checked")
    operation = operations.audit(view.node, _record(view), policy, preset, view.world.config)
    serial = view.status.serial + 1
    seconds = view.world.config.audit_deadline_seconds + GRACE_SECONDS
    update: dict[str, Any] = {
        "phase": Phase.AUDITING,
        "reason": _unasked(view, policy) or "Audit",
        "message": "an agent is being sent to look",
        "serial": serial,
        "operation": operations.opened(
            operation, Step.JOB, view.ref(policy), serial, view.now, seconds
        ),
    }
    return Move(view.status.model_copy(update=update))


def _unasked(view: NodeContext, policy: CNIUpgradePolicy) -> str:
    """The reason of a look though nothing that we know of has changed; else nothing."""
    seen, pause = view.status.observed, view.status.next_attempt_at
    if (
        seen is None
        or pause is not None
        or view.status.phase not in _JUDGED
        or _word_changed(view, policy)
        or seen.audit_key != audit_key(view.node, _record(view), policy, view.world.config)
    ):
        return ""
    return ROUTINE if view.status.phase in GOOD else ROTATION


def _pending(view: NodeContext, policy: CNIUpgradePolicy, reason: str, message: str) -> Move:
    """A look is due and cannot begin: what was known stays, the message says what is awaited."""
    known = view.status.observed is not None and view.status.phase in _JUDGED
    if not known or _well_unproved(view, policy):
        return at_rest(view, Phase.PENDING, reason, message)
    due = view.status.next_attempt_at
    # Due from now on, also if what made it due is taken back: else the message would stay.
    update: dict[str, Any] = {
        "message": f"to be audited again: {message}",
        "next_attempt_at": due if due is not None and due <= view.now else view.now,
    }
    return Move(view.status.model_copy(update=update))
