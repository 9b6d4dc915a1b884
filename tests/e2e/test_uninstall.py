"""Taken out in the middle of a rollout, the operator leaves real nodes whole and schedulable."""

from __future__ import annotations

from tests.e2e import taking_out
from tests.e2e.world import World


def test_uninstalled_in_the_middle(world: World) -> None:
    nodes = {"node-a": "1.0.0", "node-b": "0.4.0"}
    busy = world.at_work(*nodes)
    said = taking_out.by_script(world)
    # The controller has finished with it, before the script asked who is at work or meanwhile.
    for missed in ("not finished within", "no controller is running", "uncordoning"):
        assert missed not in said, f"{busy} was to be finished: {said}"
    taking_out.check_nodes(world, nodes)
    assert taking_out.left(world) == []
