"""A node at work on which only others can do something: what is begun there may never end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.phases import HELD_FOR_A_PERSON, UNTOUCHED, Step

HELD = "RolloutBlocked"
SILENT = "silent (Ready is Unknown)"

PATIENCE = timedelta(minutes=10)
"""How long nothing may move because of others before a person is called: a node reboots, or is
maintained by another program, and that is nothing to call anybody for."""


def needs_person(state: CNINodeState | None) -> bool:
    """Whether a node stays as it is in the midst of a change until a person acts: nobody can act on
    its record, or its upgrade has begun and does not end well."""
    return state is not None and changing(state) and state.status.reason in HELD_FOR_A_PERSON


def stuck(node: Node, state: CNINodeState | None, leased: bool) -> bool:
    """Whether its kubelet is silent in the midst of a change, or somebody else has the node that is
    to be put back or given back; `leased` where that is by a Lease."""
    operation = state.status.operation if state is not None else None
    if state is None or operation is None or not changing(state):
        return False
    if state.status.reason in HELD_FOR_A_PERSON or operation.step == Step.UPGRADE:
        # A machine that is upgraded is silent for a while; its deadline says for how long.
        return False
    ends, back = operation.step == Step.RELEASE, operation.step == Step.CORDON_BACK
    # Before anything is touched the change is called off, and to uncordon needs no kubelet.
    if node.ready == "Unknown" and not ends and operation.step not in UNTOUCHED:
        return True
    theirs = node.unschedulable and not cordon.ours(node)
    return (back and theirs) or (leased and (back or ends))


def since(node: Node, state: CNINodeState) -> datetime | None:
    """Since when such a node is, as far as it is on record."""
    if node.ready == "Unknown":
        return node.ready_since
    operation = state.status.operation
    return operation.step_since if operation is not None else None


def describe_nodes(nodes: Collection[Node]) -> str:
    """What such nodes wait for, by their names."""
    silent = [node.name for node in nodes if node.ready == "Unknown"]
    others = [node.name for node in nodes if node.ready != "Unknown"]
    parts = (
        (silent, f"{SILENT} in the midst of a change"),
        (others, "to be put back or given back once somebody else has done with it"),
    )
    return " and ".join(f"{named(names)} {why}" for names, why in parts if names)


def named(names: Sequence[str], most: int = 3) -> str:
    """The first `most` of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
