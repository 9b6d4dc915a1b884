"""Policies that are deleted and give back what they changed: who is left, and when it is enough.

A policy with `deletionPolicy: Restore` carries our finalizer from before its first change. It goes
once every node is settled; a node that is gone, silent, refused or failed does not keep it, and
what has no turn for `restorePatienceSeconds` is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cni_upgrade.api import names
from cni_upgrade.api.changed import Changed
from cni_upgrade.api.condition import READY, RECONCILING, STALLED, Condition, keep_times
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy, DeletionPolicy, Mode
from cni_upgrade.api.policy_status import NodeFailure, PolicyStatus, RestoreCounts
from cni_upgrade.fleet.budget import Budget, changing
from cni_upgrade.fleet.changed import FAILED, GIVEN_UP, REFUSED, RESTORED
from cni_upgrade.fleet.containing import NONSENSE, unplannable
from cni_upgrade.fleet.course import hours, longest
from cni_upgrade.fleet.decisions import Decision, Emit, SetFinalizers, SetStatus
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.patch import merge_patch
from cni_upgrade.fleet.remaking import looked_at
from cni_upgrade.fleet.roster import unjudged
from cni_upgrade.fleet.selection import Governance, matches, paused, seniority
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.stopping import STOPPED, stopped
from cni_upgrade.fleet.turn import Turn
from cni_upgrade.fleet.windows import WindowError, Windows

PAUSED = "Paused"

_LET_GO = f"at once with the annotation {names.LET_GO}"
_UNSETTLED = (FAILED, REFUSED, GIVEN_UP)
_MOST_FAILURES = 10


def restores(policy: CNIUpgradePolicy) -> bool:
    """Whether its deletion gives back what it changed."""
    return policy.spec.deletion_policy == DeletionPolicy.RESTORE


def let_go(policy: CNIUpgradePolicy) -> bool:
    """Whether a person has ended the giving back, by annotation."""
    annotation = policy.metadata.annotations.get(names.LET_GO)
    return annotation is not None and annotation.lower() != "false"


def held(policy: CNIUpgradePolicy) -> bool:
    """Whether the policy carries our finalizer."""
    return names.FINALIZER in policy.metadata.finalizers


@dataclass(frozen=True, slots=True)
class Leaving:
    """One policy that is deleted and gives back, in one pass."""

    policy: CNIUpgradePolicy
    places: Budget
    patience: timedelta
    progress: datetime
    """When the last node was settled, the policy was first seen to be deleted, or a stop or a pause
    ended."""
    moving: bool
    """A node is worked on and can be expected to end."""
    failed: str
    """The first node on which it went wrong; empty while there is none. No other one begins."""
    opens: Mapping[bool, datetime | None]
    """When one may begin at the earliest, by whether it is drained; None: no window is so long."""
    working: bool
    """Some node is worked on."""
    idle: Mapping[bool, timedelta]
    """Time since `progress` in which one could have begun, by the same; all of it where none can
    ever."""

    def hopeless(self, drained: bool) -> bool:
        """Whether nothing has gone on for so long that who waits to begin is given up."""
        return not self.moving and self.idle[drained] >= self.patience

    def stuck(self, now: datetime) -> bool:
        """The same of who has begun, for which no window has to be open."""
        return not self.moving and now - self.progress >= self.patience


def all_leaving(world: Snapshot) -> dict[str, Leaving]:
    """The policies that are giving back, by uid; `turns` says of the others why not."""
    found = {}
    for policy in world.policies.values():
        if gives_back(policy):
            with suppress(*NONSENSE):
                found[policy.metadata.uid] = _leaving(policy, world)
    return found


def gives_back(policy: CNIUpgradePolicy) -> bool:
    """Whether it is deleted, and stays until what it changed is given back."""
    deleted = policy.metadata.deletion_timestamp is not None
    return deleted and restores(policy) and held(policy) and not let_go(policy)


def _leaving(policy: CNIUpgradePolicy, world: Snapshot) -> Leaving:
    uid = policy.metadata.uid
    mine = [(s, c) for s in world.states.values() if (c := _mine(s, uid)) is not None]
    ends = [c.restored_at for _, c in mine if c.restored_at is not None]
    told = policy.status.restore
    # A stop or a pause takes nobody's time: it is for those who said so to end it. Nor does what
    # was before anybody could do anything about it.
    since = world.now if _halted(policy, world) or told is None else told.since or world.now
    patience = timedelta(seconds=world.config.restore_patience_seconds)
    matched = {
        name: node
        for name, node in world.nodes.items()
        if matches(policy.spec.node_selector, node.labels)
    }
    working = [name for name in world.nodes if _at_work(world.states.get(name), uid)]
    for name, apart in unjudged(policy, world).items():
        matched[name] = apart.node
        working += [name] if apart.working else []
    progress = min(max([since, *ends]), world.now)
    opens = _opens(policy, world)
    failed = min((s.metadata.name for s, c in mine if c.restored == FAILED), default="")
    return Leaving(
        policy=policy,
        places=Budget(policy, matched, world.states, working),
        patience=patience,
        progress=progress,
        moving=any(_moving(state, uid, patience, world) for state in world.states.values()),
        failed=failed,
        opens=opens,
        working=bool(working),
        # Where one has failed no window lets another one begin.
        idle=_idle(policy, world, {} if failed else opens, progress, patience),
    )


def _halted(policy: CNIUpgradePolicy, world: Snapshot) -> str:
    """Whose word keeps every node from beginning, as a reason; empty while there is none."""
    return STOPPED if world.stopped else PAUSED if paused(policy) else ""


def _idle(
    policy: CNIUpgradePolicy,
    world: Snapshot,
    opens: Mapping[bool, datetime | None],
    progress: datetime,
    patience: timedelta,
) -> dict[bool, timedelta]:
    """By whether the node is drained: how long since then it could have begun."""
    found = dict.fromkeys((True, False), world.now - progress)
    for drained, opening in opens.items():
        if opening is not None:
            windows = Windows(policy.spec.rollout.windows, progress)
            seconds = longest(policy.spec, world.config, drained)
            found[drained] = windows.room(seconds, world.now, patience)
    return found


def _opens(policy: CNIUpgradePolicy, world: Snapshot) -> dict[bool, datetime | None]:
    """By whether the node is drained. Windows that cannot be read are never open."""
    try:
        windows = Windows(policy.spec.rollout.windows, world.now)
    except WindowError:
        return {True: None, False: None}
    return {
        drained: windows.opens(longest(policy.spec, world.config, drained))
        for drained in (True, False)
    }


def _mine(state: CNINodeState, uid: str) -> Changed | None:
    changed = state.status.changed
    return changed if changed is not None and changed.policy.uid == uid else None


def _works_for(state: CNINodeState, uid: str) -> bool:
    operation = state.status.operation
    ref = operation.policy if operation else None
    return ref is not None and ref.uid == uid and changing(state)


def _at_work(state: CNINodeState | None, uid: str) -> bool:
    return state is not None and _works_for(state, uid)


def _moving(state: CNINodeState, uid: str, patience: timedelta, world: Snapshot) -> bool:
    """Whether a change or restore of this policy is under way that can be expected to end."""
    operation, node = state.status.operation, world.nodes.get(state.metadata.name)
    if operation is None or not _works_for(state, uid):
        return False
    if node is None or node.ready == "Unknown":
        return False
    # From the clock back, not from the record on: a record may hold the end of all time.
    if operation.deadline is not None:
        return world.now - patience < operation.deadline
    return world.now - 2 * patience < (operation.step_since or world.now)


def of(
    state: CNINodeState, governance: Governance, leaving: Mapping[str, Leaving]
) -> Leaving | None:
    """The deleted policy for which a node is still to be given back, if there is one.

    Not where another Enforce policy has the node by now: what stands there is for that one to say.
    """
    changed = state.status.changed
    if changed is None or changed.restored is not None:
        return None
    taken = governance.policy is not None and governance.policy.spec.mode == Mode.ENFORCE
    return None if taken else leaving.get(changed.policy.uid)


def asker(
    node: Node, state: CNINodeState | None, leaving: Mapping[str, Leaving]
) -> CNIUpgradePolicy | None:
    """The deleted policy on whose behalf a node is looked at, as no record says what it changed."""
    asking = [each.policy for each in leaving.values() if _asks(each.policy, node, state)]
    return min(asking, key=seniority, default=None)


def _asks(policy: CNIUpgradePolicy, node: Node, state: CNINodeState | None) -> bool:
    """Whether the policy may have changed the node, and no record could say so."""
    if state is not None and (state.spec.node_uid != node.uid or looked_at(state.status)):
        return False
    linux = node.system in ("", "linux")
    return linux and not node.deleting and matches(policy.spec.node_selector, node.labels)


def _unseen(policy: CNIUpgradePolicy, world: Snapshot) -> list[str]:
    """Those nodes, but for those on which another Enforce policy has a say: it finds out itself."""
    others = [
        each.spec.node_selector
        for each in world.policies.values()
        if each.spec.mode == Mode.ENFORCE and not each.metadata.deletion_timestamp
    ]
    return [
        name
        for name, node in sorted(world.nodes.items())
        if _asks(policy, node, world.states.get(name))
        and not any(matches(selector, node.labels) for selector in others)
    ]


def turns(world: Snapshot, leaving: Mapping[str, Leaving]) -> Iterator[Turn]:
    """The finalizers that are due, and the status of the policies that are giving back."""
    for policy in sorted(world.policies.values(), key=seniority):
        try:
            decisions = tuple(_decisions(policy, world, leaving.get(policy.metadata.uid)))
        except NONSENSE as error:
            decisions = tuple(_said(policy, unplannable(policy, world, error)))
        if decisions:
            yield Turn(f"policy {policy.metadata.name}", decisions)


def let_go_turns(world: Snapshot) -> Iterator[Turn]:
    """The finalizers of deleted policies that give nothing back, which needs no look at a node."""
    for policy in sorted(world.policies.values(), key=seniority):
        if policy.metadata.deletion_timestamp and held(policy) and not gives_back(policy):
            yield Turn(f"policy {policy.metadata.name}", (_hold(policy, False),))


def _hold(policy: CNIUpgradePolicy, wanted: bool) -> SetFinalizers:
    """Our finalizer on, or off; others' stay as they are."""
    others = tuple(name for name in policy.metadata.finalizers if name != names.FINALIZER)
    ours = (names.FINALIZER,) if wanted else ()
    return SetFinalizers(policy.metadata.name, policy.metadata.resource_version, (*others, *ours))


