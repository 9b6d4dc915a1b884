"""Policies that are deleted and give back what they changed: who is left, and when it is enough.

A policy with `deletionPolicy: Restore` carries our finalizer from before its first change. It goes
once every node is settled; a node that is gone, silent, refused or failed does not keep it, and
what has no turn for `restorePatienceSeconds` is given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.api.policy_status import PolicyStatus
from cni_upgrade.planner.index.node_index import unjudged
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.limits.maintenance_windows import opening, windows_at
from cni_upgrade.planner.limits.max_unavailable import Budget, changing
from cni_upgrade.planner.node.applied_change import FAILED, GIVEN_UP
from cni_upgrade.planner.node.record_recovery import looked_at
from cni_upgrade.planner.node.restore_request import (
    RestoreRequest,
    changed_by,
    gives_back,
    halted,
    held,
    restores,
    works_for,
)
from cni_upgrade.planner.restore import restore_status
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import Decision, SetFinalizers, SetStatus
from cni_upgrade.planner.world.errors import NONSENSE, unplannable
from cni_upgrade.planner.world.governance import Governance, govern, matches, seniority
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.merge_patch import merge_patch
from cni_upgrade.planner.world.snapshot import Snapshot

_CALLED_OFF = (Phase.PENDING, Phase.WAITING)
"""The phases of a node whose giving back was called off, or has not begun."""


def all_leaving(world: Snapshot) -> dict[str, RestoreRequest]:
    """The policies that are giving back, by uid; `turns` says of the others why not."""
    found = {}
    for policy in world.policies.values():
        if gives_back(policy):
            with suppress(*NONSENSE):
                found[policy.metadata.uid] = _leaving(policy, world)
    return found


def _leaving(policy: CNIUpgradePolicy, world: Snapshot) -> RestoreRequest:
    uid = policy.metadata.uid
    mine = [(s, c) for s in world.states.values() if (c := changed_by(s, uid)) is not None]
    told = policy.status.restore
    # A stop or a pause takes nobody's time: it is for those who said so to end it. Nor does what
    # was before anybody could do anything about it.
    since = world.now if halted(policy, world) or told is None else told.since or world.now
    # To give a node up is nothing that goes on: who is stuck is not waited for anew because of it.
    ends = [c.restored_at for _, c in mine if c.restored_at and c.restored != GIVEN_UP]
    # An end that is to come is of a clock that was set back since. What is told is now once, and
    # then it is written so; counted in every pass, an end would be now until its time has come.
    settled = max([min(since, world.now), *(end for end in ends if end <= world.now)])
    # While nobody looked nobody was given a turn, and who is back first is no node.
    settled = world.noticed(settled)
    patience = timedelta(seconds=world.config.restore_patience_seconds)
    waiting = [s for s, c in mine if c.restored is None and s.status.operation is None]
    progress = _last_work(settled, policy, waiting, world)
    matched = {
        name: node
        for name, node in world.nodes.items()
        if matches(policy.spec.node_selector, node.labels)
    }
    working = [name for name in world.nodes if _at_work(world.states.get(name), uid)]
    for name, apart in unjudged(policy, world).items():
        matched[name] = apart.node
        working += [name] if apart.working else []
    lost = _lost(patience, world)
    opens = _opens(policy, world)
    failed = min((s.metadata.name for s, c in mine if c.restored == FAILED), default="")
    return RestoreRequest(
        policy=policy,
        places=Budget(
            policy,
            matched,
            (name for name, node in matched.items() if node.down),
            world.states,
            working,
        ),
        patience=patience,
        settled=settled,
        progress=progress,
        moving=any(_at_work(s, uid) and name not in lost for name, s in world.states.items()),
        lost=lost,
        failed=failed,
        opens=opens,
        working=bool(working),
        # Where one has failed no window lets another one begin.
        idle=_idle(policy, world, {} if failed else opens, progress, patience),
    )


def _last_work(
    settled: datetime,
    policy: CNIUpgradePolicy,
    waiting: Sequence[CNINodeState],
    world: Snapshot,
) -> datetime:
    """When work last ended, be it that it was called off: until then something went on.

    Such an end counts for as long after the last node was settled as a change may take: one that is
    called off again and again holds the policy no longer.
    """
    rests = (s.status.phase_since for s in waiting if s.status.phase in _CALLED_OFF)
    ends = [at for at in rests if at is not None and settled < at <= world.now]
    most = timedelta(seconds=longest(policy.spec, world.config, drained=True))
    return min(max(ends), settled + most) if ends else settled


def _idle(
    policy: CNIUpgradePolicy,
    world: Snapshot,
    opens: Mapping[bool, datetime | None],
    progress: datetime,
    patience: timedelta,
) -> dict[bool, timedelta]:
    """By whether the node is drained: how long since then it could have begun."""
    found = dict.fromkeys((True, False), world.now - progress)
    for drained, first in opens.items():
        if first is not None:
            windows = windows_at(policy.spec.rollout.windows, progress)
            seconds = longest(policy.spec, world.config, drained)
            found[drained] = windows.room(seconds, world.now, patience)
    return found


def _opens(policy: CNIUpgradePolicy, world: Snapshot) -> dict[bool, datetime | None]:
    """By whether the node is drained."""
    windows, spec = policy.spec.rollout.windows, policy.spec
    return {
        drained: opening(windows, world.now, longest(spec, world.config, drained))
        for drained in (True, False)
    }


def _at_work(state: CNINodeState | None, uid: str) -> bool:
    return state is not None and works_for(state, uid)


def _lost(patience: timedelta, world: Snapshot) -> frozenset[str]:
    """The nodes that are worked on, for whomever, and that cannot be expected to end."""
    found = {
        name
        for name, state in world.states.items()
        if changing(state) and not _hoped_for(state, patience, world)
    }
    # Of what a newer operator does nothing is known, so nothing is hoped either.
    return frozenset(found | {name for name, each in world.unjudged.items() if each.working})


def _hoped_for(state: CNINodeState, patience: timedelta, world: Snapshot) -> bool:
    """Whether the operation that is under way on a node can be expected to end."""
    operation, node = state.status.operation, world.nodes.get(state.metadata.name)
    if operation is None or node is None:
        return False
    if node.ready == "Unknown":
        # For as long as for a node that waits: what it was at may have taken hours until then.
        return node.ready_since is not None and _within(patience, node.ready_since, world.now)
    # From the clock back, not from the record on: a record may hold the end of all time.
    if operation.deadline is not None:
        return world.now - patience < operation.deadline
    return _within(2 * patience, operation.step_since or world.now, world.now)


def _within(span: timedelta, then: datetime, now: datetime) -> bool:
    """Whether a time is no further from now than that, on either side: clocks differ by seconds,
    and one that was set back leaves times that are to come."""
    return abs(now - then) < span


def of(
    state: CNINodeState, governance: Governance, leaving: Mapping[str, RestoreRequest]
) -> RestoreRequest | None:
    """The deleted policy for which a node is still to be given back, if there is one.

    Not where another Enforce policy has the node by now: what stands there is for that one to say.
    """
    changed = state.status.changed
    if changed is None or changed.restored is not None:
        return None
    taken = governance.policy is not None and governance.policy.spec.mode == Mode.ENFORCE
    return None if taken else leaving.get(changed.policy.uid)


def asker(
    node: Node, state: CNINodeState | None, leaving: Mapping[str, RestoreRequest], now: datetime
) -> CNIUpgradePolicy | None:
    """The deleted policy on whose behalf a node is looked at, as no record says what it changed."""
    asking = [each.policy for each in leaving.values() if _asks(each.policy, node, state, now)]
    return min(asking, key=seniority, default=None)


def _asks(policy: CNIUpgradePolicy, node: Node, state: CNINodeState | None, now: datetime) -> bool:
    """Whether the policy may have changed the node, and no record could say so."""
    if state is not None and (
        state.spec.node_uid != node.uid or looked_at(state.status, policy, now)
    ):
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
        if _asks(policy, node, world.states.get(name), world.now)
        and not any(matches(selector, node.labels) for selector in others)
    ]


def turns(world: Snapshot, leaving: Mapping[str, RestoreRequest]) -> Iterator[Batch]:
    """The finalizers that are due, and the status of the policies that are giving back."""
    for policy in sorted(world.policies.values(), key=seniority):
        try:
            decisions = tuple(_decisions(policy, world, leaving.get(policy.metadata.uid)))
        except NONSENSE as error:
            decisions = tuple(_said(policy, unplannable(policy, world, error)))
        if decisions:
            yield Batch(f"policy {policy.metadata.name}", decisions)


def let_go_turns(world: Snapshot) -> Iterator[Batch]:
    """The finalizers of deleted policies that give nothing back, which needs no look at a node."""
    for policy in sorted(world.policies.values(), key=seniority):
        if policy.metadata.deletion_timestamp and held(policy) and not gives_back(policy):
            yield Batch(f"policy {policy.metadata.name}", (_hold(policy, False),))


def _hold(policy: CNIUpgradePolicy, wanted: bool) -> SetFinalizers:
    """Our finalizer on, or off; others' stay as they are."""
    others = tuple(name for name in policy.metadata.finalizers if name != names.FINALIZER)
    ours = (names.FINALIZER,) if wanted else ()
    return SetFinalizers(policy.metadata.name, policy.metadata.resource_version, (*others, *ours))


