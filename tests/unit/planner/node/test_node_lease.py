"""The Lease on a node to the second: until when it is somebody's, and from when it is renewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.planner.node import node_lease
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.unit.planner.cluster_model import LEASED
from tests.unit.planner.samples import lease, node, operation, state, view


def leased(holder: str, ago: int, seconds: int) -> NodeContext:
    """Node-a with a Lease that was renewed so many seconds ago, and is valid for so many."""
    at = view(leases={"node-node-a": lease(holder, ago, seconds)})
    return replace(at, world=replace(at.world, config=LEASED))


@pytest.mark.parametrize(("ago", "held"), [(-60, True), (599, True), (600, True), (601, False)])
def test_it_is_theirs_up_to_the_second_in_which_it_expires(ago: int, held: bool) -> None:
    """As medik8s has it, which takes a Lease over once its end is before now."""
    at = leased("node-maintenance", ago, 600)
    assert bool(node_lease.others(at)) is held
    assert bool(node_lease.take(at.node, at.world)) is not held


@pytest.mark.parametrize(
    ("ago", "seconds", "renewed"), [(299, 900, False), (300, 900, True), (0, 600, True)]
)
def test_ours_is_renewed_when_a_third_of_it_has_passed(
    ago: int, seconds: int, renewed: bool
) -> None:
    at = leased(node_lease.HOLDER, ago, seconds)
    assert bool(node_lease.take(at.node, at.world)) is renewed


OURS = replace(node(cordoned=True), annotations={names.CORDONED_BY: "apply-x"})


@pytest.mark.parametrize(
    ("holder", "at", "record", "writing", "dropped"),
    [
        (node_lease.HOLDER, node(), state(), False, True),
        (node_lease.HOLDER, node(), None, False, True),
        (node_lease.HOLDER, node(cordoned=True), state(), False, True),
        (node_lease.HOLDER, node(), state(operation=operation()), False, False),
        (node_lease.HOLDER, node(), state(operation=operation("audit")), False, True),
        # The record was lost, and with it what says that the node is worked on.
        (node_lease.HOLDER, OURS, state(), False, False),
        (node_lease.HOLDER, OURS, None, False, False),
        (node_lease.HOLDER, node(), None, True, False),
        ("node-maintenance", node(), state(), False, False),
    ],
)
def test_it_is_given_back_once_nothing_of_ours_is_on_the_node(
    holder: str, at: Node, record: CNINodeState | None, writing: bool, dropped: bool
) -> None:
    states = {"node-a": record} if record else {}
    given = {"node-node-a": lease(holder)}
    world = view(leases=given, nodes={"node-a": at}, states=states).world
    busy = {"node-a"} if writing else set()
    assert bool(list(node_lease.to_drop(world, states, busy))) is dropped


@pytest.mark.parametrize(
    ("holder", "at", "relied"),
    [
        ("node-maintenance", OURS, True),
        ("node-maintenance", node(cordoned=True), False),
        (node_lease.HOLDER, OURS, False),
    ],
)
def test_our_cordon_is_relied_on_where_the_lease_is_theirs(
    holder: str, at: Node, relied: bool
) -> None:
    world = leased(holder, 0, 600).world
    assert node_lease.relied_on(at, world) is relied