def _decisions(
    policy: CNIUpgradePolicy, world: Snapshot, leaving: Leaving | None
) -> Iterator[Decision]:
    if leaving is None and gives_back(policy):
        leaving = _leaving(policy, world)
    if leaving is not None:
        left = list(_left(leaving, world))
        status = _status(leaving, world, left)
        said = tuple(_said(policy, status))
        yield from said
        # What it says must be said before it goes.
        if not (said or left):
            yield _event(policy, status.message)
            yield _hold(policy, False)
        return
    wanted = not policy.metadata.deletion_timestamp and restores(policy) and _needed(policy, world)
    if wanted != held(policy):
        yield _hold(policy, wanted)


def _said(policy: CNIUpgradePolicy, status: PolicyStatus) -> Iterator[Decision]:
    patch = merge_patch(policy.status.to_api(), status.to_api())
    if patch:
        yield SetStatus(names.POLICY_KIND, policy.metadata.name, patch)


def _needed(policy: CNIUpgradePolicy, world: Snapshot) -> bool:
    """Whether the policy may have something to give back, now or after its next step."""
    uid = policy.metadata.uid
    return (
        policy.spec.mode == Mode.ENFORCE
        or any(
            _mine(state, uid) is not None or _works_for(state, uid)
            for state in world.states.values()
        )
        # A record that was lost is not nothing.
        or (held(policy) and bool(_unseen(policy, world)))
    )