def _decisions(
    policy: CNIUpgradePolicy, world: Snapshot, leaving: RestoreRequest | None
) -> Iterator[Decision]:
    if leaving is None and gives_back(policy):
        leaving = _leaving(policy, world)
    if leaving is not None:
        left = list(_left(leaving, world))
        status = restore_status.status(leaving, world, left, _unseen(policy, world))
        said = tuple(_said(policy, status))
        yield from said
        if left and said and (called := restore_status.calls(policy, status)):
            yield called
        # What it says must be said before it goes.
        if not (said or left):
            yield restore_status.event(policy, status)
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
            changed_by(state, uid) is not None or works_for(state, uid)
            for state in world.states.values()
        )
        # A record that was lost is not nothing.
        or (held(policy) and bool(_unseen(policy, world)))
    )


def _taken(node: Node, state: CNINodeState, uid: str, world: Snapshot) -> bool:
    """Whether another Enforce policy has the node by now; a claim of one that is gone is none."""
    claim = state.spec.policy_ref
    if claim is None or claim.uid == uid:
        return False
    holder = govern(node, state, world.policies.values()).policy
    return (
        holder is not None and holder.metadata.uid == claim.uid and holder.spec.mode == Mode.ENFORCE
    )


def _left(leaving: RestoreRequest, world: Snapshot) -> Iterator[str]:
    """Nodes that keep the finalizer: to be given back yet, or worked on with hope of an end."""
    uid = leaving.policy.metadata.uid
    for name, state in sorted(world.states.items()):
        node = world.nodes.get(name)
        if node is None or node.deleting or node.uid != state.spec.node_uid:
            continue
        if changing(state):
            if works_for(state, uid) and not leaving.stuck(world.now):
                yield name
            continue
        changed = changed_by(state, uid)
        if changed is None or changed.restored is not None:
            continue
        if not _taken(node, state, uid, world):
            yield name
    if not leaving.stuck(world.now):
        yield from _unseen(leaving.policy, world)
        # Whether they carry the policy's change is not known here: a newer operator may come back.
        yield from unjudged(leaving.policy, world)
