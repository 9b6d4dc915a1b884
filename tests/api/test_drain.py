"""Draining, as a real API server answers it: the pods that it keeps, and those that nobody has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cni_upgrade.api import names
from tests.api.controllers import POLICIES, STATES, World
from tests.api.nodes import Fleet, pod_spec
from tests.api.spaces import pods
from tests.api.waiting import eventually

BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
DAEMONSETS = "/apis/apps/v1/namespaces/default/daemonsets"
DRAIN = {"policy": "Always", "deadline": "5m"}


@pytest.fixture
def node(world: World, fleet: Fleet) -> Iterator[str]:
    """A node whose pods can be deleted before a change and after it."""
    fleet.add(world.api, "node-a", version="0.4.0")
    yield "node-a"
    for path in (BUDGETS, DAEMONSETS):
        world.api.request("DELETE", path)


def blockers(world: World, node: str) -> str:
    """What the drain of a node waits for."""
    return "; ".join((world.status(node).get("operation") or {}).get("blockers") or ())


def budget(world: World, name: str, **labels: str) -> None:
    """A disruption budget of the pods with these labels."""
    spec = {"minAvailable": 0, "selector": {"matchLabels": labels}}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec}
    world.api.create(BUDGETS, {**body, "metadata": {"name": name}})


def test_two_budgets_of_one_pod_are_named(world: World, fleet: Fleet, node: str) -> None:
    fleet.run_pod(world.api, "web", node)
    budget(world, "web", app="web")
    budget(world, "all")
    budget(world, "other", app="other")
    with world.controller():
        world.policy(drain=DRAIN)
        eventually(lambda: "(all, web)" in blockers(world, node), "both are named", 60)
        assert "default/web: more than one disruption budget" in blockers(world, node)
        world.api.request("DELETE", f"{BUDGETS}/all")
        world.api.request("DELETE", f"{BUDGETS}/web")
        world.await_reason("Enforced", seconds=90)
    assert fleet.workloads == {}, "it was to leave"


def test_a_retry_spares_the_pods_that_came_back(world: World, fleet: Fleet, node: str) -> None:
    """Another controller tries again: who held the drain is read from the record."""
    for name in ("web", "db"):
        fleet.run_pod(world.api, name, node)
    for name in ("first", "second"):
        budget(world, name, app="web")  # of two, so the API server evicts no such pod
    with world.controller():
        world.policy(drain={**DRAIN, "deadline": "5s"})
        eventually(lambda: world.status(node).get("phase") == "Blocked", "it is held", 90)
    eventually(lambda: fleet.workloads.keys() == {"web"}, "the first try has asked everybody", 20)
    fleet.run_pod(world.api, "db", node)
    back = world.api.request("GET", f"{pods('default')}/db").body["metadata"]["uid"]
    tries = world.status(node)["serial"]

    world.api.patch(f"{STATES}/{node}", {"metadata": {"annotations": {names.RETRY: "1"}}})
    with world.controller():
        eventually(lambda: "1 more is left alone" in blockers(world, node), "it is told", 90)
        eventually(lambda: world.status(node).get("phase") == "Blocked", "it is held again", 90)
        assert world.status(node)["serial"] > tries
        held = world.api.request("GET", f"{pods('default')}/db").body["metadata"]
        assert (held["uid"], held.get("deletionTimestamp")) == (back, None)

        world.api.request("DELETE", BUDGETS)
        world.api.patch(f"{STATES}/{node}", {"metadata": {"annotations": {names.RETRY: "2"}}})
        world.await_reason("Enforced", seconds=90)
    assert fleet.workloads == {}, "once the one was gone, the other one was to go too"
    assert world.status(node)["drainHeldBy"] == []


def test_a_pod_whose_daemonset_is_gone_is_nobodys(world: World, fleet: Fleet, node: str) -> None:
    """Seen by name, as `kubectl drain` does; a pod that has ended goes without being asked for."""
    labels = {"app": "net"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec()}
    body = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "net"}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    world.api.create(DAEMONSETS, {**body, "spec": spec})
    fleet.run_pod(world.api, "net-x", node, "DaemonSet", owner="net")
    fleet.run_pod(world.api, "logs-x", node, "DaemonSet", owner="logs")
    fleet.run_pod(world.api, "done", node, "", phase="Succeeded")
    with world.controller():
        world.policy(drain=DRAIN)
        eventually(lambda: world.status(node).get("phase") == "Blocked", "it is refused", 60)
        refused = world.status(node)
        assert refused["reason"] == "DrainBlocked"
        assert refused["message"].count("default/") == 1
        assert "default/logs-x is of a DaemonSet that is gone" in refused["message"]
        assert fleet.workloads.keys() == {"net-x", "logs-x", "done"}, "nothing was evicted"
        world.api.patch(f"{POLICIES}/cure", {"spec": {"drain": {"force": True}}})
        again = {"metadata": {"annotations": {names.RETRY: "1"}}}
        world.api.patch(f"{STATES}/{node}", again)
        world.await_reason("Enforced", seconds=90)
    left = {pod["metadata"]["name"] for pod in world.api.items(pods("default"))}
    assert left == {"net-x"}