def _left(leaving: Leaving, world: Snapshot) -> Iterator[str]:
    """Nodes that keep the finalizer: to be given back yet, or worked on with hope of an end."""
    uid = leaving.policy.metadata.uid
    for name, state in sorted(world.states.items()):
        node = world.nodes.get(name)
        if node is None or node.deleting or node.uid != state.spec.node_uid:
            continue
        if changing(state):
            if _works_for(state, uid) and not leaving.stuck(world.now):
                yield name
            continue
        changed = _mine(state, uid)
        if changed is None or changed.restored is not None:
            continue
        claim = state.spec.policy_ref
        if claim is None or claim.uid == uid:
            yield name
    if not leaving.stuck(world.now):
        yield from _unseen(leaving.policy, world)
        # Whether they carry the policy's change is not known here: a newer operator may come back.
        yield from unjudged(leaving.policy, world)


def _status(leaving: Leaving, world: Snapshot, left: list[str]) -> PolicyStatus:
    policy, uid = leaving.policy, leaving.policy.metadata.uid
    mine = {n: s for n, s in sorted(world.states.items()) if _mine(s, uid) is not None}
    outcomes = Counter(
        c.restored for s in mine.values() if (c := _mine(s, uid)) is not None and c.restored
    )
    working = sum(_works_for(state, uid) for state in world.states.values())
    unseen = _unseen(policy, world)
    lost = unseen if leaving.stuck(world.now) else []
    counts = RestoreCounts(
        nodes=len(mine) + len(unseen),
        restored=outcomes[RESTORED],
        working=working,
        waiting=sum(not changing(world.states.get(name)) for name in left),
        refused=outcomes[REFUSED],
        failed=outcomes[FAILED],
        given_up=outcomes[GIVEN_UP] + len(lost),
        since=None if _halted(policy, world) else leaving.progress,
    )
    failures = _failures(mine.values(), lost, world)
    message = _message(leaving, counts, failures, world)
    ended = "Restored" if counts.restored == counts.nodes else "NotRestored"
    going_on = _halted(policy, world) or "Restoring"
    found = _conditions(leaving, going_on if left else ended, message, left, world)
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


