"""A Lease on each node that is worked on, so that two programs that drain do not meet on one.

As the operators of medik8s take it (node maintenance, node health check): the Lease `node-<name>`
in one namespace, valid until renewTime + leaseDurationSeconds, deleted when it is given back.
Source: github.com/medik8s/common pkg/lease/manager.go.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from typing import Any

from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.node.context import Move, NodeContext
from cni_upgrade.planner.world.decisions import DropLease, TakeLease, Uncordon
from cni_upgrade.planner.world.kubernetes_objects import Lease, Node
from cni_upgrade.planner.world.snapshot import Snapshot

HELD = "LeaseHeld"
HOLDER = "cni-upgrade-operator"

_SECONDS = 900
_RENEW = timedelta(seconds=_SECONDS // 3)
"""Three chances to renew it: a controller that is replaced meanwhile goes on with it."""


def name(node: str) -> str:
    """The name of the Lease on a node."""
    return f"node-{node}".lower()


def others(view: NodeContext) -> str:
    """Who else has the node, in words; empty where it is free, ours, or theirs has expired."""
    lease = foreign(view.node.name, view.world)
    if lease is None:
        return ""
    return (
        f"{lease.holder or 'somebody without a name'} has the Lease "
        f"{view.world.config.lease_namespace}/{lease.name}; waits until it is given back or expires"
    )


def relied_on(node: Node, world: Snapshot) -> bool:
    """Whether our cordon is what somebody else goes by: who drains a node that is cordoned already
    leaves it at that, and undone now, pods would come back under their hands."""
    return cordon.ours(node) and foreign(node.name, world) is not None


def foreign(node: str, world: Snapshot) -> Lease | None:
    """The Lease that somebody else has on a node; None where it is free, ours, or has expired.

    One whose renewTime is ahead of our clock is valid: two clocks are no reason to take a node.
    """
    lease = world.leases.get(name(node)) if world.config.lease_namespace else None
    if lease is None or lease.holder == HOLDER or not _valid(lease, world.now):
        return None
    return lease


def _valid(lease: Lease, now: datetime) -> bool:
    until = lease.until()
    return until is not None and until >= now


def take(node: Node, world: Snapshot) -> tuple[TakeLease, ...]:
    """Take the Lease on a node, or renew it in time; nothing where that is not due."""
    space = world.config.lease_namespace
    if not space or foreign(node.name, world):
        return ()
    lease = world.leases.get(name(node.name))
    ours = lease is not None and lease.holder == HOLDER
    if ours and lease is not None and lease.renewed is not None:
        due = lease.seconds != _SECONDS or world.now - lease.renewed >= _RENEW
        if not due and _valid(lease, world.now):
            return ()
    body = _body(node, space, lease, world.now, renewed=ours)
    return (TakeLease(body["metadata"]["name"], lease.resource_version if lease else "", body),)


def kept(view: NodeContext, move: Move) -> Move:
    """The move of a node that carries our cordon, with the Lease renewed where that is due: also
    while it rests, its record lost, until the cordon may be given back."""
    if not view.our_cordon or any(isinstance(act, TakeLease | Uncordon) for act in move.acts):
        return move
    return Move(move.status, (*move.acts, *take(view.node, view.world)))


def to_drop(world: Snapshot, states: Any, writing: Container[str]) -> Iterator[DropLease]:
    """Leases of ours on nodes where no change is recorded or decided any more.

    Not while our cordon is there, or an agent that may write (`writing`): a record can be lost, and
    whoever takes the Lease then would drain the node, or reboot it, beneath that agent. Not of
    nodes that are not ours to judge, or gone: theirs goes with the Node that owns it.
    """
    for key, node in world.nodes.items() if world.leases else ():
        lease = world.leases.get(name(key))
        if lease is None or lease.holder != HOLDER or key in writing or cordon.ours(node):
            continue
        if not (changing(world.states.get(key)) or changing(states.get(key))):
            yield DropLease(lease.name, lease.uid)


def _body(
    node: Node, space: str, lease: Lease | None, now: datetime, *, renewed: bool
) -> dict[str, Any]:
    at = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec: dict[str, Any] = {
        "holderIdentity": HOLDER,
        "leaseDurationSeconds": _SECONDS,
        "renewTime": at,
    }
    if not renewed:
        spec |= {"acquireTime": at, "leaseTransitions": lease.transitions + 1 if lease else 0}
    owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name(node.name), "namespace": space, "ownerReferences": [owner]},
        "spec": spec,
    }
