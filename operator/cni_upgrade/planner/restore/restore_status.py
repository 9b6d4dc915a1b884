"""What a deleted policy that gives back says of itself: how far it is, and until when is waited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from cni_upgrade.api import names
from cni_upgrade.api.condition import READY, RECONCILING, STALLED, Condition, keep_times
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.policy_status import NodeFailure, PolicyStatus, RestoreCounts
from cni_upgrade.planner.limits.change_duration import hours, longest
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.limits.maintenance_windows import WindowError, windows_at
from cni_upgrade.planner.limits.max_unavailable import TURN, changing
from cni_upgrade.planner.node import node_lease
from cni_upgrade.planner.node.applied_change import FAILED, GIVEN_UP, REFUSED, RESTORED
from cni_upgrade.planner.node.restore_request import (
    PAUSED,
    RestoreRequest,
    changed_by,
    halted,
    works_for,
)
from cni_upgrade.planner.node.stalled import HELD, PATIENCE, describe_nodes, since, stuck
from cni_upgrade.planner.rollout.failure_budget import NODE_FAILED
from cni_upgrade.planner.world.decisions import Emit
from cni_upgrade.planner.world.governance import paused
from cni_upgrade.planner.world.snapshot import Snapshot

_LET_GO = f"at once with the annotation {names.LET_GO}"
_UNSETTLED = (FAILED, REFUSED, GIVEN_UP)
_MOST_FAILURES = 10


def status(
    leaving: RestoreRequest, world: Snapshot, left: list[str], unseen: list[str]
) -> PolicyStatus:
    """`left` keep the finalizer; of `unseen` no record says whether the policy changed them."""
    policy, uid = leaving.policy, leaving.policy.metadata.uid
    mine = {n: s for n, s in sorted(world.states.items()) if changed_by(s, uid) is not None}
    outcomes = Counter(
        c.restored for s in mine.values() if (c := changed_by(s, uid)) is not None and c.restored
    )
    working = sum(works_for(state, uid) for state in world.states.values())
    lost = unseen if leaving.stuck(world.now) else []
    counts = RestoreCounts(
        nodes=len(mine) + len(unseen),
        restored=outcomes[RESTORED],
        working=working,
        waiting=sum(not changing(world.states.get(name)) for name in left),
        refused=outcomes[REFUSED],
        failed=outcomes[FAILED],
        given_up=outcomes[GIVEN_UP] + len(lost),
        since=None if halted(policy, world) else leaving.settled,
    )
    failures = _failures(mine.values(), lost, world)
    hung = {n: s for n, s in world.states.items() if works_for(s, uid) and _stuck(n, s, world)}
    held = bool(left) and 0 < working == len(hung)
    apart = _apart(mine, uid, left)
    message = _message(leaving, counts, failures, world, sorted(hung) if held else [], left, apart)
    ended = RESTORED if counts.restored == counts.nodes else "NotRestored"
    going_on = halted(policy, world) or (HELD if held else "Restoring")
    late = held and _late(leaving, hung, world)
    found = _conditions(leaving, going_on if left else ended, message, left, late, world)
    return policy.status.model_copy(
        update={
            "observed_generation": policy.metadata.generation,
            "conditions": found,
            "message": message,
            # Counted while it governs nodes; it does not any more.
            "nodes": None,
            "summary": None,
            "restore": counts,
            "failures": failures,
        }
    )


def _apart(mine: Mapping[str, CNINodeState], uid: str, left: Iterable[str]) -> int:
    """How many nodes keep what the policy wrote and do not keep the policy: another Enforce policy
    has them by now, or they are being deleted."""
    waiting = frozenset(left)
    return sum(
        changed.restored is None and not changing(state) and name not in waiting
        for name, state in mine.items()
        if (changed := changed_by(state, uid)) is not None
    )


def _stuck(name: str, state: CNINodeState, world: Snapshot) -> bool:
    """Whether a node is worked on and only others can do something there now."""
    node = world.nodes.get(name)
    return node is not None and stuck(node, state, node_lease.foreign(name, world) is not None)


def _late(leaving: RestoreRequest, hung: Mapping[str, CNINodeState], world: Snapshot) -> bool:
    """Whether nothing has moved because of them for so long that a person is called."""
    times = (since(world.nodes[name], state) for name, state in hung.items())
    last = max([leaving.progress, *(at for at in times if at is not None)])
    return world.now - last >= PATIENCE


def _message(
    leaving: RestoreRequest,
    counts: RestoreCounts,
    failures: tuple[NodeFailure, ...],
    world: Snapshot,
    hung: Sequence[str],
    left: Sequence[str],
    apart: int,
) -> str:
    """`hung`: the nodes because of which nothing moves; `left` keep the finalizer, `apart` keep
    what was written and do not."""
    parts = [f"deleted: {counts.restored} of {counts.nodes} nodes have their files back"]
    parts += [f"{counts.working} worked on, to the end in any case"] if counts.working else []
    parts += [f"{counts.waiting} waiting"] if counts.waiting else []
    parts += [f"{counts.refused} refused"] if counts.refused else []
    parts += [f"{counts.failed} failed"] if counts.failed else []
    parts += [f"{counts.given_up} given up"] if counts.given_up else []
    parts += [f"{apart} left as they are (another policy's by now, or deleted)"] if apart else []
    text = ", ".join(parts)
    if failures:
        text += f"; first {failures[0].node}: {failures[0].message}"
    if hung:
        text += f"; nothing moves: {describe_nodes([world.nodes[name] for name in hung])}"
    if counts.waiting and world.stopped:
        text += f"; {stopped(world)}"
    elif counts.waiting and paused(leaving.policy):
        text += f"; it is paused, and nobody is given up for that: resume it, or end it {_LET_GO}"
    elif counts.waiting:
        text += f"; {_place(leaving, left, world)}{_until(leaving, world)}, or {_LET_GO}"
    return text


def _place(leaving: RestoreRequest, left: Iterable[str], world: Snapshot) -> str:
    """Who has the places that the first of those that wait for one would need."""
    states = ((name, world.states.get(name)) for name in left)
    first = next((n for n, s in states if s is not None and s.status.reason == TURN), None)
    refused = leaving.places.refusal(first) if first is not None else None
    return f"{refused[1]}; " if refused is not None else ""


def _until(leaving: RestoreRequest, world: Snapshot) -> str:
    """What those that wait wait for, and how long."""
    seconds = int(leaving.patience.total_seconds())
    text, opens = "", leaving.opens[False]
    if leaving.failed:
        text = f"no other one begins after {leaving.failed} failed; "
    elif opens is None:
        text = f"{_no_window(leaving.policy, world)}; "
    elif leaving.policy.spec.rollout.windows:
        if opens > world.now:
            text = f"the next maintenance window opens {opens:%Y-%m-%dT%H:%M:%SZ}; "
        return f"{text}what does not begin is given up after {seconds} s in which it could"
    until = leaving.progress + leaving.patience
    if until <= world.now:
        return f"{text}what does not begin is given up once nothing goes on any more"
    return f"{text}what does not begin is given up at {until:%Y-%m-%dT%H:%M:%SZ}"


def _no_window(policy: CNIUpgradePolicy, world: Snapshot) -> str:
    """Why no window ever lets a node begin."""
    try:
        windows_at(policy.spec.rollout.windows, world.now)
    except WindowError as error:
        return str(error)
    need = hours(longest(policy.spec, world.config, False))
    return f"no maintenance window is long enough: a change may take {need}"


def _failures(
    states: Iterable[CNINodeState], lost: Iterable[str], world: Snapshot
) -> tuple[NodeFailure, ...]:
    told = [
        NodeFailure(
            node=name,
            phase=GIVEN_UP,
            reason="NotLookedAt",
            message="no record says whether this node was changed, and it could not be looked at: "
            f"{_last_word(world.states.get(name))}",
        )
        for name in lost
    ]
    told += [
        NodeFailure(
            node=state.metadata.name,
            phase=changed.restored or "",
            reason=state.status.reason,
            message=changed.message,
            since=changed.restored_at,
        )
        for state in states
        if (changed := state.status.changed) is not None and changed.restored in _UNSETTLED
    ]
    return tuple(sorted(told, key=lambda f: (_UNSETTLED.index(f.phase), f.node))[:_MOST_FAILURES])


def _last_word(state: CNINodeState | None) -> str:
    return (state.status.message if state else "") or "its record was deleted"


def _conditions(
    leaving: RestoreRequest, reason: str, message: str, left: list[str], late: bool, world: Snapshot
) -> tuple[Condition, ...]:
    condition = partial(
        Condition,
        observed_generation=leaving.policy.metadata.generation,
        last_transition_time=world.now,
        reason=reason,
        message=message,
    )
    found = [condition(type=READY, status="False")]
    if leaving.failed or (not left and reason == "NotRestored") or (late and reason == HELD):
        # What a person is called for, not what goes on, or is held, beside it.
        called = NODE_FAILED if leaving.failed and left else reason
        found.append(condition(type=STALLED, status="True", reason=called))
    elif left and reason != HELD and (not halted(leaving.policy, world) or leaving.working):
        found.append(condition(type=RECONCILING, status="True"))
    if left and world.stopped:
        found.append(condition(type=STOPPED, status="True", message=stopped(world)))
    if left and paused(leaving.policy):
        found.append(condition(type=PAUSED, status="True", reason=PAUSED))
    return keep_times(leaving.policy.status.conditions, tuple(found))


def calls(policy: CNIUpgradePolicy, status: PolicyStatus) -> Emit | None:
    """The call for a person, as the policy becomes Stalled while nodes keep it."""
    reason = next((each.reason for each in status.conditions if each.type == STALLED), "")
    if not reason or any(each.type == STALLED for each in policy.status.conditions):
        return None
    meta = policy.metadata
    return Emit(names.POLICY_KIND, meta.name, meta.uid, "Warning", reason, status.message)


def event(policy: CNIUpgradePolicy, status: PolicyStatus) -> Emit:
    """The last word, as the finalizer goes: the one that the status ends with."""
    [ready] = [each for each in status.conditions if each.type == READY]
    meta, well = policy.metadata, ready.reason == RESTORED
    return Emit(
        names.POLICY_KIND,
        meta.name,
        meta.uid,
        "Normal" if well else "Warning",
        ready.reason,
        status.message,
    )