def _message(
    leaving: Leaving, counts: RestoreCounts, failures: tuple[NodeFailure, ...], world: Snapshot
) -> str:
    parts = [f"deleted: {counts.restored} of {counts.nodes} nodes have their files back"]
    parts += [f"{counts.working} worked on, to the end in any case"] if counts.working else []
    parts += [f"{counts.waiting} waiting"] if counts.waiting else []
    parts += [f"{counts.refused} refused"] if counts.refused else []
    parts += [f"{counts.failed} failed"] if counts.failed else []
    parts += [f"{counts.given_up} given up"] if counts.given_up else []
    text = ", ".join(parts)
    if failures:
        text += f"; first {failures[0].node}: {failures[0].message}"
    if counts.waiting and world.stopped:
        text += f"; {stopped(world)}"
    elif counts.waiting and paused(leaving.policy):
        text += f"; it is paused, and nobody is given up for that: resume it, or end it {_LET_GO}"
    elif counts.waiting:
        text += f"; {_until(leaving, world)}, or {_LET_GO}"
    return text


def _until(leaving: Leaving, world: Snapshot) -> str:
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
        Windows(policy.spec.rollout.windows, world.now)
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
    leaving: Leaving, reason: str, message: str, left: list[str], world: Snapshot
) -> tuple[Condition, ...]:
    def condition(kind: str, status: str, text: str = message, reason: str = reason) -> Condition:
        return Condition.model_validate(
            {
                "type": kind,
                "status": status,
                "observedGeneration": leaving.policy.metadata.generation,
                "lastTransitionTime": world.now,
                "reason": reason,
                "message": text,
            }
        )

    found = [condition(READY, "False")]
    if leaving.failed or (not left and reason == "NotRestored"):
        found.append(condition(STALLED, "True"))
    elif left and (not _halted(leaving.policy, world) or leaving.working):
        found.append(condition(RECONCILING, "True"))
    if left and world.stopped:
        found.append(condition(STOPPED, "True", stopped(world)))
    if left and paused(leaving.policy):
        found.append(condition(PAUSED, "True", reason=PAUSED))
    return keep_times(leaving.policy.status.conditions, tuple(found))


def _event(policy: CNIUpgradePolicy, message: str) -> Emit:
    clean = not policy.status.failures
    kind, meta = ("Normal" if clean else "Warning"), policy.metadata
    reason = "Restored" if clean else "NotRestored"
    return Emit(names.POLICY_KIND, meta.name, meta.uid, kind, reason, message)  # type: ignore[arg-type]
