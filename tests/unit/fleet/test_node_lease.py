"""The Lease on a node to the second: until when it is somebody's, and from when it is renewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cni_upgrade.fleet import node_lease
from cni_upgrade.fleet.view import View
from tests.unit.fleet.cluster_model import LEASED
from tests.unit.fleet.samples import lease, view


def leased(holder: str, ago: int, seconds: int) -> View:
    """Node-a with a Lease that was renewed so many seconds ago, and is valid for so many."""
    at = view(leases={"node-node-a": lease(holder, ago, seconds)})
    return replace(at, world=replace(at.world, config=LEASED))


@pytest.mark.parametrize(("ago", "held"), [(-60, True), (599, True), (600, True), (601, False)])
def test_it_is_theirs_up_to_the_second_in_which_it_expires(ago: int, held: bool) -> None:
    """As medik8s has it, which takes a Lease over once its end is before now."""
    at = leased("node-maintenance", ago, 600)
    assert bool(node_lease.others(at)) is held
    assert bool(node_lease.take(at)) is not held


@pytest.mark.parametrize(
    ("ago", "seconds", "renewed"), [(299, 900, False), (300, 900, True), (0, 600, True)]
)
def test_ours_is_renewed_when_a_third_of_it_has_passed(
    ago: int, seconds: int, renewed: bool
) -> None:
    assert bool(node_lease.take(leased(node_lease.HOLDER, ago, seconds))) is renewed
