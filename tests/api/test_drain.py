"""Draining, as a real API server answers it: the pods that it keeps, and those that nobody has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.controllers import World
from tests.api.nodes import Fleet
from tests.api.waiting import eventually

BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
DRAIN = {"policy": "Always", "deadline": "5m"}


@pytest.fixture
def node(world: World, fleet: Fleet) -> Iterator[str]:
    """A node whose pods can be deleted before a change and after it."""
    fleet.add(world.api, "node-a", version="0.4.0")
    yield "node-a"
    world.api.request("DELETE", BUDGETS)


def blockers(world: World, node: str) -> str:
    """What the drain of a node waits for."""
    return "; ".join((world.status(node).get("operation") or {}).get("blockers") or ())


def test_two_budgets_of_one_pod_are_named(world: World, fleet: Fleet, node: str) -> None:
    fleet.run_pod(world.api, "web", node)
    for name, labels in (("web", {"app": "web"}), ("all", {}), ("other", {"app": "other"})):
        spec = {"minAvailable": 0, "selector": {"matchLabels": labels}}
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec}
        world.api.create(BUDGETS, {**body, "metadata": {"name": name}})
    with world.controller():
        world.policy(drain=DRAIN)
        eventually(lambda: "(all, web)" in blockers(world, node), "both are named", 60)
        assert "default/web: more than one disruption budget" in blockers(world, node)
        world.api.request("DELETE", f"{BUDGETS}/all")
        world.api.request("DELETE", f"{BUDGETS}/web")
        world.await_reason("Enforced", seconds=90)
    assert fleet.workloads == {}, "it was to leave"
